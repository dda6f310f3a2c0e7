package pass

import (
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// biasGelu is Gelu of input 0, to which input 1 may be added before.
func biasGelu(approximate string) func(x *expansion) {
	return func(x *expansion) {
		x.rank(1, 1)
		y := x.op("Gelu", 20, graph.Attrs{"approximate": graph.StrAttr(approximate)}, x.add(x.real(0), x.real(1)))
		x.give(0, y, x.e.of(x.in(0)).dtype)
	}
}

// skipNorm is a normalisation of the rows of input + skip + bias, a sum that is an output of
// its own. The root mean square form has no shift, and the standard's gives no moments.
func skipNorm(norm string, opset, bias int) func(x *expansion) {
	return func(x *expansion) {
		for i := 2; i <= bias; i++ {
			x.rank(i, 1)
		}
		d := x.e.of(x.in(0)).dtype
		a := graph.Attrs{"axis": graph.IntAttr(-1), "epsilon": graph.FloatAttr(x.n.Attrs.Float("epsilon", 1e-12))}
		sum := x.add(x.add(x.real(0), x.real(1)), x.real(bias))
		if norm == "RMSNormalization" {
			x.need(!x.wanted(1) && !x.wanted(2))
			x.give(0, x.op(norm, opset, a, sum, x.real(2)), d)
		} else {
			out := x.outs(norm, opset, 3, a, sum, x.real(2), x.real(3))
			x.give(0, out[0], d)
			x.give(1, out[1], tensor.Float32)
			x.give(2, out[2], tensor.Float32)
		}
		x.give(3, sum, d)
	}
}

func (x *expansion) wanted(k int) bool { return k < len(x.n.Out) && x.n.Out[k] != nil }

// simplifiedNorm is RMSNormalization under the name that it had before the standard's.
func simplifiedNorm(x *expansion) {
	x.need(!x.wanted(1) && x.n.Attrs.Int("stash_type", 1) == 1)
	a := graph.Attrs{"axis": graph.IntAttr(x.n.Attrs.Int("axis", -1)), "epsilon": graph.FloatAttr(x.n.Attrs.Float("epsilon", 1e-5))}
	x.give(0, x.op("RMSNormalization", 23, a, x.real(0), x.real(1)), x.e.of(x.in(1)).dtype)
}

// embedNorm sums the embeddings of words, positions and segments and normalises the sum.
func embedNorm(x *expansion) {
	x.need(x.in(5) != nil && x.in(6) != nil)
	rows := func(table int, ids *graph.Value) *graph.Value { return x.widen(x.gather(x.in(table), ids)) }
	x.embedded(rows, x.real(5), x.real(6), x.e.of(x.in(2)).dtype, 8)
}

// quantizedEmbedNorm is the same with tables of bytes: those of input k have their scale at
// k+6 and their zero point at k+11.
func quantizedEmbedNorm(x *expansion) {
	real := func(k int, v *graph.Value) *graph.Value {
		x.rank(k+6, 0)
		x.rank(k+11, 0)
		x.need(x.e.of(x.in(k+6)).dtype == tensor.Float32)
		return x.op("DequantizeLinear", 13, nil, v, x.in(k+6), x.in(k+11))
	}
	rows := func(table int, ids *graph.Value) *graph.Value { return real(table, x.gather(x.in(table), ids)) }
	x.embedded(rows, real(5, x.in(5)), real(6, x.in(6)), tensor.Float32, -1)
}

// embedded does both: rows looks numbers up in the table of an input. The position ids are
// an input, or 0, 1, …
func (x *expansion) embedded(rows func(table int, ids *graph.Value) *graph.Value, gamma, beta *graph.Value, d tensor.DType, positions int) {
	x.rank(0, 2)
	sum := rows(2, x.in(0))
	if x.in(3) != nil {
		at := x.in(positions)
		if at == nil {
			at = x.places(x.in(3))
		}
		sum = x.add(sum, rows(3, at))
	}
	if x.in(1) != nil && x.in(4) != nil {
		sum = x.add(sum, rows(4, x.in(1)))
	}
	a := graph.Attrs{"axis": graph.IntAttr(-1), "epsilon": graph.FloatAttr(x.n.Attrs.Float("epsilon", 1e-12))}
	x.give(0, x.op("LayerNormalization", 17, a, sum, gamma, beta), d)
	if x.wanted(1) {
		x.hand(1, x.maskCounts(x.in(7)))
	}
	x.give(2, sum, d)
}

func (x *expansion) gather(table, ids *graph.Value) *graph.Value {
	return x.op("Gather", 13, graph.Attrs{"axis": graph.IntAttr(0)}, table, ids)
}

// places are the numbers of a sequence's tokens: the beginning of a list as long as the table,
// which is how exporters write it, and how the packed form of sequences knows it.
func (x *expansion) places(table *graph.Value) *graph.Value {
	length, all := x.length(x.in(0), 1), x.e.of(table)
	if !all.ranked || len(all.shape) == 0 || all.shape[0] < 2 {
		return x.count(nil, length)
	}
	list := make([]int64, all.shape[0])
	for i := range list {
		list[i] = int64(i)
	}
	return x.op("Slice", 13, nil, x.ints(list...), x.ints(0), length, x.ints(0))
}

// maskCounts are how many ones each row of a mask has, 0 where there is no mask.
func (x *expansion) maskCounts(mask *graph.Value) *graph.Value {
	if mask == nil {
		zero := graph.Attrs{"value": graph.TensorAttr(tensor.FromSlice([]int32{0}, 1))}
		return x.op("ConstantOfShape", 9, zero, x.length(x.in(0), 0))
	}
	x.rank(7, 2)
	ones := x.cast(x.op("Equal", 13, nil, mask, x.number(x.e.of(mask).dtype, 1)), tensor.Int64)
	return x.cast(x.op("ReduceSum", 13, graph.Attrs{"keepdims": graph.IntAttr(0)}, ones, x.ints(1)), tensor.Int32)
}

// number is a constant of an integer type.
func (x *expansion) number(d tensor.DType, v int64) *graph.Value {
	switch d {
	case tensor.Int32:
		return x.constant(tensor.Scalar(int32(v)))
	case tensor.Int64:
		return x.constant(tensor.Scalar(v))
	}
	x.fail()
	return nil
}
