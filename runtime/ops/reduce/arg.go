package reduce

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// ordered lists the types that have an order.
type ordered interface {
	float32 | float64 | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64
}

func argForms(name string, least bool) []*ops.Op {
	op := func(since int, attrs ...string) *ops.Op {
		return &ops.Op{
			Name: name, Since: since, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1, Attrs: form.Int(attrs...),
			Shape: shapeArg, Eval: func(c *ops.Call) error { return evalArg(c, least) },
		}
	}
	return []*ops.Op{op(1, "axis", "keepdims"), op(12, "axis", "keepdims", "select_last_index")}
}

func argShape(s tensor.Shape, axis int64, keep bool) (tensor.Shape, int, error) {
	i, err := tensor.Axis(axis, len(s))
	if err != nil {
		return nil, 0, err
	}
	out := append(tensor.Shape{}, s[:i]...)
	if keep {
		out = append(out, 1)
	}
	return append(out, s[i+1:]...), i, nil
}

func shapeArg(c *ops.ShapeCall) error {
	if !c.Known(1) {
		c.SetType(0, tensor.Int64)
		return nil
	}
	a := c.Node.Attrs
	s, _, err := argShape(c.In[0].Shape, a.Int("axis", 0), a.Int("keepdims", 1) != 0)
	if err != nil {
		return err
	}
	c.Set(0, tensor.Int64, s)
	return nil
}

// evalArg finds the index of the greatest or least element along an axis; NaN counts as
// both, and of equals the first wins, or the last if asked.
func evalArg(c *ops.Call, least bool) error {
	x, a := c.T(0), c.Node.Attrs
	if x == nil {
		return fmt.Errorf("data is missing")
	}
	s, axis, err := argShape(x.Shape, a.Int("axis", 0), a.Int("keepdims", 1) != 0)
	if err != nil {
		return err
	}
	if x.Shape[axis] == 0 {
		return fmt.Errorf("axis %d of %v is empty", axis, x)
	}
	y, err := c.Output(0, tensor.Int64, s)
	if err != nil {
		return err
	}
	p := argPass{split(x.Shape, axis), least, a.Int("select_last_index", 0) != 0}
	return p.dispatch(tensor.Data[int64](y), x)
}

type argPass struct {
	along
	least, last bool
}

func (p argPass) dispatch(y []int64, x *tensor.Tensor) error {
	switch x.DType {
	case tensor.Float32:
		arg(p, y, tensor.Data[float32](x))
	case tensor.Float64:
		arg(p, y, tensor.Data[float64](x))
	case tensor.Float16, tensor.BFloat16:
		v, err := tensor.Float32s(x)
		if err != nil {
			return err
		}
		arg(p, y, v)
	case tensor.Uint64:
		arg(p, y, tensor.Data[uint64](x))
	default:
		v, err := tensor.Int64s(x)
		if err != nil {
			return err
		}
		arg(p, y, v)
	}
	return nil
}

func arg[T ordered](p argPass, y []int64, x []T) {
	for o := range p.outer {
		for i := range p.inner {
			best := 0
			v := x[o*p.n*p.inner+i]
			for k := 1; k < p.n; k++ {
				w := x[(o*p.n+k)*p.inner+i]
				if beats(w, v, p.least) || p.last && !beats(v, w, p.least) {
					best, v = k, w
				}
			}
			y[o*p.inner+i] = int64(best)
		}
	}
}

// beats reports whether a comes strictly before b.
func beats[T ordered](a, b T, least bool) bool {
	switch {
	case a != a || b != b:
		return a != a && b == b
	case least:
		return a < b
	}
	return a > b
}
