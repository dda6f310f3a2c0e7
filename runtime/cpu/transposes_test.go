package cpu_test

import (
	"slices"
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops/all"
	"github.com/aimass/aimass/runtime/pass"
	"github.com/aimass/aimass/runtime/tensor"
)

// permutedGraph makes a graph of what the pass transposes moves and of what it does not, between
// transpositions back and forth.
type permutedGraph struct {
	*builder
	values []*graph.Value
	shapes map[*graph.Value]tensor.Shape
}

func (p *permutedGraph) add(v *graph.Value, shape tensor.Shape) {
	p.values = append(p.values, v)
	p.shapes[v] = shape
}

// pick gives a value of some rank, most often a late one.
func (p *permutedGraph) pick(rank int) (*graph.Value, tensor.Shape) {
	for range 30 {
		v := p.values[len(p.values)-1-p.IntN(min(len(p.values), 4))]
		if len(p.shapes[v]) == rank {
			return v, p.shapes[v]
		}
	}
	return p.values[0], p.shapes[p.values[0]]
}

func (p *permutedGraph) transpose(v *graph.Value, perm ...int64) {
	s := p.shapes[v]
	out := make(tensor.Shape, len(perm))
	for i, k := range perm {
		out[i] = s[k]
	}
	p.add(p.node("Transpose", attrs{"perm": graph.IntsAttr(perm...)}, v), out)
}

// broadcast is a shape that goes with s, of as many axes or fewer.
func (p *permutedGraph) broadcast(s tensor.Shape) tensor.Shape {
	out := s.Clone()
	for k := range out {
		if p.IntN(2) == 0 {
			out[k] = 1
		}
	}
	return out[p.IntN(len(out)+1):]
}

func (p *permutedGraph) step() {
	v, s := p.pick(4)
	if len(s) != 4 || s.Elements() > 4000 {
		return
	}
	axis := p.IntN(4)
	at := attrs{"axis": graph.IntAttr(int64(axis - 4*p.IntN(2)))}
	reduced := s.Clone()
	reduced[axis] = 1
	switch p.IntN(22) {
	case 0, 1, 2, 3, 4:
		perms := [][]int64{{0, 3, 1, 2}, {0, 2, 3, 1}, {0, 3, 1, 2}, {0, 2, 3, 1}, {0, 2, 1, 3}, {1, 0, 3, 2}}
		p.transpose(v, perms[p.IntN(len(perms))]...)
	case 5, 6:
		p.add(p.node([]string{"Relu", "Sigmoid", "Neg", "Abs"}[p.IntN(4)], nil, v), s)
	case 7, 8:
		p.add(p.node([]string{"Add", "Mul", "Max"}[p.IntN(3)], nil, v, p.constant(p.floats(p.broadcast(s)...))), s)
	case 9:
		for _, w := range p.values {
			if w != v && p.shapes[w].Equal(s) {
				p.add(p.node("Sub", nil, w, v), s)
				return
			}
		}
	case 10:
		p.add(p.node("Concat", at, v, v, p.constant(p.floats(s...))), slices.Concat(s[:axis], tensor.Shape{3 * s[axis]}, s[axis+1:]))
	case 11:
		if s[axis] > 1 {
			cut := s.Clone()
			cut[axis]--
			p.add(p.node("Slice", nil, v, p.int64s(1), p.int64s(1<<40), p.int64s(int64(axis))), cut)
		}
	case 12:
		grown, pads := s.Clone(), make([]int64, 8)
		grown[axis] += 3
		pads[axis], pads[axis+4] = 1, 2
		p.add(p.node("Pad", nil, v, p.int64s(pads...), p.scalar(2)), grown)
	case 13:
		p.add(p.node("ReduceMean", attrs{"axes": graph.IntsAttr(int64(axis), int64(axis+2)%4)}, v), func() tensor.Shape { r := reduced.Clone(); r[(axis+2)%4] = 1; return r }())
	case 14:
		a, b := 1+p.IntN(3), 1+p.IntN(3)
		if a == b {
			return
		}
		var left tensor.Shape
		for k, d := range s {
			if k != a && k != b {
				left = append(left, d)
			}
		}
		r := p.node("ReduceSum", attrs{"keepdims": graph.IntAttr(0)}, v, p.int64s(int64(a), int64(b)))
		p.add(r, left)
		back := tensor.Shape{1, 1, 1, 1}
		at := []int{0, 1 + p.IntN(3)}
		back[at[0]], back[at[1]] = left[0], left[1]
		to := []int64{int64(back[0]), int64(back[1]), int64(back[2]), int64(back[3])}
		to[at[p.IntN(2)]] = -1
		p.add(p.node("Reshape", nil, r, p.int64s(to...)), back)
	case 15:
		p.add(p.node("Softmax", at, v), s)
	case 16:
		p.add(p.node("Cast", attrs{"to": graph.IntAttr(1)}, p.node("ArgMax", at, v)), reduced)
	case 17:
		twice := s.Clone()
		twice[axis] *= 2
		scales := []float32{1, 1, 1, 1}
		scales[axis] = 2
		p.add(p.node("Resize", attrs{"mode": graph.StrAttr("nearest")}, v, nil, p.constant(tensor.FromSlice(scales, 4))), twice)
	case 18:
		parts := p.nodes("Split", 2, at, v, p.int64s(1, int64(s[axis]-1)))
		first, rest := s.Clone(), s.Clone()
		first[axis], rest[axis] = 1, s[axis]-1
		if s[axis] > 1 {
			p.add(parts[0], first)
			p.add(parts[1], rest)
		} else {
			p.g.Nodes = p.g.Nodes[:len(p.g.Nodes)-1]
		}
	case 19:
		scale, zero := p.constant(p.positive(s[axis])), p.constant(tensor.New(tensor.Int8, tensor.Shape{s[axis]}))
		q := p.node("QuantizeLinear", at, v, scale, zero)
		p.add(p.node("DequantizeLinear", at, q, scale, zero), s)
	case 20:
		picked := s.Clone()
		picked[axis] = 3
		p.add(p.node("Gather", at, v, p.int64s(0, int64(s[axis]-1), 0)), picked)
	case 21:
		tiled, times := s.Clone(), []int64{1, 1, 1, 1}
		tiled[axis], times[axis] = 2*s[axis], 2
		p.add(p.node("Tile", nil, v, p.int64s(times...)), tiled)
	}
}

// newPermutedGraph is the same graph for the same seed.
func newPermutedGraph(seed uint64) *permutedGraph {
	p := &permutedGraph{builder: newBuilder(seed), shapes: map[*graph.Value]tensor.Shape{}}
	s := tensor.Shape{1 + p.IntN(3), 2 + p.IntN(4), 2 + p.IntN(4), 2 + p.IntN(6)}
	x := p.input(p.floats(s...))
	if p.IntN(2) == 0 {
		x.Type.Shape[0] = graph.Dim{Size: -1}
	}
	p.add(x, s)
	for range 8 + p.IntN(25) {
		p.step()
	}
	read := p.g.Users()
	for _, v := range p.values[1:] {
		if len(read[v]) == 0 || p.IntN(12) == 0 {
			p.g.Out = append(p.g.Out, v)
		}
	}
	if len(p.g.Out) == 0 {
		p.g.Out = []*graph.Value{p.node("Neg", nil, x)}
	}
	return p
}

// work counts the transpositions that a run makes.
func (p *permutedGraph) work(t *testing.T) (n int) {
	t.Helper()
	_, steps := p.run(t, true, 1)
	for _, s := range steps {
		if s.Nodes[0].Op == "Transpose" {
			n++
		}
	}
	return n
}

// The pass changes no answer, and never leaves more transpositions than there were.
func TestLoweredTransposes(t *testing.T) {
	saved := 0
	for seed := range uint64(300) {
		before, after := newPermutedGraph(seed), newPermutedGraph(seed)
		for range 2 {
			if err := pass.Run(after.g, all.Registry(), "expand", "fold", "parallel"); err != nil {
				t.Fatal(err)
			}
			if err := after.g.Check(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		want, _ := before.run(t, true, 1)
		// Kernels sum in another order, so that the greatest of nearly equal values may be another.
		exact := slices.ContainsFunc(before.g.Nodes, func(n *graph.Node) bool { return n.Op == "ArgMax" })
		for _, plain := range []bool{true, false} {
			if exact && !plain {
				continue
			}
			got, steps := after.run(t, plain, 1)
			for i := range want {
				if err := differ(got[i].(*tensor.Tensor), want[i].(*tensor.Tensor), close32); err != nil {
					t.Fatalf("seed %d, plain %v: output %d: %v\n%s", seed, plain, i, err, after.describe(steps))
				}
			}
		}
		a, b := before.work(t), after.work(t)
		if saved += a - b; b > a {
			t.Errorf("seed %d: %d transpositions became %d", seed, a, b)
		}
	}
	if saved < 150 {
		t.Errorf("%d transpositions saved", saved)
	}
}
