package pass

import (
	"time"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// foldLimit keeps folding from blowing small files up (a ConstantOfShape of gigabytes):
// a result may be this large, or four times as large as what it was computed from: weights
// that rest in a byte each become floats.
const foldLimit = 16 << 20

// A small file can hold many nodes that each fold to foldLimit, or take seconds: beyond
// these sums nodes are left to the run.
const (
	foldBytes = 1 << 30
	foldTime  = 10 * time.Second
)

// folder adds up what folding one model takes.
type folder struct {
	reg   *ops.Registry
	limit int // a result may be this large,
	grow  int // or this many times as large as what it was computed from
	bytes int
	until time.Time
}

// fold computes what is constant once, when the model is loaded. Nested graphs are
// folded too. A node whose Eval fails is left: it fails when it runs, if it ever does.
func fold(g *graph.Graph, reg *ops.Registry) error {
	f := &folder{reg: reg, limit: foldLimit, grow: 4, until: time.Now().Add(foldTime)}
	f.graph(g)
	return nil
}

// FoldSmall is the pass fold for a graph that is written to a file again: a result may be as
// large as what it was computed from, or a few kilobytes, so that a file never grows by it
// and weights that rest in a narrow type stay there. Dead nodes go too.
func FoldSmall(g *graph.Graph, reg *ops.Registry) {
	f := &folder{reg: reg, limit: 4 << 10, grow: 1, until: time.Now().Add(foldTime)}
	f.graph(g)
	sweep(g)
}

func (f *folder) graph(g *graph.Graph) {
	keep := g.Nodes[:0]
	for _, n := range g.Nodes {
		for _, s := range n.Subgraphs() {
			f.graph(s)
		}
		if f.bytes > foldBytes || !f.node(n) {
			keep = append(keep, n)
		}
	}
	clear(g.Nodes[len(keep):])
	g.Nodes = keep
}

func (f *folder) node(n *graph.Node) bool {
	o, err := f.reg.Resolve(n)
	if err != nil || o.Impure || len(n.Subgraphs()) > 0 || len(n.In) > 0 && ops.BytesAtRest(n, n.In[0].Tensor()) {
		return false
	}
	in, size := make([]tensor.Value, len(n.In)), f.limit
	infos := make([]ops.Info, len(n.In))
	for i, v := range n.In {
		if v == nil {
			continue
		}
		if v.Const == nil {
			return false
		}
		in[i] = v.Const
		infos[i] = ops.Info{Present: true, Const: v.Const}
		if t := v.Tensor(); t != nil {
			infos[i].DType, infos[i].Known, infos[i].Shape = t.DType, true, t.Shape
			size = max(size, f.grow*t.Size())
		}
	}
	if v := n.Attrs["value"]; v != nil && v.T != nil {
		size = max(size, v.T.Size()) // a Constant node
	}
	if o.Shape != nil {
		c := &ops.ShapeCall{Node: n, In: infos, Out: make([]ops.Info, len(n.Out))}
		if err := o.Shape(c); err != nil {
			return false
		}
		for _, x := range c.Out {
			if x.Known && x.DType.Bytes(x.Shape.Elements()) > size {
				return false
			}
		}
	}
	c := &ops.Call{Node: n, In: in, Out: make([]tensor.Value, len(n.Out)), MaxBytes: size}
	if time.Now().After(f.until) || !evaluates(o, c) {
		return false
	}
	for i, v := range n.Out {
		if v != nil {
			v.Const, v.Def = c.Out[i], nil
			if t := v.Tensor(); t != nil {
				f.bytes += t.Size() + 16*len(t.Strings())
				v.Type = graph.TensorType(t.DType, t.Shape...)
			}
		}
	}
	return true
}

// evaluates runs Eval and reports whether every wanted output came out of it.
func evaluates(o *ops.Op, c *ops.Call) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	if o.Eval(c) != nil {
		return false
	}
	for i, v := range c.Node.Out {
		if v != nil && (i >= len(c.Out) || c.Out[i] == nil) {
			return false
		}
	}
	return true
}
