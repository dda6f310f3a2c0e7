package compress

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// editor rewrites a graph node by node: what a rewrite emits stands where the node stood.
type editor struct {
	m    *graph.Model
	out  []*graph.Node
	made int
}

// rewrite calls f for every node of the main graph; f returns true if it emitted the
// node's replacement (or nothing), false if the node stays as it is.
func rewrite(m *graph.Model, f func(e *editor, n *graph.Node) (bool, error)) error {
	e := &editor{m: m}
	for _, n := range m.Nodes {
		done, err := f(e, n)
		if err != nil {
			return fmt.Errorf("node %s (%s): %w", n.Label(), n.OpName(), err)
		}
		if !done {
			e.out = append(e.out, n)
		}
	}
	m.Nodes = e.out
	return nil
}

// constant makes a named constant.
func (e *editor) constant(name string, t *tensor.Tensor) *graph.Value {
	return &graph.Value{Name: name, Type: graph.TensorType(t.DType, t.Shape...), Const: t}
}

// value makes a value that no node has computed yet.
func (e *editor) value(stem string, d tensor.DType) *graph.Value {
	e.made++
	return &graph.Value{Name: stem, Type: graph.Type{DType: d}}
}

// emit adds a node of the standard's domain.
func (e *editor) emit(op string, in, out []*graph.Value, attrs graph.Attrs) *graph.Node {
	return e.emitIn("", op, in, out, attrs)
}

// emitIn adds a node; the model imports version 1 of a domain that it has not imported yet.
func (e *editor) emitIn(domain, op string, in, out []*graph.Value, attrs graph.Attrs) *graph.Node {
	if _, ok := e.m.Opsets[domain]; !ok {
		e.m.Opsets[domain] = 1
	}
	if attrs == nil {
		attrs = graph.Attrs{}
	}
	n := &graph.Node{Op: op, Domain: domain, Opset: e.m.Opsets[domain], In: in, Out: out, Attrs: attrs}
	for _, v := range out {
		v.Def = n
	}
	for _, v := range out {
		if n.Name = v.Name + "/" + op; v.Name != "" {
			break
		}
	}
	e.out = append(e.out, n)
	return n
}

func intAttr(n int64) *graph.Attr { return &graph.Attr{Kind: graph.AttrInt, I: n} }

// floats gives the elements of a constant float32 tensor of the given rank (any for −1);
// nil where v is something else.
func floats(v *graph.Value, rank int) ([]float32, tensor.Shape) {
	t := v.Tensor()
	if t == nil || t.DType != tensor.Float32 || rank >= 0 && t.Rank() != rank {
		return nil, nil
	}
	return tensor.Data[float32](t), t.Shape
}

// standard reports whether n is an operator of the standard's own domain.
func standard(n *graph.Node, op string) bool { return n.Domain == "" && n.Op == op }
