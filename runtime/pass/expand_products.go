package pass

import (
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// fusedMatMul is alpha·A·B, of which each side may be transposed, in its last two axes
// or with its first moved to the place of the rows.
func fusedMatMul(x *expansion) {
	a := x.n.Attrs
	left := x.turned(0, a.Int("transA", 0) != 0, a.Int("transBatchA", 0) != 0)
	right := x.turned(1, a.Int("transB", 0) != 0, a.Int("transBatchB", 0) != 0)
	y := x.op("MatMul", 13, nil, left, right)
	if alpha := a.Float("alpha", 1); alpha != 1 {
		y = x.mul(y, x.float(alpha))
	}
	x.give(0, y, x.e.of(x.in(0)).dtype)
}

// turned is an operand as MatMul reads it. A vector is never turned.
func (x *expansion) turned(i int, trans, batch bool) *graph.Value {
	v := x.real(i)
	if !trans && !batch {
		return v
	}
	f := x.e.of(x.in(i))
	n := len(f.shape)
	x.need(f.ranked)
	if x.failed || n < 2 || !trans && n == 2 {
		return v
	}
	perm := make([]int64, 0, n)
	for k := range n {
		perm = append(perm, int64(k))
	}
	if batch && n > 2 {
		perm = append(append(append([]int64(nil), perm[1:n-1]...), 0), int64(n-1))
	}
	if trans {
		perm[n-2], perm[n-1] = perm[n-1], perm[n-2]
	}
	return x.transpose(v, perm...)
}

// inherit gives the attributes of the given names that the node has.
func (x *expansion) inherit(names ...string) graph.Attrs {
	out := graph.Attrs{}
	for _, k := range names {
		if a := x.n.Attrs[k]; a != nil {
			out[k] = a
		}
	}
	return out
}

func fusedGemm(x *expansion) {
	y := x.op("Gemm", 13, x.inherit("alpha", "beta", "transA", "transB"), x.real(0), x.real(1), x.real(2))
	y = x.activate(y, func(i int, def float32) float32 {
		return x.n.Attrs.Float([]string{"activation_alpha", "activation_beta"}[i], def)
	})
	x.give(0, y, x.e.of(x.in(0)).dtype)
}

// fusedConv is a convolution, to which a tensor may be added, and a function of the sum.
func fusedConv(x *expansion) {
	y := x.op("Conv", 11, x.inherit("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"), x.real(0), x.real(1), x.real(2))
	y = x.activate(x.add(y, x.real(3)), func(i int, def float32) float32 {
		if p := x.n.Attrs.Floats("activation_params"); i < len(p) {
			return p[i]
		}
		return def
	})
	x.give(0, y, x.e.of(x.in(0)).dtype)
}

// activate applies the function that the attribute names; p gives its parameters in order.
func (x *expansion) activate(v *graph.Value, p func(i int, def float32) float32) *graph.Value {
	switch name := x.n.Attrs.Str("activation", ""); name {
	case "":
		return v
	case "Relu", "Tanh", "Sigmoid":
		return x.op(name, 13, nil, v)
	case "Softplus", "Softsign":
		return x.op(name, 1, nil, v)
	case "LeakyRelu":
		return x.op(name, 6, graph.Attrs{"alpha": graph.FloatAttr(p(0, 0.01))}, v)
	case "Elu":
		return x.op(name, 6, graph.Attrs{"alpha": graph.FloatAttr(p(0, 1))}, v)
	case "HardSigmoid":
		return x.op(name, 6, graph.Attrs{"alpha": graph.FloatAttr(p(0, 0.2)), "beta": graph.FloatAttr(p(1, 0.5))}, v)
	case "Clip":
		return x.op(name, 13, nil, v, x.float(p(0, -math.MaxFloat32)), x.float(p(1, math.MaxFloat32)))
	}
	x.fail()
	return v
}

// matMulIntegerToFloat is A·B of integers, by the scales, plus a bias.
func matMulIntegerToFloat(x *expansion) {
	y := x.integerProduct(x.in(0), x.real(2), x.in(4), 1, 3, 5)
	x.give(0, x.add(y, x.real(6)), x.e.of(x.in(2)).dtype)
}

// dynamicQuantizeMatMul quantises A by its range first. Products with the same A share that.
func dynamicQuantizeMatMul(x *expansion) {
	x.need(x.e.of(x.in(0)).dtype == tensor.Float32)
	part := func(k int) *graph.Value {
		return x.once(sharedKey{what: "quantised", of: x.in(0), detail: float32(k)}, func() *graph.Value {
			q := x.outs("DynamicQuantizeLinear", 11, 3, nil, x.in(0))
			for j, v := range q {
				x.own[sharedKey{what: "quantised", of: x.in(0), detail: float32(j)}] = v
			}
			return q[k]
		})
	}
	y := x.integerProduct(part(0), part(1), part(2), 1, 2, 3)
	x.give(0, x.add(y, x.real(4)), tensor.Float32)
}

// integerProduct is a·B in float32, with B, its scale and its zero point as inputs of the
// node. Scales and zero points of B run along the columns or are one.
func (x *expansion) integerProduct(a, scaleA, zeroA *graph.Value, b, scaleB, zeroB int) *graph.Value {
	x.need(x.e.of(x.in(b)).ranked && len(x.e.of(x.in(b)).shape) > 1)
	x.rank(scaleB, 0, 1)
	x.rank(zeroB, 0, 1)
	sums := x.op("MatMulInteger", 10, nil, a, x.in(b), zeroA, x.in(zeroB))
	return x.mul(x.cast(sums, tensor.Float32), x.mul(scaleA, x.real(scaleB)))
}

// qGemm is alpha·A·B + C of quantised matrices, where C counts in units of the product
// of the scales; with a scale for the answer, that is quantised again.
func qGemm(x *expansion) {
	for _, i := range []int{1, 4} {
		x.need(x.e.of(x.in(i)).dtype == tensor.Float32)
	}
	for _, i := range []int{1, 2, 4, 5, 7, 8} {
		x.rank(i, 0, 1)
	}
	x.rank(0, 2)
	x.rank(3, 2)
	a, b, alpha := x.in(0), x.in(3), x.n.Attrs.Float("alpha", 1)
	if x.n.Attrs.Int("transA", 0) != 0 {
		a = x.transpose(a, 1, 0)
	}
	if x.n.Attrs.Int("transB", 0) != 0 {
		b = x.transpose(b, 1, 0)
	}
	sums := x.add(x.op("MatMulInteger", 10, nil, a, b, x.in(2), x.in(5)), x.in(6))
	y := x.mul(x.cast(sums, tensor.Float32), x.mul(x.mul(x.float(alpha), x.in(1)), x.in(4)))
	if x.in(7) != nil {
		x.need(x.in(8) != nil && x.e.of(x.in(7)).dtype == tensor.Float32)
		y = x.op("QuantizeLinear", 13, nil, y, x.in(7), x.in(8))
	}
	x.hand(0, y)
}
