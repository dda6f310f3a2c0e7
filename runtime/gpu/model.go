package gpu

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/match"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// node is a graph node with its operator resolved and its values as slots.
type node struct {
	*graph.Node
	form    *ops.Op
	in, out []int // −1: left out
	// captured are the slots that nested graphs read.
	captured []int
}

// input is the slot of input i, −1 if it is left out.
func (n *node) input(i int) int {
	if i < len(n.in) {
		return n.in[i]
	}
	return -1
}

// match is the node as match takes it.
func (n *node) match() match.Node {
	return match.Node{Node: n.Node, In: n.in, Out: n.out, Captured: n.captured}
}

// model is a graph with its values numbered: inputs, constants, results.
type model struct {
	g       *graph.Graph
	nodes   []*node
	values  []*graph.Value // by slot
	slot    map[*graph.Value]int
	in, out []int
}

func newModel(g *graph.Graph, reg *ops.Registry) (*model, error) {
	m := &model{g: g, slot: map[*graph.Value]int{}}
	for _, v := range g.In {
		m.in = append(m.in, m.add(v))
	}
	for _, n := range g.Nodes {
		form, err := reg.Resolve(n)
		if err != nil {
			return nil, err
		}
		x := &node{Node: n, form: form}
		for _, v := range n.In {
			x.in = append(x.in, m.use(v))
		}
		for _, s := range n.Subgraphs() {
			for _, v := range s.Captures() {
				x.captured = append(x.captured, m.use(v))
			}
		}
		for _, v := range n.Out {
			if v == nil {
				x.out = append(x.out, -1)
				continue
			}
			x.out = append(x.out, m.add(v))
		}
		m.nodes = append(m.nodes, x)
	}
	for _, v := range g.Out {
		m.out = append(m.out, m.use(v))
	}
	return m, nil
}

func (m *model) add(v *graph.Value) int {
	i := len(m.values)
	m.slot[v] = i
	m.values = append(m.values, v)
	return i
}

func (m *model) use(v *graph.Value) int {
	if v == nil {
		return -1
	}
	if i, ok := m.slot[v]; ok {
		return i
	}
	return m.add(v)
}

// constantBytes is the memory of the model's constants.
func (m *model) constantBytes() (n int64) {
	for _, v := range m.values {
		if t := v.Tensor(); t != nil {
			n += int64(len(t.Bytes()))
		}
	}
	return n
}

// inference is what is known of every slot under given input shapes, and the nodes that
// are left to run.
type inference struct {
	info []ops.Info
	work []*node
}

// infer follows types and shapes through the graph; what is constant under them is
// folded.
func (m *model) infer(in []tensor.Value, maxBytes int) (*inference, error) {
	if len(in) != len(m.in) {
		return nil, fmt.Errorf("%d inputs, the graph has %d", len(in), len(m.in))
	}
	f := &inference{info: make([]ops.Info, len(m.values))}
	for i, v := range m.values {
		if v.Const != nil {
			f.info[i] = ops.ConstInfo(v.Const)
		}
	}
	for i, v := range in {
		f.info[m.in[i]] = ops.Info{Present: true}
		if t, ok := v.(*tensor.Tensor); ok {
			f.info[m.in[i]] = ops.Info{Present: true, DType: t.DType, Known: true, Shape: t.Shape.Clone()}
		}
	}
	constants := 0
	for _, n := range m.nodes {
		args := make([]ops.Info, len(n.in))
		for i, s := range n.in {
			if s >= 0 {
				args[i] = f.info[s]
			}
		}
		out, err := ops.Infer(n.form, n.Node, args)
		if err != nil {
			return nil, nodeError(n, err)
		}
		folded := len(n.out) > 0
		for i, s := range n.out {
			if s < 0 {
				continue
			}
			if constants += out[i].Size(); constants > ops.MaxConstants {
				out[i].Const = nil
			}
			folded = folded && out[i].Const != nil
			if err := affordable(out[i], maxBytes); err != nil {
				return nil, nodeError(n, err)
			}
			f.info[s] = out[i]
		}
		if !folded {
			f.work = append(f.work, n)
		}
	}
	return f, nil
}

func nodeError(n *node, err error) error {
	return fmt.Errorf("node %s (%s): %w", n.Label(), n.OpName(), err)
}

// affordable refuses a value that is beyond the memory of one run.
func affordable(x ops.Info, maxBytes int) error {
	if !x.Known {
		return nil
	}
	if err := x.Shape.Check(); err != nil {
		return err
	}
	if n := x.DType.Bytes(x.Shape.Elements()); n > maxBytes {
		return ops.TooLargef("a value would be %v%v, beyond the limit of %d bytes", x.DType, x.Shape, maxBytes)
	}
	return nil
}
