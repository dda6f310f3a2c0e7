package shape

import (
	"fmt"

	"github.com/aimass/aimass/internal/half"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/layout"
	"github.com/aimass/aimass/runtime/tensor"
)

func scatter() []*ops.Op {
	variant := func(name string, since int, attrs []ops.Attr) *ops.Op {
		return &ops.Op{Name: name, Since: since, MinIn: 3, MaxIn: 3, MinOut: 1, MaxOut: 1,
			Attrs: attrs, Shape: form.SameAll, Eval: scatterElementsEval}
	}
	axis, reduction := form.Int("axis"), form.Str("reduction")
	// The standard deprecates Scatter with opset 11 without taking it away.
	return []*ops.Op{
		variant("Scatter", 9, axis),
		variant("ScatterElements", 11, axis),
		variant("ScatterElements", 16, form.Join(axis, reduction)),
	}
}

func scatterElementsEval(c *ops.Call) error {
	x, idx, upd := c.T(0), c.T(1), c.T(2)
	if !idx.Shape.Equal(upd.Shape) || upd.DType != x.DType {
		return fmt.Errorf("updates are %v, expected %v%v as the indices", upd, x.DType, idx.Shape)
	}
	axis, err := elementsAxis(c.Node, x.Shape, idx.Shape)
	if err != nil {
		return err
	}
	return scatterRuns(c, layout.ElementPlaces(x.Shape, idx.Shape, axis), 1)
}

func scatterND() []*ops.Op {
	variant := func(since int, attrs []ops.Attr) *ops.Op {
		return &ops.Op{Name: "ScatterND", Since: since, MinIn: 3, MaxIn: 3, MinOut: 1, MaxOut: 1,
			Attrs: attrs, Shape: form.SameAll, Eval: scatterNDEval}
	}
	return []*ops.Op{variant(11, nil), variant(16, form.Str("reduction"))}
}

func scatterNDEval(c *ops.Call) error {
	x, idx, upd := c.T(0), c.T(1), c.T(2)
	if idx.Rank() == 0 {
		return fmt.Errorf("indices are %v, expected rank 1 or more", idx)
	}
	last := idx.Rank() - 1
	depth := idx.Shape[last]
	if depth < 1 || depth > x.Rank() {
		return fmt.Errorf("indices %v name %d axes of data %v, expected 1 to %d", idx, depth, x, x.Rank())
	}
	want := append(idx.Shape[:last].Clone(), x.Shape[depth:]...)
	if !want.Equal(upd.Shape) || upd.DType != x.DType {
		return fmt.Errorf("updates are %v, expected %v%v", upd, x.DType, want)
	}
	return scatterRuns(c, layout.TuplePlaces(x.Shape, idx.Shape, 0), x.Shape[depth:].Elements())
}

// scatterRuns gives input 0 with the runs of input 2, of n elements each, put or reduced into the places, in order.
func scatterRuns(c *ops.Call, to *layout.Places, n int) error {
	x, upd := c.T(0), c.T(2)
	y, err := c.Output(0, x.DType, x.Shape.Clone())
	if err != nil {
		return err
	}
	layout.Part(y.Reshaped(tensor.Shape{y.Elements()}), x.Reshaped(tensor.Shape{x.Elements()}), 0, 0, x.Elements())
	switch mode := c.Node.Attrs.Str("reduction", "none"); mode {
	case "none":
		d, s := layout.Open(y), layout.Open(upd)
		defer d.Flush()
		return eachRun(to, c.T(1), n, func(at []int64, from int) { d.Scatter(at, s, from, n) })
	case "add", "mul", "max", "min":
		put, err := newReducer(y, upd, mode, n)
		if err != nil {
			return err
		}
		return eachRun(to, c.T(1), n, put)
	default:
		return fmt.Errorf("reduction is %q, expected none, add, mul, max or min", mode)
	}
}

// newReducer gives the function that reduces runs of n elements of upd, from an element on, into places of y.
func newReducer(y, upd *tensor.Tensor, mode string, n int) (func(at []int64, from int), error) {
	switch y.DType {
	case tensor.Float32:
		return reducer[float32](y, upd, mode, n), nil
	case tensor.Float64:
		return reducer[float64](y, upd, mode, n), nil
	case tensor.Int8:
		return reducer[int8](y, upd, mode, n), nil
	case tensor.Int16:
		return reducer[int16](y, upd, mode, n), nil
	case tensor.Int32:
		return reducer[int32](y, upd, mode, n), nil
	case tensor.Int64:
		return reducer[int64](y, upd, mode, n), nil
	case tensor.Uint8:
		return reducer[uint8](y, upd, mode, n), nil
	case tensor.Uint16:
		return reducer[uint16](y, upd, mode, n), nil
	case tensor.Uint32:
		return reducer[uint32](y, upd, mode, n), nil
	case tensor.Uint64:
		return reducer[uint64](y, upd, mode, n), nil
	case tensor.Float16, tensor.BFloat16:
		return halfReducer(y, upd, mode, n)
	}
	return nil, fmt.Errorf("reduction %q of %v is not defined", mode, y.DType)
}

// halfReducer rounds after every step, as arithmetic in the type itself would.
func halfReducer(y, upd *tensor.Tensor, mode string, n int) (func(at []int64, from int), error) {
	u, err := tensor.Float32s(upd)
	if err != nil {
		return nil, err
	}
	d, tab := tensor.Data[uint16](y), half.ToFloat32
	if y.DType == tensor.BFloat16 {
		tab = half.BrainToFloat32
	}
	var one [1]float32
	return func(at []int64, from int) {
		for _, k := range at {
			for j := range n {
				to := &d[int(k)+j]
				one[0] = tab(*to)
				reduceInto(one[:], u[from+j:from+j+1], mode)
				*to = tensor.RoundFloat(y.DType, float64(one[0]), false)
			}
			from += n
		}
	}, nil
}

type ordered interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

func reducer[T ordered](y, upd *tensor.Tensor, mode string, n int) func(at []int64, from int) {
	d, u := tensor.Data[T](y), tensor.Data[T](upd)
	return func(at []int64, from int) {
		if n == 1 {
			reduceEach(d, u[from:from+len(at)], mode, at)
			return
		}
		for _, k := range at {
			reduceInto(d[k:int(k)+n], u[from:from+n], mode)
			from += n
		}
	}
}

// reduceEach reduces each element of u into a place of y.
func reduceEach[T ordered](y, u []T, mode string, at []int64) {
	switch mode {
	case "add":
		for i, k := range at {
			y[k] += u[i]
		}
	case "mul":
		for i, k := range at {
			y[k] *= u[i]
		}
	case "max":
		for i, k := range at {
			y[k] = max(y[k], u[i])
		}
	default:
		for i, k := range at {
			y[k] = min(y[k], u[i])
		}
	}
}

// reduceInto reduces each element of u into that of y.
func reduceInto[T ordered](y, u []T, mode string) {
	u = u[:len(y)]
	switch mode {
	case "add":
		for j := range y {
			y[j] += u[j]
		}
	case "mul":
		for j := range y {
			y[j] *= u[j]
		}
	case "max":
		for j := range y {
			y[j] = max(y[j], u[j])
		}
	default:
		for j := range y {
			y[j] = min(y[j], u[j])
		}
	}
}
