package tabular

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/repository/config"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/tensor"
	"github.com/aimass/aimass/train/features"
)

// measureForeign runs a program's model on the test rows and gives its predictions. It binds
// the features to the model's inputs, in the schema too.
func (r *run) measureForeign(ctx context.Context, m *runtime.Model) ([][]float64, error) {
	in, err := r.bindForeign(m)
	if err != nil {
		return nil, err
	}
	call, err := answer(ctx, m, in)
	if err != nil {
		return nil, err
	}
	defer call.Release()
	n := len(r.p.test.rows)
	var got []string
	for k, v := range call.Out {
		t, ok := v.(*tensor.Tensor)
		if !ok {
			continue
		}
		got = append(got, fmt.Sprintf("%s %s %v", m.Outputs[k].Name, t.DType.V2(), t.Shape))
		if !t.DType.IsFloat() || len(t.Shape) == 0 || t.Shape[0] != n {
			continue
		}
		flat, err := tensor.Float64s(t)
		if err != nil {
			return nil, err
		}
		width := t.Elements() / n
		predicted := r.split(flat, width)
		if predicted == nil {
			continue
		}
		if err := probable(predicted, r.p.classes != nil); err != nil {
			return nil, err
		}
		r.describeForeign(m.Outputs[k].Name, width, predicted)
		return predicted, nil
	}
	want := fmt.Sprintf("a prediction FP32 [%d]", n)
	if r.p.classes != nil {
		want = fmt.Sprintf("probabilities FP32 [%d,%d]", n, len(r.p.classes))
	}
	return nil, api.Errorf(api.CodeTrainingModelSchema, "the program's model gives %s to %d rows, expected %s", strings.Join(got, ", "), n, want)
}

// split sorts an output by class, nil where its width does not fit. Of two classes the
// probability of the second will do.
func (r *run) split(flat []float64, width int) [][]float64 {
	n := len(r.p.test.rows)
	want := max(1, len(r.p.classes))
	if width == 1 && want == 2 {
		no := make([]float64, n)
		for i, v := range flat {
			no[i] = 1 - v
		}
		return [][]float64{no, flat}
	}
	if width != want {
		return nil
	}
	out := make([][]float64, want)
	for k := range out {
		out[k] = make([]float64, n)
		for i := range n {
			out[k][i] = flat[i*want+k]
		}
	}
	return out
}

// probable refuses answers that are no numbers, or of a classifier no probabilities.
func probable(predicted [][]float64, classes bool) error {
	for _, col := range predicted {
		for i, v := range col {
			if v != v || classes && (v < -1e-6 || v > 1+1e-6) {
				return api.Errorf(api.CodeTrainingModelInvalid, "the program's model answers %v to test row %d, expected a %s", v, i, map[bool]string{true: "probability",
					false: "number"}[classes])
			}
		}
	}
	return nil
}

func (r *run) describeForeign(output string, width int, predicted [][]float64) {
	switch {
	case r.p.task == Binary:
		r.schema.Prediction = features.DescribePrediction(output, width-1, predicted[1])
	case r.p.task == Multiclass:
		r.describePrediction(predicted)
		r.schema.Prediction.Tensor = output
	default:
		r.schema.Prediction = features.DescribePrediction(output, 0, predicted[0])
	}
}

// bindForeign makes the inputs of the test rows: an input of a feature's name holds that
// feature, one matrix of floats the numeric ones, one of texts the categorical ones.
func (r *run) bindForeign(m *runtime.Model) ([]tensor.Value, error) {
	s, n := &r.p.test, len(r.p.test.rows)
	bound := map[string]bool{}
	bind := func(feature, input string, column int) {
		i := slices.IndexFunc(r.schema.Features, func(f features.Feature) bool { return f.Name == feature })
		r.schema.Features[i].Tensor, r.schema.Features[i].Column = input, column
		bound[feature] = true
	}
	var in []tensor.Value
	for _, port := range m.Inputs {
		shape := port.Shape()
		width := int64(-1)
		if len(shape) == 2 {
			width = shape[1]
		}
		t := port.Type.DType
		j, c := slices.Index(r.p.numeric, port.Name), slices.Index(r.p.categorical, port.Name)
		var v *tensor.Tensor
		switch {
		case j >= 0 && t != tensor.String:
			v = numbers(t, n, s.numeric[j:j+1])
			bind(port.Name, port.Name, 0)
		case c >= 0 && t == tensor.String:
			v = r.texts(r.p.categorical[c : c+1])
			bind(port.Name, port.Name, 0)
		case t.IsFloat() && len(shape) == 2 && (width < 0 || width == int64(len(r.p.numeric))) && len(r.p.numeric) > 0 && !bound[r.p.numeric[0]]:
			v = numbers(t, n, s.numeric)
			for k, name := range r.p.numeric {
				bind(name, port.Name, k)
			}
		case t == tensor.String && len(shape) == 2 && (width < 0 || width == int64(len(r.p.categorical))) && len(r.p.categorical) > 0 && !bound[r.p.categorical[0]]:
			v = r.texts(r.p.categorical)
			for k, name := range r.p.categorical {
				bind(name, port.Name, k)
			}
		}
		if v == nil {
			return nil, api.Errorf(api.CodeTrainingModelSchema,
				"the program's model takes %q %s %v, expected inputs named like the features (%s), or FP32 [-1,%d] of the numeric and BYTES [-1,%d] of "+
					"the categorical ones",
				port.Name, t.V2(), shape, strings.Join(append(slices.Clone(r.p.numeric), r.p.categorical...), ", "), len(r.p.numeric), len(r.p.categorical))
		}
		if len(shape) == 1 {
			v = v.Reshaped(tensor.Shape{n})
		}
		in = append(in, v)
	}
	r.schema.Features = slices.DeleteFunc(r.schema.Features, func(f features.Feature) bool { return !bound[f.Name] })
	return in, nil
}

// numbers makes a matrix of columns in an element type; nil where it can't hold them.
func numbers(t tensor.DType, rows int, columns [][]float32) *tensor.Tensor {
	flat := make([]float64, rows*len(columns))
	for j, col := range columns {
		for i, x := range col {
			flat[i*len(columns)+j] = float64(x)
		}
	}
	v := tensor.New(t, tensor.Shape{rows, len(columns)})
	if t.IsFloat() && tensor.StoreFloat64s(v, flat) == nil {
		return v
	}
	whole := make([]int64, len(flat))
	for i, x := range flat {
		if whole[i] = int64(x); float64(whole[i]) != x {
			return nil
		}
	}
	if !t.IsInt() || tensor.StoreInt64s(v, whole) != nil {
		return nil
	}
	return v
}

func (r *run) texts(columns []string) *tensor.Tensor {
	var out []string
	for _, row := range r.p.test.rows {
		for _, name := range columns {
			out = append(out, r.p.text(name, row))
		}
	}
	return tensor.FromStrings(out, len(r.p.test.rows), len(columns))
}

// checkSame compares the tensors of a new version with those of the newest one before, so that
// who calls the model by its name can go on.
func (r *run) checkSame(onnx []byte) error {
	if r.settings.anySchema {
		return nil
	}
	base := filepath.Join(r.job.Out, r.job.Model)
	entries, _ := os.ReadDir(base)
	newest := int64(0)
	for _, e := range entries {
		if n, ok := config.ParseVersion(e.Name()); ok {
			newest = max(newest, n)
		}
	}
	before, err := os.ReadFile(filepath.Join(base, fmt.Sprint(newest), config.ModelFile))
	if err != nil {
		return nil // nothing to compare with
	}
	was, err := tensorsOf(before)
	if err != nil {
		return nil // what can't be loaded has no callers
	}
	is, err := tensorsOf(onnx)
	if err != nil {
		return api.Errorf(api.CodeTrainingModelInvalid, "the model can't be loaded: %w", err)
	}
	for _, w := range was {
		if !slices.Contains(is, w) {
			return api.Errorf(api.CodeTrainingModelSchema, "version %d of '%s' has the %s, the new model has: %s; set schema=any, or choose another model name", newest,
				r.job.Model, w, strings.Join(is, ", "))
		}
	}
	for _, i := range is {
		if strings.HasPrefix(i, "input") && !slices.Contains(was, i) {
			return api.Errorf(api.CodeTrainingModelSchema, "the new model needs the %s, which version %d of '%s' does not; set schema=any, or choose another model name",
				i, newest, r.job.Model)
		}
	}
	return nil
}

// tensorsOf lists a model's inputs and outputs.
func tensorsOf(onnx []byte) ([]string, error) {
	m, err := runtime.NewEngine(runtime.Config{}).Read(onnx)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	var out []string
	for _, p := range m.Inputs {
		out = append(out, fmt.Sprintf("input '%s' %s %v", p.Name, p.Type.DType.V2(), p.Shape()))
	}
	for _, p := range m.Outputs {
		out = append(out, fmt.Sprintf("output '%s' %s %v", p.Name, p.Type.DType.V2(), p.Shape()))
	}
	return out, nil
}
