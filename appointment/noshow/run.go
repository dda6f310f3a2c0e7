package noshow

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/features"
)

// TrainerName is what the trainer is registered by.
const TrainerName = "noshow"

// Train is the train.Trainer of no-show models. Job.Data is a CSV with the
// columns of ReadCSV or a zip of one; empty, it is Simulate's clinic. Parameters,
// all optional: moment (booking, day-of), valid_from and test_from (dates, both
// or none), members, medium, high, without (neighbourhood, scholarship; by
// commas), rounds, learning_rate, leaves, min_rows.
//
// The model is written to Job.Out/<ModelName>/<next version>, unless it misses
// a gate.
func Train(ctx context.Context, job train.Job) (train.Result, error) {
	r := &run{job: &job, started: time.Now()}
	var err error
	if r.options, err = parseOptions(&job); err != nil {
		return train.Result{}, err
	}
	res := train.Result{Model: ModelName(r.options.Moment)}
	for _, step := range []func(context.Context) error{r.read, r.encode, r.fitTrees, r.judge} {
		if err := context.Cause(ctx); err != nil {
			return res, err
		}
		err := step(ctx)
		res.Metrics = r.metrics
		if err != nil {
			return res, err
		}
	}
	job.Tell(train.Event{Stage: "write"})
	files, err := r.model.versionFiles()
	if err != nil {
		return res, err
	}
	card := newCard(r)
	res.Path, res.Version, err = train.Publish(train.Place{Repository: job.Out, Model: card.Model, JobID: job.ID, Config: configText(card.Model)},
		func(version int) (map[string][]byte, error) {
			card.Version = version
			js, err := json.MarshalIndent(card, "", "  ")
			if err != nil {
				return nil, fmt.Errorf("the model card can't be written: %w", err)
			}
			schema, err := r.schema().JSON()
			if err != nil {
				return nil, err
			}
			files[features.FileName] = schema
			files["model_card.json"], files["model_card.md"], files["report.html"] = append(js, '\n'), []byte(card.Markdown()), reportHTML(card, r)
			return files, nil
		})
	return res, err
}

// configText is the configuration of a model folder that has none: it names the check of
// the values, which this server has and others pass over.
func configText(model string) []byte {
	return fmt.Appendf(nil, "name: %q\nparameters { key: \"check\" value { string_value: \"appt-noshow\" } }\n", model)
}

// run is one training in progress.
type run struct {
	job              *train.Job
	options          Options
	table            *Table
	fit, valid, test *sample
	model            *Model
	gates            Gates
	predicted        []float64
	metrics          []train.Metric
	groups           []GroupMetric
	started          time.Time
	seconds          float64
}

func (r *run) read(context.Context) error {
	r.job.Tell(train.Event{Stage: "read"})
	var err error
	if r.job.Data == "" {
		r.table, err = Simulated(DefaultClinic(r.job.Seed), r.job.Now)
	} else {
		r.table, err = Open(r.job.Data, r.job.Now)
	}
	if err != nil {
		return err
	}
	if err := r.job.CheckSum(r.table.SHA256); err != nil {
		return err
	}
	return nil
}

func (r *run) encode(context.Context) error {
	t := r.table
	r.job.Tell(train.Event{Stage: "features", Message: fmt.Sprintf("%d rows of %s to %s", len(t.Records), Date(t.Records[0].Day),
		Date(t.Records[len(t.Records)-1].Day))})
	o := &r.options
	if o.Split == (Split{}) {
		var err error
		if o.Split, err = SplitByDays(t.Records); err != nil {
			return err
		}
	}
	fit, valid, test, err := o.Split.Part(t.Records)
	if err != nil {
		return err
	}
	e := &Encoder{Moment: o.Moment, History: NewHistory(t.Records), Places: t.Places}
	r.fit, r.valid, r.test = newSample(e, o, fit), newSample(e, o, valid), newSample(e, o, test)
	return nil
}

func (r *run) fitTrees(ctx context.Context) (err error) {
	r.model, err = fitModel(ctx, &r.options, r.table.Places, r.fit, r.valid, r.job.Progress)
	r.seconds = time.Since(r.started).Seconds()
	return err
}

func (r *run) judge(context.Context) error {
	r.job.Tell(train.Event{Stage: "test"})
	r.predicted = r.model.predict(r.test)
	r.gates = gatesFor(r.table.SHA256, r.options.Moment, r.test)
	r.metrics = measure(r.test, r.predicted, r.gates, r.job.Seed)
	r.groups = measureGroups(r.test, r.predicted, r.options.High)
	return judge(r.metrics, r.gates)
}

// parseOptions reads the job's parameters.
func parseOptions(job *train.Job) (Options, error) {
	o := DefaultOptions()
	o.Trees.Seed, o.Trees.Workers = job.Seed, job.Workers
	set := map[string]func(v string) error{
		"moment":        func(v string) error { return parseMoment(v, &o.Moment) },
		"valid_from":    func(v string) (err error) { o.Split.ValidFrom, err = ParseDate(v); return },
		"test_from":     func(v string) (err error) { o.Split.TestFrom, err = ParseDate(v); return },
		"members":       func(v string) (err error) { o.Members, err = strconv.Atoi(v); return },
		"medium":        func(v string) (err error) { o.Medium, err = strconv.ParseFloat(v, 64); return },
		"high":          func(v string) (err error) { o.High, err = strconv.ParseFloat(v, 64); return },
		"rounds":        func(v string) (err error) { o.Trees.Rounds, err = strconv.Atoi(v); return },
		"learning_rate": func(v string) (err error) { o.Trees.LearningRate, err = strconv.ParseFloat(v, 64); return },
		"leaves":        func(v string) (err error) { o.Trees.Leaves, err = strconv.Atoi(v); return },
		"min_rows":      func(v string) (err error) { o.Trees.MinRows, err = strconv.Atoi(v); return },
		"without":       func(v string) error { return parseWithout(v, &o) },
	}
	for name, v := range job.Parameters {
		f, ok := set[name]
		if !ok {
			known := make([]string, 0, len(set))
			for k := range set {
				known = append(known, k)
			}
			slices.Sort(known)
			return o, api.Errorf(api.CodeTrainingParameterInvalid, "the trainer has no parameter %q; it has: %s", name, strings.Join(known, ", "))
		}
		if err := f(v); err != nil {
			return o, api.Errorf(api.CodeTrainingParameterInvalid, "parameter %s is %q: %w", name, v, err)
		}
	}
	if (o.Split.ValidFrom == 0) != (o.Split.TestFrom == 0) {
		return o, api.Errorf(api.CodeTrainingParameterInvalid, "valid_from and test_from go together: one of them is missing")
	}
	if !(o.Medium > 0 && o.Medium < o.High && o.High < 1) {
		return o, api.Errorf(api.CodeTrainingParameterInvalid, "the risk bands begin at %v and %v, must be 0 < medium < high < 1", o.Medium, o.High)
	}
	if o.Members < 1 || o.Members > 100 {
		return o, api.Errorf(api.CodeTrainingParameterInvalid, "members is %d, must be in 1..100", o.Members)
	}
	if err := o.Trees.Validate(); err != nil {
		return o, api.Errorf(api.CodeTrainingParameterInvalid, "a parameter of the trees is wrong: %w", err)
	}
	return o, nil
}

func parseMoment(v string, m *Moment) error {
	for _, k := range []Moment{Booking, DayOf} {
		if v == k.String() {
			*m = k
			return nil
		}
	}
	return fmt.Errorf("must be %s or %s", Booking, DayOf)
}

func parseWithout(v string, o *Options) error {
	for _, name := range strings.Split(v, ",") {
		switch strings.TrimSpace(name) {
		case "neighbourhood":
			o.UsePlace = false
		case "scholarship":
			o.UseScholarship = false
		default:
			return fmt.Errorf("only neighbourhood and scholarship can be left out, not %q", name)
		}
	}
	return nil
}

var _ train.Trainer = Train
