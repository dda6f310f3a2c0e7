package pass

import (
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// fact is what holds of a value whatever sizes the inputs have: extents that depend on them
// are −1.
type fact struct {
	dtype  tensor.DType // 0: not known
	ranked bool
	shape  tensor.Shape
	seen   [2]tensor.Shape // under each of the two inferences
}

// factOf keeps what two inferences, with other sizes for what is open, agree on.
func factOf(a, b ops.Info) fact {
	f := fact{dtype: a.DType}
	if a.DType != b.DType {
		f.dtype = 0
	}
	if !a.Known || !b.Known || len(a.Shape) != len(b.Shape) {
		return f
	}
	f.ranked, f.shape, f.seen = true, a.Shape.Clone(), [2]tensor.Shape{a.Shape, b.Shape}
	for k, n := range b.Shape {
		if f.shape[k] != n {
			f.shape[k] = -1
		}
	}
	return f
}

// openSizes stand for extents that a model leaves open: of the first axis, and of others.
type openSizes struct{ first, other int }

// inferFacts infers types and shapes of all values of g and of graphs inside it. What can't be
// inferred is left unknown, with the type that the model states.
func inferFacts(g *graph.Graph, reg *ops.Registry) map[*graph.Value]fact {
	a := (&inference{reg: reg, open: openSizes{batchA, probeSizes[0]}, known: map[*graph.Value]ops.Info{}}).run(g)
	b := (&inference{reg: reg, open: openSizes{batchB, probeSizes[1]}, known: map[*graph.Value]ops.Info{}}).run(g)
	facts := make(map[*graph.Value]fact, len(a))
	for v, x := range a {
		facts[v] = factOf(x, b[v])
	}
	return facts
}

type inference struct {
	reg   *ops.Registry
	open  openSizes
	known map[*graph.Value]ops.Info
	total int // bytes of constants
}

func (f *inference) run(g *graph.Graph) map[*graph.Value]ops.Info {
	for _, v := range g.In {
		f.known[v] = f.declared(v)
	}
	for _, n := range g.Nodes {
		for _, s := range n.Subgraphs() {
			f.run(s)
		}
		f.node(n)
	}
	return f.known
}

// declared is what the model states of a value.
func (f *inference) declared(v *graph.Value) ops.Info {
	t := v.Type
	x := ops.Info{Present: true}
	if t.Kind != graph.TensorKind {
		return x
	}
	x.DType, x.Known = t.DType, t.Ranked
	for k, d := range t.Shape {
		switch {
		case d.Size >= 0:
			x.Shape = append(x.Shape, d.Size)
		case k == 0:
			x.Shape = append(x.Shape, f.open.first)
		default:
			x.Shape = append(x.Shape, f.open.other)
		}
	}
	return x
}

func (f *inference) node(n *graph.Node) {
	in := make([]ops.Info, len(n.In))
	for i, v := range n.In {
		switch {
		case v == nil:
		case v.Const != nil:
			in[i] = ops.ConstInfo(v.Const)
		default:
			in[i] = f.known[v]
		}
	}
	o, err := f.reg.Resolve(n)
	var out []ops.Info
	if err == nil && f.total <= ops.MaxConstants {
		out, err = ops.Infer(o, n, in)
	}
	for i, v := range n.Out {
		if v == nil {
			continue
		}
		x := ops.Info{Present: true}
		if err == nil && i < len(out) {
			x = out[i]
		}
		if x.DType == 0 && v.Type.Kind == graph.TensorKind {
			x.DType = v.Type.DType
		}
		f.total += x.Size()
		f.known[v] = x
	}
}
