package random

import (
	"fmt"
	"math"
	"sort"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func multinomial() []*ops.Op {
	var out []*ops.Op
	for _, since := range []int{7, 22} {
		out = append(out, &ops.Op{
			Name: "Multinomial", Since: since, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1, Impure: true,
			Attrs: form.Join(form.Int("dtype", "sample_size"), form.Float("seed")),
			Shape: func(c *ops.ShapeCall) error {
				d, n, err := draws(c.Node.Attrs)
				if err != nil {
					return err
				}
				c.SetType(0, d)
				if c.In[0].Known {
					if len(c.In[0].Shape) != 2 {
						return fmt.Errorf("input 0 is of shape %v, expected [batch, classes]", c.In[0].Shape)
					}
					c.Set(0, d, tensor.Shape{c.In[0].Shape[0], n})
				}
				return nil
			},
			Eval: evalMultinomial,
		})
	}
	return out
}

func draws(a graph.Attrs) (tensor.DType, int, error) {
	d, err := dtypeOf(a, tensor.Int32)
	if err != nil {
		return 0, 0, err
	}
	n := a.Int("sample_size", 1)
	if d != tensor.Int32 && d != tensor.Int64 || n < 0 || n > 1<<31 {
		return 0, 0, fmt.Errorf("%d draws of %v, expected int32 or int64", n, d)
	}
	return d, int(n), nil
}

// evalMultinomial draws classes of unnormalised log probabilities, with replacement.
func evalMultinomial(c *ops.Call) error {
	d, n, err := draws(c.Node.Attrs)
	if err != nil {
		return err
	}
	s := c.T(0).Shape
	if len(s) != 2 || s[1] == 0 {
		return fmt.Errorf("input 0 is of shape %v, expected [batch, classes]", s)
	}
	x, err := tensor.Float64s(c.T(0))
	if err != nil {
		return err
	}
	y, err := c.Output(0, d, tensor.Shape{s[0], n})
	if err != nil {
		return err
	}
	r := source(c.Node.Attrs)
	sums := make([]float64, s[1])
	for b := range s[0] {
		row := x[b*s[1] : (b+1)*s[1]]
		top := math.Inf(-1)
		for _, v := range row {
			top = max(top, v)
		}
		var sum float64
		for k, v := range row {
			sum += math.Exp(v - top)
			sums[k] = sum
		}
		if !(sum > 0) || math.IsInf(sum, 0) {
			return fmt.Errorf("row %d of input 0 holds no log probabilities", b)
		}
		for i := range n {
			at := r.Float64() * sum
			k := sort.Search(s[1]-1, func(k int) bool { return sums[k] > at })
			if d == tensor.Int32 {
				tensor.Data[int32](y)[b*n+i] = int32(k)
			} else {
				tensor.Data[int64](y)[b*n+i] = int64(k)
			}
		}
	}
	return nil
}
