package gpu

import (
	"slices"

	"github.com/aimass/aimass/runtime/match"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// lowering turns the nodes of a plan into operations. What it does not take stays for the
// host.
type lowering struct {
	*values
	*match.Graph
	work    []*node
	derived *derived
	tf32    bool // products round float32 for the tensor cores
}

// rule makes the operations of work[i], which may claim nodes around it, or reports
// false where it does not take the node's types, shapes or attributes.
type rule func(l *lowering, i int) ([]*operation, bool)

// piece is what stands at one place of the plan: operations of the device, or one node
// of the host.
type piece struct {
	ops  []*operation
	host *node
}

// lower gives the pieces of the nodes of a model in an order in which they can run. A group of nodes
// stands at the place of its last, so that all it reads has been computed.
func lower(v *values, m *model, work []*node, d *derived, tf32 bool) []piece {
	h := newHalves(v, d)
	work = h.nodes(work)
	returned := make([]int, len(m.out))
	for k, s := range m.out {
		returned[k] = h.widened(s)
	}
	g := match.New(match.Plan{Nodes: len(work), Node: func(i int) match.Node { return work[i].match() }, Out: returned,
		Info: func(slot int) *ops.Info { return &v.info[slot] }, Direct: v.addressable})
	l := &lowering{values: v, Graph: g, work: work, derived: d, tf32: tf32}
	at := make([][]*operation, len(work))
	for _, wave := range waves {
		for i, n := range work {
			if r := wave[n.OpName()]; r != nil && !l.Claimed[i] && len(n.captured) == 0 && len(n.Subgraphs()) == 0 {
				if list, last, ok := l.apply(r, i); ok {
					at[last] = append(at[last], list...)
				}
			}
		}
	}
	var pieces []piece
	for i, n := range work {
		switch {
		case len(at[i]) > 0:
			pieces = append(pieces, piece{ops: at[i]})
		case !l.Claimed[i]:
			pieces = append(pieces, piece{host: n})
		}
	}
	return h.converted(pieces, m.in, m.out)
}

// apply tries a rule and claims the nodes of what it gives, unless a descriptor refuses
// the sizes.
func (l *lowering) apply(r rule, i int) (list []*operation, last int, ok bool) {
	before := len(l.info)
	list, ok = r(l, i)
	for _, o := range list {
		ok = ok && o.refused() == nil
	}
	if !ok || len(list) == 0 {
		l.info = l.info[:before]
		return nil, 0, false
	}
	members := map[*node]bool{}
	for _, o := range list {
		for _, n := range o.nodes {
			members[n] = true
		}
	}
	for k, n := range l.work {
		if members[n] {
			l.Claimed[k] = true
			last = k
		}
	}
	return list, last, true
}

// pick gives nodes of work by their places, in order.
func (l *lowering) pick(places ...int) []*node {
	out := make([]*node, len(places))
	for k, i := range slices.Sorted(slices.Values(places)) {
		out[k] = l.work[i]
	}
	return out
}

// of reports a value of one of the types that may lie on the device.
func (l *lowering) of(slot int, types ...tensor.DType) bool {
	return l.addressable(slot) && slices.Contains(types, l.info[slot].DType)
}

// constInts are the elements of a constant integer input; ok is false where it is left
// out or not constant.
func (l *lowering) constInts(n *node, i int) ([]int64, bool) {
	t := l.tensor(n.input(i))
	if t == nil {
		return nil, false
	}
	v, err := tensor.Int64s(t)
	return v, err == nil
}

func ints(v []int64) []int {
	out := make([]int, len(v))
	for i, x := range v {
		out[i] = int(x)
	}
	return out
}

// waves are the rules by operator, tried one wave after the other over the whole plan: what
// takes most nodes goes first.
var waves = []map[string]rule{
	{
		"Softmax": lowerAttention, "ReduceMean": lowerSpelledNorm,
	},
	{
		"Gemm": firstOf(lowerBetween, lowerGemm), "MatMul": firstOf(lowerBetween, lowerMatMul), "Conv": lowerConv,
		"MatMulInteger": lowerMatMulInteger, "QLinearMatMul": lowerQLinearMatMul,
	},
	{
		"Softmax": lowerSoftmax, "LogSoftmax": lowerSoftmax, "LayerNormalization": lowerLayerNorm, "RMSNormalization": lowerLayerNorm,
		"SimplifiedLayerNormalization": lowerLayerNorm, "InstanceNormalization": lowerInstanceNorm,
		"BatchNormalization": lowerBatchNorm, "MaxPool": lowerPool, "AveragePool": lowerPool, "GlobalAveragePool": lowerGlobalPool, "GlobalMaxPool": lowerGlobalPool,
		"ai.onnx.ml.TreeEnsembleClassifier": lowerTrees, "ai.onnx.ml.TreeEnsembleRegressor": lowerTrees, "ai.onnx.ml.TreeEnsemble": lowerTrees,
		"ReduceSum": lowerReduce, "ReduceMean": lowerReduce, "ReduceMax": lowerReduce, "ReduceMin": lowerReduce, "ReduceProd": lowerReduce,
		"ReduceL1": lowerReduce, "ReduceL2": lowerReduce, "ReduceSumSquare": lowerReduce, "ReduceLogSum": lowerReduce,
		"ArgMax": lowerArg, "ArgMin": lowerArg,
		"QuantizeLinear": lowerQuantize, "DequantizeLinear": lowerDequantize, "DynamicQuantizeLinear": lowerDynamicQuantize,
		"Resize": lowerResize, "Upsample": lowerResize,
	},
	each(lowerPointwise, pointwise...),
	each(lowerView, "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Dropout"),
	{
		"Transpose": lowerTranspose, "Slice": lowerSlice, "Split": lowerSplit, "Concat": lowerConcat, "Expand": lowerExpand, "Tile": lowerExpand,
		"Pad": lowerPad, "Gather": lowerGather, "GatherElements": lowerGatherElements, "Cast": lowerCast, "Where": lowerWhere,
	},
}

func each(r rule, names ...string) map[string]rule {
	m := map[string]rule{}
	for _, n := range names {
		m[n] = r
	}
	return m
}

// Supports reports whether an operator, by qualified name, has a path on the GPU where
// types, shapes and attributes allow.
func Supports(op string) bool {
	for _, w := range waves {
		if w[op] != nil {
			return true
		}
	}
	return false
}
