package tabular

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/features"
	"github.com/aimass/aimass/train/program"
	"github.com/aimass/aimass/train/table"
)

// Add registers the trainers gbdt, linear, mlp and command; programs are those that the latter
// may run, by name.
func Add(r train.Registry, programs map[string]program.Config) {
	begin := func(job *train.Job) *run { return &run{job: job, settings: defaultSettings(), began: time.Now()} }
	command := func(ctx context.Context, job train.Job) (train.Result, error) {
		return begin(&job).command(ctx, programs)
	}
	r.AddChecked("command", command, func(job train.Job) error {
		_, err := begin(&job).handed(programs)
		return err
	})
	for name, make := range map[string]func() learner{"gbdt": newGBDT, "linear": newLinear, "mlp": newMLP} {
		learn := func(ctx context.Context, job train.Job) (train.Result, error) { return begin(&job).train(ctx, make()) }
		r.AddChecked(name, learn, func(job train.Job) error { return begin(&job).parameters(make().params()) })
	}
}

// run is one training in progress.
type run struct {
	job      *train.Job
	settings settings
	p        *problem
	schema   *features.Schema
	began    time.Time
	fitted   time.Duration // what the fit alone took
	metrics  []train.Metric
	// half is half the width of intervals, 0 for none; outliers may be nil.
	half     float64
	outliers *outliers
	// foreign says that the model is a program's, with tensors of its own.
	foreign bool
}

// train goes through the steps.
func (r *run) train(ctx context.Context, l learner) (train.Result, error) {
	res := train.Result{Model: r.job.Model}
	if err := r.parameters(l.params()); err != nil {
		return res, err
	}
	if err := r.data(); err != nil {
		return res, err
	}
	began := time.Now()
	m, err := l.fit(ctx, r.p, r.job)
	if err != nil {
		return res, err
	}
	r.fitted = time.Since(began)
	if err := context.Cause(ctx); err != nil {
		return res, err
	}
	r.job.Tell(train.Event{Stage: "calibrate"})
	r.calibrate(m)
	r.job.Tell(train.Event{Stage: "test"})
	scores := m.scores(&r.p.test)
	predicted := r.p.predictions(scores)
	r.metrics = r.p.measure(predicted, r.half, r.job.Seed)
	err = judge(r.metrics, r.settings.gates)
	if res.Metrics = r.metrics; err != nil {
		return res, err
	}
	onnx, err := r.p.export(r.job.Model, m, r.half, r.outliers)
	if err != nil {
		return res, fmt.Errorf("the model can't be encoded: %w", err)
	}
	r.job.Tell(train.Event{Stage: "try", Message: "the exported model on the test rows"})
	if err := r.try(ctx, onnx, predicted); err != nil {
		return res, err
	}
	r.describePrediction(predicted)
	return r.publish(res, onnx, m.describe())
}

// parameters reads those of all learners and own.
func (r *run) parameters(own params) error {
	if err := checkJob(r.job); err != nil {
		return err
	}
	all := r.settings.common()
	for name, f := range own {
		all[name] = f
	}
	if err := all.read(r.job.Parameters); err != nil {
		return err
	}
	return r.settings.validate()
}

// data reads the rows.
func (r *run) data() error {
	r.job.Tell(train.Event{Stage: "read"})
	kinds := map[string]table.Kind{}
	for name, k := range r.job.Columns.Types {
		kinds[name] = table.Kind(k)
	}
	t, err := table.Open(r.job.Data, table.Options{Types: kinds, Missing: r.job.Columns.Missing})
	if err != nil {
		return err
	}
	if err := r.job.CheckSum(t.SHA256); err != nil {
		return err
	}
	if r.p, err = newProblem(t, r.job.Columns, r.settings, r.job.Seed); err != nil {
		return err
	}
	r.schema = r.p.schema()
	r.job.Tell(train.Event{Stage: "features", Message: fmt.Sprintf("%s on %d rows of %d: %d numeric and %d categorical features%s", r.p.task, len(r.p.fit.rows),
		t.Rows,
		len(r.p.numeric), len(r.p.categorical), prefixed("; left out: ", strings.Join(r.p.dropped, ", ")))})
	return nil
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

// calibrate fits the intervals and the bar of outliers to the rows kept for it.
func (r *run) calibrate(m predictor) {
	if s := &r.p.calibrate; r.p.task == Regression && r.settings.level > 0 {
		predicted := m.scores(s)[0]
		residual := make([]float64, len(predicted))
		for i, y := range s.labels {
			residual[i] = math.Abs(y - predicted[i])
		}
		r.half = conformalBound(residual, r.settings.level)
	}
	if r.settings.outlierRate > 0 {
		r.outliers = fitOutliers(r.p)
	}
}

// describePrediction sums up the answers to the test rows, to tell drift by.
func (r *run) describePrediction(predicted [][]float64) {
	switch r.p.task {
	case Binary:
		r.schema.Prediction = features.DescribePrediction("probabilities", 1, predicted[1])
	case Multiclass:
		top := make([]float64, len(predicted[0]))
		for i := range top {
			for k := range predicted {
				top[i] = max(top[i], predicted[k][i])
			}
		}
		r.schema.Prediction = features.DescribePrediction("probabilities", -1, top)
	default:
		r.schema.Prediction = features.DescribePrediction("prediction", 0, predicted[0])
	}
}

// report is report.json: what was done, for programs.
type report struct {
	Model      string         `json:"model"`
	Version    int            `json:"version"`
	Trainer    string         `json:"trainer"`
	Job        string         `json:"job,omitempty"`
	Created    time.Time      `json:"created"`
	Seconds    float64        `json:"seconds"`
	FitSeconds float64        `json:"fit_seconds"`
	Task       string         `json:"task"`
	Target     string         `json:"target"`
	Data       reportData     `json:"data"`
	Seed       uint64         `json:"seed"`
	Parameters any            `json:"parameters"`
	Rows       map[string]int `json:"rows"`
	LeftOut    []string       `json:"left_out,omitempty"`
	Metrics    []train.Metric `json:"metrics"`
	Importance []importance   `json:"importance,omitempty"`
	Interval   string         `json:"interval,omitempty"`
	Outliers   string         `json:"outliers,omitempty"`
}

type reportData struct {
	SHA256  string `json:"sha256"`
	Bytes   int64  `json:"bytes"`
	Rows    int    `json:"rows"`
	Columns int    `json:"columns"`
}

// publish writes the version.
func (r *run) publish(res train.Result, onnx []byte, d description) (train.Result, error) {
	r.job.Tell(train.Event{Stage: "write"})
	p := r.p
	rep := report{Model: r.job.Model, Trainer: r.job.Trainer, Job: r.job.ID, Created: r.job.Now.UTC().Truncate(time.Second),
		Seconds: math.Round(time.Since(r.began).Seconds()*100) / 100, FitSeconds: math.Round(r.fitted.Seconds()*1000) / 1000, Task: p.task, Target: p.columns.Target,
		Data: reportData{p.table.SHA256, p.table.Bytes, p.table.Rows, len(p.table.Columns)}, Seed: r.job.Seed, Parameters: r.job.Parameters,
		Rows:    map[string]int{"fit": len(p.fit.rows), "valid": len(p.valid.rows), "calibrate": len(p.calibrate.rows), "test": len(p.test.rows)},
		LeftOut: p.dropped, Metrics: r.metrics, Importance: d.importance}
	if r.half > 0 {
		rep.Interval = fmt.Sprintf("split conformal at %g: prediction ± %.6g, the %g quantile of |residual| on %d rows kept for it", r.settings.level, r.half,
			r.settings.level, len(p.calibrate.rows))
	}
	if r.outliers != nil {
		rep.Outliers = fmt.Sprintf("Mahalanobis distance and category rarity above %.4g, which %g of usual rows pass", r.outliers.bar, r.outliers.rate)
	}
	if err := r.checkSame(onnx); err != nil {
		return res, err
	}
	sch, err := r.schema.JSON()
	if err != nil {
		return res, err
	}
	card := r.card(&rep, d)
	place := train.Place{Repository: r.job.Out, Model: r.job.Model, JobID: r.job.ID}
	res.Path, res.Version, err = train.Publish(place, func(version int) (map[string][]byte, error) {
		card.Version, rep.Version = version, version
		files, err := card.Files()
		if err != nil {
			return nil, err
		}
		js, err := json.MarshalIndent(rep, "", "  ")
		if err != nil {
			return nil, fmt.Errorf("the report can't be written: %w", err)
		}
		files["model.onnx"], files["report.json"], files[features.FileName] = onnx, append(js, '\n'), sch
		return files, nil
	})
	return res, err
}
