package pipeline

import (
	"context"

	"github.com/aimass/aimass/runtime/tensor"
)

// inferReshaped runs a call on a model that takes or gives tensors in another shape than
// its requests have (reshape in its configuration).
func (v *Served) inferReshaped(ctx context.Context, c *Call) error {
	for i, p := range v.Inputs {
		if p.Reshape != nil && !p.Hidden {
			c.In[i].Shape = fill(p.Reshape, v.rowsOf(c), c.In[i].Shape.Elements())
		}
	}
	if err := v.answer(ctx, c); err != nil {
		return err
	}
	for i, p := range v.Outputs {
		if t, ok := c.Out[i].(*tensor.Tensor); ok && p.Reshape != nil {
			shape := p.Shape
			if v.MaxBatch > 0 {
				shape = shape[1:]
			}
			c.Out[i] = t.Reshaped(fill(shape, v.rowsOf(c), t.Elements()))
		}
	}
	return nil
}

// rowsOf is the batch of a call, −1 where the model has no batch axis.
func (v *Served) rowsOf(c *Call) int {
	if v.MaxBatch == 0 {
		return -1
	}
	return c.Rows
}

// fill makes a declared shape concrete: rows in front, if there are any, and one unknown
// extent from the number of elements.
func fill(shape []int64, rows, elements int) tensor.Shape {
	s := make(tensor.Shape, 0, len(shape)+1)
	if rows >= 0 {
		s = append(s, rows)
	}
	unknown, known := -1, max(rows, 1)
	for _, d := range shape {
		if d < 0 {
			unknown = len(s)
			d = 1
		}
		known *= int(d)
		s = append(s, int(d))
	}
	if unknown >= 0 && known > 0 {
		s[unknown] = elements / known
	}
	return s
}
