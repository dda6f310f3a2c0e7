package runtime_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/runtime/tensor"
)

// picture is a random graph while it grows: a build.Graph is made again of its steps for
// each trial, so that a step that does not fit can be dropped.
type picture struct {
	*rand.Rand
	opset int64
	steps []func(g *build.Graph)
	vals  []val
}

// val is a value of the graph, with its shape for a batch of two rows.
type val struct {
	name  string
	dtype build.DType
	shape tensor.Shape
}

const rowsInTrial = 2

func (p *picture) graph(outputs ...val) *build.Graph {
	g := build.New("g", p.opset)
	g.Input("x", build.Float, build.Sym("n"), build.Size(4), build.Size(3))
	g.Input("z", build.Float, build.Sym("n"), build.Size(4))
	g.Input("i", build.Int64, build.Sym("n"))
	for _, s := range p.steps {
		s(g)
	}
	for _, v := range outputs {
		g.Output(v.name, v.dtype, syms(v.name, len(v.shape))...)
	}
	return g
}

func newPicture(r *rand.Rand) *picture {
	p := &picture{Rand: r, opset: []int64{11, 13, 17, 18, 20}[r.IntN(5)]}
	p.vals = []val{{"x", build.Float, tensor.Shape{rowsInTrial, 4, 3}}, {"z", build.Float, tensor.Shape{rowsInTrial, 4}}, {"i", build.Int64, tensor.Shape{rowsInTrial}}}
	return p
}

// pick gives a value of the type.
func (p *picture) pick(d build.DType) val {
	var fit []val
	for _, v := range p.vals {
		if v.dtype == d {
			fit = append(fit, v)
		}
	}
	if p.IntN(2) == 0 {
		return fit[len(fit)-1]
	}
	return fit[p.IntN(len(fit))]
}

func (p *picture) axis(v val) int64 {
	n := len(v.shape)
	if n == 0 {
		return 0
	}
	return int64(p.IntN(2*n) - n)
}

func (p *picture) floats(n int) []float32 {
	f := make([]float32, n)
	for i := range f {
		f[i] = float32(p.IntN(17)-8) / 4
	}
	return f
}

// constant adds a constant of a shape that may broadcast to that of v.
func (p *picture) constant(g *build.Graph, name string, v val, r uint64) string {
	var dims []int64
	n := 1
	for k, d := range v.shape[min(int(r%3), len(v.shape)):] {
		if r>>(k+2)&1 == 0 {
			d = 1
		}
		dims, n = append(dims, int64(d)), n*d
	}
	return g.Const(name, p.floats(n), dims...)
}

// step is one more operator with random settings: what it makes, or nil for a form that
// the opset lacks.
func (p *picture) step(name string) (func(g *build.Graph), build.DType) {
	v, w, r := p.pick(build.Float), p.pick(build.Float), p.Uint64()
	axis, seed := p.axis(v), p.Uint64()
	// Constants are drawn again whenever the graph is made again: from the same numbers.
	redraw := func() { p.Rand = rand.New(rand.NewPCG(seed, 1)) }
	op := func(op string, in []string, attrs ...build.Attr) func(*build.Graph) {
		return func(g *build.Graph) { g.OpAs(name, op, in, attrs...) }
	}
	with := func(f func(g *build.Graph)) func(*build.Graph) {
		return func(g *build.Graph) {
			keep := p.Rand
			redraw()
			f(g)
			p.Rand = keep
		}
	}
	ints := func(g *build.Graph, stem string, s ...int64) string { return g.Const(name+stem, s, int64(len(s))) }
	axesOp := func(kind string, axes ...int64) func(*build.Graph) {
		return func(g *build.Graph) {
			keep := build.I("keepdims", int64(r>>9&1))
			if p.opset >= 18 || p.opset >= 13 && kind == "ReduceSum" {
				g.OpAs(name, kind, []string{v.name, ints(g, "axes", axes...)}, keep)
				return
			}
			g.OpAs(name, kind, []string{v.name}, keep, build.Is("axes", axes...))
		}
	}
	perm := func(n int) []int64 {
		var s []int64
		for _, k := range p.Perm(n) {
			s = append(s, int64(k))
		}
		return s
	}
	rank := len(v.shape)
	if rank == 0 {
		return nil, 0
	}
	switch p.IntN(42) {
	case 0:
		return op([]string{"Relu", "Tanh", "Sigmoid", "Neg", "Erf", "Identity"}[r%6], []string{v.name}), build.Float
	case 1, 2:
		return op([]string{"Add", "Sub", "Mul", "Max", "Min"}[r%5], []string{v.name, w.name}), build.Float
	case 3:
		return with(func(g *build.Graph) { g.OpAs(name, "Add", []string{v.name, p.constant(g, name+"c", v, r)}) }), build.Float
	case 4:
		return op([]string{"Softmax", "LogSoftmax", "Hardmax"}[r%3], []string{v.name}, build.I("axis", axis)), build.Float
	case 5, 6:
		return axesOp([]string{"ReduceSum", "ReduceMean", "ReduceMax"}[r%3], axis), build.Float
	case 7:
		s := perm(rank)
		return op("Transpose", []string{v.name}, build.Is("perm", s...)), build.Float
	case 8, 9:
		// A reshape to the factors of the elements, −1 in one place, 0 where it may be.
		targets := [][]int64{{-1, 12}, {-1, 4}, {-1, 3, 4}, {0, -1}, {-1}, {1, -1}, {4, -1}, {-1, 2, 2}, {0, 0, -1}, {-1, 1}, {3, -1}, {2, -1}, {-1, 6}, {-1, 2}, {-1, 3}, {4, -1, 3}, {3, -1, 4}}
		s := targets[r%uint64(len(targets))]
		return func(g *build.Graph) { g.OpAs(name, "Reshape", []string{v.name, ints(g, "s", s...)}) }, build.Float
	case 10:
		from, to := int64(p.IntN(4)-2), []int64{1, 2, 3, -1, 10, math.MaxInt64}[r%6]
		if from == -2 {
			from = 0
		}
		step := []int64{1, 1, 2, -1}[r>>8%4]
		return func(g *build.Graph) {
			g.OpAs(name, "Slice", []string{v.name, ints(g, "f", from), ints(g, "t", to), ints(g, "a", axis), ints(g, "p", step)})
		}, build.Float
	case 11, 12:
		return op("Concat", []string{v.name, w.name}, build.I("axis", axis)), build.Float
	case 13:
		return func(g *build.Graph) {
			g.Add(build.Node{Op: "Split", Inputs: []string{v.name}, Outputs: []string{name, name + "b"}, Attrs: splitAttrs(p.opset, axis)})
		}, build.Float
	case 14:
		return func(g *build.Graph) {
			var s []int64
			for k, d := range v.shape {
				if r>>k&1 == 0 {
					d = 1
				}
				s = append(s, int64(d))
			}
			if r>>20&1 == 0 {
				s = append([]int64{2}, s...)
			}
			g.OpAs(name, "Expand", []string{v.name, ints(g, "s", s...)})
		}, build.Float
	case 15:
		return func(g *build.Graph) {
			s := make([]int64, rank)
			for k := range s {
				s[k] = int64(1 + r>>k&1)
			}
			g.OpAs(name, "Tile", []string{v.name, ints(g, "s", s...)})
		}, build.Float
	case 16:
		return func(g *build.Graph) {
			s := make([]int64, 2*rank)
			for k := range s {
				s[k] = []int64{0, 0, 1, -1}[r>>(2*k)&3]
			}
			g.OpAs(name, "Pad", []string{v.name, ints(g, "s", s...)}, build.S("mode", []string{"constant", "edge", "reflect"}[r%3]))
		}, build.Float
	case 17:
		return func(g *build.Graph) {
			g.OpAs(name, "Gather", []string{v.name, g.Const(name+"i", []int64{1, 0, 1}[:1+r%3], int64(1+r%3))}, build.I("axis", axis))
		}, build.Float
	case 18:
		return with(func(g *build.Graph) {
			g.OpAs(name, "Gather", []string{g.Const(name+"t", p.floats(8), 2, 4), p.index(g, name)}, build.I("axis", int64(r&1)))
		}), build.Float
	case 19:
		return op("Gather", []string{v.name, "i"}, build.I("axis", axis)), build.Float
	case 20:
		return func(g *build.Graph) {
			cond := g.Op("Greater", []string{v.name, w.name})
			g.OpAs(name, "Where", []string{cond, v.name, w.name})
		}, build.Float
	case 21:
		if p.opset < 17 {
			return nil, 0
		}
		return with(func(g *build.Graph) {
			a := int(axis)
			if a < 0 {
				a += rank
			}
			var dims []int64
			n := 1
			for _, d := range v.shape[min(a, rank):] {
				dims, n = append(dims, int64(d)), n*d
			}
			g.OpAs(name, "LayerNormalization", []string{v.name, g.Const(name+"s", p.floats(n), dims...)}, build.I("axis", axis))
		}), build.Float
	case 22:
		return with(func(g *build.Graph) {
			k := v.shape[rank-1]
			g.OpAs(name, "MatMul", []string{v.name, g.Const(name+"w", p.floats(2*k), int64(k), 2)})
		}), build.Float
	case 23:
		return func(g *build.Graph) {
			g.OpAs(name, "MatMul", []string{v.name, g.Op("Transpose", []string{w.name}, build.Is("perm", swapped(len(w.shape))...))})
		}, build.Float
	case 24:
		return with(func(g *build.Graph) {
			k := v.shape[rank-1]
			c := [][]int64{{2}, {1, 2}, {1, 1}, {2, 2}, {rowsInTrial, 1}, {}}[r%6]
			n := 1
			for _, d := range c {
				n *= int(d)
			}
			in := []string{v.name, g.Const(name+"w", p.floats(2*k), int64(k), 2), g.Const(name+"b", p.floats(n), c...)}
			if r>>12&3 == 0 {
				in[2] = w.name
			}
			g.OpAs(name, "Gemm", in, build.I("transA", int64(r>>10&1)))
		}), build.Float
	case 25:
		return func(g *build.Graph) {
			switch {
			case r&1 == 0:
				g.OpAs(name, "Squeeze", []string{v.name})
			case p.opset >= 13:
				g.OpAs(name, "Squeeze", []string{v.name, ints(g, "a", axis)})
			default:
				g.OpAs(name, "Squeeze", []string{v.name}, build.Is("axes", axis))
			}
		}, build.Float
	case 26:
		at := int64(p.IntN(rank + 1))
		return func(g *build.Graph) {
			if p.opset >= 13 {
				g.OpAs(name, "Unsqueeze", []string{v.name, ints(g, "a", at)})
			} else {
				g.OpAs(name, "Unsqueeze", []string{v.name}, build.Is("axes", at))
			}
		}, build.Float
	case 27:
		return func(g *build.Graph) {
			g.Add(build.Node{Op: "TopK", Inputs: []string{v.name, ints(g, "k", 2)}, Outputs: []string{name, name + "i"}, Attrs: []build.Attr{build.I("axis", axis)}})
		}, build.Float
	case 28:
		// The size of an axis as data, as the shape of a constant, or as both.
		return func(g *build.Graph) {
			shape := g.Op("Shape", []string{v.name})
			size := g.Op("Gather", []string{shape, g.Const(name+"k", []int64{axis}, 1)})
			f := g.Op("Cast", []string{size}, build.I("to", 1))
			switch r % 5 {
			case 0:
				g.OpAs(name, "Div", []string{v.name, f})
			case 1:
				g.OpAs(name, "Div", []string{v.name, g.Op("Expand", []string{f, shape})})
			case 2:
				g.OpAs(name, "Add", []string{v.name, g.Op("ConstantOfShape", []string{shape}, build.T("value", build.Tensor{Dims: []int64{1}, Data: []float32{2}}))})
			case 3:
				one := g.Op("Sub", []string{size, g.Const(name+"one", []int64{1}, 1)})
				g.OpAs(name, "Slice", []string{v.name, one, size, g.Const(name+"a", []int64{int64(r >> 8 % 3)}, 1)})
			default:
				zero := g.Const(name+"zero", []int64{0})
				count := g.Op("Range", []string{zero, g.Op("Reshape", []string{size, g.Const(name+"s", []int64{}, 0)}), g.Const(name+"one", []int64{1})})
				g.OpAs(name, "Add", []string{v.name, g.Op("Cast", []string{count}, build.I("to", 1))})
			}
		}, build.Float
	case 29:
		return op("CumSum", []string{v.name, ""}), build.Float // never fits: the axis is required
	case 30:
		return func(g *build.Graph) {
			g.OpAs(name, "CumSum", []string{v.name, g.Const(name+"a", []int64{axis})})
		}, build.Float
	case 31:
		return func(g *build.Graph) {
			a := g.Op("ArgMax", []string{v.name}, build.I("axis", axis), build.I("keepdims", int64(r&1)))
			g.OpAs(name, "Cast", []string{a}, build.I("to", 1))
		}, build.Float
	case 32:
		return op("Trilu", []string{v.name}, build.I("upper", int64(r&1))), build.Float
	case 33:
		return op("LpNormalization", []string{v.name}, build.I("axis", axis), build.I("p", int64(1+r&1))), build.Float
	case 34:
		return func(g *build.Graph) {
			at := g.Op("Cast", []string{g.Op("Greater", []string{v.name, w.name})}, build.I("to", 7))
			g.OpAs(name, "ScatterElements", []string{v.name, at, g.Op("Add", []string{v.name, w.name})}, build.I("axis", axis))
		}, build.Float
	case 35:
		return func(g *build.Graph) {
			at := g.Op("Cast", []string{g.Op("Greater", []string{v.name, w.name})}, build.I("to", 7))
			g.OpAs(name, "OneHot", []string{at, g.Const(name+"d", []int64{2}), g.Const(name+"v", []float32{-1, 2}, 2)}, build.I("axis", axis))
		}, build.Float
	case 36:
		return func(g *build.Graph) {
			complex := g.Op("Unsqueeze", []string{v.name, ints(g, "last", int64(rank))})
			if p.opset >= 20 {
				g.OpAs(name, "DFT", []string{complex, "", g.Const(name+"a", []int64{axis})})
			} else {
				g.OpAs(name, "DFT", []string{complex}, build.I("axis", axis))
			}
		}, build.Float
	case 37:
		return func(g *build.Graph) { // an image and a grid of one line
			to := func(of, stem string, s ...int64) string { return g.Op("Reshape", []string{of, ints(g, stem, s...)}) }
			image, grid := to(v.name, "image", []int64{0, -1, 1}[r%3], 1, 2, 2), to(w.name, "grid", []int64{0, -1}[r>>4%2], 1, []int64{1, 2}[r>>5%2], 2)
			g.OpAs(name, "GridSample", []string{image, grid})
		}, build.Float
	case 38:
		return func(g *build.Graph) { // places of the last axis, which comes first for it
			perm := append([]int64{int64(rank - 1)}, perm(rank-1)...)
			at := [][]int64{{1}, {1, 0}, {0, 1}}[r%3] // one place of one axis; two; one of two axes
			places := g.Const(name+"at", at, [][]int64{{1, 1}, {2, 1}, {1, 2}}[r%3]...)
			data := g.Op("Transpose", []string{v.name}, build.Is("perm", perm...))
			updates := g.Op("GatherND", []string{data, places})
			g.OpAs(name, "ScatterND", []string{data, places, g.Op("Neg", []string{updates})})
		}, build.Float
	case 39, 40:
		if rank != 2 {
			return nil, 0
		}
		return func(g *build.Graph) { // the largest of each row, by the row's number, or counted through all rows, perhaps wrongly
			zero, one := g.Const(name+"zero", []int64{0}), g.Const(name+"one", []int64{1})
			count := g.Op("Range", []string{zero, g.Op("Gather", []string{g.Op("Shape", []string{v.name}), zero}), one})
			at := g.Op("ArgMax", []string{v.name}, build.I("axis", 1), build.I("keepdims", 0))
			if r&1 == 0 {
				unsqueeze := func(of string) string { return g.Op("Reshape", []string{of, ints(g, "column"+of, -1, 1)}) }
				g.OpAs(name, "GatherND", []string{v.name, g.Op("Concat", []string{unsqueeze(count), unsqueeze(at)}, build.I("axis", 1))})
				return
			}
			stride := g.Const(name+"stride", []int64{int64(v.shape[1]) + []int64{0, 0, 0, 1, -1}[r>>4%5]})
			places := g.Op("Add", []string{g.Op("Mul", []string{count, stride}), at})
			g.OpAs(name, "Gather", []string{g.Op("Reshape", []string{v.name, ints(g, "flat", -1)}), places})
		}, build.Float
	default:
		return func(g *build.Graph) {
			g.OpAs(name, "Flatten", []string{v.name}, build.I("axis", axis))
		}, build.Float
	}
}

func splitAttrs(opset, axis int64) []build.Attr {
	if opset >= 18 {
		return []build.Attr{build.I("axis", axis), build.I("num_outputs", 2)}
	}
	return []build.Attr{build.I("axis", axis)}
}

func swapped(rank int) []int64 {
	s := make([]int64, rank)
	for i := range s {
		s[i] = int64(i)
	}
	if rank > 1 {
		s[rank-1], s[rank-2] = s[rank-2], s[rank-1]
	}
	return s
}

// index is the input i, or what is computed of it.
func (p *picture) index(g *build.Graph, name string) string {
	if p.IntN(2) == 0 {
		return "i"
	}
	return g.Op("Sub", []string{g.Const(name+"one", []int64{1}, 1), "i"})
}

// rowsOf makes inputs of n rows; row k is a function of seeds[k] alone.
func rowsOf(seeds []uint64) []tensor.Value {
	n := len(seeds)
	x, z, i := tensor.New(tensor.Float32, tensor.Shape{n, 4, 3}), tensor.New(tensor.Float32, tensor.Shape{n, 4}), tensor.New(tensor.Int64, tensor.Shape{n})
	for k, s := range seeds {
		r := rand.New(rand.NewPCG(s, 9))
		for j := range 12 {
			tensor.Data[float32](x)[12*k+j] = float32(r.NormFloat64())
		}
		for j := range 4 {
			tensor.Data[float32](z)[4*k+j] = float32(r.NormFloat64())
		}
		tensor.Data[int64](i)[k] = int64(r.IntN(2))
	}
	return []tensor.Value{x, z, i}
}

// compute gives the outputs, copied.
func compute(m *runtime.Model, in []tensor.Value) (out []*tensor.Tensor, err error) {
	c := &device.Call{In: in}
	if err := m.Run(context.Background(), c); err != nil {
		return nil, err
	}
	defer c.Release()
	for _, v := range c.Out {
		t, ok := v.(*tensor.Tensor)
		if !ok {
			return nil, fmt.Errorf("an output is a %T", v)
		}
		out = append(out, t.Clone())
	}
	return out, nil
}

// rowwise compares a model's answers for rows together with those for each alone and for
// some of them in another order.
func rowwise(m *runtime.Model, seeds []uint64) error {
	whole, err := compute(m, rowsOf(seeds))
	if err != nil {
		return fmt.Errorf("%d rows: %w", len(seeds), err)
	}
	parts := [][]int{}
	for k := range seeds {
		parts = append(parts, []int{k})
	}
	n := len(seeds)
	parts = append(parts, []int{n - 1, 0}, []int{n / 2, n - 1, 0, 1})
	for _, part := range parts {
		var s []uint64
		for _, k := range part {
			s = append(s, seeds[k])
		}
		some, err := compute(m, rowsOf(s))
		if err != nil {
			return fmt.Errorf("rows %v of %d: %w", part, n, err)
		}
		for o := range whole {
			if len(whole[o].Shape) == 0 || whole[o].Shape[0] != n {
				return fmt.Errorf("output %d of %d rows is %v", o, n, whole[o])
			}
			if len(some[o].Shape) == 0 || some[o].Shape[0] != len(part) {
				return fmt.Errorf("output %d of rows %v is %v", o, part, some[o])
			}
			for j, k := range part {
				if err := sameRow(some[o].Rows(j, j+1), whole[o].Rows(k, k+1)); err != nil {
					return fmt.Errorf("output %d, row %d of %d among %v: %w", o, k, n, part, err)
				}
			}
		}
	}
	return nil
}

func sameRow(a, b *tensor.Tensor) error {
	if !a.Shape.Equal(b.Shape) {
		return fmt.Errorf("shapes %v and %v", a.Shape, b.Shape)
	}
	va, err := tensor.Float64s(a)
	if err != nil {
		return err
	}
	vb, err := tensor.Float64s(b)
	if err != nil {
		return err
	}
	for i := range va {
		if math.IsNaN(va[i]) && math.IsNaN(vb[i]) || va[i] == vb[i] {
			continue
		}
		if d := math.Abs(va[i] - vb[i]); !(d <= 1e-5+1e-4*math.Abs(vb[i])) {
			return fmt.Errorf("element %d is %v and %v", i, va[i], vb[i])
		}
	}
	return nil
}

// TestProvedRowsAreIndependent grows random graphs of what the row rules know and of what
// mixes rows, and holds every proof to the answers.
func TestProvedRowsAreIndependent(t *testing.T) {
	graphs := 3000
	if testing.Short() {
		graphs = 300
	}
	e := runtime.NewEngine(runtime.Config{CPU: cpu.Config{Threads: 1, MaxBytes: 1 << 24}})
	proved, refused, wrong := 0, 0, 0
	for seed := range graphs {
		p := newPicture(rand.New(rand.NewPCG(uint64(seed), 7)))
		for k := 0; k < 1+p.IntN(6); k++ {
			p.grow(e, fmt.Sprintf("v%d", len(p.vals)))
		}
		if len(p.vals) < 4 {
			continue
		}
		last := p.vals[len(p.vals)-1]
		g := p.graph(last)
		m, err := e.Read(encode(t, g))
		if err != nil {
			continue
		}
		if !m.Batch.Rows {
			refused++
			m.Close()
			continue
		}
		proved++
		for _, n := range []int{2, 3, 5, 12, 17} {
			seeds := make([]uint64, n)
			for k := range seeds {
				seeds[k] = uint64(100*seed + k)
			}
			if err := rowwise(m, seeds); err != nil {
				var dump strings.Builder
				_ = m.Graph.Dump(&dump)
				t.Errorf("graph %d is said to keep its rows apart: %v\n%s", seed, err, dump.String())
				wrong++
				break
			}
		}
		m.Close()
		if wrong > 5 {
			t.Fatal("and perhaps more")
		}
	}
	t.Logf("%d graphs proved, %d refused", proved, refused)
	if proved < graphs/20 || refused < graphs/20 {
		t.Errorf("%d graphs proved and %d refused of %d: too few to say much", proved, refused, graphs)
	}
}

// grow adds one operator that runs, or none.
func (p *picture) grow(e *runtime.Engine, name string) {
	for range 4 {
		s, d := p.step(name)
		if s == nil {
			continue
		}
		p.steps = append(p.steps, s)
		b, err := p.graph(val{name: name, dtype: d, shape: tensor.Shape{1}}).Encode()
		if err == nil {
			if m, err := e.Read(b); err == nil {
				out, err := compute(m, rowsOf([]uint64{1, 2}))
				m.Close()
				if err == nil && out[0].Elements() > 0 && out[0].Elements() < 4096 && len(out[0].Shape) < 6 {
					p.vals = append(p.vals, val{name, d, out[0].Shape})
					return
				}
			}
		}
		p.steps = p.steps[:len(p.steps)-1]
	}
}
