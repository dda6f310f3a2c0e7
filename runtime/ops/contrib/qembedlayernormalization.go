package contrib

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// qEmbedLayerNormalization is EmbedLayerNormalization with bytes for tables, gamma and beta:
// what input k holds, for k from 2 to 6, has its scale in input k+6 and its zero point in k+11.
func qEmbedLayerNormalization(embed *ops.Op) *ops.Op {
	return &ops.Op{
		Name: "QEmbedLayerNormalization", Domain: Domain, Since: 1, MinIn: 18, MaxIn: 18, MinOut: 1, MaxOut: 2,
		Attrs: form.Float("epsilon"),
		Shape: func(c *ops.ShapeCall) error {
			inner := *c
			inner.In = append([]ops.Info(nil), c.In...)
			inner.In[2].DType = tensor.Float32
			return embed.Shape(&inner)
		},
		Eval: func(c *ops.Call) error {
			inner := *c
			inner.In = append([]tensor.Value(nil), c.In[:8]...)
			for k := 2; k < 7; k++ {
				if !c.Has(k) {
					continue
				}
				t, err := realOf(c, k, k+6, k+11)
				if err != nil {
					return err
				}
				inner.In[k] = t
			}
			err := embed.Eval(&inner)
			c.Out = inner.Out
			return err
		},
	}
}

// realOf gives the numbers that the bytes of input i stand for, under one scale and zero point.
func realOf(c *ops.Call, i, scale, zero int) (*tensor.Tensor, error) {
	q, _, _, err := bytesOf(c.T(i))
	if err != nil {
		return nil, fmt.Errorf("input %d: %w", i, err)
	}
	s, err := number(c, scale, 1)
	if err != nil {
		return nil, err
	}
	z, err := zeros(c.T(zero), c.T(i).DType, 1)
	if err != nil {
		return nil, err
	}
	t := tensor.New(tensor.Float32, c.T(i).Shape)
	out := tensor.Data[float32](t)
	for k, v := range q {
		out[k] = float32(v-z[0]) * s
	}
	return t, nil
}
