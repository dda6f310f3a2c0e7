package lower

import (
	"fmt"
	"slices"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/kernels/rnn"
	"github.com/aimass/aimass/runtime/tensor"
)

// recurrent is an LSTM, GRU or RNN. Rows are those of the batch; a state of the batch lies
// with one row behind the other or, with the batch outermost, seq rows apart.
type recurrent struct {
	seq, batch, in, hidden, dirs int
	gates                        int
	batchFirst, reverse, after   bool
	x, y, yh, yc, h0, c0         int // slots, −1 for none
	lens                         int // slot of each row's number of steps, −1 if all have seq
	xt, wx, h, c                 int // scratch: x with time outermost, input products, states
	weights                      *recurrentWeights
	act                          act.Act // of an RNN
}

// recurrentWeights are packed by direction. An RNN has a product for its recurrence, the
// others a cell.
type recurrentWeights struct {
	w, r []*gemm.PackedB
	cell []*rnn.Cell
	bias [][]float32 // of the input products
}

// defaultActs are the standard's activations.
var defaultActs = map[string][]string{"LSTM": {"Sigmoid", "Tanh", "Tanh"}, "GRU": {"Sigmoid", "Tanh"}}

// lowerRecurrent takes LSTM, GRU and RNN in float32 with constant weights, with the
// standard's own activations, without clipping.
func lowerRecurrent(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	p := &recurrent{x: n.In[0], y: -1, yh: -1, yc: -1, h0: n.input(5), c0: n.input(6), lens: n.input(4)}
	p.gates = map[string]int{"LSTM": 4, "GRU": 3, "RNN": 1}[n.Node.Op]
	w, r := f.constant(n.In[1]), f.constant(n.In[2])
	if !f.f32(p.x) || w == nil || r == nil || !f.f32(n.In[1]) || !f.f32(n.In[2]) || p.lens >= 0 && !f.known(p.lens, tensor.Int32) || !p.attributes(n) {
		return nil, false
	}
	sx := f.shape(p.x)
	p.seq, p.batch, p.in, p.hidden, p.dirs = sx[0], sx[1], sx[2], r.Shape[2], r.Shape[0]
	if p.batchFirst {
		p.seq, p.batch = p.batch, p.seq
	}
	if p.seq*p.batch*p.in*p.hidden == 0 || p.lens >= 0 && f.shape(p.lens).Elements() != p.batch {
		return nil, false
	}
	if !p.states(f, n) {
		return nil, false
	}
	var bias []float32
	if b := n.input(3); b >= 0 {
		if bias = f.constF32(b); bias == nil {
			return nil, false
		}
	}
	var peep []float32
	if v := n.input(7); v >= 0 {
		if peep = f.constF32(v); peep == nil || n.Node.Op != "LSTM" {
			return nil, false
		}
	}
	p.weights = f.pl.Packed.get(w, fmt.Sprintf("recurrent %p", n.Node), func(w *tensor.Tensor) (v any, size int64) {
		r.Lend(func(r *tensor.Tensor) {
			v, size = p.pack(n, tensor.Data[float32](w), tensor.Data[float32](r), bias, peep)
		})
		return v, size
	}).(*recurrentWeights)
	p.wx = f.scratch(tensor.Float32, p.seq*p.batch*p.gates*p.hidden)
	p.h = f.scratch(tensor.Float32, p.batch*p.hidden)
	p.c = f.scratch(tensor.Float32, p.batch*p.hidden)
	p.xt = -1
	if p.batchFirst {
		p.xt = f.scratch(tensor.Float32, p.seq*p.batch*p.in)
	}
	if p.y < 0 && p.gates == 1 {
		p.y = f.scratch(tensor.Float32, p.seq*p.dirs*p.batch*p.hidden)
	}
	return &group{nodes: []int{i}, reads: []int{p.x, p.h0, p.c0, p.lens}, writes: []int{p.y, p.yh, p.yc, p.wx, p.h, p.c, p.xt}, run: p.run}, true
}

// states notes the outputs that are wanted and checks them and the initial states.
func (p *recurrent) states(f *fuser, n *Node) bool {
	for k, to := range []*int{&p.y, &p.yh, &p.yc} {
		if k < len(n.Out) && n.Out[k] >= 0 {
			if *to = n.Out[k]; !f.f32(*to) {
				return false
			}
		}
	}
	for _, s := range []int{p.h0, p.c0} {
		if s >= 0 && (!f.f32(s) || f.shape(s).Elements() != p.dirs*p.batch*p.hidden) {
			return false
		}
	}
	return true
}

// attributes reads and checks the node's attributes.
func (p *recurrent) attributes(n *Node) bool {
	a := n.Attrs
	p.batchFirst = a.Int("layout", 0) != 0
	p.reverse = a.Str("direction", "forward") == "reverse"
	p.after = a.Int("linear_before_reset", 0) != 0
	if a.Has("clip") || a.Has("activation_alpha") || a.Has("activation_beta") {
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

// pack lays copies of the weights out.
func (p *recurrent) pack(n *Node, w, r, bias, peep []float32) (*recurrentWeights, int64) {
	k, h, g := &recurrentWeights{}, p.hidden, p.gates*p.hidden
	size := 4 * (len(r) + p.dirs*g)
	for d := range p.dirs {
		b, o := make([]float32, g), rnn.Options{InputForget: n.Attrs.Int("input_forget", 0) != 0}
		if peep != nil {
			o.Peep = peep[d*3*h : (d+1)*3*h]
		}
		if bias != nil {
			of := bias[d*2*g : (d+1)*2*g]
			for j := range b {
				b[j] = of[j]
				if !p.after || n.Node.Op != "GRU" || j < 2*h {
					b[j] += of[g+j]
				}
			}
			if n.Node.Op == "GRU" && p.after {
				o.RecurrentBias = of[g+2*h:]
			}
		}
		k.bias = append(k.bias, b)
		k.w = append(k.w, gemm.PackB(p.in, g, w[d*g*p.in:], p.in, true))
		size += k.w[d].Bytes()
		rd := r[d*g*h : (d+1)*g*h]
		switch {
		case n.Node.Op == "LSTM":
			k.cell = append(k.cell, rnn.Pack(rnn.LSTM, h, rd, o))
		case n.Node.Op == "GRU" && p.after:
			k.cell = append(k.cell, rnn.Pack(rnn.GRUAfter, h, rd, o))
		case n.Node.Op == "GRU":
			k.cell = append(k.cell, rnn.Pack(rnn.GRU, h, rd, o))
		default:
			k.r = append(k.r, gemm.PackB(h, h, rd, h, true))
		}
	}
	return k, int64(size)
}

// yAt is where the state after step t begins in Y, yRow the stride between rows.
func (p *recurrent) yAt(t, dir int) int {
	if p.batchFirst {
		return (t*p.dirs + dir) * p.hidden
	}
	return (t*p.dirs + dir) * p.batch * p.hidden
}

func (p *recurrent) yRow() int {
	if p.batchFirst {
		return p.seq * p.dirs * p.hidden
	}
	return p.hidden
}

func (p *recurrent) run(e *Env) error {
	g := p.gates * p.hidden
	x := e.f32(p.x)
	lens, err := p.lengths(e)
	if err != nil {
		return err
	}
	if p.batchFirst {
		x = e.f32(p.xt)
		timeFirst(x, e.f32(p.x), p.batch, p.seq, p.in)
	}
	for dir := range p.dirs {
		wx := e.f32(p.wx)
		e.gemm = gemm.Epilogue{Bias: p.weights.bias[dir]}
		gemm.Gemm(p.seq*p.batch, x, p.in, p.weights.w[dir], wx, g, &e.gemm, e.Threads)
		p.load(e, dir, p.h, p.h0)
		back := p.reverse || dir == 1
		if p.gates == 1 {
			p.plain(e, dir, wx, lens, back)
		} else {
			p.load(e, dir, p.c, p.c0)
			e.sequence = rnn.Sequence{Steps: p.seq, Batch: p.batch, Gates: wx, H: e.f32(p.h), C: e.f32(p.c), Lens: lens, Reverse: back}
			if p.y >= 0 {
				e.sequence.Y, e.sequence.YStep, e.sequence.YRow = e.f32(p.y)[p.yAt(0, dir):], p.yAt(1, 0)-p.yAt(0, 0), p.yRow()
			}
			p.weights.cell[dir].Run(&e.sequence)
			e.sequence.Lens = nil // may be the caller's memory
		}
		p.store(e, dir, p.h, p.yh)
		p.store(e, dir, p.c, p.yc)
	}
	return nil
}

// lengths reads each row's number of steps, nil if all have seq.
func (p *recurrent) lengths(e *Env) ([]int32, error) {
	if p.lens < 0 {
		return nil, nil
	}
	lens := number[int32](e, p.lens)
	for _, n := range lens {
		if n < 0 || int(n) > p.seq {
			return nil, fmt.Errorf("sequence_lens: %d is outside of 0 to %d", n, p.seq)
		}
	}
	return lens, nil
}

// plain runs the steps of an RNN: each is a product with the state before it.
func (p *recurrent) plain(e *Env, dir int, wx []float32, lens []int32, back bool) {
	state := e.f32(p.h)
	h, ld := state, p.hidden
	for s := range p.seq {
		t := s
		if back {
			t = p.seq - 1 - s
		}
		y := e.f32(p.y)[p.yAt(t, dir):]
		e.gemm = gemm.Epilogue{Residual: wx[t*p.batch*p.hidden:], LDR: p.hidden, Act: p.act}
		gemm.Gemm(p.batch, h, ld, p.weights.r[dir], y, p.yRow(), &e.gemm, 1)
		if lens != nil {
			p.keep(state, y, t, lens)
			continue
		}
		h, ld = y, p.yRow()
	}
	if lens != nil {
		return
	}
	for b := range p.batch {
		copy(state[b*p.hidden:(b+1)*p.hidden], h[b*ld:])
	}
}

// keep takes over the states after step t of the rows that have such a step; of the others, forwards
// those that have ended and backwards those that have not begun, the state stays and Y is 0.
func (p *recurrent) keep(state, y []float32, t int, lens []int32) {
	for b, n := range lens {
		row := y[b*p.yRow():][:p.hidden]
		if t < int(n) {
			copy(state[b*p.hidden:], row)
		} else {
			clear(row)
		}
	}
}

// timeFirst turns batch×seq rows of n values into seq×batch.
func timeFirst(dst, src []float32, batch, seq, n int) {
	for b := range batch {
		for t := range seq {
			copy(dst[(t*batch+b)*n:][:n], src[(b*seq+t)*n:])
		}
	}
}

func (p *recurrent) stateAt(dir, b int) int {
	if p.batchFirst {
		return (b*p.dirs + dir) * p.hidden
	}
	return (dir*p.batch + b) * p.hidden
}

// load fills a state from an input, with zeros if there is none.
func (p *recurrent) load(e *Env, dir, state, from int) {
	dst := e.f32(state)
	clear(dst)
	if from < 0 {
		return
	}
	src := e.f32(from)
	for b := range p.batch {
		copy(dst[b*p.hidden:(b+1)*p.hidden], src[p.stateAt(dir, b):])
	}
}

// store puts a state into an output, if it is wanted.
func (p *recurrent) store(e *Env, dir, state, to int) {
	if to < 0 {
		return
	}
	src, dst := e.f32(state), e.f32(to)
	for b := range p.batch {
		copy(dst[p.stateAt(dir, b):][:p.hidden], src[b*p.hidden:])
	}
}
