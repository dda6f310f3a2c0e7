package lower

import (
	"fmt"
	"slices"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/elementwise"
	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/runtime/tensor"
)

// recurrent is an LSTM, GRU or RNN over sequences of equal length. Rows are those of the
// batch; a state of the batch lies with one row behind the other or, with the batch
// outermost, seq rows apart.
type recurrent struct {
	seq, batch, in, hidden, dirs int
	gates                        int
	batchFirst, reverse          bool
	x, y, yh, yc, h0, c0         int // slots, −1 for none
	wx, sums, cell, extra        int // scratch slots: input products, gates, cell state, one gate more
	w                            []*gemm.PackedB
	r, rh                        []*gemm.PackedB // rh: the last gate of a GRU apart
	bias                         [][]float32     // of wx
	biasH                        [][]float32     // of rh
	act                          act.Act         // of an RNN
	before                       bool            // linear_before_reset
}

// defaults are the activations that the steps below have.
var defaultActs = map[string][]string{"LSTM": {"Sigmoid", "Tanh", "Tanh"}, "GRU": {"Sigmoid", "Tanh"}}

// lowerRecurrent takes LSTM, GRU and RNN in float32 with constant weights, with the
// standard's own activations, without peepholes, clipping or lengths.
func lowerRecurrent(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	p := &recurrent{x: n.In[0], y: -1, yh: -1, yc: -1, h0: n.input(5), c0: n.input(6), gates: map[string]int{"LSTM": 4, "GRU": 3, "RNN": 1}[n.Node.Op]}
	w, r := f.constant(n.In[1]), f.constant(n.In[2])
	if !f.f32(p.x) || w == nil || r == nil || !f.f32(n.In[1]) || !f.f32(n.In[2]) || n.input(4) >= 0 || n.input(7) >= 0 || !p.attributes(n) {
		return nil, false
	}
	for k, to := range []*int{&p.y, &p.yh, &p.yc} {
		if k < len(n.Out) && n.Out[k] >= 0 {
			if *to = n.Out[k]; !f.f32(*to) {
				return nil, false
			}
		}
	}
	sx := f.shape(p.x)
	p.seq, p.batch, p.in, p.hidden, p.dirs = sx[0], sx[1], sx[2], r.Shape[2], r.Shape[0]
	if p.batchFirst {
		p.seq, p.batch = p.batch, p.seq
	}
	if p.seq*p.batch*p.in*p.hidden == 0 {
		return nil, false
	}
	for _, s := range []int{p.h0, p.c0} {
		if s >= 0 && (!f.f32(s) || f.shape(s).Elements() != p.dirs*p.batch*p.hidden) {
			return nil, false
		}
	}
	var bias []float32
	if b := n.input(3); b >= 0 {
		if bias = f.constF32(b); bias == nil {
			return nil, false
		}
	}
	p.pack(f, n, w, r, bias)
	g := &group{nodes: []int{i}, reads: []int{p.x, p.h0, p.c0}, run: p.run}
	p.wx = f.scratch(tensor.Float32, p.seq*p.batch*p.gates*p.hidden)
	p.sums = f.scratch(tensor.Float32, p.batch*p.gates*p.hidden)
	p.cell = f.scratch(tensor.Float32, p.batch*p.hidden)
	p.extra = f.scratch(tensor.Float32, p.batch*p.hidden)
	if p.y < 0 {
		p.y = f.scratch(tensor.Float32, p.seq*p.dirs*p.batch*p.hidden)
	}
	g.writes = []int{p.y, p.yh, p.yc, p.wx, p.sums, p.cell, p.extra}
	return g, true
}

// attributes reads and checks the node's attributes.
func (p *recurrent) attributes(n *Node) bool {
	a := n.Attrs
	p.batchFirst = a.Int("layout", 0) != 0
	p.reverse = a.Str("direction", "forward") == "reverse"
	p.before = a.Int("linear_before_reset", 0) != 0
	if a.Has("clip") || a.Int("input_forget", 0) != 0 || a.Has("activation_alpha") || a.Has("activation_beta") {
		return false
	}
	names := a.Strs("activations")
	if n.Node.Op == "RNN" {
		p.act = act.Act{Func: act.Tanh}
		for k, s := range names {
			fn, ok := map[string]act.Func{"Tanh": act.Tanh, "Relu": act.Relu, "Sigmoid": act.Sigmoid}[s]
			if !ok || k > 0 && fn != p.act.Func {
				return false
			}
			p.act.Func = fn
		}
		return true
	}
	def := defaultActs[n.Node.Op]
	return len(names) == 0 || slices.Equal(names, def) || slices.Equal(names, slices.Concat(def, def))
}

// pack lays the weights out once for all plans.
func (p *recurrent) pack(f *fuser, n *Node, w, r *tensor.Tensor, bias []float32) {
	type packed struct{ w, r, rh []*gemm.PackedB }
	h, g := p.hidden, p.gates*p.hidden
	k := f.pl.Packed.get(w, fmt.Sprintf("recurrent %p", n.Node), func() (any, int64) {
		k, size := &packed{}, 0
		wv, rv := tensor.Data[float32](w), tensor.Data[float32](r)
		for d := range p.dirs {
			first := g
			if n.Node.Op == "GRU" {
				first = 2 * h
				k.rh = append(k.rh, gemm.PackB(h, h, rv[(d*g+first)*h:], h, true))
			}
			k.w = append(k.w, gemm.PackB(p.in, g, wv[d*g*p.in:], p.in, true))
			k.r = append(k.r, gemm.PackB(h, first, rv[d*g*h:], h, true))
		}
		for _, b := range slices.Concat(k.w, k.r, k.rh) {
			size += b.Bytes()
		}
		return k, int64(size)
	}).(*packed)
	p.w, p.r, p.rh = k.w, k.r, k.rh
	for d := range p.dirs {
		b, bh := make([]float32, g), make([]float32, h)
		if bias != nil {
			of := bias[d*2*g : (d+1)*2*g]
			for j := range b {
				b[j] = of[j]
				if n.Node.Op == "GRU" && p.before && j >= 2*h {
					bh[j-2*h] = of[g+j]
				} else {
					b[j] += of[g+j]
				}
			}
		}
		p.bias, p.biasH = append(p.bias, b), append(p.biasH, bh)
	}
}

// The cell functions as programs; registers are numbered by input.
var (
	// f, c, i, g → σ(f)·c + σ(i)·tanh(g)
	lstmCell = program(4, apply(act.Sigmoid, 0), apply(act.Sigmoid, 2), apply(act.Tanh, 3), both(elementwise.Mul, 0, 0, 1), both(elementwise.Mul, 2, 2, 3), both(elementwise.Add, 0, 0, 2))
	// o, c → σ(o)·tanh(c)
	lstmOut = program(2, apply(act.Sigmoid, 0), apply(act.Tanh, 1), both(elementwise.Mul, 0, 0, 1))
	// r, h → σ(r)·h
	gruReset = program(2, apply(act.Sigmoid, 0), both(elementwise.Mul, 0, 0, 1))
	// n, z, h → (1−σ(z))·tanh(n) + σ(z)·h
	gruOut = program(3, apply(act.Tanh, 0), apply(act.Sigmoid, 1), both(elementwise.Sub, 2, 2, 0), both(elementwise.Mul, 2, 2, 1), both(elementwise.Add, 0, 0, 2))
	// n, r, rh → n + σ(r)·rh
	gruNew = program(3, apply(act.Sigmoid, 1), both(elementwise.Mul, 1, 1, 2), both(elementwise.Add, 0, 0, 1))
)

func apply(f act.Func, reg uint8) elementwise.Step {
	return elementwise.Step{Unary: true, Act: act.Act{Func: f, A: 1}, Dst: reg, X: reg}
}

func both(op elementwise.Op, dst, x, y uint8) elementwise.Step {
	return elementwise.Step{Op: op, Dst: dst, X: x, Y: y}
}

// program makes a program over dense inputs that is known to be right.
func program(inputs int, steps ...elementwise.Step) *elementwise.Program {
	p, err := elementwise.NewProgram(make([]elementwise.Layout, inputs), steps)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return p
}

// stateRow is the stride between the rows of a state in Y, and yAt where those of one
// time begin.
func (p *recurrent) stateRow() int {
	if p.batchFirst {
		return p.seq * p.dirs * p.hidden
	}
	return p.hidden
}

func (p *recurrent) yAt(t, dir int) int {
	if p.batchFirst {
		return (t*p.dirs + dir) * p.hidden
	}
	return (t*p.dirs + dir) * p.batch * p.hidden
}

func (p *recurrent) run(e *Env) error {
	g := p.gates * p.hidden
	for dir := range p.dirs {
		wx := e.f32(p.wx)
		e.gemm = gemm.Epilogue{Bias: p.bias[dir]}
		gemm.Gemm(p.seq*p.batch, e.f32(p.x), p.in, p.w[dir], wx, g, &e.gemm, e.Threads)
		h, ldh := p.start(e, dir)
		for s := range p.seq {
			t := s
			if p.reverse || dir == 1 {
				t = p.seq - 1 - s
			}
			y := e.f32(p.y)[p.yAt(t, dir):]
			at, ld := t*p.batch*g, g
			if p.batchFirst {
				at, ld = t*g, p.seq*g
			}
			switch p.gates {
			case 4:
				p.lstm(e, dir, h, ldh, wx[at:], ld, y)
			case 3:
				p.gru(e, dir, h, ldh, wx[at:], ld, y)
			default:
				e.gemm = gemm.Epilogue{Residual: wx[at:], LDR: ld, Act: p.act}
				gemm.Gemm(p.batch, h, ldh, p.r[dir], y, p.stateRow(), &e.gemm, 1)
			}
			h, ldh = y, p.stateRow()
		}
		p.finish(e, dir, h, ldh)
	}
	return nil
}

// start sets the states before the first step and gives the hidden one.
func (p *recurrent) start(e *Env, dir int) (h []float32, ldh int) {
	load := func(dst []float32, slot int) {
		if slot < 0 {
			clear(dst)
			return
		}
		src := e.f32(slot)
		for b := range p.batch {
			copy(dst[b*p.hidden:(b+1)*p.hidden], src[p.stateAt(dir, b):])
		}
	}
	if p.gates == 4 {
		load(e.f32(p.cell), p.c0)
	}
	// The gates' memory is free until the first step, but read and written by it: the
	// state goes to extra, which the first step reads before it writes it.
	h = e.f32(p.extra)
	load(h, p.h0)
	return h, p.hidden
}

func (p *recurrent) stateAt(dir, b int) int {
	if p.batchFirst {
		return (b*p.dirs + dir) * p.hidden
	}
	return (dir*p.batch + b) * p.hidden
}

// finish stores the last states.
func (p *recurrent) finish(e *Env, dir int, h []float32, ldh int) {
	for b := range p.batch {
		at := p.stateAt(dir, b)
		if p.yh >= 0 {
			copy(e.f32(p.yh)[at:at+p.hidden], h[b*ldh:])
		}
		if p.yc >= 0 {
			copy(e.f32(p.yc)[at:at+p.hidden], e.f32(p.cell)[b*p.hidden:])
		}
	}
}

// lstm is one step: gates i, o, f, c.
func (p *recurrent) lstm(e *Env, dir int, h []float32, ldh int, wx []float32, ld int, y []float32) {
	n, sums, cell := p.hidden, e.f32(p.sums), e.f32(p.cell)
	e.gemm = gemm.Epilogue{Residual: wx, LDR: ld}
	gemm.Gemm(p.batch, h, ldh, p.r[dir], sums, 4*n, &e.gemm, e.Threads)
	for b := range p.batch {
		g, c := sums[b*4*n:(b+1)*4*n], cell[b*n:(b+1)*n]
		lstmCell.Run(c, 1, n, e.operands(g[2*n:3*n], c, g[:n], g[3*n:]), 1)
		lstmOut.Run(y[b*p.stateRow():][:n], 1, n, e.operands(g[n:2*n], c), 1)
	}
}

// gru is one step: gates z, r, h.
func (p *recurrent) gru(e *Env, dir int, h []float32, ldh int, wx []float32, ld int, y []float32) {
	n, sums, cell, extra := p.hidden, e.f32(p.sums), e.f32(p.cell), e.f32(p.extra)
	e.gemm = gemm.Epilogue{Residual: wx, LDR: ld}
	gemm.Gemm(p.batch, h, ldh, p.r[dir], sums, 3*n, &e.gemm, e.Threads)
	fresh := sums[2*n:] // with row stride 3n
	if p.before {
		e.gemm = gemm.Epilogue{Bias: p.biasH[dir]}
		gemm.Gemm(p.batch, h, ldh, p.rh[dir], fresh, 3*n, &e.gemm, e.Threads)
	} else {
		for b := range p.batch {
			gruReset.Run(cell[b*n:(b+1)*n], 1, n, e.operands(sums[b*3*n+n:][:n], h[b*ldh:][:n]), 1)
		}
		e.gemm = gemm.Epilogue{Residual: wx[2*n:], LDR: ld}
		gemm.Gemm(p.batch, cell, n, p.rh[dir], fresh, 3*n, &e.gemm, e.Threads)
	}
	for b := range p.batch {
		g, old := sums[b*3*n:(b+1)*3*n], h[b*ldh:][:n]
		now := g[2*n:]
		if p.before {
			now = cell[b*n : (b+1)*n]
			gruNew.Run(now, 1, n, e.operands(wx[b*ld+2*n:][:n], g[n:2*n], g[2*n:]), 1)
		}
		gruOut.Run(extra[b*n:(b+1)*n], 1, n, e.operands(now, g[:n], old), 1)
	}
	for b := range p.batch {
		copy(y[b*p.stateRow():][:n], extra[b*n:(b+1)*n])
	}
}

// operands lists a program's inputs without allocating.
func (e *Env) operands(list ...[]float32) [][]float32 {
	return append(e.inputs[:0], list...)
}
