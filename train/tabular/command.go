package tabular

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/program"
	"github.com/aimass/aimass/train/table"
)

// largestModel bounds the file that a program hands over.
const largestModel = 2 << 30

// passable is the form of a parameter that is handed on to a program.
var passable = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]{0,63}$`)

// command trains with a program: it gets the rows but those to test as a CSV file and writes
// model.onnx, which is measured, bound to the features and published like our own.
func (r *run) command(ctx context.Context, programs map[string]program.Config) (train.Result, error) {
	res := train.Result{Model: r.job.Model}
	h, err := r.handed(programs)
	if err != nil {
		return res, err
	}
	if err := r.data(); err != nil {
		return res, err
	}
	dir, err := os.MkdirTemp("", "aimass-train-")
	if err != nil {
		return res, train.WriteError(err, "the program's folder can't be made")
	}
	defer os.RemoveAll(dir)
	onnx, err := r.runProgram(ctx, h.program, dir, h.parameters)
	if err != nil {
		return res, err
	}
	r.job.Tell(train.Event{Stage: "test"})
	m, err := runtime.NewEngine(runtime.Config{}).Read(onnx)
	if err != nil {
		return res, api.Errorf(api.CodeTrainingModelInvalid, "the program's model can't be loaded: %w", err)
	}
	defer m.Close()
	predicted, err := r.measureForeign(ctx, m)
	if err != nil {
		return res, err
	}
	r.metrics = r.p.measure(predicted, 0, r.job.Seed)
	err = judge(r.metrics, r.settings.gates)
	if res.Metrics = r.metrics; err != nil {
		return res, err
	}
	r.foreign = true
	return r.publish(res, onnx, description{method: fmt.Sprintf("Trained by the operator's program %q, whose ONNX model was taken over.", h.name)})
}

// handed is a program with what it is given.
type handed struct {
	name       string
	program    program.Config
	parameters map[string]string
}

// handed reads the parameters: which program is to run, and what is its own.
func (r *run) handed(programs map[string]program.Config) (h handed, err error) {
	h.parameters = map[string]string{}
	own := params{"program": func(v string) error { h.name = v; return nil }}
	for k, v := range r.job.Parameters {
		if _, common := r.settings.common()[k]; common || k == "program" {
			continue
		}
		if !passable.MatchString(k) || strings.ContainsRune(v, 0) {
			return h, api.Errorf(api.CodeTrainingParameterInvalid, "parameter %.80q can't be handed to a program: expected a name of letters, digits and _", k)
		}
		own[k] = func(string) error { h.parameters[k] = v; return nil }
	}
	if err := r.parameters(own); err != nil {
		return h, err
	}
	h.name, h.program, err = pick(programs, h.name)
	return h, err
}

// pick finds the program that a job names, or the only one.
func pick(programs map[string]program.Config, name string) (string, program.Config, error) {
	names := slices.Sorted(maps.Keys(programs))
	if name == "" && len(names) == 1 {
		name = names[0]
	}
	c, ok := programs[name]
	if !ok {
		known := "the server's configuration names none"
		if len(names) > 0 {
			known = "there are: " + strings.Join(names, ", ")
		}
		return name, c, api.Errorf(api.CodeTrainerUnknown, "no training program is called %q; %s", name, known)
	}
	return name, c, nil
}

// runProgram runs it in dir and reads the model.
func (r *run) runProgram(ctx context.Context, c program.Config, dir string, handed map[string]string) ([]byte, error) {
	data, out, schema := filepath.Join(dir, "data.csv"), filepath.Join(dir, "out"), filepath.Join(dir, "features.json")
	js, err := r.schema.JSON()
	if err == nil {
		err = errors.Join(os.Mkdir(out, 0o755), os.WriteFile(schema, js, 0o600), r.p.writeCSV(data))
	}
	if err != nil {
		return nil, train.WriteError(err, "the program's data can't be written")
	}
	env := map[string]string{"DATA": data, "OUT": out, "SCHEMA": schema, "TARGET": r.p.columns.Target, "TASK": r.p.task, "SEED": strconv.FormatUint(r.job.Seed,
		10)}
	for k, v := range handed {
		env["PARAM_"+strings.ToUpper(k)] = v
	}
	r.job.Tell(train.Event{Stage: "program"})
	if err := program.Run(ctx, c, dir, env, func(line string) { r.job.Tell(train.Event{Stage: "program", Message: line}) }); err != nil {
		return nil, err
	}
	model := filepath.Join(out, "model.onnx")
	st, err := os.Lstat(model)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, api.Errorf(api.CodeTrainingModelMissing, "the program ended well but wrote no model.onnx to OUT")
	case err != nil || !st.Mode().IsRegular():
		return nil, api.Errorf(api.CodeTrainingModelInvalid, "the program's model.onnx is no plain file")
	case st.Size() > largestModel:
		return nil, api.Errorf(api.CodeTrainingModelInvalid, "the program's model.onnx has %d bytes, the limit is %d", st.Size(), int64(largestModel))
	}
	return os.ReadFile(model)
}

// writeCSV writes the rows but those to test: the features, the target and the weights.
func (p *problem) writeCSV(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	names := append(slices.Clone(p.numeric), p.categorical...)
	if p.columns.Weight != "" {
		names = append(names, p.columns.Weight)
	}
	names = append(names, p.columns.Target)
	w := csv.NewWriter(f)
	err = w.Write(names)
	rows := slices.Concat(p.fit.rows, p.valid.rows, p.calibrate.rows)
	slices.Sort(rows)
	record := make([]string, len(names))
	for _, row := range rows {
		for i, name := range names {
			c := p.table.Find(name)
			switch {
			case c.Kind == table.Categorical:
				record[i] = p.text(name, row)
			case c.Numbers[row] != c.Numbers[row]:
				record[i] = ""
			default:
				record[i] = strconv.FormatFloat(c.Numbers[row], 'g', -1, 64)
			}
		}
		err = errors.Join(err, w.Write(record))
	}
	w.Flush()
	return errors.Join(err, w.Error(), f.Close())
}
