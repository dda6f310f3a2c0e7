package cpu_test

import (
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// close64 bounds a sum of products in another order.
var close64 = tolerance{1e-12, 1e-12}

// doubles are N(0,1).
func (b *builder) doubles(shape ...int) *tensor.Tensor {
	t := tensor.New(tensor.Float64, shape)
	for i, d := 0, tensor.Data[float64](t); i < len(d); i++ {
		d[i] = b.NormFloat64()
	}
	return t
}

// either is an input or a constant.
func (b *builder) either(t *tensor.Tensor) *graph.Value {
	if b.IntN(2) == 0 {
		return b.input(t)
	}
	return b.constant(t)
}

// TestLoweredDoubleProducts holds products of float64 to Eval: both operands constant or not, vectors, batches, and what
// is added behind them.
func TestLoweredDoubleProducts(t *testing.T) {
	seeds(t, 200, func(t *testing.T, b *builder) {
		m, n, k := 1+b.IntN(30), one(b, 1, 1, 2, 3, 17, 40), 1+b.IntN(40)
		var v *graph.Value
		if b.IntN(2) == 0 {
			ta, tb := b.IntN(2), b.IntN(2)
			x, w := b.doubles(m, k), b.doubles(k, n)
			if ta == 1 {
				x = b.doubles(k, m)
			}
			if tb == 1 {
				w = b.doubles(n, k)
			}
			a := attrs{"alpha": graph.FloatAttr(one[float32](b, 1, 0.5)), "beta": graph.FloatAttr(one[float32](b, 1, -2)), "transA": graph.IntAttr(int64(ta)), "transB": graph.IntAttr(int64(tb))}
			in := []*graph.Value{b.input(x), b.either(w)}
			if b.IntN(3) > 0 {
				in = append(in, one(b, b.constant(b.doubles(n)), b.constant(b.doubles(1, n)), b.constant(b.doubles(1)), b.input(b.doubles(m, n)), b.input(b.doubles(m, 1))))
			}
			v = b.node("Gemm", a, in...)
		} else {
			x := one(b, []int{k}, []int{m, k}, []int{3, m, k}, []int{2, 3, m, k}, []int{2, 1, m, k})
			w := one(b, []int{k}, []int{k, n}, []int{k, n}, []int{k, n}, []int{3, k, n})
			v = b.node("MatMul", nil, b.input(b.doubles(x...)), b.either(b.doubles(w...)))
		}
		if s := outShape(t, b, v); len(s) > 0 {
			switch b.IntN(3) {
			case 0:
				v = b.node("Add", nil, v, b.constant(b.doubles(s[len(s)-1])))
			case 1:
				v = b.node("Add", nil, b.input(b.doubles(s...)), v)
			}
		}
		b.output(v)
		b.check(t, close64)
	})
}

// TestLoweredDistances holds distances of rows to Eval, rows that lie close together far from zero among them.
func TestLoweredDistances(t *testing.T) {
	seeds(t, 60, func(t *testing.T, b *builder) {
		rows, cols, k := 1+b.IntN(40), 1+b.IntN(40), 1+b.IntN(30)
		x, y := b.doubles(rows, k), b.doubles(cols, k)
		far := float64(b.IntN(2)) * 1e6
		for _, v := range []*tensor.Tensor{x, y} {
			for i := range tensor.Data[float64](v) {
				tensor.Data[float64](v)[i] += far
			}
		}
		tol := close64
		if b.IntN(2) == 0 {
			for _, v := range []**tensor.Tensor{&x, &y} {
				narrow := tensor.New(tensor.Float32, (*v).Shape)
				for i, d := range tensor.Data[float64](*v) {
					tensor.Data[float32](narrow)[i] = float32(d)
				}
				*v = narrow
			}
			tol = tolerance{1e-6, 1e-6}
		}
		a := attrs{"metric": graph.StrAttr(one(b, "euclidean", "sqeuclidean", "cityblock"))}
		b.output(b.node("com.microsoft.CDist", a, b.input(x), b.constant(y)))
		mustLower(t, b.check(t, tol))
	})
}

// TestLoweredDoublePowers holds whole powers of float64 to Eval.
func TestLoweredDoublePowers(t *testing.T) {
	for power := range 10 {
		b := newBuilder(uint64(power))
		e := tensor.New(tensor.Float64, []int{1})
		tensor.Data[float64](e)[0] = float64(power)
		b.output(b.node("Pow", nil, b.input(b.doubles(3, 17)), b.constant(e)))
		b.check(t, close64)
	}
}

// TestLoweredGemmOfActivations holds Gemm of float32 without constant weights to Eval.
func TestLoweredGemmOfActivations(t *testing.T) {
	seeds(t, 60, func(t *testing.T, b *builder) {
		m, n, k := 1+b.IntN(30), one(b, 1, 2, 17, 40), 1+b.IntN(40)
		ta, tb := b.IntN(2), b.IntN(2)
		x, w := b.floats(m, k), b.floats(k, n)
		if ta == 1 {
			x = b.floats(k, m)
		}
		if tb == 1 {
			w = b.floats(n, k)
		}
		a := attrs{"alpha": graph.FloatAttr(one[float32](b, 1, 0.5)), "transA": graph.IntAttr(int64(ta)), "transB": graph.IntAttr(int64(tb))}
		in := []*graph.Value{b.either(x), b.input(w)}
		if b.IntN(3) > 0 {
			in = append(in, one(b, b.constant(b.floats(n)), b.constant(b.floats(1)), b.input(b.floats(m, n))))
		}
		b.output(b.node("Gemm", a, in...))
		mustLower(t, b.check(t, close32))
	})
}
