package math

import (
	"fmt"
	gomath "math"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// span is what Range counts: integers exactly, floats in float64, half floats in float32.
type span struct {
	n            int
	start, delta float64
	istart, istp int64
}

func newSpan(start, limit, delta *tensor.Tensor) (span, error) {
	for _, t := range []*tensor.Tensor{start, limit, delta} {
		if t == nil || t.Elements() != 1 || t.DType != start.DType {
			return span{}, fmt.Errorf("expected three scalars of one type, got %v, %v and %v", start, limit, delta)
		}
	}
	if start.DType.IsInt() {
		return intSpan(start, limit, delta)
	}
	var v [3]float64
	for i, t := range []*tensor.Tensor{start, limit, delta} {
		f, err := tensor.Float64s(t)
		if err != nil {
			return span{}, err
		}
		v[i] = f[0]
	}
	n := gomath.Ceil((v[1] - v[0]) / v[2])
	if n != n || n > tensor.MaxElements {
		return span{}, fmt.Errorf("range from %v to %v by %v is not finite", v[0], v[1], v[2])
	}
	return span{n: int(max(0, n)), start: v[0], delta: v[2]}, nil
}

func intSpan(start, limit, delta *tensor.Tensor) (span, error) {
	var v [3]int64
	for i, t := range []*tensor.Tensor{start, limit, delta} {
		x, err := tensor.Int64s(t)
		if err != nil {
			return span{}, err
		}
		v[i] = x[0]
	}
	if v[2] == 0 {
		return span{}, fmt.Errorf("range from %d to %d by 0 is not finite", v[0], v[1])
	}
	s := span{istart: v[0], istp: v[2]}
	var gap, step uint64
	switch {
	case v[2] > 0 && v[1] > v[0]:
		gap, step = uint64(v[1])-uint64(v[0]), uint64(v[2])
	case v[2] < 0 && v[1] < v[0]:
		gap, step = uint64(v[0])-uint64(v[1]), -uint64(v[2])
	default:
		return s, nil
	}
	n := (gap-1)/step + 1
	if n > tensor.MaxElements {
		return span{}, fmt.Errorf("range from %d to %d by %d has %d elements", v[0], v[1], v[2], n)
	}
	s.n = int(n)
	return s, nil
}

func shapeRange(c *ops.ShapeCall) error {
	d := c.In[0].DType
	a, b, s := c.In[0].Tensor(), c.In[1].Tensor(), c.In[2].Tensor()
	if a == nil || b == nil || s == nil {
		c.SetType(0, d)
		return nil
	}
	r, err := newSpan(a, b, s)
	if err != nil {
		return err
	}
	c.Set(0, d, tensor.Shape{r.n})
	return nil
}

func evalRange(c *ops.Call) error {
	if !c.Has(0) || !c.Has(1) || !c.Has(2) {
		return fmt.Errorf("expected start, limit and delta")
	}
	r, err := newSpan(c.T(0), c.T(1), c.T(2))
	if err != nil {
		return err
	}
	d := c.T(0).DType
	y, err := c.Output(0, d, tensor.Shape{r.n})
	if err != nil {
		return err
	}
	if d.IsInt() {
		v := make([]int64, r.n)
		for i := range v {
			v[i] = r.istart + int64(i)*r.istp
		}
		return tensor.StoreInt64s(y, v)
	}
	half := d == tensor.Float16 || d == tensor.BFloat16
	v := make([]float64, r.n)
	for i := range v {
		v[i] = r.start + float64(i)*r.delta
		if half && c.Node.Attrs.Int("stash_type", 1) != 11 {
			v[i] = float64(float32(r.start) + float32(i)*float32(r.delta))
		}
	}
	return tensor.StoreFloat64s(y, v)
}
