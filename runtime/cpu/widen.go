package cpu

import (
	"slices"

	"github.com/aimass/aimass/runtime/cpu/lower"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// widener lets a plan compute in float32 what its graph has in float16 or bfloat16: there
// are kernels for float32, and on a CPU it is the type in which a half is computed anyway.
// A value is converted once, where it comes into a stretch of such nodes, and rounded once,
// where it leaves: as an output, to a node that is not taken, or by a Cast that says so.
type widener struct {
	pl    *plan
	wide  map[int]int  // slot of halves → slot of the same in float32
	owing map[int]bool // slots of halves that no node writes any more
	work  []*lower.Node
}

// computes are the operators that compute in the type of their inputs: those are worth a
// conversion.
var computes = set("Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "InstanceNormalization", "GroupNormalization", "LayerNormalization",
	"RMSNormalization", "LpNormalization", "MeanVarianceNormalization", "LRN", "Softmax", "LogSoftmax", "LSTM", "GRU", "RNN", "Resize", "Upsample", "GridSample", "Attention",
	"MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "PRelu", "Einsum", "CumSum",
	"ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp",
	"Add", "Sub", "Mul", "Div", "Pow", "Sum", "Max", "Min", "Mean", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "ArgMax", "ArgMin",
	"Abs", "Ceil", "Celu", "Clip", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Mish", "Neg", "Reciprocal", "Relu",
	"Round", "Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Swish", "Tanh", "ThresholdedRelu", "com.microsoft.Gelu", "com.microsoft.QuickGelu",
	"RotaryEmbedding", "com.microsoft.RotaryEmbedding", "com.microsoft.GroupQueryAttention", "com.microsoft.MatMulNBits",
	"com.microsoft.MoE", "com.microsoft.QMoE")

// moves are the operators that only arrange values: they go along with what is wide.
var moves = set("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Dropout", "Transpose", "Slice", "Split", "Concat", "Expand", "Tile", "Pad", "Gather", "Where",
	"DepthToSpace", "SpaceToDepth")

func set(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, s := range names {
		m[s] = true
	}
	return m
}

// weighted are the operators that are most of a model's work.
var weighted = set("Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN", "com.microsoft.MatMulNBits", "com.microsoft.MoE", "com.microsoft.QMoE")

// worth reports that an operator computes with weights of halves: a graph without is little
// work, and rounds after each node as the standard's reference does.
func (w *widener) worth() bool {
	return slices.ContainsFunc(w.pl.Work, func(n *lower.Node) bool {
		return weighted[n.OpName()] && slices.ContainsFunc(n.In, func(s int) bool { return w.half(s) && w.pl.Place[s].Kind == lower.Const })
	})
}

// widen rewrites the plan's work.
func (pl *plan) widen() error {
	w := &widener{pl: pl, wide: map[int]int{}, owing: map[int]bool{}}
	if !w.worth() {
		return nil
	}
	for _, n := range pl.Work {
		if !w.takes(n) {
			for _, list := range [][]int{n.In, n.Captured} {
				for _, s := range list {
					if err := w.pay(s); err != nil {
						return err
					}
				}
			}
			w.work = append(w.work, n)
			continue
		}
		if err := w.take(n); err != nil {
			return err
		}
	}
	for _, s := range pl.Out {
		if err := w.pay(s); err != nil {
			return err
		}
	}
	pl.Work = w.work
	return nil
}

// half reports a slot of halves of known shape.
func (w *widener) half(slot int) bool {
	if slot < 0 {
		return false
	}
	x := &w.pl.Info[slot]
	return x.Known && (x.DType == tensor.Float16 || x.DType == tensor.BFloat16)
}

func (w *widener) takes(n *lower.Node) bool {
	name := n.OpName()
	cast := name == "Cast"
	if !computes[name] && !moves[name] && !cast {
		return false
	}
	for _, s := range n.Out {
		if s >= 0 && (w.pl.Place[s].Kind != lower.InArena || cast && w.half(s)) {
			return false
		}
	}
	return slices.ContainsFunc(n.In, func(s int) bool {
		_, wide := w.wide[s]
		return w.half(s) && (wide && w.pl.Place[s].Kind != lower.Const || computes[name])
	})
}

// take puts the node into the work with float32 for its halves.
func (w *widener) take(n *lower.Node) error {
	c := *n
	c.In, c.Out = slices.Clone(n.In), slices.Clone(n.Out)
	for i, s := range n.In {
		if w.half(s) {
			var err error
			if c.In[i], err = w.widened(s); err != nil {
				return err
			}
		}
	}
	for i, s := range n.Out {
		if w.half(s) {
			c.Out[i] = w.slot(s)
			w.wide[s], w.owing[s] = c.Out[i], true
		}
	}
	if n.OpName() == "Cast" && w.pl.Info[n.Out[0]].DType == tensor.Float32 {
		id, err := w.node(n.Node, "Identity", nil)
		if err != nil {
			return err
		}
		id.In, id.Out = c.In[:1], c.Out
		c = *id
	}
	w.work = append(w.work, &c)
	return nil
}

// slot makes the slot of float32 for one of halves.
func (w *widener) slot(of int) int {
	x := w.pl.Info[of]
	w.pl.Info = append(w.pl.Info, ops.Info{Present: true, DType: tensor.Float32, Known: true, Shape: x.Shape})
	w.pl.Place = append(w.pl.Place, lower.Place{Kind: lower.InArena})
	return len(w.pl.Info) - 1
}

// widened gives the slot of a half's value in float32.
func (w *widener) widened(s int) (int, error) {
	if to, ok := w.wide[s]; ok {
		return to, nil
	}
	to := w.slot(s)
	w.wide[s] = to
	if t := w.pl.Info[s].Tensor(); t != nil {
		w.pl.setConst(to, w.pl.Packed.Widened(t))
		return to, nil
	}
	return to, w.cast(s, to, tensor.Float32)
}

// pay writes the halves of a slot that somebody wants after all.
func (w *widener) pay(s int) error {
	if s < 0 || !w.owing[s] {
		return nil
	}
	delete(w.owing, s)
	return w.cast(w.wide[s], s, w.pl.Info[s].DType)
}

func (w *widener) cast(from, to int, d tensor.DType) error {
	name := "widened"
	if s := min(from, to); s < len(w.pl.p.values) {
		name = w.pl.p.values[s].Name
	}
	n, err := w.node(&graph.Node{Name: name}, "Cast", graph.Attrs{"to": graph.IntAttr(d.ONNX())})
	if err != nil {
		return err
	}
	n.In, n.Out = []int{from}, []int{to}
	w.work = append(w.work, n)
	return nil
}

// node makes a node of one input and one output in the place of another.
func (w *widener) node(of *graph.Node, op string, a graph.Attrs) (*lower.Node, error) {
	n := &graph.Node{Name: of.Name, Op: op, Opset: 13, In: []*graph.Value{nil}, Out: []*graph.Value{nil}, Attrs: a}
	if len(of.In) > 0 && len(of.Out) > 0 {
		n.In, n.Out = of.In[:1], of.Out[:1]
	}
	if n.Attrs == nil {
		n.Attrs = graph.Attrs{}
	}
	o, err := w.pl.p.dev.reg.Resolve(n)
	if err != nil {
		return nil, err
	}
	made := &lower.Node{Node: n, Form: o, Eval: o.Eval}
	if o.Bind != nil {
		made.Eval, err = o.Bind(n)
	}
	return made, err
}
