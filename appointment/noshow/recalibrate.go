package noshow

import (
	"bytes"
	"cmp"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/evaluate"
)

// RecalibrateName is what the trainer of recalibrations is registered by.
const RecalibrateName = "noshow-recalibrate"

// baseFile is the file of a version that holds what a recalibration starts from.
const baseFile = "base.gob"

// minMissed is how many no-shows a clinic's file must have: fewer say more about chance
// than about the clinic.
const minMissed = 30

// Recalibrate is the train.Trainer that fits a trained model to one clinic: the trees stay,
// the calibration, the intervals and what they rest on are the clinic's own. Job.Data is
// the clinic's CSV; the earlier 60 % of its days calibrate, the later ones test. The
// parameter base names the version of Job.Out to start from, such as appt-noshow/1, model
// what the new one is called (default: as the base).
//
// A recalibration whose log loss on the test days is not below that of the base is not
// written.
func Recalibrate(ctx context.Context, job train.Job) (train.Result, error) {
	for name := range job.Parameters {
		if name != "base" && name != "model" {
			return train.Result{}, api.Errorf(api.CodeTrainingParameterInvalid, "the trainer has no parameter %q; it has: base, model", name)
		}
	}
	base, err := readBase(job.Out, job.Parameters["base"])
	if err != nil {
		return train.Result{}, err
	}
	name := cmp.Or(job.Parameters["model"], ModelName(base.Moment))
	res := train.Result{Model: name}
	job.Tell(train.Event{Stage: "read"})
	table, err := Open(job.Data, job.Now)
	if err != nil {
		return res, err
	}
	if err := job.CheckSum(table.SHA256); err != nil {
		return res, err
	}
	if err := context.Cause(ctx); err != nil {
		return res, err
	}
	own, later, err := base.ownDays(table)
	if err != nil {
		return res, err
	}
	fitted := *base
	if err := fitted.calibrate(own); err != nil {
		return res, err
	}
	res.Metrics = compare(later, base.predict(later), fitted.predict(later))
	if err := judge(res.Metrics, Gates{MaxAUC: 1}); err != nil {
		return res, err
	}
	job.Tell(train.Event{Stage: "write"})
	files, err := fitted.versionFiles()
	if err != nil {
		return res, err
	}
	card := recalibrationCard(name, base, &fitted, table, res.Metrics, job)
	res.Path, res.Version, err = train.Publish(train.Place{Repository: job.Out, Model: name, JobID: job.ID, Config: configText(name)},
		func(version int) (map[string][]byte, error) {
			card.Version = version
			texts, err := card.Files()
			for file, b := range texts {
				files[file] = b
			}
			return files, err
		})
	return res, err
}

var errNoTrees = errors.New("it has no trees")

// readBase reads the model of a version of a repository. A version outside of it is
// refused: a job may come from far away.
func readBase(repository, version string) (*Model, error) {
	if !filepath.IsLocal(version) {
		return nil, api.Errorf(api.CodeTrainingParameterInvalid, "the parameter base is %q, expected a version of the repository, such as appt-noshow/1", version)
	}
	dir := filepath.Join(repository, version)
	b, err := os.ReadFile(filepath.Join(dir, baseFile))
	if err != nil {
		return nil, api.Errorf(api.CodeTrainingParameterInvalid, "the version %s has no %s: it was not trained by this trainer: %w", version, baseFile, err)
	}
	m := new(Model)
	if err := gob.NewDecoder(bytes.NewReader(b)).Decode(m); err != nil || m.Trees == nil {
		return nil, api.Errorf(api.CodeTrainingParameterInvalid, "%s of %s is damaged: %w", baseFile, version, cmp.Or(err, errNoTrees))
	}
	return m, nil
}

// versionFiles are the files of a version that are the model.
func (m *Model) versionFiles() (map[string][]byte, error) {
	onnx, err := m.Encode()
	if err != nil {
		return nil, fmt.Errorf("the model can't be encoded: %w", err)
	}
	var base bytes.Buffer
	if err := gob.NewEncoder(&base).Encode(m); err != nil {
		return nil, fmt.Errorf("the model can't be encoded: %w", err)
	}
	return map[string][]byte{"model.onnx": onnx, baseFile: base.Bytes()}, nil
}

// ownDays are the clinic's appointments: those that calibrate and those that test.
func (m *Model) ownDays(t *Table) (own, later *sample, err error) {
	records := t.Records
	missed := 0
	for i := range records {
		if records[i].NoShow {
			missed++
		}
	}
	if missed < minMissed {
		return nil, nil, api.Errorf(api.CodeTrainingOneClass, "there are %d no-shows among %d appointments; a recalibration takes %d", missed, len(records),
			minMissed)
	}
	days := make([]int32, len(records))
	for i := range records {
		days[i] = records[i].Day
	}
	slices.Sort(days)
	cut := days[len(days)*6/10]
	var first, second []Record
	for _, r := range records {
		if r.Day < cut {
			first = append(first, r)
		} else {
			second = append(second, r)
		}
	}
	if len(first) == 0 {
		return nil, nil, api.Errorf(api.CodeTrainingOneClass, "all appointments are of few days; a recalibration needs earlier and later ones")
	}
	e := &Encoder{Moment: m.Moment, History: NewHistory(records), Places: m.Places}
	o := &Options{Moment: m.Moment, UsePlace: true, UseScholarship: true}
	return newSample(e, o, first), newSample(e, o, second), nil
}

// calibrate fits Platt scaling, the bins and their intervals to a sample.
func (m *Model) calibrate(s *sample) (err error) {
	z := m.Trees.Scores(s.data.Columns)[0]
	if m.Platt, err = evaluate.FitPlatt(s.data.Labels, z); err != nil {
		return api.Errorf(api.CodeTrainingOneClass, "the model can't be calibrated on these days: %w", err)
	}
	p := m.apply(z)
	m.Cuts, m.Ranges = evaluate.Quantiles(p, calibrationBins), nil
	for _, b := range evaluate.Calibration(s.data.Labels, p, m.Cuts) {
		low, high := evaluate.Wilson(b.Observed*float64(b.Rows), float64(b.Rows), wilsonZ)
		m.Ranges = append(m.Ranges, evaluate.Interval{Low: low, High: high})
	}
	return nil
}

// compare measures the base and the recalibrated model on the test days.
func compare(s *sample, before, after []float64) []train.Metric {
	y := s.data.Labels
	was, is := evaluate.LogLoss(y, before), evaluate.LogLoss(y, after)
	gap := func(p []float64) (v float64) {
		for _, b := range evaluate.Calibration(y, p, evaluate.Quantiles(p, eceBins)) {
			v += float64(b.Rows) / float64(len(y)) * max(b.Observed-b.Predicted, b.Predicted-b.Observed)
		}
		return v
	}
	return []train.Metric{
		{Name: "log_loss", Set: "test", Value: is, Gate: fmt.Sprintf("< %.4f, the base's", was), Passed: is < was},
		{Name: "log_loss_base", Set: "test", Value: was, Passed: true},
		{Name: "ece15", Set: "test", Value: gap(after), Passed: true},
		{Name: "ece15_base", Set: "test", Value: gap(before), Passed: true},
	}
}

func recalibrationCard(name string, base, m *Model, t *Table, metrics []train.Metric, job train.Job) *train.Card {
	width := len(FeatureNames(m.Moment))
	return &train.Card{
		Model: name, Created: job.Now.UTC().Format("2006-01-02"),
		Task: "probability that a patient does not show up for an appointment, as known at " + momentPhrase(m.Moment) + ", recalibrated for one clinic",
		Method: "The trees are those of " + filepath.ToSlash(job.Parameters["base"]) +
			"; Platt scaling and intervals are fitted to the clinic's own earlier days and measured on its later ones.",
		Inputs: []train.CardTensor{
			{Name: "numeric", Type: "FP32", Shape: []int{-1, width}, Meaning: "the numeric features in the order of the base's card"},
			{Name: "neighbourhood", Type: "INT64", Shape: []int{-1}, Meaning: "number in the base's list of neighbourhoods; any other number is unknown"},
		},
		Outputs: []train.CardTensor{
			{Name: "p_noshow", Type: "FP32", Shape: []int{-1}, Meaning: "calibrated probability of a no-show"},
			{Name: "p_interval", Type: "FP32", Shape: []int{-1, 2},
				Meaning: "95 % interval of the no-show rate among like appointments of the clinic, widened to hold p_noshow"},
			{Name: "risk_band", Type: "INT32", Shape: []int{-1}, Meaning: "0 low, 1 medium, 2 high"},
		},
		Data: fmt.Sprintf("%d appointments of the clinic, %s to %s, sha256 %s", len(t.Records), Date(t.Records[0].Day), Date(t.Records[len(t.Records)-1].Day),
			t.SHA256),
		Settings: []train.CardSetting{
			{Name: "platt_slope, base and now", Value: fmt.Sprintf("%.4f, %.4f", base.Platt.Slope, m.Platt.Slope)},
			{Name: "platt_intercept, base and now", Value: fmt.Sprintf("%.4f, %.4f", base.Platt.Intercept, m.Platt.Intercept)},
		},
		Metrics: train.CardMetrics(metrics), Ethics: cardEthics,
		Limits: append([]string{"Recalibrate again when the clinic's habits change; it moves the level of the probabilities, never the order of two patients."},
			cardLimits...),
		Sources: []string{"The card of the base."},
	}
}

var _ train.Trainer = Recalibrate
