package contrib

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// bytesOf gives an 8-bit integer tensor as int32, with the least and greatest value of
// its type.
func bytesOf(t *tensor.Tensor) (v []int32, lo, hi int32, err error) {
	if t == nil {
		return nil, 0, 0, fmt.Errorf("a quantized tensor is missing")
	}
	v = make([]int32, t.Elements())
	switch t.DType {
	case tensor.Uint8:
		for i, x := range tensor.Data[uint8](t) {
			v[i] = int32(x)
		}
		return v, 0, 255, nil
	case tensor.Int8:
		for i, x := range tensor.Data[int8](t) {
			v[i] = int32(x)
		}
		return v, -128, 127, nil
	case tensor.Uint16:
		for i, x := range tensor.Data[uint16](t) {
			v[i] = int32(x)
		}
		return v, 0, 65535, nil
	case tensor.Int16:
		for i, x := range tensor.Data[int16](t) {
			v[i] = int32(x)
		}
		return v, -32768, 32767, nil
	}
	return nil, 0, 0, fmt.Errorf("%v, expected int8 or uint8", t)
}

// storeBytes writes values that fit into an 8- or 16-bit integer tensor.
func storeBytes(t *tensor.Tensor, v []int32) {
	switch t.DType {
	case tensor.Uint8, tensor.Int8:
		d := t.Bytes()
		for i, x := range v {
			d[i] = uint8(x)
		}
	case tensor.Uint16, tensor.Int16:
		d := tensor.Data[uint16](t)
		for i, x := range v {
			d[i] = uint16(x)
		}
	}
}

// point is a quantisation of a whole tensor: real = (q − zero)·scale.
type point struct {
	scale        float32
	zero, lo, hi int32
}

// pointAt reads the scale of input i and the zero point of input i+1, for the type d.
func pointAt(c *ops.Call, i int, d tensor.DType) (point, error) {
	s, err := number(c, i, 1)
	if err != nil {
		return point{}, err
	}
	p := point{scale: s}
	if _, p.lo, p.hi, err = bytesOf(tensor.New(d, tensor.Shape{0})); err != nil {
		return p, err
	}
	if !c.Has(i + 1) {
		return p, nil
	}
	z, _, _, err := bytesOf(c.T(i + 1))
	if err != nil || len(z) != 1 || c.T(i+1).DType != d {
		return p, fmt.Errorf("input %d is %v, expected one %v", i+1, c.T(i+1), d)
	}
	p.zero = z[0]
	return p, nil
}

// real gives the number that q stands for.
func (p point) real(q int32) float32 { return float32(q-p.zero) * p.scale }

// quant gives the nearest q, ties to even, within the range of its type.
func (p point) quant(x float32) int32 {
	v := math.RoundToEven(float64(x / p.scale))
	if v != v {
		return p.zero
	}
	return int32(min(max(v+float64(p.zero), float64(p.lo)), float64(p.hi)))
}

// clip rounds a value in units of q to the nearest, ties to even, within the range.
func (p point) clip(x float32) int32 {
	v := math.RoundToEven(float64(x))
	if v != v {
		return p.zero
	}
	return int32(min(max(v, float64(p.lo)), float64(p.hi)))
}

// dynamic chooses the uint8 quantisation of values as DynamicQuantizeLinear does.
func dynamic(x []float32) point {
	var lo, hi float32
	for _, v := range x {
		lo, hi = min(lo, v), max(hi, v)
	}
	p := point{scale: (hi - lo) / 255, hi: 255}
	if p.scale == 0 {
		p.scale = 1
	}
	p.zero = int32(min(max(math.RoundToEven(float64(-lo/p.scale)), 0), 255))
	return p
}

// zeros spreads zero points, one for all or one a column, over n columns.
func zeros(t *tensor.Tensor, d tensor.DType, n int) ([]int32, error) {
	out := make([]int32, n)
	if t == nil {
		return out, nil
	}
	v, _, _, err := bytesOf(t)
	if err != nil {
		return nil, err
	}
	if t.DType != d || len(v) != 1 && len(v) != n {
		return nil, fmt.Errorf("zero point %v, expected one %v or %d", t, d, n)
	}
	for i := range out {
		out[i] = v[i%len(v)]
	}
	return out, nil
}

// scales spreads scales likewise.
func scales(c *ops.Call, i, n int) ([]float32, error) {
	v, err := floats(c, i)
	if err != nil {
		return nil, err
	}
	if len(v) != 1 && len(v) != n {
		return nil, fmt.Errorf("input %d is %v, expected one scale or %d", i, c.T(i), n)
	}
	out := make([]float32, n)
	for j := range out {
		out[j] = v[j%len(v)]
	}
	return out, nil
}
