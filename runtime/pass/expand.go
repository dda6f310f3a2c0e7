package pass

import (
	"slices"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/contrib"
	"github.com/aimass/aimass/runtime/tensor"
)

// rules say how an operator that ONNX Runtime's optimiser or quantiser writes is put in
// the standard's. A rule emits nodes and gives the outputs; what it does not cover (forms that
// depend on unknown ranks, odd masks, …) it leaves to the operator's Eval by fail.
var rules = map[string]func(x *expansion){
	contrib.Domain + ".FusedMatMul":                      fusedMatMul,
	contrib.Domain + ".TransposeMatMul":                  fusedMatMul,
	contrib.Domain + ".FusedGemm":                        fusedGemm,
	contrib.Domain + ".FusedConv":                        fusedConv,
	contrib.Domain + ".MatMulIntegerToFloat":             matMulIntegerToFloat,
	contrib.Domain + ".DynamicQuantizeMatMul":            dynamicQuantizeMatMul,
	contrib.Domain + ".QGemm":                            qGemm,
	contrib.Domain + ".QLinearAveragePool":               qAveragePool,
	contrib.Domain + ".QLinearConcat":                    qConcat,
	contrib.Domain + ".QLinearSoftmax":                   qSoftmax,
	contrib.Domain + ".Gelu":                             biasGelu("none"),
	contrib.Domain + ".BiasGelu":                         biasGelu("none"),
	contrib.Domain + ".FastGelu":                         biasGelu("tanh"),
	contrib.Domain + ".SkipLayerNormalization":           skipNorm("LayerNormalization", 17, 4),
	contrib.Domain + ".SkipSimplifiedLayerNormalization": skipNorm("RMSNormalization", 23, 3),
	"SimplifiedLayerNormalization":                       simplifiedNorm,
	contrib.Domain + ".EmbedLayerNormalization":          embedNorm,
	contrib.Domain + ".QEmbedLayerNormalization":         quantizedEmbedNorm,
	contrib.Domain + ".Attention":                        attentionOfWeights,
	contrib.Domain + ".QAttention":                       attentionOfBytes,
	contrib.Domain + ".MultiHeadAttention":               multiHeadAttention,
	"Einsum":                                             einsum,
	"Scan":                                               distances,
	"Pow":                                                powerOfOneType,
	"ai.onnx.ml.TreeEnsembleClassifier":                  floatFeatures,
	"ai.onnx.ml.TreeEnsembleRegressor":                   floatFeatures,
	"ai.onnx.ml.SVMClassifier":                           floatFeatures,
	"ai.onnx.ml.SVMRegressor":                            floatFeatures,
	"ai.onnx.ml.LinearClassifier":                        floatFeatures,
	"ai.onnx.ml.LinearRegressor":                         floatFeatures,
	contrib.Domain + ".QLinearConv":                      qConv,
	"QLinearConv":                                        qVolumeConv,
	contrib.Domain + ".QuantizeLinear":                   renamed(21),
	contrib.Domain + ".DequantizeLinear":                 renamed(21),
	contrib.Domain + ".GatherND":                         renamed(13),
	contrib.Domain + ".Pad":                              renamed(18),
	contrib.Domain + ".Range":                            renamed(11),
	contrib.Domain + ".Trilu":                            renamed(14),
}

// Expands reports an operator, by its qualified name, that is put in the standard's where its
// form allows.
func Expands(op string) bool { return rules[op] != nil }

// renamed is for operators that the standard has too.
func renamed(opset int) func(x *expansion) {
	return func(x *expansion) { x.hand(0, x.op(x.n.Op, opset, x.n.Attrs, x.n.In...)) }
}

// expandFused rewrites fused operators into the standard's, so that the devices' own fusions, the
// proofs of batching and the packed form of sequences know them. Nested graphs too.
func expandFused(g *graph.Graph, reg *ops.Registry) error {
	if !expandable(g) {
		return nil
	}
	e := &expander{newFacts(reg)}
	e.graph(g)
	return nil
}

// expandable reports a node that has a rule.
func expandable(g *graph.Graph) bool {
	return slices.ContainsFunc(g.Nodes, func(n *graph.Node) bool {
		return rules[n.OpName()] != nil || slices.ContainsFunc(n.Subgraphs(), expandable)
	})
}

// expander goes through a graph and the graphs inside it, and infers as it goes.
type expander struct{ facts }

func (e *expander) graph(g *graph.Graph) {
	out := make([]*graph.Node, 0, len(g.Nodes))
	shared := map[sharedKey]*graph.Value{}
	e.inputs(g)
	for _, n := range g.Nodes {
		for _, s := range n.Subgraphs() {
			e.graph(s)
		}
		if rule := rules[n.OpName()]; rule != nil {
			x := &expansion{e: e, n: n, shared: shared, own: map[sharedKey]*graph.Value{}, final: map[*graph.Value]bool{}}
			if rule(x); !x.failed {
				for k, v := range x.own {
					shared[k] = v
				}
				out = append(out, x.nodes...)
				continue
			}
		}
		e.node(n)
		out = append(out, n)
	}
	g.Nodes = out
}

// sharedKey names a value that several expansions in one graph compute alike: a mask, a
// quantised input.
type sharedKey struct {
	what   string
	of     *graph.Value
	detail float32
}

// expansion is one node being rewritten. Once it has failed, it emits nothing more and the
// node stays.
type expansion struct {
	e      *expander
	n      *graph.Node
	nodes  []*graph.Node
	failed bool
	shared map[sharedKey]*graph.Value // by expansions before this one
	own    map[sharedKey]*graph.Value // by this one
	final  map[*graph.Value]bool      // the node's own outputs that are given
}

func (x *expansion) fail() { x.failed = true }

// need fails unless a condition of the rule holds.
func (x *expansion) need(ok bool) { x.failed = x.failed || !ok }

// in is input i as it is, nil if it is left out.
func (x *expansion) in(i int) *graph.Value {
	if i >= 0 && i < len(x.n.In) {
		return x.n.In[i]
	}
	return nil
}

// rank fails unless input i, where it is given, has one of the ranks.
func (x *expansion) rank(i int, ranks ...int) {
	if v := x.in(i); v != nil {
		f := x.e.of(v)
		x.need(f.ranked && slices.Contains(ranks, len(f.shape)))
	}
}

// size is the extent of a value along an axis; it fails where that depends on the inputs.
func (x *expansion) size(v *graph.Value, axis int) int {
	f := x.e.of(v)
	if !f.ranked || axis >= len(f.shape) || f.shape[axis] < 1 {
		x.fail()
		return 1
	}
	return f.shape[axis]
}

// real is input i in float32: operators here compute in it and round to narrower types at
// their end. It fails for a type that is not known or wider.
func (x *expansion) real(i int) *graph.Value { return x.widen(x.in(i)) }

func (x *expansion) widen(v *graph.Value) *graph.Value {
	if v == nil {
		return nil
	}
	switch x.e.of(v).dtype {
	case tensor.Float32:
		return v
	case tensor.Float16, tensor.BFloat16:
		return x.cast(v, tensor.Float32)
	}
	x.fail()
	return v
}

// op emits a node of one output.
func (x *expansion) op(name string, opset int, a graph.Attrs, in ...*graph.Value) *graph.Value {
	return x.outs(name, opset, 1, a, in...)[0]
}

// outs emits a node under an opset of the standard's. It bears the name of the node that is
// expanded, so that errors speak of what the model's author knows.
func (x *expansion) outs(name string, opset, outs int, a graph.Attrs, in ...*graph.Value) []*graph.Value {
	if a == nil {
		a = graph.Attrs{}
	}
	for len(in) > 0 && in[len(in)-1] == nil {
		in = in[:len(in)-1]
	}
	n := &graph.Node{Name: x.n.Label(), Op: name, Opset: opset, In: slices.Clone(in), Attrs: a}
	for range outs {
		n.Out = append(n.Out, &graph.Value{Name: x.n.Label() + " (" + name + ")", Def: n})
	}
	if x.failed {
		return n.Out
	}
	x.nodes = append(x.nodes, n)
	x.e.node(n)
	return slices.Clone(n.Out)
}

// once gives a value that expansions of the same graph share.
func (x *expansion) once(k sharedKey, make func() *graph.Value) *graph.Value {
	for _, m := range []map[sharedKey]*graph.Value{x.shared, x.own} {
		if v := m[k]; v != nil {
			return v
		}
	}
	v := make()
	x.own[k] = v
	return v
}

// give makes v the node's output k, in the type that the output has.
func (x *expansion) give(k int, v *graph.Value, d tensor.DType) {
	if x.failed || k >= len(x.n.Out) || x.n.Out[k] == nil {
		return
	}
	if d != tensor.Float32 {
		v = x.cast(v, d)
	}
	x.hand(k, v)
}

// hand makes v the node's output k: whoever computes it computes the output itself, unless it
// is shared or an output already.
func (x *expansion) hand(k int, v *graph.Value) {
	if x.failed || k >= len(x.n.Out) || x.n.Out[k] == nil {
		return
	}
	mine := v.Def != nil && slices.Contains(x.nodes, v.Def) && !x.final[v]
	for _, s := range x.own {
		mine = mine && s != v
	}
	if !mine {
		v = x.op("Identity", 1, nil, v)
	}
	out := x.n.Out[k]
	for _, n := range x.nodes {
		for _, list := range [][]*graph.Value{n.In, n.Out} {
			for i := range list {
				if list[i] == v {
					list[i] = out
				}
			}
		}
	}
	out.Def = v.Def
	x.e.rename(v, out)
	x.final[out] = true
}

func (x *expansion) constant(t *tensor.Tensor) *graph.Value {
	return &graph.Value{Name: x.n.Label() + " (constant)", Const: t, Type: graph.TensorType(t.DType, t.Shape...)}
}

func (x *expansion) float(f float32) *graph.Value { return x.constant(tensor.Scalar(f)) }

func (x *expansion) ints(v ...int64) *graph.Value {
	return x.constant(tensor.FromSlice(v, len(v)))
}

func (x *expansion) cast(v *graph.Value, d tensor.DType) *graph.Value {
	return x.op("Cast", 13, graph.Attrs{"to": graph.IntAttr(d.ONNX())}, v)
}

func (x *expansion) transpose(v *graph.Value, perm ...int64) *graph.Value {
	return x.op("Transpose", 13, graph.Attrs{"perm": graph.IntsAttr(perm...)}, v)
}

func (x *expansion) reshape(v *graph.Value, shape ...int64) *graph.Value {
	return x.op("Reshape", 14, nil, v, x.ints(shape...))
}

func (x *expansion) unsqueeze(v *graph.Value, axes ...int64) *graph.Value {
	return x.op("Unsqueeze", 13, nil, v, x.ints(axes...))
}

func (x *expansion) split(v *graph.Value, axis int64, sizes ...int64) []*graph.Value {
	return x.outs("Split", 13, len(sizes), graph.Attrs{"axis": graph.IntAttr(axis)}, v, x.ints(sizes...))
}

func (x *expansion) concat(axis int64, v ...*graph.Value) *graph.Value {
	return x.op("Concat", 13, graph.Attrs{"axis": graph.IntAttr(axis)}, v...)
}

func (x *expansion) add(a, b *graph.Value) *graph.Value {
	if b == nil {
		return a
	}
	return x.op("Add", 14, nil, a, b)
}

func (x *expansion) mul(a, b *graph.Value) *graph.Value { return x.op("Mul", 14, nil, a, b) }

// length is the extent along an axis when the model runs, of shape [1].
func (x *expansion) length(v *graph.Value, axis int64) *graph.Value {
	return x.op("Shape", 15, graph.Attrs{"start": graph.IntAttr(axis), "end": graph.IntAttr(axis + 1)}, v)
}

// count is 0, 1, … up to a length of shape [1].
func (x *expansion) count(from, to *graph.Value) *graph.Value {
	start := x.constant(tensor.Scalar(int64(0)))
	if from != nil {
		start = x.op("Squeeze", 13, nil, from, x.ints(0))
	}
	end := x.op("Squeeze", 13, nil, to, x.ints(0))
	return x.op("Range", 11, nil, start, end, x.constant(tensor.Scalar(int64(1))))
}
