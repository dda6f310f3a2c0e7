package quant

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

func qLinearMatMul() []*ops.Op {
	return []*ops.Op{{Name: "QLinearMatMul", Since: 10, MinIn: 8, MaxIn: 8, MinOut: 1, MaxOut: 1,
		Shape: func(c *ops.ShapeCall) error {
			d := c.In[7].DType
			c.SetType(0, d)
			if !c.In[0].Known || !c.In[3].Known {
				return nil
			}
			m, err := product(c.In[0].Shape, c.In[3].Shape)
			if err != nil {
				return err
			}
			c.Set(0, d, m.out)
			return nil
		},
		Eval: qLinearMatMulEval}}
}

// matmul is the plan of numpy's product: a stack of m×k by k×n.
type matmul struct {
	batch   tensor.Shape // the stack's shape
	a, b    tensor.Shape // the operands' stacks
	m, k, n int
	out     tensor.Shape
}

func product(a, b tensor.Shape) (matmul, error) {
	if len(a) == 0 || len(b) == 0 {
		return matmul{}, fmt.Errorf("shapes %v and %v: expected rank 1 or more", a, b)
	}
	var p matmul
	rowVector, colVector := len(a) == 1, len(b) == 1
	if rowVector {
		a = tensor.Shape{1, a[0]}
	}
	if colVector {
		b = tensor.Shape{b[0], 1}
	}
	p.a, p.b = a[:len(a)-2], b[:len(b)-2]
	p.m, p.k, p.n = a[len(a)-2], a[len(a)-1], b[len(b)-1]
	if b[len(b)-2] != p.k {
		return p, fmt.Errorf("shapes %v and %v do not multiply", a, b)
	}
	var err error
	if p.batch, err = tensor.Broadcast(p.a, p.b); err != nil {
		return p, err
	}
	p.out = p.batch.Clone()
	if !rowVector {
		p.out = append(p.out, p.m)
	}
	if !colVector {
		p.out = append(p.out, p.n)
	}
	return p, p.out.Check()
}

func qLinearMatMulEval(c *ops.Call) error {
	a, b, yz := c.T(0), c.T(3), c.T(7)
	p, err := product(a.Shape, b.Shape)
	if err != nil {
		return err
	}
	av, err := centred(a, c.T(2), rows(a.Shape))
	if err != nil {
		return fmt.Errorf("a: %w", err)
	}
	bv, err := centred(b, c.T(5), columns(b.Shape))
	if err != nil {
		return fmt.Errorf("b: %w", err)
	}
	y, acc, err := accumulator(c, yz.DType, p.out)
	if err != nil {
		return err
	}
	at := 0
	w := tensor.NewWalker(append(p.batch.Clone(), 1), append(p.a.Clone(), 1), append(p.b.Clone(), 1))
	w.Run(func(_, _ int, off, _ []int) {
		multiply(acc[at:at+p.m*p.n], av[off[0]*p.m*p.k:], bv[off[1]*p.k*p.n:], p.m, p.k, p.n)
		at += p.m * p.n
	})
	s, err := combinedScale(c, p)
	if err != nil {
		return err
	}
	z, err := tensor.Float64s(yz)
	if err != nil {
		return err
	}
	zero := func(row int) float64 { return z[0] }
	if len(z) == p.m && p.m > 1 {
		zero = func(row int) float64 { return z[row] }
	} else if len(z) != 1 {
		return fmt.Errorf("y_zero_point is %v, expected 1 or %d elements", yz, p.m)
	}
	return requantize(y, acc, func(i int) (float64, float64) {
		row, col := i/p.n%max(p.m, 1), i%p.n
		return s.at(row, col), zero(row)
	})
}

// accumulator makes output 0 and the sums to be requantised into it.
func accumulator(c *ops.Call, d tensor.DType, s tensor.Shape) (*tensor.Tensor, []float64, error) {
	limit := c.MaxBytes
	if limit == 0 {
		limit = ops.DefaultMaxBytes
	}
	if n := s.Elements(); n > limit/8 {
		return nil, nil, ops.TooLargef("%d sums take more than %d bytes", n, limit)
	}
	y, err := c.Output(0, d, s)
	if err != nil {
		return nil, nil, err
	}
	return y, make([]float64, s.Elements()), nil
}

// requantize stores round(acc·scale) + zero, saturated; f gives scale and zero point by
// element.
func requantize(y *tensor.Tensor, acc []float64, f func(i int) (scale, zero float64)) error {
	lo, hi, ok := bounds(y.DType)
	if !ok {
		for i, v := range acc {
			s, z := f(i)
			acc[i] = v*s + z
		}
		return tensor.StoreFloats(y, acc, true, tensor.RoundUp)
	}
	q := make([]int64, len(acc))
	for i, v := range acc {
		s, z := f(i)
		q[i] = clip(math.RoundToEven(v*s), z, lo, hi)
	}
	return tensor.StoreInt64s(y, q)
}

// multiply accumulates in float64, which holds every sum of products of quantised
// values exactly up to 2⁵³.
func multiply(y, a, b []float64, m, k, n int) {
	for i := range m {
		row := y[i*n : (i+1)*n]
		for j := range k {
			f := a[i*k+j]
			if f == 0 {
				continue
			}
			for x, v := range b[j*n : (j+1)*n] {
				row[x] += f * v
			}
		}
	}
}

// lines says how many rows (or columns) a matrix has and how an element's offset leads
// to its own.
type lines struct{ n, div, mod int }

func rows(s tensor.Shape) lines {
	if len(s) == 1 {
		return lines{1, max(s[0], 1), 1}
	}
	return lines{s[len(s)-2], max(s[len(s)-1], 1), max(s[len(s)-2], 1)}
}

func columns(s tensor.Shape) lines {
	if len(s) == 1 {
		return lines{1, max(s[0], 1), 1}
	}
	return lines{s[len(s)-1], 1, max(s[len(s)-1], 1)}
}

// centred is a copy of the tensor less its zero point, one for all or one for each line.
func centred(t, zero *tensor.Tensor, l lines) ([]float64, error) {
	if t.DType == tensor.Float64 {
		return nil, fmt.Errorf("%v is no quantised type", t.DType)
	}
	v, err := tensor.Float64s(t)
	if err != nil || zero == nil {
		return v, err
	}
	z, err := tensor.Float64s(zero)
	if err != nil {
		return nil, err
	}
	if len(z) != 1 && len(z) != l.n {
		return nil, fmt.Errorf("the zero point is %v, expected 1 or %d elements", zero, l.n)
	}
	for i := range v {
		k := 0
		if len(z) > 1 {
			k = i / l.div % l.mod
		}
		v[i] -= z[k]
	}
	return v, nil
}

// scales is a·b/y for each row and column.
type scales struct{ a, b, y, all []float64 }

func (s scales) at(row, col int) float64 {
	if s.all != nil {
		return s.all[0]
	}
	return float64(float32(pick(s.a, row)) * float32(pick(s.b, col)) / float32(pick(s.y, row)))
}

func pick(v []float64, i int) float64 {
	if len(v) == 1 {
		return v[0]
	}
	return v[i]
}

// combinedScale reads the three scales. Single ones are multiplied in their own type, as
// the standard's function does.
func combinedScale(c *ops.Call, p matmul) (scales, error) {
	var s scales
	for _, x := range []struct {
		in, n int
		to    *[]float64
	}{{1, p.m, &s.a}, {4, p.n, &s.b}, {6, p.m, &s.y}} {
		t := c.T(x.in)
		v, err := tensor.Float64s(t)
		if err != nil {
			return s, err
		}
		if len(v) != 1 && len(v) != x.n {
			return s, fmt.Errorf("input %d is %v, expected 1 or %d elements", x.in, t, x.n)
		}
		*x.to = v
	}
	if len(s.a)*len(s.b)*len(s.y) == 1 {
		round := rounder(c.T(1).DType)
		ab := round(float32(s.a[0]) * float32(s.b[0]))
		s.all = []float64{float64(round(ab / float32(s.y[0])))}
	}
	return s, nil
}
