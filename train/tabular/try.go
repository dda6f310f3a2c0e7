package tabular

import (
	"context"
	"math"
	"slices"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/tensor"
)

// tryRows bounds the rows that an exported model is compared on.
const tryRows = 2000

// agreement is how far the exported model may be from the one in memory, relative to 1 plus
// the value: single precision in another order.
const agreement = 2e-3

// try runs the exported model as it will be served and compares it with what was measured: a
// model that answers otherwise than its figures say must not be published.
func (r *run) try(ctx context.Context, onnx []byte, predicted [][]float64) error {
	m, err := runtime.NewEngine(runtime.Config{}).Read(onnx)
	if err != nil {
		return api.Errorf(api.CodeTrainingModelInvalid, "the exported model can't be loaded: %w", err)
	}
	defer m.Close()
	n := min(tryRows, len(r.p.test.rows))
	out, err := answer(ctx, m, r.p.tensors(m, &r.p.test, n))
	if err != nil {
		return err
	}
	defer out.Release()
	name := "prediction"
	if r.p.classes != nil {
		name = "probabilities"
	}
	got, err := tensor.Float64s(out.Out[slices.IndexFunc(m.Outputs, func(p runtime.Port) bool { return p.Name == name })].(*tensor.Tensor))
	if err != nil {
		return err
	}
	for i := range n {
		for k := range predicted {
			want := predicted[k][i]
			if g := got[i*len(predicted)+k]; !(math.Abs(g-want) <= agreement*(1+math.Abs(want))) {
				return api.Errorf(api.CodeTrainingModelInvalid, "the exported model answers %v to a test row, the trained one %v", g, want)
			}
		}
	}
	return nil
}

// answer runs a model; the caller releases the call.
func answer(ctx context.Context, m *runtime.Model, in []tensor.Value) (*device.Call, error) {
	call := &device.Call{In: in}
	if err := m.Run(ctx, call); err != nil {
		return nil, api.Errorf(api.CodeTrainingModelInvalid, "the model can't be run on the test rows: %w", err)
	}
	return call, nil
}

// tensors makes the inputs of an exported model of the first n rows of a part.
func (p *problem) tensors(m *runtime.Model, s *set, n int) []tensor.Value {
	var in []tensor.Value
	for _, port := range m.Inputs {
		if port.Name == numericInput {
			t := tensor.New(tensor.Float32, tensor.Shape{n, len(p.numeric)})
			data := tensor.Data[float32](t)
			for j, col := range s.numeric {
				for i := range n {
					data[i*len(p.numeric)+j] = col[i]
				}
			}
			in = append(in, t)
			continue
		}
		texts := make([]string, 0, n*len(p.categorical))
		for i := range n {
			for _, name := range p.categorical {
				texts = append(texts, p.text(name, s.rows[i]))
			}
		}
		in = append(in, tensor.FromStrings(texts, n, len(p.categorical)))
	}
	return in
}

// text is a row's value of a categorical column, "" where it is missing.
func (p *problem) text(column string, row int) string {
	c := p.table.Find(column)
	if c.Codes[row] < 0 {
		return ""
	}
	return c.Texts[c.Codes[row]]
}
