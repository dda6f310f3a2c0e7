package pass

import (
	"bytes"
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// Rows tries to prove that every row of every output is a function of the same row of
// the inputs alone, so that requests may be put together along axis 0. The reason says
// what was proved, or what stands in the way.
//
// It follows the batch axis from the inputs through each node by that operator's rule
// (rowRules). Shapes are made concrete for the purpose, with two batch sizes: what grows
// with the batch is then plain to see, and shape arithmetic folds away. A symbolic first
// dimension by itself proves nothing.
func Rows(g *graph.Graph, reg *ops.Registry) (ok bool, reason string) {
	for _, v := range g.In {
		if v.Type.Kind != graph.TensorKind || !v.Type.Ranked || len(v.Type.Shape) == 0 {
			return false, fmt.Sprintf("input %q is no tensor with a batch axis", v.Name)
		}
		if v.Type.Shape[0].Size >= 0 {
			return false, fmt.Sprintf("input %q has the fixed first extent %d", v.Name, v.Type.Shape[0].Size)
		}
	}
	if len(g.In) == 0 {
		return false, "the model has no inputs"
	}
	a, b, err := probe(g, reg)
	if err != nil {
		return false, fmt.Sprintf("shapes can't be inferred: %v", err)
	}
	p := &rowProof{a: a, b: b, at: map[*graph.Value]rows{}}
	for _, v := range g.In {
		p.at[v] = rows{kind: perRow, unit: 1}
	}
	for _, n := range g.Nodes {
		if err := p.node(n); err != nil {
			return false, fmt.Sprintf("node %s (%s): %v", n.Label(), n.OpName(), err)
		}
	}
	for _, v := range g.Out {
		if s := p.state(v); s.kind != perRow || s.axis != 0 || s.unit != 1 {
			return false, fmt.Sprintf("output %q does not have one row for each row of the input", v.Name)
		}
	}
	return true, "every output row depends on the same input row alone"
}

// The two batch sizes are primes that models hardly use as extents.
const (
	batchA = 3
	batchB = 7
)

// probeSizes are tried for unknown extents other than the batch, until shapes fit:
// convolutional models want multiples of 32, sequence models take anything.
var probeSizes = []int{64, 320, 16, 48, 128, 512, 1}

func probe(g *graph.Graph, reg *ops.Registry) (a, b map[*graph.Value]ops.Info, err error) {
	for _, size := range probeSizes {
		if a, err = inferAll(g, reg, batchA, size); err != nil {
			continue
		}
		if b, err = inferAll(g, reg, batchB, size); err == nil {
			return a, b, nil
		}
	}
	return nil, nil, err
}

// inferAll infers every value of g for one batch size.
func inferAll(g *graph.Graph, reg *ops.Registry, batch, size int) (map[*graph.Value]ops.Info, error) {
	known := map[*graph.Value]ops.Info{}
	for _, v := range g.In {
		s := tensor.Shape{batch}
		for _, d := range v.Type.Shape[1:] {
			if d.Size < 0 {
				s = append(s, size)
			} else {
				s = append(s, d.Size)
			}
		}
		known[v] = ops.Info{Present: true, DType: v.Type.DType, Known: true, Shape: s}
	}
	look := func(v *graph.Value) ops.Info {
		if v == nil {
			return ops.Info{}
		}
		if v.Const != nil {
			return ops.ConstInfo(v.Const)
		}
		return known[v]
	}
	for _, n := range g.Nodes {
		o, err := reg.Resolve(n)
		if err != nil {
			return nil, err
		}
		in := make([]ops.Info, len(n.In))
		for i, v := range n.In {
			in[i] = look(v)
		}
		out, err := ops.Infer(o, n, in)
		if err != nil {
			return nil, fmt.Errorf("node %s (%s): %w", n.Label(), n.OpName(), err)
		}
		for i, v := range n.Out {
			if v != nil {
				known[v] = out[i]
			}
		}
	}
	return known, nil
}

type rowKind uint8

const (
	fixed  rowKind = iota // does not depend on the rows at all
	perRow                // an axis holds the rows, in order
	sizes                 // holds the batch size as a number: good for shapes alone
)

// rows is where a value keeps the rows of the batch: along axis, unit elements each.
type rows struct {
	kind rowKind
	axis int
	unit int
}

type rowProof struct {
	a, b map[*graph.Value]ops.Info
	at   map[*graph.Value]rows
}

func (p *rowProof) state(v *graph.Value) rows {
	if v == nil || v.Const != nil {
		return rows{}
	}
	return p.at[v]
}

func (p *rowProof) info(v *graph.Value) ops.Info {
	if v != nil && v.Const != nil {
		return ops.ConstInfo(v.Const)
	}
	return p.a[v]
}

func (p *rowProof) node(n *graph.Node) error {
	if done, err := p.constants(n); done || err != nil {
		return err
	}
	c := &rowCall{p: p, n: n}
	carried := false
	for i, v := range n.In {
		s := p.state(v)
		if s.kind == sizes && !shapeInput(n, i) {
			return fmt.Errorf("input %d holds the batch size as data", i)
		}
		carried = carried || s.kind == perRow
	}
	for _, s := range n.Subgraphs() {
		for _, v := range s.Captures() {
			if p.state(v).kind != fixed {
				return fmt.Errorf("nested graphs are not followed")
			}
		}
	}
	rule := rowRules[n.OpName()]
	if rule == nil && carried {
		return fmt.Errorf("the operator is not known to keep rows apart")
	}
	if rule == nil || !carried && !makesRows[n.OpName()] {
		return p.free(n)
	}
	return rule(c)
}

// free settles a node that no row enters: its outputs must not change with the batch.
func (p *rowProof) free(n *graph.Node) error {
	for _, v := range n.Out {
		if v == nil {
			continue
		}
		if a, b := p.a[v], p.b[v]; !a.Known || !b.Known || !a.Shape.Equal(b.Shape) {
			return fmt.Errorf("its output changes with the batch size")
		}
		p.at[v] = rows{}
	}
	return nil
}

// constants settles a node whose outputs all folded under both batch sizes.
func (p *rowProof) constants(n *graph.Node) (done bool, err error) {
	for _, v := range n.Out {
		if v != nil && (p.a[v].Tensor() == nil || p.b[v].Tensor() == nil) {
			return false, nil
		}
	}
	for _, v := range n.Out {
		if v == nil {
			continue
		}
		a, b := p.a[v].Tensor(), p.b[v].Tensor()
		switch {
		case a.DType == tensor.String:
			return true, fmt.Errorf("text is computed from the batch size")
		case !a.Shape.Equal(b.Shape):
			if !uniform(a) || !uniform(b) || len(a.Shape) != len(b.Shape) {
				return true, fmt.Errorf("values are computed from the batch size")
			}
			axis, unit, ok := growing(a.Shape, b.Shape)
			if !ok {
				return true, fmt.Errorf("more than the batch axis grows with the batch size")
			}
			p.at[v] = rows{perRow, axis, unit}
		case bytes.Equal(a.Bytes(), b.Bytes()):
			p.at[v] = rows{}
		default:
			p.at[v] = rows{kind: sizes}
		}
	}
	return true, nil
}

// uniform reports whether all elements are the same.
func uniform(t *tensor.Tensor) bool {
	w, b := t.DType.Bits()/8, t.Bytes()
	return w > 0 && (len(b) <= w || bytes.Equal(b[w:], b[:len(b)-w]))
}

// growing finds the one axis whose extent is proportional to the batch.
func growing(a, b tensor.Shape) (axis, unit int, ok bool) {
	axis = -1
	for i := range a {
		if a[i] == b[i] {
			continue
		}
		if axis >= 0 || a[i]%batchA != 0 || a[i]/batchA*batchB != b[i] {
			return 0, 0, false
		}
		axis, unit = i, a[i]/batchA
	}
	return axis, unit, axis >= 0
}
