package wait

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/train"
)

// TrainerName is what the trainer is registered by, ModelName the model it writes and
// FileName the file of a version that holds it.
const (
	TrainerName = "wait"
	ModelName   = "appt-wait"
	FileName    = "model.gob"
)

// configText is the configuration of a model folder that has none.
const configText = `# Quantile trees with conformal corrections, read from ` + FileName + ` of the version's folder.
name: "` + ModelName + `"
backend: "native"
`

// TrainJob is the train.Trainer of waiting-time models. It takes no data: it trains on
// the simulated clinic. Parameters, all optional: doctors, train_days, calibrate_days,
// test_days, rounds, learning_rate, leaves, min_rows.
//
// The model is written to Job.Out/<ModelName>/<next version>, unless it misses a gate
// of [Report.Gate].
func TrainJob(ctx context.Context, job train.Job) (train.Result, error) {
	res := train.Result{Model: ModelName}
	c, err := configOf(&job)
	if err != nil {
		return res, err
	}
	job.Tell(train.Event{Stage: "train", Message: fmt.Sprintf("five quantiles on %d simulated half-days", c.TrainDays)})
	m, report, err := Train(ctx, c)
	if err != nil {
		return res, err
	}
	res.Metrics = report.metrics()
	if err := report.Gate(); err != nil {
		return res, api.Errorf(api.CodeTrainingGateMissed, "the model is not written: %w", err)
	}
	job.Tell(train.Event{Stage: "write"})
	var file bytes.Buffer
	if err := m.Save(&file); err != nil {
		return res, err
	}
	res.Path, res.Version, err = train.Publish(train.Place{Repository: job.Out, Model: ModelName, JobID: job.ID, Config: []byte(configText)},
		func(version int) (map[string][]byte, error) {
			files, err := newCard(c, res.Metrics, version, job.Now).Files()
			if err == nil {
				files[FileName] = file.Bytes()
			}
			return files, err
		})
	return res, err
}

// configOf reads the job's parameters.
func configOf(job *train.Job) (Config, error) {
	c := DefaultConfig()
	c.Seed, c.Workers = job.Seed, job.Workers
	whole := map[string]*int{
		"doctors": &c.Clinic.Doctors, "train_days": &c.TrainDays, "calibrate_days": &c.CalibrateDays, "test_days": &c.TestDays,
		"rounds": &c.Rounds, "leaves": &c.Leaves, "min_rows": &c.MinRows,
	}
	if job.Data != "" {
		return c, api.Errorf(api.CodeTrainingParameterInvalid, "the trainer takes no data: it simulates its half-days")
	}
	for name, text := range job.Parameters {
		var err error
		switch to := whole[name]; {
		case to != nil:
			if *to, err = strconv.Atoi(text); err == nil && (*to < 1 || *to > 1_000_000) {
				err = fmt.Errorf("must be 1 to 1000000")
			}
		case name == "learning_rate":
			if c.LearningRate, err = strconv.ParseFloat(text, 64); err == nil && !(c.LearningRate > 0 && c.LearningRate <= 1) {
				err = fmt.Errorf("must be above 0 and at most 1")
			}
		default:
			names := []string{"learning_rate"}
			for k := range whole {
				names = append(names, k)
			}
			slices.Sort(names)
			return c, api.Errorf(api.CodeTrainingParameterInvalid, "the trainer has no parameter %q; it has: %s", name, strings.Join(names, ", "))
		}
		if err != nil {
			return c, api.Errorf(api.CodeTrainingParameterInvalid, "parameter %s is %q: %w", name, text, err)
		}
	}
	return c, nil
}

// metrics lists what was measured, with the bars of Gate.
func (r *Report) metrics() []train.Metric {
	const set = "test half-days"
	f := func(name string, v float64, gate string, passed bool) train.Metric {
		return train.Metric{Name: name, Set: set, Value: v, Low: v, High: v, Gate: gate, Passed: passed}
	}
	list := []train.Metric{
		f("wait_p50_cover", r.Coverage[0], "", true),
		f("wait_p90_cover", r.Coverage[1], "0.88..0.92", r.Coverage[1] >= .88 && r.Coverage[1] <= .92),
		f("wait_p95_cover", r.Coverage[2], "", true),
		f("wait_p90_raw", r.RawCoverage[1], "", true),
		f("wait_p90_pinball", r.Pinball[1], fmt.Sprintf("<%.3f (constant)", r.ConstantPinball[1]), r.Pinball[1] < r.ConstantPinball[1]),
		f("service_cover", r.Service.Coverage, "0.88..0.92", r.Service.Coverage >= .88 && r.Service.Coverage <= .92),
	}
	for g, v := range r.Service.ByGroup {
		list = append(list, f(fmt.Sprintf("service_cover_%d", g), v, ">=0.87", v >= .87))
	}
	return append(list,
		f("service_winkler", r.Service.Winkler, fmt.Sprintf("<%.2f (normal)", r.NormalService.Winkler), r.Service.Winkler < r.NormalService.Winkler),
		f("service_width", r.Service.Width, "", true),
		f("no_wait_share", r.NoWait, "", true))
}

// newCard describes a trained model.
func newCard(c Config, metrics []train.Metric, version int, now time.Time) *train.Card {
	set := func(name string, v any) train.CardSetting { return train.CardSetting{Name: name, Value: fmt.Sprint(v)} }
	return &train.Card{
		Model: ModelName, Version: version, Created: now.UTC().Format(time.DateOnly),
		Task: "How long a patient of a planned session will wait (half, 90 % and 95 % of such patients wait no longer), and how long the visit will take.",
		Method: "Boosted trees for five quantiles (pinball loss), corrected on half-days that they have not seen: waits by one-sided conformal bounds, " +
			"visit lengths by conformalised quantile regression within each visit type.",
		Data: fmt.Sprintf("No patient's data: half-days of a simulated clinic (seed %d) with published visit lengths, late and early patients, no-shows and "+
			"doctors who differ; "+
			"%d to train, %d to correct, %d to test.", c.Seed, c.TrainDays, c.CalibrateDays, c.TestDays),
		Inputs: []train.CardTensor{{Name: "session", Type: "FP32", Shape: []int{-1, NumFeatures},
			Meaning: "doctor, patients booked, interval in minutes, index from 0, visit type, " +
				"slot minute, expected work ahead less the slot minute, expected patients ahead, standard deviation of the work ahead"}},
		Outputs: []train.CardTensor{
			{Name: "wait_p50", Type: "FP32", Shape: []int{-1}, Meaning: "minutes that half wait no longer than"},
			{Name: "wait_p90", Type: "FP32", Shape: []int{-1}, Meaning: "minutes that 90 % wait no longer than"},
			{Name: "wait_p95", Type: "FP32", Shape: []int{-1}, Meaning: "minutes that 95 % wait no longer than"},
			{Name: "service_interval", Type: "FP32", Shape: []int{-1, 2}, Meaning: "ends of the interval for the visit's length, minutes"},
			{Name: "coverage_target", Type: "FP32", Shape: []int{-1}, Meaning: "nominal coverage of that interval"},
		},
		Settings: []train.CardSetting{
			set("doctors", c.Clinic.Doctors), set("rounds", c.Rounds), set("learning_rate", c.LearningRate), set("leaves", c.Leaves),
			set("min_rows", c.MinRows), set("level", c.Level), set("seed", c.Seed),
		},
		Metrics: train.CardMetrics(metrics),
		Limits: []string{
			"Waits were learned in simulation, since no public file of real waits is of use. Recalibrate on a clinic's own waits before use.",
			"Coverage holds on average over sessions like those of the correction, not for each patient, and not after the clinic has changed.",
			"Walk-ins, breaks and paper work are not in the simulation.",
		},
		Ethics: []string{"Tell patients the wait that 90 % stay under, not the middle: half of them wait longer than that.",
			"Report waits by group; an average can hide a group that always waits."},
		Sources: []string{"Romano, Patterson, Candès: Conformalized quantile regression, NeurIPS 2019.",
			"Vovk, Gammerman, Shafer: Algorithmic Learning in a Random World, 2005.", "Feng and others: Data 8(3) 47, 2023 (visit lengths)."},
	}
}

var _ train.Trainer = TrainJob
