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
	at, err := elementOffsets(x.Shape, idx, axis)
	if err != nil {
		return err
	}
	return scatterRuns(c, at, 1)
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
	at, err := tupleOffsets(x.Shape, idx, 0)
	if err != nil {
		return err
	}
	return scatterRuns(c, at, x.Shape[depth:].Elements())
}

// scatterRuns gives input 0 with run i of input 2, of n elements, put or reduced into
// the place that begins at at[i], in order.
func scatterRuns(c *ops.Call, at []int, n int) error {
	x, upd := c.T(0), c.T(2)
	y, err := c.Output(0, x.DType, x.Shape.Clone())
	if err != nil {
		return err
	}
	layout.Part(y.Reshaped(tensor.Shape{y.Elements()}), x.Reshaped(tensor.Shape{x.Elements()}), 0, 0, x.Elements())
	mode := c.Node.Attrs.Str("reduction", "none")
	if mode == "none" {
		switch x.DType {
		case tensor.Float32:
			putRuns(tensor.Data[float32](y), tensor.Data[float32](upd), at, n)
			return nil
		case tensor.Int64:
			putRuns(tensor.Data[int64](y), tensor.Data[int64](upd), at, n)
			return nil
		}
		d, s := layout.Open(y), layout.Open(upd)
		for i, k := range at {
			d.Copy(k, s, i*n, n)
		}
		d.Flush()
		return nil
	}
	return reduceRuns(y, upd, mode, at, n)
}

// putRuns is what scatterRuns does without a reduction, for the types that are frequent.
func putRuns[T any](y, upd []T, at []int, n int) {
	for i, k := range at {
		if n == 1 {
			y[k] = upd[i]
			continue
		}
		copy(y[k:k+n], upd[i*n:])
	}
}

func reduceRuns(y, upd *tensor.Tensor, mode string, at []int, n int) error {
	switch y.DType {
	case tensor.Float32:
		return reduceInto(tensor.Data[float32](y), tensor.Data[float32](upd), mode, at, n)
	case tensor.Float64:
		return reduceInto(tensor.Data[float64](y), tensor.Data[float64](upd), mode, at, n)
	case tensor.Int8:
		return reduceInto(tensor.Data[int8](y), tensor.Data[int8](upd), mode, at, n)
	case tensor.Int16:
		return reduceInto(tensor.Data[int16](y), tensor.Data[int16](upd), mode, at, n)
	case tensor.Int32:
		return reduceInto(tensor.Data[int32](y), tensor.Data[int32](upd), mode, at, n)
	case tensor.Int64:
		return reduceInto(tensor.Data[int64](y), tensor.Data[int64](upd), mode, at, n)
	case tensor.Uint8:
		return reduceInto(tensor.Data[uint8](y), tensor.Data[uint8](upd), mode, at, n)
	case tensor.Uint16:
		return reduceInto(tensor.Data[uint16](y), tensor.Data[uint16](upd), mode, at, n)
	case tensor.Uint32:
		return reduceInto(tensor.Data[uint32](y), tensor.Data[uint32](upd), mode, at, n)
	case tensor.Uint64:
		return reduceInto(tensor.Data[uint64](y), tensor.Data[uint64](upd), mode, at, n)
	case tensor.Float16, tensor.BFloat16:
		return reduceHalves(y, upd, mode, at, n)
	}
	return fmt.Errorf("reduction %q of %v is not defined", mode, y.DType)
}

// reduceHalves rounds after every step, as arithmetic in the type itself would.
func reduceHalves(y, upd *tensor.Tensor, mode string, at []int, n int) error {
	u, err := tensor.Float32s(upd)
	if err != nil {
		return err
	}
	d, tab := tensor.Data[uint16](y), half.ToFloat32
	if y.DType == tensor.BFloat16 {
		tab = half.BrainToFloat32
	}
	var one [1]float32
	for i, k := range at {
		for j := range n {
			one[0] = tab(d[k+j])
			if err := reduceInto(one[:], u[i*n+j:i*n+j+1], mode, []int{0}, 1); err != nil {
				return err
			}
			d[k+j] = tensor.RoundFloat(y.DType, float64(one[0]), false)
		}
	}
	return nil
}

type ordered interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

func reduceInto[T ordered](y, u []T, mode string, at []int, n int) error {
	for i, k := range at {
		dst, src := y[k:k+n], u[i*n:i*n+n]
		switch mode {
		case "add":
			for j := range dst {
				dst[j] += src[j]
			}
		case "mul":
			for j := range dst {
				dst[j] *= src[j]
			}
		case "max":
			for j := range dst {
				dst[j] = max(dst[j], src[j])
			}
		case "min":
			for j := range dst {
				dst[j] = min(dst[j], src[j])
			}
		default:
			return fmt.Errorf("reduction is %q, expected none, add, mul, max or min", mode)
		}
	}
	return nil
}
