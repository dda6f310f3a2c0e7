package lower

import (
	"fmt"
	"slices"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/elementwise"
	"github.com/aimass/aimass/kernels/quant"
	"github.com/aimass/aimass/runtime/tensor"
)

// integerLSTM is com.microsoft.DynamicQuantizeLSTM: the input as a whole, and the hidden
// state at each step, are quantised before they are multiplied by weights in bytes.
type integerLSTM struct {
	recurrent
	wq, rq         []quant.B
	scaleW, scaleR [][]float32 // by direction, for each column
	bias           [][]float32
	bytes          int // scratch: the quantised input, or state
	gates          int // scratch: of one step
}

// lowerIntegerLSTM takes DynamicQuantizeLSTM with constant weights and the standard's own
// activations, without clipping, lengths and peepholes.
func lowerIntegerLSTM(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	p := &integerLSTM{recurrent: recurrent{x: n.In[0], y: -1, yh: -1, yc: -1, h0: n.input(5), c0: n.input(6)}}
	a, names := n.Attrs, n.Attrs.Strs("activations")
	def := defaultActs["LSTM"]
	if !f.f32(p.x) || len(f.shape(p.x)) != 3 || n.input(4) >= 0 || n.input(7) >= 0 || a.Has("clip") || a.Has("activation_alpha") || a.Has("activation_beta") ||
		a.Int("input_forget", 0) != 0 || len(names) > 0 && !slices.Equal(names, def) && !slices.Equal(names, slices.Concat(def, def)) {
		return nil, false
	}
	r := f.constant(n.In[2])
	if r == nil || len(r.Shape) != 3 {
		return nil, false
	}
	sx := f.shape(p.x)
	p.seq, p.batch, p.in, p.dirs, p.hidden = sx[0], sx[1], sx[2], r.Shape[0], r.Shape[1]
	p.reverse = a.Str("direction", "forward") == "reverse"
	if p.seq*p.batch*p.in*p.hidden == 0 {
		return nil, false
	}
	if !p.states(f, n) {
		return nil, false
	}
	var ok, ok2 bool
	p.wq, p.scaleW, ok = f.gateWeights(n, 1, 8, p.dirs, p.in, p.hidden)
	p.rq, p.scaleR, ok2 = f.gateWeights(n, 2, 10, p.dirs, p.hidden, p.hidden)
	if !ok || !ok2 || !p.biases(f, n) {
		return nil, false
	}
	p.bytes = f.scratch(tensor.Uint8, max(p.seq*p.batch*p.in, p.batch*p.hidden))
	p.wx = f.scratch(tensor.Float32, p.seq*p.batch*4*p.hidden)
	p.gates = f.scratch(tensor.Float32, p.batch*4*p.hidden)
	p.h = f.scratch(tensor.Float32, p.batch*p.hidden)
	p.c = f.scratch(tensor.Float32, p.batch*p.hidden)
	return &group{nodes: []int{i}, reads: []int{p.x, p.h0, p.c0}, writes: []int{p.y, p.yh, p.yc, p.bytes, p.wx, p.gates, p.h, p.c}, run: p.run}, true
}

// gateWeights reads weights [directions, k, 4·hidden] in bytes at input i, with their scales
// at input s and zero points behind them: one a direction or one a column.
func (f *fuser) gateWeights(n *Node, i, s, dirs, k, hidden int) ([]quant.B, [][]float32, bool) {
	w, scales := f.constant(n.In[i]), f.constF32(n.In[s])
	cols := 4 * hidden
	if w == nil || !w.Shape.Equal(tensor.Shape{dirs, k, cols}) || w.DType != tensor.Int8 && w.DType != tensor.Uint8 || k > 32768 || len(scales) != dirs && len(scales) != dirs*cols {
		return nil, nil, false
	}
	zeros := make([]int64, len(scales))
	if z := n.input(s + 1); z >= 0 {
		t := f.constant(z)
		if t == nil || t.DType != w.DType || t.Elements() != dirs && t.Elements() != dirs*cols {
			return nil, nil, false
		}
		var err error
		if zeros, err = tensor.Int64s(t); err != nil {
			return nil, nil, false
		}
	}
	of := make([]quant.B, dirs)
	by := make([][]float32, dirs)
	for d := range dirs {
		of[d].Zeros = commonZero(zeros[d*len(zeros)/dirs:(d+1)*len(zeros)/dirs], &of[d].Zero)
		by[d] = scales[d*len(scales)/dirs : (d+1)*len(scales)/dirs]
		if len(by[d]) == 1 {
			by[d] = slices.Repeat(by[d], cols)
		}
		of[d].PackedB = f.pl.Packed.get(w, fmt.Sprintf("gates %d of %dx%d", d, k, cols), func(src *tensor.Tensor) (any, int64) {
			var q *quant.PackedB
			if w.DType == tensor.Int8 {
				q = quant.PackB(k, cols, tensor.Data[int8](src)[d*k*cols:(d+1)*k*cols], cols, false)
			} else {
				q = quant.PackBUint8(k, cols, tensor.Data[uint8](src)[d*k*cols:(d+1)*k*cols], cols, false)
			}
			return q, int64(q.Bytes())
		}).(*quant.PackedB)
	}
	return of, by, true
}

// biases adds up the two biases of each direction.
func (p *integerLSTM) biases(f *fuser, n *Node) bool {
	g := 4 * p.hidden
	p.bias = make([][]float32, p.dirs)
	b := n.input(3)
	if b < 0 {
		return true
	}
	v := f.constF32(b)
	if len(v) != p.dirs*2*g {
		return false
	}
	for d := range p.dirs {
		p.bias[d] = make([]float32, g)
		for j := range g {
			p.bias[d][j] = v[d*2*g+j] + v[d*2*g+g+j]
		}
	}
	return true
}

func (p *integerLSTM) run(e *Env) error {
	g := 4 * p.hidden
	for dir := range p.dirs {
		wx := e.f32(p.wx)
		p.product(e, e.f32(p.x), p.seq*p.batch, p.in, wx, p.wq[dir], quant.Dequant{ScaleB: p.scaleW[dir], Bias: p.bias[dir]})
		p.load(e, dir, p.h, p.h0)
		p.load(e, dir, p.c, p.c0)
		back := p.reverse || dir == 1
		for s := range p.seq {
			t := s
			if back {
				t = p.seq - 1 - s
			}
			p.product(e, e.f32(p.h), p.batch, p.hidden, e.f32(p.gates), p.rq[dir], quant.Dequant{ScaleB: p.scaleR[dir], Residual: wx[t*p.batch*g:], LDR: g})
			p.cell(e)
			if p.y >= 0 {
				copy(e.f32(p.y)[p.yAt(t, dir):], e.f32(p.h))
			}
		}
		p.store(e, dir, p.h, p.yh)
		p.store(e, dir, p.c, p.yc)
	}
	return nil
}

// product quantises x, m rows of k values, and multiplies it by weights.
func (p *integerLSTM) product(e *Env, x []float32, m, k int, dst []float32, b quant.B, d quant.Dequant) {
	q := e.bytes(p.bytes)[:m*k]
	scale, zero := quant.Dynamic(q, x, e.Threads)
	d.Scale = nonZero(scale)
	e.bytesA, e.bytesB, e.dequant = quant.A{Data: q, LD: k, Zero: int32(zero)}, b, d
	quant.MulFloat(m, &e.bytesA, &e.bytesB, dst, 4*p.hidden, &e.dequant, e.Threads)
}

// cell makes the next state of the sums of the gates, which lie in the order input, output,
// forget, cell.
func (p *integerLSTM) cell(e *Env) {
	n := p.hidden
	for b := range p.batch {
		g, h, c := e.f32(p.gates)[b*4*n:(b+1)*4*n], e.f32(p.h)[b*n:(b+1)*n], e.f32(p.c)[b*n:(b+1)*n]
		elementwise.Unary(g[:3*n], g[:3*n], act.Act{Func: act.Sigmoid}, 1)
		elementwise.Unary(g[3*n:], g[3*n:], act.Act{Func: act.Tanh}, 1)
		in, out, forget, cell := g[:n], g[n:2*n], g[2*n:3*n], g[3*n:]
		for j := range c {
			c[j] = forget[j]*c[j] + in[j]*cell[j]
		}
		elementwise.Unary(h, c, act.Act{Func: act.Tanh}, 1)
		for j := range h {
			h[j] *= out[j]
		}
	}
}
