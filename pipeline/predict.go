package pipeline

import (
	"context"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/tensor"
)

// Predict is the native.Caller of this pipeline: a request that comes from inside. It is
// checked, batched, cached and counted like any other.
func (p *Pipeline) Predict(ctx context.Context, model string, in []native.Named, want ...string) ([]*tensor.Tensor, error) {
	v, err := p.Resolve([]byte(model), nil)
	if err != nil {
		return nil, err
	}
	defer v.Done()
	c := &Call{}
	c.In = make([]tensor.Tensor, len(v.Inputs))
	for _, n := range in {
		i, err := v.Find([]byte(n.Name))
		if err != nil {
			return nil, err
		}
		if err := v.CheckInput(i, n.Tensor.DType, n.Tensor.Shape); err != nil {
			return nil, err
		}
		c.In[i] = *n.Tensor
	}
	places := make([]int, len(want))
	for k, name := range want {
		if places[k], err = v.FindOutput([]byte(name)); err != nil {
			return nil, err
		}
	}
	if err := v.Infer(ctx, c); err != nil {
		return nil, err
	}
	defer c.Release()
	out := make([]*tensor.Tensor, len(want))
	for k, i := range places {
		t, ok := c.Out[i].(*tensor.Tensor)
		if !ok {
			return nil, api.Errorf(api.CodeExecutionFailed, "model '%s' gave no tensor as '%s'", model, want[k])
		}
		out[k] = t.Clone()
	}
	return out, nil
}

var _ native.Caller = (*Pipeline)(nil).Predict
