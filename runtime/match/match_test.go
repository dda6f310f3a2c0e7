package match

import (
	"math"
	"slices"
	"testing"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// sketch is a plan in the making.
type sketch struct {
	nodes []Node
	info  []ops.Info
	out   []int
	opset int
}

func (p *sketch) value(shape ...int) int {
	p.info = append(p.info, ops.Info{Present: true, DType: tensor.Float32, Known: true, Shape: shape})
	return len(p.info) - 1
}

func (p *sketch) constant(v []float32, shape ...int) int {
	p.info = append(p.info, ops.ConstInfo(tensor.FromSlice(v, shape...)))
	return len(p.info) - 1
}

func (p *sketch) scalar(v float64) int { return p.constant([]float32{float32(v)}) }

// op adds a node whose result has the shape, and gives the result.
func (p *sketch) op(op string, shape []int, in ...int) int {
	out := p.value(shape...)
	p.nodes = append(p.nodes, Node{Node: &graph.Node{Op: op, Opset: max(p.opset, 17), Attrs: graph.Attrs{}}, In: in, Out: []int{out}})
	if p.opset > 0 {
		p.nodes[len(p.nodes)-1].Opset = p.opset
	}
	return out
}

// set gives the last node an attribute of integers.
func (p *sketch) set(name string, v ...int64) {
	p.nodes[len(p.nodes)-1].Attrs[name] = graph.IntsAttr(v...)
}

func (p *sketch) graph() *Graph {
	return New(Plan{Nodes: len(p.nodes), Node: func(i int) Node { return p.nodes[i] }, Out: p.out, Info: func(s int) *ops.Info { return &p.info[s] },
		Direct: func(s int) bool { return p.info[s].Known }})
}

// TestSpelledFunctions finds functions of several nodes, all nodes of each, and finds none where another reads
// what would not be there any more.
func TestSpelledFunctions(t *testing.T) {
	shape := []int{2, 3}
	for name, c := range map[string]struct {
		spell func(p *sketch, x int) int
		want  act.Func
	}{
		"gelu, halved last": {func(p *sketch, x int) int {
			e := p.op("Add", shape, p.op("Erf", shape, p.op("Div", shape, x, p.scalar(math.Sqrt2))), p.scalar(1))
			return p.op("Mul", shape, p.op("Mul", shape, x, e), p.scalar(0.5))
		}, act.Gelu},
		"gelu, halved first": {func(p *sketch, x int) int {
			h := p.op("Mul", shape, p.scalar(0.5), x)
			e := p.op("Add", shape, p.scalar(1), p.op("Erf", shape, p.op("Mul", shape, x, p.scalar(1/math.Sqrt2))))
			return p.op("Mul", shape, e, h)
		}, act.Gelu},
		"gelu by tanh, of a power": {func(p *sketch, x int) int {
			c := p.op("Add", shape, x, p.op("Mul", shape, p.op("Pow", shape, x, p.scalar(3)), p.scalar(0.044715)))
			e := p.op("Add", shape, p.op("Tanh", shape, p.op("Mul", shape, c, p.scalar(math.Sqrt(2/math.Pi)))), p.scalar(1))
			return p.op("Mul", shape, p.op("Mul", shape, x, p.scalar(0.5)), e)
		}, act.GeluTanh},
		"gelu by tanh, of products": {func(p *sketch, x int) int {
			c := p.op("Add", shape, p.scalar(1), p.op("Mul", shape, p.op("Mul", shape, x, p.scalar(0.044715)), x))
			e := p.op("Tanh", shape, p.op("Mul", shape, p.op("Mul", shape, x, p.scalar(0.79788456)), c))
			return p.op("Mul", shape, p.op("Div", shape, x, p.scalar(2)), p.op("Add", shape, p.scalar(1), e))
		}, act.GeluTanh},
		"quick gelu": {func(p *sketch, x int) int {
			return p.op("Mul", shape, x, p.op("Sigmoid", shape, p.op("Mul", shape, x, p.scalar(1.702))))
		}, act.Silu},
		"silu": {func(p *sketch, x int) int { return p.op("Mul", shape, x, p.op("Sigmoid", shape, x)) }, act.Silu},
		"mish": {func(p *sketch, x int) int {
			return p.op("Mul", shape, p.op("Tanh", shape, p.op("Softplus", shape, x)), x)
		}, act.Mish},
		"hard swish": {func(p *sketch, x int) int {
			c := p.op("Clip", shape, p.op("Add", shape, x, p.scalar(3)), p.scalar(0), p.scalar(6))
			return p.op("Div", shape, p.op("Mul", shape, x, c), p.scalar(6))
		}, act.HardSwish},
		"hard swish by a sixth": {func(p *sketch, x int) int {
			c := p.op("Clip", shape, p.op("Add", shape, x, p.scalar(3)), p.scalar(0), p.scalar(6))
			return p.op("Mul", shape, x, p.op("Mul", shape, c, p.scalar(1./6)))
		}, act.HardSwish},
	} {
		p := &sketch{}
		x := p.value(shape...)
		y := c.spell(p, x)
		a, ok := p.graph().ActivationAt(x)
		if !ok || a.Act.Func != c.want || a.Out != y || len(a.Nodes) != len(p.nodes) {
			t.Errorf("%s: %+v, %v", name, a, ok)
		}
		for k := range len(p.nodes) - 1 {
			other := *p
			other.out = []int{p.nodes[k].Out[0]}
			if a, ok := other.graph().ActivationAt(x); ok {
				t.Errorf("%s: found although the result of %s is wanted: %+v", name, p.nodes[k].Op, a)
			}
		}
	}
}

func TestFollow(t *testing.T) {
	shape := []int{4, 3}
	all := func(p *sketch, x int) (bias, rest int) {
		bias, rest = p.constant([]float32{1, 2, 3}, 3), p.value(shape...)
		h := p.op("Div", shape, x, p.scalar(4))
		p.out = []int{p.op("Relu", shape, p.op("Add", shape, rest, p.op("Add", shape, h, bias)))}
		return bias, rest
	}
	for name, c := range map[string]struct {
		tail  Tail
		opset int
		nodes int
	}{
		"all":            {Tail{Scales: true}, 0, 4},
		"no scale":       {Tail{}, 0, 0},
		"another's bias": {Tail{Scales: true, Biased: true}, 0, 0},
		"no residual":    {Tail{Scales: true, Alone: true}, 0, 2},
		"no function":    {Tail{Scales: true, Takes: func(act.Func) bool { return false }}, 0, 3},
		"old broadcasts": {Tail{Scales: true}, 6, 0},
	} {
		p := &sketch{opset: c.opset}
		x := p.value(shape...)
		bias, rest := all(p, x)
		tail := c.tail
		tail.Bias, tail.Residual, tail.Out = -1, -1, x
		p.graph().Follow(&tail, 3, 1)
		if len(tail.Nodes) != c.nodes {
			t.Errorf("%s: %d nodes, want %d", name, len(tail.Nodes), c.nodes)
		}
		if c.nodes > 0 && (tail.Alpha != 0.25 || tail.Bias != bias) || (tail.Residual == rest) != (c.nodes > 2) || (tail.Act.Func == act.Relu) != (c.nodes > 3) {
			t.Errorf("%s: %+v", name, tail)
		}
	}
}

func TestSpelledNorm(t *testing.T) {
	for name, c := range map[string]struct {
		scaled, shifted, read bool
		nodes                 int
	}{"whole": {true, true, false, 9}, "scaled": {true, false, false, 8}, "bare": {false, false, false, 7}, "read elsewhere": {true, true, true, 0}} {
		p := &sketch{}
		x, shape, one := p.value(4, 3), []int{4, 3}, []int{4, 1}
		mean := func(x int) int {
			y := p.op("ReduceMean", one, x)
			p.set("axes", -1)
			return y
		}
		d := p.op("Sub", shape, x, mean(x))
		s := p.op("Sqrt", one, p.op("Add", one, mean(p.op("Mul", shape, d, d)), p.scalar(1e-5)))
		y := p.op("Div", shape, d, s)
		gamma, beta := p.constant([]float32{1, 2, 3}, 3), p.constant([]float32{4, 5, 6}, 3)
		if c.scaled {
			y = p.op("Mul", shape, y, gamma)
		}
		if c.shifted {
			y = p.op("Add", shape, y, beta)
		}
		if c.read {
			p.op("Neg", shape, d)
		}
		n, ok := p.graph().SpelledNorm(0)
		if ok != (c.nodes > 0) {
			t.Errorf("%s: %v", name, ok)
		}
		if ok && (len(n.Nodes) != c.nodes || n.X != x || n.Out != y || n.Epsilon != 1e-5 || (n.Gamma == gamma) != c.scaled || (n.Beta == beta) != c.shifted) {
			t.Errorf("%s: %+v", name, n)
		}
	}
}

func TestAttention(t *testing.T) {
	const seqs, heads, tokens, width = 2, 3, 5, 4
	rows, split, scored := []int{seqs, tokens, heads, width}, []int{seqs, heads, tokens, width}, []int{seqs, heads, tokens, tokens}
	for _, transposed := range []bool{false, true} {
		p := &sketch{}
		operand := func(shape []int, perm ...int64) int {
			x := p.value(rows...)
			y := p.op("Transpose", shape, x)
			p.set("perm", perm...)
			return y
		}
		q, k, v := p.value(split...), operand([]int{seqs, heads, width, tokens}, 0, 2, 3, 1), p.value(split...)
		if transposed {
			q, v = operand(split, 0, 2, 1, 3), operand(split, 0, 2, 1, 3)
		}
		mask := p.value(seqs, 1, 1, tokens)
		s := p.op("Add", scored, p.op("Mul", scored, p.op("MatMul", scored, q, k), p.scalar(0.5)), mask)
		softmax := len(p.nodes)
		y := p.op("MatMul", split, p.op("Softmax", scored, s), v)
		out := Head{y, heads * tokens * width, tokens * width, width}
		if transposed {
			y = p.op("Transpose", rows, y)
			p.set("perm", 0, 2, 1, 3)
			out = Head{y, tokens * heads * width, width, heads * width}
		}
		a, ok := p.graph().Attention(softmax)
		if !ok || a.Scale != 0.5 || a.Mask != mask || a.MaskStep != [4]int{tokens, 0, 0, 1} || a.Out != out || len(a.Nodes) != len(p.nodes) {
			t.Errorf("transposed %v: %+v, %v", transposed, a, ok)
		}
		side := Head{Seq: tokens * heads * width, Head: width, Token: heads * width}
		if a.K.Slot = 0; a.K != side {
			t.Errorf("K lies as %+v", a.K)
		}
		want := Head{q, heads * tokens * width, tokens * width, width}
		if transposed {
			want = side
			want.Slot = p.nodes[1].In[0]
		}
		if a.Q != want {
			t.Errorf("transposed %v: Q lies as %+v, want %+v", transposed, a.Q, want)
		}
		wanted := *p
		wanted.out = []int{s}
		if a, ok := wanted.graph().Attention(softmax); ok {
			t.Errorf("found although the scores are wanted: %+v", a)
		}
	}
}

func TestBatchNorm(t *testing.T) {
	p := &sketch{}
	x := p.value(1, 2, 4, 4)
	vector := func(a, b float32) int { return p.constant([]float32{a, b}, 2) }
	p.op("BatchNormalization", []int{1, 2, 4, 4}, x, vector(2, 3), vector(1, 1), vector(4, 5), vector(4-1e-5, 9-1e-5))
	g := p.graph()
	scale, shift, ok := g.BatchNorm(g.Node(0), 2)
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-6 }
	if !ok || !slices.EqualFunc(scale, []float64{1, 1}, near) || !slices.EqualFunc(shift, []float64{-3, -4}, near) {
		t.Errorf("%v, %v, %v", scale, shift, ok)
	}
	if _, _, ok := g.BatchNorm(g.Node(0), 3); ok {
		t.Error("three channels of two")
	}
	p.nodes[0].Attrs["training_mode"] = graph.IntAttr(1)
	if _, _, ok := g.BatchNorm(g.Node(0), 2); ok {
		t.Error("a batch norm that trains was taken")
	}
}
