package nn

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func maxPoolForms() []*ops.Op {
	op := func(since, out int, more ...[]ops.Attr) *ops.Op {
		return &ops.Op{
			Name: "MaxPool", Since: since, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: out,
			Attrs: form.Join(windowAttrs, form.Join(more...)), Shape: shapeMaxPool, Eval: evalMaxPool,
		}
	}
	return []*ops.Op{
		op(1, 1),
		op(8, 2, form.Int("storage_order")),
		op(10, 2, form.Int("storage_order", "ceil_mode"), form.Ints("dilations")),
	}
}

func shapeMaxPool(c *ops.ShapeCall) error {
	d := c.In[0].DType
	if !known(c, 1, d) {
		c.SetType(1, tensor.Int64)
		return nil
	}
	_, s, err := newPool(c.Node, c.In[0].Shape)
	if err != nil {
		return err
	}
	c.Set(0, d, s)
	c.Set(1, tensor.Int64, s)
	return nil
}

// evalMaxPool gives the greatest element of each window and, if asked, its flat index in
// the whole input; with storage_order 1 the first spatial axis runs fastest in it.
func evalMaxPool(c *ops.Call) error {
	x := c.T(0)
	if x == nil {
		return fmt.Errorf("X is missing")
	}
	w, s, err := newPool(c.Node, x.Shape)
	if err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, s)
	if err != nil {
		return err
	}
	best := make([]int, y.Elements())
	switch x.DType {
	case tensor.Float32:
		maxPool(w, float32(math.Inf(-1)), tensor.Data[float32](y), tensor.Data[float32](x), best, s)
	case tensor.Float64:
		maxPool(w, math.Inf(-1), tensor.Data[float64](y), tensor.Data[float64](x), best, s)
	case tensor.Int8:
		maxPool(w, math.MinInt8, tensor.Data[int8](y), tensor.Data[int8](x), best, s)
	case tensor.Uint8:
		maxPool(w, 0, tensor.Data[uint8](y), tensor.Data[uint8](x), best, s)
	case tensor.Float16, tensor.BFloat16:
		v, err := tensor.Float32s(x)
		if err != nil {
			return err
		}
		out := make([]float32, y.Elements())
		maxPool(w, float32(math.Inf(-1)), out, v, best, s)
		if err := tensor.StoreFloat32s(y, out); err != nil {
			return err
		}
	default:
		return fmt.Errorf("expected a floating-point or 8-bit tensor, got %v", x)
	}
	if !c.Wanted(1) {
		return nil
	}
	idx, err := c.Output(1, tensor.Int64, s.Clone())
	if err != nil {
		return err
	}
	writeIndices(tensor.Data[int64](idx), best, w, c.Node.Attrs.Int("storage_order", 0) != 0)
	return nil
}

// maxPool writes each window's maximum to y and its offset in the plane to best. Of
// equals the first wins; a window that holds padding alone gives the least value.
func maxPool[T float32 | float64 | int8 | uint8](w *window, least T, y, x []T, best []int, s tensor.Shape) {
	size, spots := tensor.Shape(w.in).Elements(), tensor.Shape(w.out).Elements()
	for i := range best {
		y[i], best[i] = least, -1
	}
	planes := s[0] * s[1]
	w.visit(0, spots, func(_, at, n, from, step int) {
		for p := range planes {
			to, arg, src := y[p*spots+at:][:n], best[p*spots+at:][:n], x[p*size+from:]
			for i := range to {
				if v := src[i*step]; arg[i] < 0 || v > to[i] || v != v {
					to[i], arg[i] = v, from+i*step
				}
			}
		}
	})
}

func writeIndices(out []int64, best []int, w *window, columnMajor bool) {
	size, spots := tensor.Shape(w.in).Elements(), tensor.Shape(w.out).Elements()
	idx := make([]int, len(w.in))
	for i, b := range best {
		b = max(b, 0)
		if columnMajor && size > 0 {
			unravel(idx, w.in, b)
			b = 0
			for a := len(idx) - 1; a >= 0; a-- {
				b = b*w.in[a] + idx[a]
			}
		}
		out[i] = int64(i/spots*size + b)
	}
}
