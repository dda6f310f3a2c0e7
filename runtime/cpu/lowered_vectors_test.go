package cpu_test

import (
	"math"
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// reals is an attribute of n random numbers.
func (b *builder) reals(n int, scale float64) *graph.Attr {
	a := &graph.Attr{Kind: graph.AttrFloats}
	for range n {
		a.Floats = append(a.Floats, float32(b.NormFloat64()*scale))
	}
	return a
}

// table is rows of features, in float64 every third time.
func (b *builder) table(rows, features int) *tensor.Tensor {
	x := b.floats(rows, features)
	if b.IntN(3) > 0 {
		return x
	}
	wide := tensor.New(tensor.Float64, x.Shape)
	for i, v := range tensor.Data[float32](x) {
		tensor.Data[float64](wide)[i] = float64(v)
	}
	return wide
}

// classNames labels n classes by integers or strings.
func (b *builder) classNames(a attrs, n int) {
	if b.IntN(2) == 0 {
		l := &graph.Attr{Kind: graph.AttrInts}
		for k := range n {
			l.Ints = append(l.Ints, int64(10+k))
		}
		a["classlabels_ints"] = l
		return
	}
	a["classlabels_strings"] = &graph.Attr{Kind: graph.AttrStrings, Strings: []string{"low", "mid", "high", "none"}[:n]}
}

// TestLoweredVectors holds support vector models to Eval: every kernel, features far from
// zero, both element types, more rows than are done at a time.
func TestLoweredVectors(t *testing.T) {
	seeds(t, 80, func(t *testing.T, b *builder) {
		features, rows := 1+b.IntN(9), 1+b.IntN(150)
		kind := one(b, "LINEAR", "POLY", "RBF", "SIGMOID")
		power := float32(one(b, 1, 2, 3, 5))
		a := attrs{"kernel_type": graph.StrAttr(kind), "kernel_params": {Kind: graph.AttrFloats, Floats: []float32{0.3 / float32(features), 0.5, power}}}
		x := b.table(rows, features)
		far := float32(b.IntN(2)) * 1000
		shift := func(v []float32) {
			for i := range v {
				v[i] += far
			}
		}
		if kind != "RBF" || x.DType != tensor.Float32 {
			far = 0
		} else {
			shift(tensor.Data[float32](x))
		}
		if b.IntN(2) == 0 {
			vectors := 1 + b.IntN(40)
			sv := b.reals(vectors*features, 1)
			shift(sv.Floats)
			a["support_vectors"], a["coefficients"], a["rho"] = sv, b.reals(vectors, 1), b.reals(1, 1)
			a["n_supports"] = graph.IntAttr(int64(vectors))
			b.output(b.node("ai.onnx.ml.SVMRegressor", a, b.input(x)))
		} else {
			classes := 2 + b.IntN(3)
			per, vectors := &graph.Attr{Kind: graph.AttrInts}, 0
			for range classes {
				per.Ints = append(per.Ints, int64(1+b.IntN(12)))
				vectors += int(per.Ints[len(per.Ints)-1])
			}
			pairs := classes * (classes - 1) / 2
			sv := b.reals(vectors*features, 1)
			shift(sv.Floats)
			a["support_vectors"], a["coefficients"], a["rho"], a["vectors_per_class"] = sv, b.reals((classes-1)*vectors, 1), b.reals(pairs, 1), per
			if b.IntN(2) == 0 {
				a["prob_a"], a["prob_b"] = b.reals(pairs, 1), b.reals(pairs, 1)
			}
			b.classNames(a, classes)
			b.output(b.nodes("ai.onnx.ml.SVMClassifier", 2, a, b.input(x))[1])
		}
		mustLower(t, b.check(t, tolerance{2e-3, 2e-3}))
	})
}

// TestLoweredVectorsFar holds radial kernels of rows that lie infinitely far away, or so far that their length leaves
// float32, to Eval: such rows have kernels of 0, not of the difference of infinities.
func TestLoweredVectorsFar(t *testing.T) {
	seeds(t, 40, func(t *testing.T, b *builder) {
		features, rows, vectors := 1+b.IntN(6), 2+b.IntN(80), 1+b.IntN(20)
		x := b.floats(rows, features)
		d := tensor.Data[float32](x)
		for range 3 {
			d[b.IntN(len(d))] = one(b, float32(math.Inf(1)), float32(math.Inf(-1)), 1e20, -1e30, 3e38)
		}
		d[0] = float32(math.Inf(1))
		a := attrs{"kernel_type": graph.StrAttr("RBF"), "kernel_params": {Kind: graph.AttrFloats, Floats: []float32{0.3, 0, 0}},
			"support_vectors": b.reals(vectors*features, 1), "coefficients": b.reals(vectors, 1), "rho": b.reals(1, 1), "n_supports": graph.IntAttr(int64(vectors))}
		y := b.node("ai.onnx.ml.SVMRegressor", a, b.input(x))
		b.output(y)
		mustLower(t, b.check(t, tolerance{2e-3, 2e-3}))
	})
}

// TestLoweredVectorsInexact leaves a radial kernel to Eval whose product form would lose the
// difference of near vectors among far ones.
func TestLoweredVectorsInexact(t *testing.T) {
	b := newBuilder(1)
	a := attrs{"kernel_type": graph.StrAttr("RBF"), "kernel_params": {Kind: graph.AttrFloats, Floats: []float32{100, 0, 0}},
		"support_vectors": b.reals(12, 50), "coefficients": b.reals(4, 1), "rho": b.reals(1, 1), "n_supports": graph.IntAttr(4)}
	b.output(b.node("ai.onnx.ml.SVMRegressor", a, b.input(b.floats(5, 3))))
	for _, s := range b.check(t, tolerance{1e-6, 1e-6}) {
		if s.Kernel != "eval" {
			t.Errorf("runs as %s", s.Kernel)
		}
	}
}

// TestLoweredLinear holds linear models to Eval, labels and scores.
func TestLoweredLinear(t *testing.T) {
	seeds(t, 80, func(t *testing.T, b *builder) {
		features, rows, targets := 1+b.IntN(40), 1+b.IntN(40), 1+b.IntN(4)
		a := attrs{"coefficients": b.reals(targets*features, 1)}
		if b.IntN(3) > 0 {
			a["intercepts"] = b.reals(targets, 1)
		}
		if b.IntN(2) == 0 {
			a["targets"] = graph.IntAttr(int64(targets))
			b.output(b.node("ai.onnx.ml.LinearRegressor", a, b.input(b.floats(rows, features))))
		} else {
			classes := targets
			if targets == 1 && a["intercepts"] != nil {
				classes = 1 + b.IntN(2)
			}
			b.classNames(a, classes)
			a["post_transform"] = graph.StrAttr(one(b, "NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"))
			b.output(b.nodes("ai.onnx.ml.LinearClassifier", 2, a, b.input(b.table(rows, features)))...)
		}
		mustLower(t, b.check(t, tolerance{1e-3, 1e-4}))
	})
}

// TestLoweredNormalizer holds rows divided by their norm to Eval: rows of zeros, of what is not finite, and such whose
// sum leaves float32.
func TestLoweredNormalizer(t *testing.T) {
	seeds(t, 60, func(t *testing.T, b *builder) {
		rows, columns := 1+b.IntN(70), 1+b.IntN(40)
		x := b.floats(rows, columns)
		d := tensor.Data[float32](x)
		for range b.IntN(4) {
			row := d[b.IntN(rows)*columns:][:columns]
			v := one(b, 0, float32(math.Copysign(0, -1)), float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), 3e38, -3e38, 1e-42)
			for k := range row {
				if b.IntN(3) > 0 {
					row[k] = v
				}
			}
		}
		if b.IntN(4) == 0 {
			x = tensor.FromSlice(d[:columns], columns)
		}
		b.output(b.node("ai.onnx.ml.Normalizer", attrs{"norm": graph.StrAttr(one(b, "MAX", "L1"))}, b.input(x)))
		mustLower(t, b.check(t, tolerance{1e-5, 0}))
	})
}

// TestLoweredPower holds powers by a small whole number to Eval.
func TestLoweredPower(t *testing.T) {
	for n := 1; n <= 8; n++ {
		b := newBuilder(uint64(n))
		b.output(b.node("Pow", nil, b.input(b.floats(3, 50)), b.scalar(float32(n))))
		mustLower(t, b.check(t, tolerance{1e-5, 0}))
	}
}

// TestLoweredColumnPowers holds powers by a number for each column to Eval, of numbers of either sign, 0 and what is not finite.
func TestLoweredColumnPowers(t *testing.T) {
	seeds(t, 60, func(t *testing.T, b *builder) {
		rows, columns := 1+b.IntN(700), one(b, 2, 5, 600)
		x, by := b.floats(rows, columns), b.floats(columns)
		odd := []float32{0, -1, float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN())}
		for range 1 + rows/4 {
			d := tensor.Data[float32](x)
			d[b.IntN(len(d))] = odd[b.IntN(len(odd))]
		}
		for k, y := range []float32{0, 1, -2, 3, .5} {
			if at := b.IntN(columns); b.IntN(2) == 0 {
				tensor.Data[float32](by)[(at+k)%columns] = y
			}
		}
		if b.IntN(2) == 0 {
			by = tensor.FromSlice(tensor.Data[float32](by), 1, columns)
		}
		b.output(b.node("Pow", nil, b.input(x), b.constant(by)))
		mustLower(t, b.check(t, tolerance{2e-6, 1e-30}))
	})
}
