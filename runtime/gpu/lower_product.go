package gpu

import (
	"github.com/aimass/aimass/cuda"
	"github.com/aimass/aimass/cuda/kernel"
	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/runtime/match"
	"github.com/aimass/aimass/runtime/tensor"
)

// product is a matrix product in the making, and the form of one that is done: x·w with
// what follows it. Slots are −1 where there is none.
type product struct {
	g              kernel.Gemm // sizes and epilogue, without pointers
	x, w           int
	bias, residual int
	out            int
	constant       bool // w is a constant of two axes
	half           bool // w is float16: x is rounded to it and multiplied on the tensor cores
	nodes          []int
}

func (l *lowering) newProduct(x, w, out, i int) *product {
	p := &product{x: x, w: w, bias: -1, residual: -1, out: out, nodes: []int{i}, half: l.halfMatrix(w)}
	if l.tf32 {
		p.g.Precision = kernel.TF32
	}
	return p
}

// operation makes the operation; nodes is nil for one that placing makes.
func (p *product) operation(nodes []*node) *operation {
	in := []int{p.x, p.w}
	bias, residual := -1, -1
	if p.bias >= 0 {
		bias, in = len(in), append(in, p.bias)
	}
	if p.residual >= 0 {
		residual, in = len(in), append(in, p.residual)
	}
	g := p.g
	kind, room := "gemm", g.Workspace()
	half := int64(-1) // where x as float16 lies in the workspace
	switch {
	case p.half:
		kind, g.Precision = "gemm fp16", kernel.F16
		half = (g.Workspace() + 255) / 256 * 256
		room = half + 2*int64(g.M)*int64(g.K)
	case g.Precision == kernel.TF32:
		kind = "gemm tf32"
	}
	return &operation{kind: kind, nodes: nodes, in: in, out: []int{p.out}, scratch: room, form: p, launch: func(dst []cuda.Launch, in, out []cuda.Ptr,
		scratch cuda.Ptr) ([]cuda.Launch, error) {
		g := g
		g.A, g.B, g.C, g.Scratch = in[0], in[1], out[0], scratch
		if bias >= 0 {
			g.Bias = in[bias]
		}
		if residual >= 0 {
			g.Residual = in[residual]
		}
		if half >= 0 {
			g.A = scratch + cuda.Ptr(half)
			var err error
			if dst, err = kernel.AppendCast(dst, "f32", "f16", in[0], g.A, int64(g.M)*int64(g.K)); err != nil {
				return dst, err
			}
		}
		return kernel.AppendGemm(dst, g)
	}}
}

// follow lets a kernel's epilogue take what follows its result, as far as it can.
func (l *lowering) follow(e *kernel.Epilogue, t *match.Tail, channels, axis int) {
	t.Alpha, t.Takes = e.Alpha, kernel.EpilogueFunc
	l.Follow(t, channels, axis)
	// The kernel applies the function before a residual unless told otherwise; the graph
	// applies it after.
	e.Alpha, e.Act, e.ResidualFirst = t.Alpha, t.Act, t.Act.Func != act.None
}

// tailed lets the product take what follows it; columns is the length of a bias, −1 where it can have none.
func (l *lowering) tailed(p *product, columns int) {
	t := match.Tail{Bias: p.bias, Residual: p.residual, Out: p.out, Scales: true}
	l.follow(&p.g.Epilogue, &t, columns, 1)
	p.bias, p.residual, p.out = t.Bias, t.Residual, t.Out
	p.nodes = append(p.nodes, t.Nodes...)
}

// lowerGemm takes Gemm of float32, or with a constant matrix of float16.
func lowerGemm(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	x, w, out := n.in[0], n.in[1], n.out[0]
	if !l.F32(x) || !l.F32(w) && !l.halfMatrix(w) || !l.F32(out) || len(l.shape(x)) != 2 || len(l.shape(w)) != 2 || n.Opset < 7 {
		return nil, false
	}
	p := l.newProduct(x, w, out, i)
	p.constant = l.tensor(w) != nil
	p.g.M, p.g.N, p.g.K = l.shape(out)[0], l.shape(out)[1], l.shape(x)[1]
	p.g.TransA, p.g.TransB = n.Attrs.Int("transA", 0) != 0, n.Attrs.Int("transB", 0) != 0
	if p.g.TransA {
		p.g.K = l.shape(x)[0]
	}
	if p.g.Alpha = n.Attrs.Float("alpha", 1); p.g.Alpha == 0 || p.g.K == 0 {
		return nil, false
	}
	if c := n.input(2); c >= 0 {
		if !l.gemmBias(n, c, p) {
			return nil, false
		}
	}
	l.tailed(p, p.g.N)
	return []*operation{p.operation(l.pick(p.nodes...))}, true
}

// gemmBias takes Gemm's C: along the columns, or one for all where it is constant, or a
// whole matrix.
func (l *lowering) gemmBias(n *node, c int, p *product) bool {
	beta := n.Attrs.Float("beta", 1)
	if !l.F32(c) {
		return false
	}
	if v := l.ConstF32(c); v != nil && (len(v) == 1 || match.AlongAxis(l.shape(c), p.g.N, 1)) {
		p.bias = c
		if beta != 1 || len(v) != p.g.N {
			p.bias = l.constant(l.derived.get("gemm bias "+l.derived.key(l.tensor(c))+" "+n.Label(), func() *tensor.Tensor {
				b := make([]float32, p.g.N)
				for j := range b {
					b[j] = beta * v[j%len(v)]
				}
				return tensor.FromSlice(b, len(b))
			}))
		}
		return true
	}
	if beta == 1 && l.shape(c).Equal(l.shape(p.out)) {
		p.residual = c
		return true
	}
	return false
}

// lowerMatMul takes products, of a constant matrix of float32 or float16 or of two activations.
func lowerMatMul(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	x, w, out := n.in[0], n.in[1], n.out[0]
	if !l.F32(x) || !l.F32(w) && !l.halfMatrix(w) || !l.F32(out) {
		return nil, false
	}
	sx, sw, so := l.shape(x), l.shape(w), l.shape(out)
	if len(sx) < 2 || len(sw) < 2 || last(sx) == 0 {
		return nil, false
	}
	p := l.newProduct(x, w, out, i)
	p.g.K, p.g.N = last(sx), last(sw)
	if len(sw) == 2 {
		p.constant = l.tensor(w) != nil
		p.g.M = sx[:len(sx)-1].Elements()
		l.tailed(p, p.g.N)
		return []*operation{p.operation(l.pick(p.nodes...))}, true
	}
	p.g.M = so[len(so)-2]
	if !batched(&p.g, sx, sw, so) {
		return nil, false
	}
	l.tailed(p, -1)
	return []*operation{p.operation(l.pick(p.nodes...))}, true
}

// batched fills the batch of a product of row-major operands: the axes before the last
// two, of which two levels may repeat an operand.
func batched(g *kernel.Gemm, sx, sw, so tensor.Shape) bool {
	lead := so[:len(so)-2]
	type level struct {
		n    int
		a, b int64
	}
	var levels []level
	stride := func(s tensor.Shape, k int) int64 {
		j := k - (len(so) - len(s))
		if j < 0 || s[j] == 1 {
			return 0
		}
		return int64(s[j+1:].Elements())
	}
	for k, n := range lead {
		if n == 1 {
			continue
		}
		next := level{n, stride(sx, k), stride(sw, k)}
		if j := len(levels) - 1; j >= 0 && levels[j].a == next.a*int64(n) && levels[j].b == next.b*int64(n) {
			levels[j] = level{levels[j].n * n, next.a, next.b}
		} else {
			levels = append(levels, next)
		}
	}
	if len(levels) > 2 {
		return false
	}
	for len(levels) < 2 {
		levels = append([]level{{n: 1}}, levels...)
	}
	for k, v := range levels {
		g.Batch[k], g.StrideA[k], g.StrideB[k] = v.n, v.a, v.b
	}
	return true
}

// lowerConv takes convolutions in one and two dimensions; a BatchNormalization behind one
// with constant weights goes into them.
func lowerConv(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	x, w, out := n.in[0], n.in[1], n.out[0]
	if !l.F32(x) || !l.F32(w) || !l.F32(out) || l.shape(x).Elements() == 0 || l.shape(out).Elements() == 0 {
		return nil, false
	}
	sx, sw := l.shape(x), l.shape(w)
	win, ok := window(n, sx, l.shape(out), sw[2:])
	if !ok {
		return nil, false
	}
	t := &match.Tail{Bias: n.input(2), Residual: -1, Out: out, Nodes: []int{i}}
	if t.Bias >= 0 && !l.F32(t.Bias) {
		return nil, false
	}
	w = l.foldNorm(n, w, t)
	c := kernel.Conv{Images: sx[0], In: sx[1], Out: sw[0], Groups: int(n.Attrs.Int("group", 1)), Window: win}
	l.follow(&c.Epilogue, t, sw[0], len(sx)-1)
	in := []int{x, w}
	bias, residual := -1, -1
	if t.Bias >= 0 {
		bias, in = len(in), append(in, t.Bias)
	}
	if t.Residual >= 0 {
		residual, in = len(in), append(in, t.Residual)
	}
	return []*operation{{kind: "conv", nodes: l.pick(t.Nodes...), in: in, out: []int{t.Out}, scratch: c.Workspace(), launch: func(dst []cuda.Launch, in,
		out []cuda.Ptr, scratch cuda.Ptr) ([]cuda.Launch, error) {
		c := c
		c.X, c.Weights, c.Y, c.Scratch = in[0], in[1], out[0], scratch
		if bias >= 0 {
			c.Bias = in[bias]
		}
		if residual >= 0 {
			c.Residual = in[residual]
		}
		return kernel.AppendConv(dst, c)
	}}}, true
}

// foldNorm puts a BatchNormalization that alone reads the convolution's result into its
// weights and bias, and gives the weights' slot.
func (l *lowering) foldNorm(n *node, w int, t *match.Tail) int {
	j, ok := l.OnlyUser(t.Out)
	weights := l.ConstF32(w)
	if !ok || l.work[j].OpName() != "BatchNormalization" || l.work[j].in[0] != t.Out || weights == nil || t.Bias >= 0 && l.ConstF32(t.Bias) == nil {
		return w
	}
	channels := l.shape(w)[0]
	scale, shift, ok := l.BatchNorm(l.work[j].match(), channels)
	if !ok || !l.F32(l.work[j].out[0]) {
		return w
	}
	key := "conv " + l.derived.key(l.tensor(w)) + " norm " + l.derived.key(l.tensor(l.work[j].in[1])) + " " + n.Label()
	row := len(weights) / channels
	bias := l.ConstF32(t.Bias)
	folded := l.constant(l.derived.get(key+" weights", func() *tensor.Tensor {
		v := make([]float32, len(weights))
		for k, x := range weights {
			v[k] = float32(float64(x) * scale[k/row])
		}
		return tensor.FromSlice(v, l.shape(w)...)
	}))
	t.Bias = l.constant(l.derived.get(key+" bias", func() *tensor.Tensor {
		for c := range shift {
			if bias != nil {
				shift[c] += float64(bias[c]) * scale[c]
			}
		}
		return floats(shift, tensor.Shape{channels})
	}))
	t.Out, t.Nodes = l.work[j].out[0], append(t.Nodes, j)
	return folded
}

// attention is the form of an attention: heads that lie side by side in rows.
type attention struct{ a kernel.Attention }

// strides are a head's as the kernel takes them.
func strides(h match.Head) [3]int64 { return [3]int64{int64(h.Seq), int64(h.Head), int64(h.Token)} }

// lowerAttention takes attention around a softmax.
func lowerAttention(l *lowering, i int) ([]*operation, bool) {
	m, ok := l.Attention(i)
	if !ok || m.WidthQK > 256 || m.WidthV > 256 || m.KVHeads != m.Heads || m.Where.Bools || m.NoNaN || m.Softcap != 0 {
		return nil, false
	}
	a := kernel.Attention{Batch: m.Seqs, Heads: m.Heads, Queries: m.Queries, Keys: m.Keys, Size: m.WidthQK, SizeV: m.WidthV,
		StrideQ: strides(m.Q), StrideK: strides(m.K), StrideV: strides(m.V), StrideOut: strides(m.Out), Scale: m.Scale}
	in := []int{m.Q.Slot, m.K.Slot, m.V.Slot}
	if m.Mask >= 0 {
		in = append(in, m.Mask)
		for k, step := range m.MaskStep {
			a.StrideMask[k] = int64(step)
		}
	}
	o := attentionOperation(a, m.Mask >= 0)
	o.nodes, o.in, o.out = l.pick(m.Nodes...), in, []int{m.Out.Slot}
	return []*operation{o}, true
}

func attentionOperation(a kernel.Attention, masked bool) *operation {
	return &operation{kind: "attention", form: &attention{a}, launch: func(dst []cuda.Launch, in, out []cuda.Ptr, _ cuda.Ptr) ([]cuda.Launch, error) {
		a := a
		a.Q, a.K, a.V, a.Out = in[0], in[1], in[2], out[0]
		if masked {
			a.Mask = in[3]
		}
		return kernel.AppendAttention(dst, a)
	}}
}
