package pass

import (
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// foldLimit keeps folding from blowing small files up (a ConstantOfShape of gigabytes):
// a result may be this large, or as large as what it was computed from.
const foldLimit = 16 << 20

// fold computes what is constant once, when the model is loaded. Nested graphs are
// folded too. A node whose Eval fails is left: it fails when it runs, if it ever does.
func fold(g *graph.Graph, reg *ops.Registry) error {
	keep := g.Nodes[:0]
	for _, n := range g.Nodes {
		for _, s := range n.Subgraphs() {
			if err := fold(s, reg); err != nil {
				return err
			}
		}
		if !foldNode(n, reg) {
			keep = append(keep, n)
		}
	}
	clear(g.Nodes[len(keep):])
	g.Nodes = keep
	return nil
}

func foldNode(n *graph.Node, reg *ops.Registry) bool {
	o, err := reg.Resolve(n)
	if err != nil || o.Impure || len(n.Subgraphs()) > 0 {
		return false
	}
	in, size := make([]tensor.Value, len(n.In)), foldLimit
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
			size = max(size, len(t.Bytes()))
		}
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
	if !evaluates(o, c) {
		return false
	}
	for i, v := range n.Out {
		if v != nil {
			v.Const, v.Def = c.Out[i], nil
			if t := v.Tensor(); t != nil {
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
