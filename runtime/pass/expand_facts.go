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

// facts infers types and shapes twice, with other sizes for what a model leaves open.
type facts [2]*inference

func newFacts(reg *ops.Registry) facts {
	return facts{
		{reg: reg, first: batchA, tokens: 16, pixels: 64, known: map[*graph.Value]ops.Info{}},
		{reg: reg, first: batchB, tokens: 48, pixels: 320, known: map[*graph.Value]ops.Info{}},
	}
}

// of is what is known of a value.
func (f facts) of(v *graph.Value) fact {
	if v == nil {
		return fact{}
	}
	return factOf(f[0].look(v), f[1].look(v))
}

func (f facts) inputs(g *graph.Graph) {
	for _, v := range g.In {
		f[0].known[v], f[1].known[v] = f[0].declared(v), f[1].declared(v)
	}
}

func (f facts) node(n *graph.Node) {
	f[0].node(n)
	f[1].node(n)
}

// rename gives what is known of a value to the one that takes its place.
func (f facts) rename(old, v *graph.Value) {
	f[0].known[v], f[1].known[v] = f[0].known[old], f[1].known[old]
}

// inference follows types and shapes through a graph. What can't be inferred is left unknown,
// with the type that the model states.
type inference struct {
	reg *ops.Registry
	// What stands for extents that are open: of the first axis, of others, and of images.
	first, tokens, pixels int
	known                 map[*graph.Value]ops.Info
	total                 int // bytes of constants
}

func (f *inference) look(v *graph.Value) ops.Info {
	if v == nil {
		return ops.Info{}
	}
	if v.Const != nil {
		return ops.ConstInfo(v.Const)
	}
	return f.known[v]
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
			x.Shape = append(x.Shape, f.first)
		case len(t.Shape) > 3:
			x.Shape = append(x.Shape, f.pixels)
		default:
			x.Shape = append(x.Shape, f.tokens)
		}
	}
	return x
}

func (f *inference) node(n *graph.Node) {
	in := make([]ops.Info, len(n.In))
	for i, v := range n.In {
		in[i] = f.look(v)
	}
	out := f.outputs(n, in)
	if out == nil { // the sizes don't fit; types may follow from types alone
		for i, x := range in {
			in[i] = ops.Info{Present: x.Present, DType: x.DType}
		}
		out = f.outputs(n, in)
	}
	for i, v := range n.Out {
		if v == nil {
			continue
		}
		x := ops.Info{Present: true}
		if i < len(out) {
			x = out[i]
		}
		if x.DType == tensor.Invalid && v.Type.Kind == graph.TensorKind {
			x.DType = v.Type.DType
		}
		f.total += x.Size()
		f.known[v] = x
	}
}

// outputs is what follows from the inputs, nil if they don't fit.
func (f *inference) outputs(n *graph.Node, in []ops.Info) []ops.Info {
	o, err := f.reg.Resolve(n)
	if err != nil || f.total > ops.MaxConstants {
		return nil
	}
	out, err := ops.Infer(o, n, in)
	if err != nil {
		return nil
	}
	return out
}
