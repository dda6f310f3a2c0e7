package lower

import (
	"math"

	"github.com/aimass/aimass/kernels/elementwise"
	"github.com/aimass/aimass/kernels/elementwise64"
	"github.com/aimass/aimass/runtime/tensor"
)

// maxPower is the greatest exponent for which a chain of products is quicker than a power.
const maxPower = 8

// wholePower sets dst[i] to x[i] to the power of n, 1 to maxPower.
func wholePower[T float32 | float64](dst, x []T, n int) {
	dst = dst[:len(x)]
	switch n {
	case 1:
		copy(dst, x)
	case 2:
		for i, v := range x {
			dst[i] = v * v
		}
	case 3:
		for i, v := range x {
			dst[i] = v * v * v
		}
	default:
		for i, v := range x {
			p := v
			for range n - 1 {
				p *= v
			}
			dst[i] = p
		}
	}
}

// powerBlock is how many values are float64 at a time, so that they stay in the cache.
const powerBlock = 512

// fractional takes powers of float32 by one number that is not whole, or by one for each column, as exp(y·ln x) in
// float64, which leaves no error in float32 but the rounding.
func (f *fuser) fractional(i int, exponents []float32) *group {
	n := f.node(i)
	x, out := n.In[0], n.Out[0]
	columns, layout := len(exponents), elementwise.Row
	if columns == 1 {
		layout = elementwise.Scalar
	}
	power := mustDoubles([]elementwise.Layout{elementwise.Full, layout}, []elementwise64.Step{
		{Op: elementwise64.Log, Dst: valueReg, X: 0}, {Op: elementwise64.Mul, Dst: valueReg, X: valueReg, Y: 1}, {Op: elementwise64.Exp, Dst: valueReg, X: valueReg}})
	by := make([]float64, columns)
	var whole []int // columns, whose powers exist for negative numbers
	for k, y := range exponents {
		if by[k] = float64(y); by[k] == math.Trunc(by[k]) {
			whole = append(whole, k)
		}
	}
	step := columns * max(1, powerBlock/columns)
	wide := f.scratch(tensor.Float64, step)
	run := func(e *Env) error {
		src, dst := e.f32(x), e.f32(out)
		for len(src) > 0 {
			block := e.f64(wide)[:min(step, len(src))]
			for k, v := range src[:len(block)] {
				// A power of −∞ is that of ∞; of other negative numbers there is none.
				if block[k] = float64(v); v < -math.MaxFloat32 {
					block[k] = -block[k]
				}
			}
			rows, cols := len(block)/columns, columns
			if columns == 1 {
				rows, cols = 1, len(block)
			}
			power.Run(block, rows, cols, append(e.inputs64[:0], block, by), 1)
			for _, k := range whole {
				for ; k < len(block); k += columns {
					block[k] = math.Pow(float64(src[k]), by[k%columns])
				}
			}
			for k, v := range block {
				dst[k] = float32(v)
			}
			src, dst = src[len(block):], dst[len(block):]
		}
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{x}, writes: []int{out, wide}, run: run}
}

// columnExponents are the constant exponents of a power, one for each place of the last axis.
func (f *fuser) columnExponents(n *Node) ([]float32, bool) {
	by, s := f.constF32(n.In[1]), f.shape(n.Out[0])
	if len(by) < 2 || !f.f32(n.In[0]) || !f.f32(n.Out[0]) || !f.shape(n.In[0]).Equal(s) || s.Elements() == 0 {
		return nil, false
	}
	c := f.shape(n.In[1])
	for _, y := range by {
		if math.IsNaN(float64(y)) || math.IsInf(float64(y), 0) {
			return nil, false
		}
	}
	return by, len(by) == s[len(s)-1] && c[len(c)-1] == len(by) && len(c) <= len(s)
}

// lowerPower takes powers by one number, of float64 by a small whole one alone, and of float32 by one for each column.
func lowerPower(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	if by, ok := f.columnExponents(n); ok {
		return f.fractional(i, by), true
	}
	x, out := n.In[0], n.Out[0]
	exponent, ok := f.scalar(n.In[1])
	wide := f.f64(x) && f.f64(out)
	if v := f.constF64(n.In[1]); wide && len(v) == 1 {
		exponent, ok = float32(v[0]), float64(float32(v[0])) == v[0]
	}
	whole := int(exponent)
	if v := float64(exponent); ok && !wide && f.f32(x) && f.f32(out) && f.shape(out).Equal(f.shape(x)) && f.shape(x).Elements() > 0 && v != math.Trunc(v) && !math.IsNaN(v) {
		return f.fractional(i, []float32{exponent}), true
	}
	if !ok || !wide && !(f.f32(x) && f.f32(out)) || float32(whole) != exponent || whole < 1 || whole > maxPower || !f.shape(out).Equal(f.shape(x)) {
		return nil, false
	}
	run := func(e *Env) error {
		if wide {
			wholePower(e.f64(out), e.f64(x), whole)
		} else {
			wholePower(e.f32(out), e.f32(x), whole)
		}
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{x}, writes: []int{out}, run: run}, true
}
