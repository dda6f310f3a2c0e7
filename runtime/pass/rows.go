package pass

import (
	"bytes"
	"fmt"
	"slices"

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
// with the batch is then plain to see, and shape arithmetic folds away. Further batch
// sizes, 1 among them, must show the same, so that what happens at one size alone (an
// axis squeezed away, a limit reached) is no proof; and other unknown extents are tried
// with two sizes where two fit. A symbolic first dimension by itself proves nothing.
func Rows(g *graph.Graph, reg *ops.Registry) (ok bool, reason string) {
	var err error
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
	first := 0
	for _, size := range probeSizes {
		if ok, reason, err = rowsAt(g, reg, size, batchesBeside); err == nil {
			first = size
			break
		}
	}
	if err != nil {
		return false, fmt.Sprintf("shapes can't be inferred: %v", err)
	}
	if !ok || !openExtents(g) {
		return ok, reason
	}
	for _, size := range otherSizes {
		if size == first {
			continue
		}
		if ok, reason, err := rowsAt(g, reg, size, nil); err == nil {
			return ok, reason
		}
	}
	return true, everyRow
}

const everyRow = "every output row depends on the same input row alone"

// openExtents reports whether an input leaves another extent open than that of the batch.
func openExtents(g *graph.Graph) bool {
	for _, v := range g.In {
		for _, d := range v.Type.Shape[1:] {
			if d.Size < 0 {
				return true
			}
		}
	}
	return false
}

// The two batch sizes of the proof are primes that models hardly use as extents.
const (
	batchA = 3
	batchB = 7
)

// batchesBeside are the sizes at which the proof is checked: one row, whose axis has an
// extent that broadcasts and squeezes; a few; and more than small limits.
var batchesBeside = []int{1, 2, 61}

// probeSizes are tried for unknown extents other than the batch, until shapes fit:
// convolutional models want multiples of 32, sequence models take anything.
var probeSizes = []int{64, 320, 16, 48, 128, 512, 1}

// otherSizes are tried beside the size that fitted, small ones first.
var otherSizes = []int{16, 48, 96, 320}

// rowsAt proves with one size for the unknown extents, and checks with further batch
// sizes; err says that the size does not fit.
func rowsAt(g *graph.Graph, reg *ops.Registry, size int, beside []int) (ok bool, reason string, err error) {
	p := &rowProof{reg: reg, at: map[*graph.Value]rows{}, shape: func(v *graph.Value, batch int) tensor.Shape { return batchShape(v, batch, size) }}
	for _, v := range g.In {
		p.at[v] = along(0, 1)
	}
	return p.prove(g, "row", beside)
}

// prove follows the rows from the inputs, whose state is set, to the outputs; what are rows
// is called name in reasons. err says that the sizes don't fit.
func (p *rowProof) prove(g *graph.Graph, name string, beside []int) (ok bool, reason string, err error) {
	if p.a, err = p.infer(g, batchA); err != nil {
		return false, "", err
	}
	if p.b, err = p.infer(g, batchB); err != nil {
		return false, "", err
	}
	for _, n := range g.Nodes {
		if err := p.node(n); err != nil {
			return false, fmt.Sprintf("node %s (%s): %v", n.Label(), n.OpName(), err), nil
		}
	}
	for _, v := range g.Out {
		if s := p.state(v); s != along(p.axis(v), 1) {
			return false, fmt.Sprintf("output %q does not have one %s for each %s of the input", v.Name, name, name), nil
		}
	}
	for _, batch := range beside {
		c, err := p.infer(g, batch)
		if err != nil {
			return false, fmt.Sprintf("a batch of %d does not fit: %v", batch, err), nil
		}
		if err := p.holds(g, c, batch); err != nil {
			return false, fmt.Sprintf("a batch of %d: %v", batch, err), nil
		}
	}
	return true, everyRow, nil
}

// axis is where an output must keep the rows.
func (p *rowProof) axis(v *graph.Value) int {
	if p.outAxis == nil {
		return 0
	}
	return p.outAxis[v]
}

// holds checks what was proved against the shapes and constants of another batch size.
func (p *rowProof) holds(g *graph.Graph, c map[*graph.Value]ops.Info, batch int) error {
	for _, n := range g.Nodes {
		for _, v := range n.Out {
			if v == nil {
				continue
			}
			a, x, s := p.a[v], c[v], p.at[v]
			if a.Known != x.Known || len(a.Shape) != len(x.Shape) {
				return fmt.Errorf("node %s (%s) gives another rank", n.Label(), n.OpName())
			}
			for k, d := range a.Shape {
				if s.kind != fixed && s.kind != sizes && k == s.axis {
					d = s.extent() * batch
				}
				if x.Shape[k] != d {
					return fmt.Errorf("node %s (%s) gives the shape %v", n.Label(), n.OpName(), x.Shape)
				}
			}
			if ta, tx := a.Tensor(), x.Tensor(); s.kind != sizes && s.kind != numbers && ta != nil && tx != nil && !alike(ta, tx) &&
				(s.kind != perRow || !sameRows(ta, tx, s.axis, s.unit)) {
				return fmt.Errorf("node %s (%s) gives other values", n.Label(), n.OpName())
			}
		}
		if err := p.holdsOwn(n, c); err != nil {
			return fmt.Errorf("node %s (%s): %w", n.Label(), n.OpName(), err)
		}
	}
	return nil
}

// alike reports whether two constants are equal, or the same value repeated.
func alike(a, b *tensor.Tensor) bool {
	if a.DType == tensor.String {
		return slices.Equal(a.Strings(), b.Strings())
	}
	if a.Shape.Equal(b.Shape) {
		return bytes.Equal(a.Bytes(), b.Bytes())
	}
	w := a.DType.Bits() / 8
	return uniform(a) && uniform(b) && (len(a.Bytes()) == 0 || len(b.Bytes()) == 0 || bytes.Equal(a.Bytes()[:w], b.Bytes()[:w]))
}

// batchShape is an input's shape for one batch size, with size for all else that is open.
func batchShape(v *graph.Value, batch, size int) tensor.Shape {
	s := tensor.Shape{batch}
	for _, d := range v.Type.Shape[1:] {
		if d.Size < 0 {
			s = append(s, size)
		} else {
			s = append(s, d.Size)
		}
	}
	return s
}

// infer infers every value of g for one batch size.
func (p *rowProof) infer(g *graph.Graph, batch int) (map[*graph.Value]ops.Info, error) {
	reg, known := p.reg, map[*graph.Value]ops.Info{}
	for _, v := range g.In {
		s := p.shape(v, batch)
		if err := s.Check(); err != nil {
			return nil, fmt.Errorf("input %q: %w", v.Name, err)
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
	total := 0
	for _, n := range g.Nodes {
		o, err := reg.Resolve(n)
		if err != nil {
			return nil, err
		}
		in := make([]ops.Info, len(n.In))
		for i, v := range n.In {
			in[i] = look(v)
		}
		if total > ops.MaxConstants {
			return nil, fmt.Errorf("its constants take more than %d bytes", ops.MaxConstants)
		}
		out, err := ops.Infer(o, n, in)
		if err != nil {
			return nil, fmt.Errorf("node %s (%s): %w", n.Label(), n.OpName(), err)
		}
		for i, v := range n.Out {
			if v != nil {
				known[v] = out[i]
				total += out[i].Size()
			}
		}
	}
	return known, nil
}

type rowKind uint8

const (
	fixed   rowKind = iota // does not depend on the rows at all
	perRow                 // an axis holds the rows, in order
	sizes                  // holds the batch size as a number: good for shapes alone
	numbers                // a constant with an element for each row, not the same for all: good for indices alone
	places                 // indices of something in the row's own part of another value: what is read through them is by rows
)

// rows is where a value keeps the rows of the batch: along axis, unit elements each. The axis
// may hold all the rows several times over, as [tokens·batch, features] does, which a
// reshape of [tokens, batch, features] gives: then over is how often, else 0.
type rows struct {
	kind rowKind
	axis int
	unit int
	over int
	// Of places: the component on the last axis that is the row's number, or stride, where that counts stride elements for each row.
	part, stride int
}

// along is where rows lie once along an axis.
func along(axis, unit int) rows { return rows{kind: perRow, axis: axis, unit: unit} }

// times is how often the axis holds all the rows.
func (r rows) times() int { return max(r.over, 1) }

// extent is how many elements of the axis are one row's.
func (r rows) extent() int { return r.unit * r.times() }

type rowProof struct {
	reg *ops.Registry
	// shape is an input's shape for a number of rows.
	shape func(v *graph.Value, batch int) tensor.Shape
	// outAxis is where each output must keep the rows; nil: all on axis 0.
	outAxis map[*graph.Value]int
	a, b    map[*graph.Value]ops.Info
	at      map[*graph.Value]rows
	below   map[*graph.Value]int // integers that are at least 0 and below this
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
	rule := rowRules[n.OpName()]
	if o, err := p.reg.Resolve(n); err != nil || o.Impure && rule == nil {
		return fmt.Errorf("its answer is not a function of its inputs")
	}
	c := &rowCall{p: p, n: n}
	carried := false
	for i, v := range n.In {
		s := p.state(v)
		if s.kind == sizes && !shapeInput(n, i) {
			return fmt.Errorf("input %d holds the batch size as data", i)
		}
		picks := i == 1 && (n.OpName() == "Gather" || n.OpName() == "GatherND")
		if s.kind == numbers && !picks && n.OpName() != "Concat" && n.OpName() != "Add" || s.kind == places && !picks {
			return fmt.Errorf("input %d has values that depend on the row's number or the batch size", i)
		}
		carried = carried || s.kind != fixed && s.kind != sizes
	}
	for _, s := range n.Subgraphs() {
		for _, v := range s.Captures() {
			if p.state(v).kind != fixed {
				return fmt.Errorf("nested graphs are not followed")
			}
		}
	}
	if rule == nil && carried {
		return fmt.Errorf("the operator is not known to keep rows apart")
	}
	if rule == nil || !carried && !makesRows[n.OpName()] {
		return p.free(n)
	}
	if err := rule(c); err != nil {
		return err
	}
	c.bound()
	return nil
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
			if len(a.Shape) != len(b.Shape) {
				return true, fmt.Errorf("its rank changes with the batch size")
			}
			axis, unit, ok := growing(a.Shape, b.Shape)
			if !ok {
				return true, fmt.Errorf("more than the batch axis grows with the batch size")
			}
			if p.at[v] = (rows{kind: numbers, axis: axis, unit: unit}); alike(a, b) || sameRows(a, b, axis, unit) {
				p.at[v] = along(axis, unit)
			}
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
