package pass_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/all"
	"github.com/aimass/aimass/runtime/ops/contrib"
	"github.com/aimass/aimass/runtime/tensor"
)

var registry = all.Registry()

// trial is a node of random form on random inputs.
type trial struct {
	*rand.Rand
	sketch
	data  map[*graph.Value]tensor.Value
	half  tensor.DType // the type of what is float
	open  bool         // the batch and what comes second are not known beforehand
	kept  bool         // no rule takes this form
	loose bool         // sums of unlike size are compared
}

func (r *trial) one(list ...int) int { return list[r.IntN(len(list))] }

func (r *trial) maybe() bool { return r.IntN(2) == 0 }

// value is t as an input with open extents, or as a constant.
func (r *trial) value(t *tensor.Tensor, constant bool) *graph.Value {
	v := &graph.Value{Name: fmt.Sprintf("x%d", len(r.data)), Type: graph.TensorType(t.DType, t.Shape...)}
	if constant {
		v.Const = t
		return v
	}
	if r.open && len(t.Shape) > 1 {
		v.Type.Shape[0] = graph.Dim{Size: -1, Symbol: "batch"}
	}
	if r.open && len(t.Shape) == 3 {
		v.Type.Shape[1] = graph.Dim{Size: -1}
	}
	r.g.In = append(r.g.In, v)
	r.data[v] = t
	return v
}

func (r *trial) numbers(d tensor.DType, shape ...int) *tensor.Tensor {
	t := tensor.New(d, shape)
	v := make([]float32, t.Elements())
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	if err := tensor.StoreFloat32s(t, v); err != nil {
		panic(err)
	}
	return t
}

func (r *trial) floats(constant bool, shape ...int) *graph.Value {
	return r.value(r.numbers(r.half, shape...), constant)
}

func (r *trial) some(v func() *graph.Value) *graph.Value {
	if r.maybe() {
		return nil
	}
	return v()
}

func (r *trial) below(n int, constant bool, d tensor.DType, shape ...int) *graph.Value {
	t := tensor.New(d, shape)
	for i := range t.Elements() {
		if x := r.IntN(n); d == tensor.Int64 {
			tensor.Data[int64](t)[i] = int64(x)
		} else {
			tensor.Data[int32](t)[i] = int32(x)
		}
	}
	return r.value(t, constant)
}

func (r *trial) bytes(constant bool, d tensor.DType, shape ...int) *graph.Value {
	t := tensor.New(d, shape)
	for i := range t.Bytes() {
		t.Bytes()[i] = byte(r.Uint32())
	}
	return r.value(t, constant)
}

func (r *trial) byteType() tensor.DType {
	if r.maybe() {
		return tensor.Int8
	}
	return tensor.Uint8
}

// scale is one positive number, or one for each of n columns.
func (r *trial) scale(n int, constant bool) *graph.Value {
	shape := [][]int{{}, {1}, {n}}[r.IntN(3)]
	t := tensor.New(tensor.Float32, shape)
	for i := range t.Elements() {
		tensor.Data[float32](t)[i] = 0.01 + r.Float32()/50
	}
	return r.value(t, constant)
}

// point is a scale and a zero point.
func (r *trial) point(d tensor.DType) []*graph.Value {
	return []*graph.Value{r.value(tensor.Scalar(0.01+r.Float32()/10), true), r.bytes(true, d)}
}

// node adds the operator with as many outputs as wanted says, of which some may be left out.
func (r *trial) node(op string, a graph.Attrs, wanted []bool, in ...*graph.Value) {
	for len(in) > 0 && in[len(in)-1] == nil {
		in = in[:len(in)-1]
	}
	n := &graph.Node{Name: "the node", Op: op, Domain: contrib.Domain, Opset: 1, In: in, Attrs: a}
	if op == "SimplifiedLayerNormalization" {
		n.Domain, n.Opset = "", 17
	}
	for k, w := range wanted {
		if !w {
			n.Out = append(n.Out, nil)
			continue
		}
		v := &graph.Value{Name: fmt.Sprintf("y%d", k), Def: n}
		n.Out, r.g.Out = append(n.Out, v), append(r.g.Out, v)
	}
	r.g.Nodes = append(r.g.Nodes, n)
}

var yes = []bool{true}

// trials make the operators that are expanded.
var trials = map[string]func(r *trial){
	"FusedMatMul": func(r *trial) {
		m, k, n, b, h := r.one(1, 3, 5), r.one(1, 2, 7), r.one(1, 4), r.one(1, 2), r.one(2, 3)
		a := graph.Attrs{"alpha": graph.FloatAttr(float32(r.one(1, 2)) / 2)}
		side := func(name string, rows, cols int) tensor.Shape {
			trans, batch := r.maybe(), r.maybe()
			if trans {
				rows, cols = cols, rows
				a["trans"+name] = graph.IntAttr(1)
			}
			if batch {
				a["transBatch"+name] = graph.IntAttr(1)
				return tensor.Shape{rows, b, h, cols} // as stored: the first axis goes to the place of the rows
			}
			return tensor.Shape{b, h, rows, cols}
		}
		left := r.floats(false, side("A", m, k)...)
		if r.maybe() {
			r.node("FusedMatMul", a, yes, left, r.floats(r.maybe(), side("B", k, n)...))
			return
		}
		delete(a, "transBatchA")
		delete(a, "transB")
		r.g.In, r.data = nil, map[*graph.Value]tensor.Value{}
		s := []int{b, m, k}
		if a.Int("transA", 0) != 0 {
			s = []int{b, k, m}
		}
		r.node("TransposeMatMul", a, yes, r.floats(false, s...), r.floats(r.maybe(), k, n))
	},
	"FusedGemm": func(r *trial) {
		m, k, n := r.one(1, 3), r.one(1, 5), r.one(1, 4)
		a := r.activation(graph.Attrs{"alpha": graph.FloatAttr(0.5), "beta": graph.FloatAttr(2), "transB": graph.IntAttr(1)}, false)
		r.node("FusedGemm", a, yes, r.floats(false, m, k), r.floats(true, n, k), r.some(func() *graph.Value { return r.floats(true, n) }))
	},
	"FusedConv": func(r *trial) {
		a := r.activation(graph.Attrs{"kernel_shape": graph.IntsAttr(3, 3), "pads": graph.IntsAttr(1, 1, 1, 1), "group": graph.IntAttr(2)}, true)
		r.node("FusedConv", a, yes, r.floats(false, 2, 4, 5, 5), r.floats(true, 6, 2, 3, 3),
			r.some(func() *graph.Value { return r.floats(true, 6) }), r.some(func() *graph.Value { return r.floats(false, 2, 6, 5, 5) }))
	},
	"MatMulIntegerToFloat": func(r *trial) {
		m, k, n, d, w := r.one(1, 3), r.one(1, 6), r.one(2, 5), r.byteType(), r.byteType()
		r.half = tensor.Float32
		r.node("MatMulIntegerToFloat", graph.Attrs{}, yes, r.bytes(false, d, 2, m, k), r.bytes(true, w, k, n), r.scale(1, false), r.scale(n, true),
			r.some(func() *graph.Value { return r.bytes(false, d) }), r.some(func() *graph.Value { return r.bytes(true, w, r.one(1, n)) }),
			r.some(func() *graph.Value { return r.floats(true, n) }))
	},
	"DynamicQuantizeMatMul": func(r *trial) {
		m, k, n, w := r.one(1, 3), r.one(1, 6), r.one(2, 5), r.byteType()
		r.half = tensor.Float32
		x := r.floats(false, 2, m, k)
		for range r.one(1, 2) { // two share what is quantised
			r.node("DynamicQuantizeMatMul", graph.Attrs{}, yes, x, r.bytes(true, w, k, n), r.scale(n, true),
				r.some(func() *graph.Value { return r.bytes(true, w, r.one(1, n)) }), r.some(func() *graph.Value { return r.floats(true, n) }))
		}
	},
	"QGemm": func(r *trial) {
		m, k, n, d, w := r.one(1, 3), r.one(1, 6), r.one(2, 5), r.byteType(), r.byteType()
		a, sa, sb := graph.Attrs{"alpha": graph.FloatAttr(0.5)}, []int{m, k}, []int{k, n}
		if r.maybe() {
			a["transA"], sa = graph.IntAttr(1), []int{k, m}
		}
		if r.maybe() {
			a["transB"], sb = graph.IntAttr(1), []int{n, k}
		}
		var sy, zy *graph.Value
		if r.maybe() {
			sy, zy = r.value(tensor.Scalar(float32(0.07)), true), r.bytes(true, r.byteType())
		}
		r.node("QGemm", a, yes, r.bytes(false, d, sa...), r.value(tensor.Scalar(float32(0.02)), true), r.bytes(true, d), r.bytes(true, w, sb...), r.scale(n, true),
			r.bytes(true, w, r.one(1, n)), r.some(func() *graph.Value { return r.below(500, true, tensor.Int32, n) }), sy, zy)
	},
	"Gelus": func(r *trial) {
		n := r.one(1, 5)
		bias := func() *graph.Value { return r.floats(r.maybe(), n) }
		switch x := r.floats(false, 2, 3, n); r.IntN(3) {
		case 0:
			r.node("BiasGelu", graph.Attrs{}, yes, x, bias())
		case 1:
			r.node("FastGelu", graph.Attrs{}, yes, x, r.some(bias))
		case 2:
			r.node("Gelu", graph.Attrs{}, yes, x)
		}
	},
	"SkipLayerNormalization": func(r *trial) {
		n := r.one(2, 5, 16)
		x := r.floats(false, 2, 3, n)
		skip := r.floats(false, [][]int{{2, 3, n}, {1, 3, n}, {3, n}}[r.IntN(3)]...)
		v := func() *graph.Value { return r.floats(true, n) }
		a := graph.Attrs{"epsilon": graph.FloatAttr(1e-3)}
		if r.maybe() {
			r.node("SkipLayerNormalization", a, []bool{true, r.maybe(), r.maybe(), r.maybe()}, x, skip, v(), r.some(v), r.some(v))
		} else {
			r.node("SkipSimplifiedLayerNormalization", a, []bool{true, false, false, r.maybe()}, x, skip, v(), r.some(v))
		}
	},
	"SimplifiedLayerNormalization": func(r *trial) {
		a := graph.Attrs{"axis": graph.IntAttr(-1)}
		if r.maybe() {
			a["epsilon"] = graph.FloatAttr(0.1)
		}
		r.node("SimplifiedLayerNormalization", a, yes, r.floats(false, 2, 3, 8), r.floats(true, 8))
	},
	"EmbedLayerNormalization": func(r *trial) {
		const b, s, h = 2, 3, 4
		v := func() *graph.Value { return r.floats(true, h) }
		ids := r.below(9, false, tensor.Int32, b, s)
		segments := r.some(func() *graph.Value { return r.below(2, false, tensor.Int32, b, s) })
		var table *graph.Value
		if segments != nil {
			table = r.floats(true, 2, h)
		}
		r.node("EmbedLayerNormalization", graph.Attrs{"epsilon": graph.FloatAttr(1e-5)}, []bool{true, r.maybe(), r.maybe()}, ids, segments, r.floats(true, 9, h),
			r.floats(r.maybe(), r.one(s, 7), h), table, v(), v(), r.some(func() *graph.Value { return r.below(2, false, tensor.Int32, b, s) }),
			r.some(func() *graph.Value { return r.below(3, false, tensor.Int32, r.one(1, b), s) }))
	},
	"QEmbedLayerNormalization": func(r *trial) {
		const b, s, h = 2, 3, 4
		r.half = tensor.Float32
		d := r.byteType()
		in := []*graph.Value{r.below(9, false, tensor.Int32, b, s), r.below(2, false, tensor.Int32, b, s), r.bytes(true, d, 9, h), r.bytes(true, d, 5, h),
			r.bytes(true, d, 2, h), r.bytes(true, d, h), r.bytes(true, d, h), r.some(func() *graph.Value { return r.below(2, false, tensor.Int32, b, s) })}
		for range 5 {
			in = append(in, r.value(tensor.Scalar(0.01+r.Float32()), true))
		}
		for range 5 {
			in = append(in, r.bytes(true, d))
		}
		r.node("QEmbedLayerNormalization", graph.Attrs{"epsilon": graph.FloatAttr(1e-5)}, []bool{true, r.maybe()}, in...)
	},
	"QLinearAveragePool": func(r *trial) {
		d := r.byteType()
		a := graph.Attrs{"kernel_shape": graph.IntsAttr(3, 2), "strides": graph.IntsAttr(1, 2), "pads": graph.IntsAttr(1, 1, 1, 1), "count_include_pad": graph.IntAttr(int64(r.IntN(2)))}
		r.node("QLinearAveragePool", a, yes, append(append([]*graph.Value{r.bytes(false, d, 2, 3, 5, 4)}, r.point(d)...), r.point(d)...)...)
	},
	"QLinearConv": func(r *trial) {
		d, w := r.byteType(), r.byteType()
		a, shape := graph.Attrs{"pads": graph.IntsAttr(1, 1, 1, 1), "group": graph.IntAttr(2)}, []int{2, 4, 5, 3}
		if r.maybe() {
			a["channels_last"], shape = graph.IntAttr(1), []int{2, 5, 3, 4}
		}
		in := append(append([]*graph.Value{r.bytes(false, d, shape...)}, r.point(d)...), r.bytes(true, w, 6, 2, 3, 3))
		in = append(append(append(in, r.point(w)...), r.point(d)...), r.some(func() *graph.Value { return r.below(500, true, tensor.Int32, 6) }))
		r.node("QLinearConv", a, yes, in...)
	},
	"QLinearConv of volumes": func(r *trial) {
		d, w := r.byteType(), r.byteType()
		in := append(append([]*graph.Value{r.bytes(false, d, 1, 2, 3, 4, 3)}, r.point(d)...), r.bytes(true, w, 3, 2, 3, 1, 2))
		in = append(append(append(in, r.point(w)...), r.point(d)...), r.some(func() *graph.Value { return r.below(500, true, tensor.Int32, 3) }))
		r.node("QLinearConv", graph.Attrs{"pads": graph.IntsAttr(1, 0, 1, 1, 0, 1), "strides": graph.IntsAttr(2, 1, 1)}, yes, in...)
		r.g.Nodes[0].Domain, r.g.Nodes[0].Opset = "", 10
	},
	"QuantizeLinear": func(r *trial) {
		r.half = tensor.Float32
		d := r.byteType()
		if r.maybe() {
			r.node("QuantizeLinear", graph.Attrs{}, yes, append([]*graph.Value{r.floats(false, 3, 4)}, r.point(d)...)...)
		} else {
			r.node("DequantizeLinear", graph.Attrs{"axis": graph.IntAttr(0)}, yes, append([]*graph.Value{r.bytes(false, d, 3, 4)}, r.point(d)...)...)
		}
	},
	"QLinearSoftmax": func(r *trial) {
		d := r.byteType()
		a := graph.Attrs{"opset": graph.IntAttr(int64(r.one(11, 13)))}
		if r.maybe() {
			a["axis"] = graph.IntAttr(1)
		}
		r.node("QLinearSoftmax", a, yes, append(append([]*graph.Value{r.bytes(false, d, 2, 3, 5)}, r.point(d)...), r.value(tensor.Scalar(float32(1)/256), true), r.bytes(true, d))...)
	},
	"QLinearConcat": func(r *trial) {
		d := r.byteType()
		in := r.point(d)
		for range r.one(1, 3) {
			p := in[:2:2]
			if r.maybe() {
				p = r.point(d)
			}
			in = append(append(in, r.bytes(false, d, 2, r.one(1, 4), 5)), p...)
		}
		r.node("QLinearConcat", graph.Attrs{"axis": graph.IntAttr(1)}, yes, in...)
	},
	"Attention": func(r *trial) {
		b, s, in, heads, old := r.one(1, 2), r.one(1, 3, 6), 5, r.one(1, 2), 0
		qk, width := r.one(1, 4), 4
		a := r.attentionAttrs(heads)
		if r.maybe() {
			width = qk
		}
		if qk != width || r.maybe() {
			a["qkv_hidden_sizes"] = graph.IntsAttr(int64(heads*qk), int64(heads*qk), int64(heads*width))
		}
		total := heads * (2*qk + width)
		x, w := r.floats(false, b, s, in), r.floats(r.maybe(), in, total)
		bias := r.some(func() *graph.Value { return r.floats(true, total) })
		var past *graph.Value
		if qk == width && r.maybe() {
			old = 2
			past = r.floats(false, 2, b, heads, old, qk)
		}
		mask := r.mask(b, s, s+old)
		more := r.some(func() *graph.Value { return r.floats(false, r.one(1, b), r.one(1, heads), s, s+old) })
		r.node("Attention", a, []bool{true, qk == width && r.maybe()}, x, w, bias, mask, past, more)
	},
	"QAttention": func(r *trial) {
		b, s, in, heads, qk, d, w := r.one(1, 2), r.one(1, 3, 6), 5, r.one(1, 2), r.one(1, 4), r.byteType(), r.byteType()
		r.half = tensor.Float32
		total := 3 * heads * qk
		var past *graph.Value
		old := 0
		if r.maybe() {
			old = 2
			past = r.floats(false, 2, b, heads, old, qk)
		}
		r.node("QAttention", r.attentionAttrs(heads), []bool{true, r.maybe()}, r.bytes(false, d, b, s, in), r.bytes(true, w, in, total), r.floats(true, total),
			r.value(tensor.Scalar(float32(0.003)), false), r.scale(total, true), r.mask(b, s, s+old), r.some(func() *graph.Value { return r.bytes(false, d) }),
			r.some(func() *graph.Value { return r.bytes(true, w, r.one(1, total)) }), past)
	},
	"MultiHeadAttention": func(r *trial) {
		b, s, t, heads, qk, width, old := r.one(1, 2), r.one(1, 3), r.one(1, 4), r.one(1, 2), r.one(1, 4), r.one(1, 4), 0
		var q, k, v *graph.Value
		switch r.IntN(4) {
		case 0:
			q, k, v = r.floats(false, b, s, heads*qk), r.floats(false, b, t, heads*qk), r.floats(false, b, t, heads*width)
		case 1:
			q, k, v = r.floats(false, b, s, heads*qk), r.floats(false, b, heads, t, qk), r.floats(false, b, heads, t, width)
		case 2:
			width = qk
			q, k = r.floats(false, b, s, heads*qk), r.floats(false, b, t, heads, 2, qk)
		case 3:
			width, t = qk, s
			q = r.floats(false, b, s, heads, 3, qk)
		}
		bias := r.some(func() *graph.Value { return r.floats(r.maybe(), heads*(2*qk+width)) })
		var pk, pv *graph.Value
		if r.maybe() {
			old = 2
			pk, pv = r.floats(false, b, heads, old, qk), r.floats(false, b, heads, old, width)
		}
		mask := r.mask(b, s, t+old)
		more := r.some(func() *graph.Value { return r.floats(false, r.one(1, b), r.one(1, heads), s, t+old) })
		r.node("MultiHeadAttention", r.attentionAttrs(heads), []bool{true, r.maybe(), r.maybe()}, q, k, v, bias, mask, more, pk, pv)
	},
}

func (r *trial) activation(a graph.Attrs, list bool) graph.Attrs {
	name := []string{"", "Relu", "Tanh", "Sigmoid", "Softplus", "Softsign", "LeakyRelu", "Elu", "Clip", "HardSigmoid"}[r.IntN(10)]
	if name == "" {
		return a
	}
	a["activation"] = graph.StrAttr(name)
	if r.maybe() {
		return a // the parameters have defaults
	}
	if list {
		a["activation_params"] = &graph.Attr{Kind: graph.AttrFloats, Floats: []float32{0.25, 0.75}}
	} else {
		a["activation_alpha"], a["activation_beta"] = graph.FloatAttr(0.25), graph.FloatAttr(0.75)
	}
	return a
}

func (r *trial) attentionAttrs(heads int) graph.Attrs {
	a := graph.Attrs{"num_heads": graph.IntAttr(int64(heads))}
	if r.maybe() {
		a["unidirectional"] = graph.IntAttr(1)
	}
	if r.maybe() {
		a["scale"] = graph.FloatAttr(0.3)
	}
	if r.maybe() {
		a["mask_filter_value"] = graph.FloatAttr(-30)
	} else {
		r.loose = true // the default, −10000, leaves float32 three digits where every key is masked
	}
	return a
}

// mask is none, one of ones and zeros, or the numbers of keys counted from such a one.
func (r *trial) mask(b, queries, keys int) *graph.Value {
	switch r.IntN(5) {
	case 0:
		return r.below(2, r.maybe(), tensor.Int32, b, keys)
	case 1:
		return r.below(2, false, tensor.Int64, b, queries, keys)
	case 2:
		m := r.below(2, false, tensor.Int32, b, keys)
		return r.op("ReduceSum", graph.Attrs{"keepdims": graph.IntAttr(0)}, 1, m, constant("axes", tensor.FromSlice([]int64{1}, 1)))[0]
	case 3:
		r.kept = true // ends, or ends and starts: nobody can know beforehand
		return r.below(keys, false, tensor.Int32, b*r.one(1, 2))
	}
	return nil
}

// evaluate runs every node by its Eval.
func evaluate(t *testing.T, g *graph.Graph, data map[*graph.Value]tensor.Value) []*tensor.Tensor {
	t.Helper()
	at := map[*graph.Value]tensor.Value{}
	for v, x := range data {
		at[v] = x
	}
	var run func(g *graph.Graph)
	look := func(v *graph.Value) tensor.Value {
		if v == nil || v.Const != nil {
			if v == nil {
				return nil
			}
			return v.Const
		}
		return at[v]
	}
	run = func(g *graph.Graph) {
		for _, n := range g.Nodes {
			o, err := registry.Resolve(n)
			if err != nil {
				t.Fatal(err)
			}
			c := &ops.Call{Node: n, Out: make([]tensor.Value, len(n.Out))}
			for _, v := range n.In {
				c.In = append(c.In, look(v))
			}
			c.Sub = func(s *graph.Graph, _ []tensor.Value) (out []tensor.Value, err error) {
				run(s)
				for _, v := range s.Out {
					out = append(out, look(v))
				}
				return out, nil
			}
			if err := o.Eval(c); err != nil {
				t.Fatalf("%s: %v", n.OpName(), err)
			}
			for i, v := range n.Out {
				if v != nil {
					at[v] = c.Out[i]
				}
			}
		}
	}
	run(g)
	var out []*tensor.Tensor
	for _, v := range g.Out {
		out = append(out, look(v).(*tensor.Tensor))
	}
	return out
}

func near(got, want *tensor.Tensor, loose bool) error {
	if got.DType != want.DType || !got.Shape.Equal(want.Shape) {
		return fmt.Errorf("%v, expected %v", got, want)
	}
	tol := map[tensor.DType]float64{tensor.Float32: 1e-4, tensor.Float16: 2e-3, tensor.BFloat16: 2e-2}[want.DType]
	if loose {
		tol = max(tol, 2e-3)
	}
	g, _ := tensor.Float64s(got)
	w, _ := tensor.Float64s(want)
	for i := range w {
		if !(math.Abs(g[i]-w[i]) <= tol*(1+math.Abs(w[i]))) {
			return fmt.Errorf("element %d of %v is %v, expected %v", i, want, g[i], w[i])
		}
	}
	return nil
}

// Every form that is expanded answers as the operator's Eval, and is named as the node was.
func TestExpandMeansTheSame(t *testing.T) {
	for name, make := range trials {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(150) {
				r := &trial{Rand: rand.New(rand.NewPCG(seed, 3)), data: map[*graph.Value]tensor.Value{}}
				r.half = []tensor.DType{tensor.Float32, tensor.Float32, tensor.Float16, tensor.BFloat16}[r.IntN(4)]
				r.open = r.maybe()
				make(r)
				want := evaluate(t, &r.g, r.data)
				before := len(r.g.Nodes)
				named(t, "expand", registry)(&r.g)
				if err := r.g.Check(); err != nil {
					t.Fatal(err)
				}
				for _, n := range r.g.Nodes {
					if n.Domain != "" && !r.kept || n.Name != "the node" && n.Op != "ReduceSum" {
						t.Fatalf("seed %d: %s %v is left", seed, n.OpName(), n.Attrs)
					}
				}
				if r.kept && len(r.g.Nodes) != before {
					t.Fatalf("seed %d: %d nodes, expected %d", seed, len(r.g.Nodes), before)
				}
				for i, got := range evaluate(t, &r.g, r.data) {
					if err := near(got, want[i], r.loose); err != nil {
						t.Fatalf("seed %d, output %d: %v", seed, i, err)
					}
				}
			}
		})
	}
}

// What the rules don't cover stays as it is, whole.
func TestExpandLeaves(t *testing.T) {
	for name, make := range map[string]func(r *trial){
		"an unknown rank": func(r *trial) {
			x := r.floats(false, 2, 3, 4)
			x.Type.Ranked, x.Type.Shape = false, nil
			r.node("FusedMatMul", graph.Attrs{"transA": graph.IntAttr(1)}, yes, x, r.floats(true, 3, 4))
		},
		"an unknown head size": func(r *trial) {
			q := r.floats(false, 2, 3, 4)
			q.Type.Shape[2].Size = -1
			r.node("MultiHeadAttention", r.attentionAttrs(2), yes, q, q, q)
		},
		"rotation": func(r *trial) {
			a := r.attentionAttrs(1)
			a["do_rotary"] = graph.IntAttr(1)
			r.node("Attention", a, yes, r.floats(false, 2, 3, 4), r.floats(true, 4, 12))
		},
		"moments of a root mean square": func(r *trial) {
			x := r.floats(false, 2, 3, 4)
			r.node("SkipSimplifiedLayerNormalization", graph.Attrs{}, []bool{true, false, true}, x, x, r.floats(true, 4))
		},
		"an unknown function": func(r *trial) {
			r.node("FusedGemm", graph.Attrs{"activation": graph.StrAttr("Wave")}, yes, r.floats(false, 2, 3), r.floats(true, 3, 4))
		},
		"doubles": func(r *trial) {
			r.half = tensor.Float64
			r.node("BiasGelu", graph.Attrs{}, yes, r.floats(false, 2, 3), r.floats(true, 3))
		},
	} {
		r := &trial{Rand: rand.New(rand.NewPCG(1, 3)), data: map[*graph.Value]tensor.Value{}, half: tensor.Float32}
		make(r)
		n := r.g.Nodes[0]
		named(t, "expand", registry)(&r.g)
		if len(r.g.Nodes) != 1 || r.g.Nodes[0] != n {
			t.Errorf("%s: %d nodes", name, len(r.g.Nodes))
		}
	}
}

// A branch is expanded with what is known around it.
func TestExpandNested(t *testing.T) {
	r := &trial{Rand: rand.New(rand.NewPCG(1, 3)), data: map[*graph.Value]tensor.Value{}, half: tensor.Float32}
	x, w := r.floats(false, 2, 3, 4), r.floats(true, 5, 4)
	branch := func(op string, a graph.Attrs, in ...*graph.Value) *graph.Attr {
		b := &trial{Rand: r.Rand, data: map[*graph.Value]tensor.Value{}}
		b.node(op, a, yes, in...)
		return &graph.Attr{Kind: graph.AttrGraph, G: &b.g}
	}
	yes, no := branch("FusedMatMul", graph.Attrs{"transB": graph.IntAttr(1)}, x, w), branch("FusedMatMul", graph.Attrs{"transA": graph.IntAttr(1)}, w, w)
	r.g.Out = r.op("If", graph.Attrs{"then_branch": yes, "else_branch": no}, 1, r.value(tensor.Scalar(true), false))
	want := evaluate(t, &r.g, r.data)
	golden(t, "expand-nested", &r.g, named(t, "expand", registry))
	if err := near(evaluate(t, &r.g, r.data)[0], want[0], false); err != nil {
		t.Error(err)
	}
}

// A layer of a sentence encoder as ONNX Runtime's optimiser writes it.
func TestExpandGolden(t *testing.T) {
	r := &trial{Rand: rand.New(rand.NewPCG(1, 3)), data: map[*graph.Value]tensor.Value{}, half: tensor.Float32}
	ids, mask := r.in("ids", tensor.Int32, -1, -1), r.in("mask", tensor.Int32, -1, -1)
	vector := func(n int) *graph.Value { return r.floats(true, n) }
	node := func(op string, a graph.Attrs, outs int, in ...*graph.Value) []*graph.Value {
		r.node(op, a, make([]bool, outs), in...)
		n := r.g.Nodes[len(r.g.Nodes)-1]
		n.Name = fmt.Sprintf("%s %d", op, len(r.g.Nodes))
		for k := range n.Out {
			n.Out[k] = &graph.Value{Name: fmt.Sprintf("%s.%d", n.Name, k), Def: n}
		}
		return n.Out
	}
	eps := graph.Attrs{"epsilon": graph.FloatAttr(1e-5)}
	e := node("EmbedLayerNormalization", eps, 2, ids, nil, r.floats(true, 9, 8), r.floats(true, 64, 8), nil, vector(8), vector(8), mask)
	a := node("Attention", graph.Attrs{"num_heads": graph.IntAttr(2)}, 1, e[0], r.floats(true, 8, 24), vector(24), mask)[0]
	s := node("SkipLayerNormalization", eps, 4, e[0], a, vector(8), vector(8), vector(8))
	g := node("BiasGelu", graph.Attrs{}, 1, node("FusedMatMul", graph.Attrs{"transB": graph.IntAttr(1), "alpha": graph.FloatAttr(0.5)}, 1, s[0], r.floats(true, 16, 8))[0], vector(16))[0]
	q := node("DynamicQuantizeMatMul", graph.Attrs{}, 1, g, r.bytes(true, tensor.Int8, 16, 8), r.scale(8, true))[0]
	last := node("Attention", graph.Attrs{"num_heads": graph.IntAttr(2)}, 1, q, r.floats(true, 8, 24), vector(24), e[1])[0]
	r.g.Out = []*graph.Value{last, s[3], node("FastGelu", graph.Attrs{}, 1, last)[0]}
	golden(t, "expand", &r.g, func(g *graph.Graph) {
		for _, p := range []string{"expand", "dead"} {
			named(t, p, registry)(g)
		}
	})
}
