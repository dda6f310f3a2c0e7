package lower

import (
	"slices"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/match"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/ragged"
	"github.com/aimass/aimass/runtime/tensor"
)

// lowering makes the fast step of work[i], or reports false where it does not take the
// node's types, shapes or attributes: then Eval runs. It may claim nodes around it, whose
// work the step then does too (see group).
type lowering func(f *fuser, i int) (*group, bool)

// group is a step in the making: the nodes that it replaces and what it reads and writes.
type group struct {
	nodes  []int // indices in Plan.Work
	reads  []int
	writes []int
	run    func(e *Env) error
	cost   int // as Step's; 0: by what it reads and writes
	// early is set by a group that reads nothing but what its first node reads: it stands at
	// the place of that one.
	early bool
}

// fuser turns a plan's work into steps. A group stands at the place of its last node, so
// that everything it reads has been computed, unless it is early.
type fuser struct {
	pl      *Plan
	g       *match.Graph  // the plan's nodes, for what devices have in common
	users   map[int][]int // g's: slot → nodes of work that read it
	maker   map[int]int   // g's: slot → node of work that writes it
	output  map[int]bool  // g's: slots that the graph returns
	claimed []bool        // g's
	joints  []*joint
	ranges  map[int]knownRange // slots whose range a step finds as it writes them
}

// Steps lowers a plan.
func Steps(pl *Plan) []Step {
	g := match.New(match.Plan{Nodes: len(pl.Work), Node: func(i int) match.Node { return pl.Work[i].match() }, Out: pl.Out, Info: func(slot int) *ops.Info { return &pl.Info[slot] },
		Direct: func(slot int) bool { return pl.Info[slot].Known && pl.Place[slot].Kind != OnHeap }})
	f := &fuser{pl: pl, g: g, users: g.Users, maker: g.Maker, output: g.Output, claimed: g.Claimed, ranges: map[int]knownRange{}}
	at := make([][]*group, len(pl.Work))
	add := func(g *group) {
		first, last := g.nodes[0], g.nodes[0]
		for _, i := range g.nodes {
			first, last = min(first, i), max(last, i)
			f.claimed[i] = true
		}
		if g.early {
			last = first
		}
		at[last] = append(at[last], g)
	}
	b := &blocking{f: f, slots: map[int]int{}, made: map[int]bool{}}
	if !pl.Plain {
		(&byteRegion{f: f, taken: map[int]bool{}, nhwc: map[int]bool{}, readers: map[int][]*byteWork{}}).all(add)
		f.dequantizeRest()
		for k, w := range lowerings {
			if k == beforeBlocks {
				b.all(add)
			}
			for i, n := range pl.Work {
				if l := w[n.OpName()]; l != nil && !f.claimed[i] {
					if g, ok := l(f, i); ok {
						add(g)
					}
				}
			}
		}
	}
	for i, n := range pl.Work {
		if !f.claimed[i] {
			if g, ok := f.view(i); ok {
				add(g)
			} else {
				add(&group{nodes: []int{i}, reads: append(append([]int{}, n.In...), n.Captured...), writes: n.Out})
			}
		}
	}
	f.settle()
	var steps []Step
	for _, groups := range at {
		for _, g := range groups {
			steps = append(steps, Step{Node: pl.Work[g.nodes[0]], Nodes: f.members(g), Reads: g.reads, Writes: g.writes, Run: g.run, Cost: f.costOf(g)})
		}
	}
	return append(b.relayout(steps), f.detach()...)
}

// detach makes copies of what the graph returns that lies in its inputs' memory, which is
// the caller's again when the run has ended.
func (f *fuser) detach() []Step {
	pl := f.pl
	var steps []Step
	pl.Out = slices.Clone(pl.Out)
	for k, out := range pl.Out {
		root := out
		for pl.Place[root].Kind == Alias {
			root = pl.Place[root].Of
		}
		if pl.Place[root].Kind != Input || !pl.Info[out].Known || pl.Info[out].DType.Bits() < 8 {
			continue
		}
		to := len(pl.Info)
		pl.Info = append(pl.Info, pl.Info[out])
		pl.Place = append(pl.Place, Place{Kind: InArena})
		pl.Out[k] = to
		run := func(e *Env) error {
			copy(e.bytes(to), e.bytes(out))
			return nil
		}
		steps = append(steps, Step{Node: handOver, Reads: []int{out}, Writes: []int{to}, Run: run})
	}
	return steps
}

// handOver is the node of which an error in a copy of detach would speak.
var handOver = &Node{Node: &graph.Node{Name: "(output)", Op: "Identity"}}

// members are a group's nodes in order of the graph.
func (f *fuser) members(g *group) []*Node {
	at := slices.Sorted(slices.Values(g.nodes))
	out := make([]*Node, len(at))
	for k, i := range at {
		out[k] = f.pl.Work[i]
	}
	return out
}

// views only change the shape: no work, the memory is shared.
var views = map[string]bool{"Reshape": true, "Squeeze": true, "Unsqueeze": true, "Flatten": true, "Identity": true, "Dropout": true}

// view makes a node that only changes the shape into a view.
func (f *fuser) view(i int) (*group, bool) {
	n, pl := f.pl.Work[i], f.pl
	if !views[n.OpName()] || n.Out[0] < 0 || n.In[0] < 0 || len(n.Out) > 1 && n.Out[1] >= 0 {
		return nil, false
	}
	if n.Op == "Dropout" && len(n.In) > 2 && n.In[2] >= 0 {
		return nil, false // training_mode may be set
	}
	in, out := n.In[0], n.Out[0]
	src, dst := pl.Info[in], pl.Info[out]
	if pl.Place[out].Kind != InArena || !src.Known || src.DType != dst.DType || src.DType.Bits() < 8 ||
		src.Shape.Elements() != dst.Shape.Elements() || pl.Place[in].Kind == OnHeap {
		return nil, false
	}
	pl.Place[out] = Place{Kind: Alias, Of: in}
	run := func(e *Env) error {
		e.Headers[out].View(dst.DType, dst.Shape, e.Tensor(in).Bytes())
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{in}, writes: []int{out}, run: run}, true
}

// f32 reports whether a slot is a float32 tensor of known shape in memory that a step
// may address directly.
func (f *fuser) f32(slot int) bool { return f.g.F32(slot) }

// shape is a slot's known shape.
func (f *fuser) shape(slot int) tensor.Shape { return f.g.Shape(slot) }

// constant is a slot's constant tensor, nil if it is none.
func (f *fuser) constant(slot int) *tensor.Tensor { return f.g.Constant(slot) }

// constF32 is a slot's constant elements, nil if it is no constant of float32.
func (f *fuser) constF32(slot int) []float32 { return f.g.ConstF32(slot) }

// scalar is the value of a constant of one float32.
func (f *fuser) scalar(slot int) (float32, bool) { return f.g.Scalar(slot) }

// onlyUser is the one node that reads a slot, if there is exactly one, it is not claimed
// and the graph does not return the slot.
func (f *fuser) onlyUser(slot int) (int, bool) { return f.g.OnlyUser(slot) }

// node is work[i].
func (f *fuser) node(i int) *Node { return f.pl.Work[i] }

// match is the node as match takes it.
func (n *Node) match() match.Node {
	return match.Node{Node: n.Node, In: n.In, Out: n.Out, Captured: n.Captured}
}

// wave is a set of lowerings by operator. Waves go one after the other over the whole
// plan: what absorbs most nodes goes first.
type wave map[string]lowering

// beforeBlocks is the number of waves that go before convolutions and their neighbours are
// lowered to the blocked layout.
const beforeBlocks = 1

// heavyWaves is the number of waves, from the first, of operators that do more than move or
// map elements.
const heavyWaves = 3

// lowerings lists the operators that have a fast path.
var lowerings = []wave{
	{
		"Softmax":                              lowerSoftmax,
		ragged.Domain + "." + ragged.Attention: lowerSegmentAttention,
		"LogSoftmax":                           lowerSoftmax,
		"LayerNormalization":                   lowerLayerNorm,
		"RMSNormalization":                     lowerLayerNorm,
		"ReduceMean":                           (*fuser).spelledLayerNorm,
		"Attention":                            lowerAttention,
		"RotaryEmbedding":                      lowerRotary,
		"com.microsoft.RotaryEmbedding":        lowerRotary,
		"com.microsoft.GroupQueryAttention":    lowerGroupQuery,
	},
	{
		"Gemm":                      lowerGemm,
		"MatMul":                    lowerMatMul,
		"Conv":                      lowerConv,
		"com.microsoft.MatMulNBits": lowerMatMulNBits,
		"com.microsoft.MoE":         lowerExperts,
		"com.microsoft.QMoE":        lowerExperts,
		"com.microsoft.CDist":       lowerDistances,
		"MatMulInteger":             lowerMatMulInteger,
		"QLinearMatMul":             lowerQLinearMatMul,
		"ConvInteger":               lowerConvInteger,
		"QLinearConv":               lowerQLinearConv,
	},
	{
		"ConvTranspose":                          lowerConvTranspose,
		"LSTM":                                   lowerRecurrent,
		"GRU":                                    lowerRecurrent,
		"RNN":                                    lowerRecurrent,
		"com.microsoft.DynamicQuantizeLSTM":      lowerIntegerLSTM,
		"DynamicQuantizeLinear":                  lowerDynamicQuantize,
		"ai.onnx.ml.TreeEnsembleClassifier":      lowerTrees,
		"ai.onnx.ml.TreeEnsembleRegressor":       lowerTrees,
		"ai.onnx.ml.TreeEnsemble":                lowerTrees,
		"ai.onnx.ml.SVMClassifier":               lowerVectors,
		"ai.onnx.ml.SVMRegressor":                lowerVectors,
		"ai.onnx.ml.LinearClassifier":            lowerLinearClassifier,
		"ai.onnx.ml.LinearRegressor":             lowerLinearRegressor,
		"QuantizeLinear":                         lowerQuantize,
		"com.microsoft.QLinearAdd":               lowerQLinearBinary,
		"com.microsoft.QLinearMul":               lowerQLinearBinary,
		"com.microsoft.QLinearSigmoid":           lowerQLinearUnary,
		"com.microsoft.QLinearLeakyRelu":         lowerQLinearUnary,
		"com.microsoft.QLinearGlobalAveragePool": lowerQLinearPool,
		"DequantizeLinear":                       lowerQuantize,
		"BatchNormalization":                     lowerBatchNorm,
		"InstanceNormalization":                  lowerInstanceNorm,
		"MaxPool":                                lowerPool,
		"AveragePool":                            lowerPool,
		"Resize":                                 lowerResize,
		"Upsample":                               lowerResize,
		"Einsum":                                 lowerEinsum,
		"GridSample":                             lowerGridSample,
	},
	{"Concat": lowerColumns},
	each(lowerFused, slices.Concat(match.Functions, []string{"Add", "Sub", "Mul", "Div", "Max", "Min", "Sum"})...),
	each(lowerDoubles, doubles()...),
	{
		"ReduceMean":            lowerReduce,
		"ReduceLogSumExp":       lowerReduce,
		"ReduceSum":             lowerReduce,
		"ReduceMax":             lowerReduce,
		"ReduceMin":             lowerReduce,
		"ReduceSumSquare":       lowerReduce,
		"ReduceL1":              lowerReduce,
		"ReduceL2":              lowerReduce,
		"ReduceProd":            lowerReduce,
		"ai.onnx.ml.Normalizer": lowerNormalizer,
		"ArgMax":                lowerArg,
		"ArgMin":                lowerArg,
		"GlobalAveragePool":     lowerGlobalPool,
		"GlobalMaxPool":         lowerGlobalPool,
		"Add":                   lowerBinary,
		"Sub":                   lowerBinary,
		"Mul":                   lowerBinary,
		"Div":                   lowerBinary,
		"Max":                   lowerBinary,
		"Min":                   lowerBinary,
		"Sum":                   lowerBinary,
	},
	{
		"ScatterND": lowerScatter, "ScatterElements": lowerScatter,
		"DepthToSpace": lowerBlocks, "SpaceToDepth": lowerBlocks, "PRelu": lowerPRelu,
		"Transpose": lowerTranspose, "Slice": lowerSlice, "Split": lowerSplit, "Concat": lowerConcat, "Expand": lowerExpand, "Tile": lowerExpand,
		"Pad": lowerPad, "Gather": lowerGather, "ai.onnx.ml.ArrayFeatureExtractor": lowerExtract, "Cast": lowerCast, "Where": lowerWhere, "Pow": lowerPower,
		"Equal": lowerCompare, "Less": lowerCompare, "LessOrEqual": lowerCompare, "Greater": lowerCompare, "GreaterOrEqual": lowerCompare,
		"Add": lowerArithmetic, "Sub": lowerArithmetic, "Mul": lowerArithmetic,
	},
	each(lowerUnary, match.Functions...),
}

func each(l lowering, ops ...string) wave {
	w := wave{}
	for _, op := range ops {
		w[op] = l
	}
	return w
}
