package pass

import (
	"bytes"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// numbers are what the bytes of a value stand for, under the scale in input at and the zero
// point in at+1, one each.
func (x *expansion) numbers(v *graph.Value, at int) *graph.Value {
	x.point(at)
	return x.op("DequantizeLinear", 13, nil, v, x.in(at), x.in(at+1))
}

// bytes quantises numbers by the scale in input at and the zero point in at+1, for the type d.
func (x *expansion) bytes(v *graph.Value, at int, d tensor.DType) *graph.Value {
	x.point(at)
	x.need(d == tensor.Uint8 || d == tensor.Int8)
	zero := x.in(at + 1)
	if zero == nil {
		zero = x.constant(tensor.New(d, tensor.Shape{}))
	}
	return x.op("QuantizeLinear", 13, nil, v, x.in(at), zero)
}

// point demands a scale of float32 and a zero point, one each.
func (x *expansion) point(at int) {
	x.need(x.in(at) != nil && x.e.of(x.in(at)).dtype == tensor.Float32)
	x.rank(at, 0)
	x.rank(at+1, 0)
}

// qConv is the standard's, of images whose channels may come last.
func qConv(x *expansion) {
	in, last := append([]*graph.Value(nil), x.n.In...), x.n.Attrs.Int("channels_last", 0) != 0
	there, back := []int64{0}, []int64{0}
	if f := x.e.of(in[0]); last {
		x.need(f.ranked && len(f.shape) > 2)
		r := int64(len(f.shape))
		there = append(there, r-1)
		for k := int64(1); k < r-1; k++ {
			there, back = append(there, k), append(back, k+1)
		}
		in[0], back = x.transpose(in[0], there...), append(back, 1)
	}
	y := x.op("QLinearConv", 10, x.inherit("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"), in...)
	if last {
		y = x.transpose(y, back...)
	}
	x.hand(0, y)
}

// qVolumeConv is a convolution over volumes of what bytes stand for: there are kernels for
// bytes over images alone.
func qVolumeConv(x *expansion) {
	w, from, scales := x.in(3).Tensor(), x.in(1).Tensor(), x.in(4).Tensor()
	if w == nil || from == nil || scales == nil || len(w.Shape) != 5 || scales.DType != tensor.Float32 || from.DType != tensor.Float32 || from.Elements() != 1 {
		x.fail()
		return
	}
	weights := x.op("DequantizeLinear", 13, graph.Attrs{"axis": graph.IntAttr(0)}, x.in(3), x.in(4), x.in(5))
	in := []*graph.Value{x.numbers(x.in(0), 1), weights}
	if x.in(8) != nil {
		b := x.in(8).Tensor()
		if b == nil || b.DType != tensor.Int32 || b.Elements() != w.Shape[0] || scales.Elements() != 1 && scales.Elements() != w.Shape[0] {
			x.fail()
			return
		}
		bias, s := make([]float32, w.Shape[0]), tensor.Data[float32](scales)
		for i, v := range tensor.Data[int32](b) {
			bias[i] = float32(float64(v) * float64(tensor.Data[float32](from)[0]) * float64(s[i%len(s)]))
		}
		in = append(in, x.constant(tensor.FromSlice(bias, len(bias))))
	}
	y := x.op("Conv", 11, x.inherit("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"), in...)
	x.hand(0, x.bytes(y, 6, x.e.of(x.in(0)).dtype))
}

// qAveragePool averages what bytes stand for. Channels that come last are left to Eval.
func qAveragePool(x *expansion) {
	x.need(x.n.Attrs.Int("channels_last", 0) == 0)
	a := x.inherit("auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides")
	x.hand(0, x.bytes(x.op("AveragePool", 11, a, x.numbers(x.in(0), 1)), 3, x.e.of(x.in(0)).dtype))
}

// qSoftmax takes the softmax of what bytes stand for, by the rule of the opset that it names.
func qSoftmax(x *expansion) {
	opset := 13
	if x.n.Attrs.Int("opset", 13) < 13 {
		opset = 11
	}
	y := x.op("Softmax", opset, x.inherit("axis"), x.numbers(x.in(0), 1))
	x.hand(0, x.bytes(y, 3, x.e.of(x.in(0)).dtype))
}

// qConcat joins tensors, each quantised as the result is: those that are not yet become so.
func qConcat(x *expansion) {
	x.need(x.in(1) != nil && len(x.n.In)%3 == 2)
	var parts []*graph.Value
	for i := 2; i+2 < len(x.n.In) && !x.failed; i += 3 {
		v := x.in(i)
		x.need(v != nil)
		if !x.failed && !(sameConstant(x.in(i+1), x.in(0)) && sameConstant(x.in(i+2), x.in(1))) {
			v = x.bytes(x.numbers(v, i+1), 0, x.e.of(x.in(1)).dtype)
		}
		parts = append(parts, v)
	}
	x.hand(0, x.concat(x.n.Attrs.Int("axis", 0), parts...))
}

// sameConstant reports two constants of one value.
func sameConstant(a, b *graph.Value) bool {
	s, t := a.Tensor(), b.Tensor()
	return s != nil && t != nil && s.DType == t.DType && bytes.Equal(s.Bytes(), t.Bytes())
}
