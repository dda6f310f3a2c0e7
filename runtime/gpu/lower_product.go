package gpu

import (
	"math"
	"slices"

	"github.com/aimass/aimass/cuda"
	"github.com/aimass/aimass/cuda/kernel"
	"github.com/aimass/aimass/kernels/act"
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
	return &operation{kind: kind, nodes: nodes, in: in, out: []int{p.out}, scratch: room, form: p, launch: func(dst []cuda.Launch, in, out []cuda.Ptr, scratch cuda.Ptr) ([]cuda.Launch, error) {
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

// tail is what follows a product or convolution and is done in its tile store.
type tail struct {
	epilogue       kernel.Epilogue
	bias, residual int
	out            int
	nodes          []int
}

// follow walks from a result through the nodes that alone read it, as far as the epilogue
// can take them. channels is the length of a bias and axis, counted from the end of the
// shape, where it runs: 1 for the columns of a matrix, 3 for NCHW.
func (l *lowering) follow(t *tail, channels, axis int, scaled bool) {
	for t.epilogue.Act.Func == act.None {
		if a, ok := l.activationAt(t.out); ok && kernel.EpilogueFunc(a.act.Func) {
			// The kernel applies the function before a residual unless told otherwise; the
			// graph applies it after.
			t.epilogue.Act, t.epilogue.ResidualFirst, t.out = a.act, true, a.out
			t.nodes = append(t.nodes, a.nodes...)
			return
		}
		i, ok := l.onlyUser(t.out)
		if !ok {
			return
		}
		n := l.work[i]
		if len(n.out) != 1 || len(n.in) != 2 || n.in[0] == n.in[1] || !l.f32(n.out[0]) || !l.shape(n.out[0]).Equal(l.shape(t.out)) || n.Opset < 7 {
			return
		}
		switch n.OpName() {
		case "Add":
			ok = l.addition(n, i, channels, axis, t)
		case "Mul", "Div":
			ok = scaled && t.bias < 0 && t.residual < 0 && l.scaling(n, t)
		default:
			return
		}
		if !ok {
			return
		}
		t.nodes, t.out = append(t.nodes, i), n.out[0]
	}
}

// addition takes a bias or a residual. A residual must be there before the product runs.
func (l *lowering) addition(n *node, i, channels, axis int, t *tail) bool {
	other := n.in[0]
	if other == t.out {
		other = n.in[1]
	}
	s := l.shape(other)
	if l.constF32(other) != nil && t.bias < 0 && len(s) >= axis && s[len(s)-axis] == channels && s.Elements() == channels {
		t.bias = other
		return true
	}
	if t.residual < 0 && l.f32(other) && s.Equal(l.shape(t.out)) {
		t.residual = other
		return true
	}
	return false
}

func (l *lowering) scaling(n *node, t *tail) bool {
	other := n.in[0]
	if other == t.out {
		other = n.in[1]
	} else if n.Op == "Div" {
		return false
	}
	v, ok := l.scalar(other)
	if !ok || v == 0 {
		return false
	}
	if n.Op == "Div" {
		v = 1 / v
	}
	alpha := v
	if t.epilogue.Alpha != 0 {
		alpha *= t.epilogue.Alpha
	}
	if alpha == 0 || math.IsInf(float64(alpha), 0) || alpha != alpha {
		return false
	}
	t.epilogue.Alpha = alpha
	return true
}

// tailed lets the product take what follows it.
func (l *lowering) tailed(p *product, columns int) {
	t := &tail{epilogue: p.g.Epilogue, bias: p.bias, residual: p.residual, out: p.out}
	l.follow(t, columns, 1, true)
	p.g.Epilogue, p.bias, p.residual, p.out = t.epilogue, t.bias, t.residual, t.out
	p.nodes = append(p.nodes, t.nodes...)
}

// lowerGemm takes Gemm of float32, or with a constant matrix of float16.
func lowerGemm(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	x, w, out := n.in[0], n.in[1], n.out[0]
	if !l.f32(x) || !l.f32(w) && !l.halfMatrix(w) || !l.f32(out) || len(l.shape(x)) != 2 || len(l.shape(w)) != 2 || n.Opset < 7 {
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
	if !l.f32(c) {
		return false
	}
	if v := l.constF32(c); v != nil && (len(v) == 1 || alongLast(l.shape(c), p.g.N)) {
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
	if !l.f32(x) || !l.f32(w) && !l.halfMatrix(w) || !l.f32(out) {
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
	t := &tail{bias: -1, residual: -1, out: out}
	l.follow(t, -1, 1, true)
	p.g.Epilogue, p.residual, p.out = t.epilogue, t.residual, t.out
	p.nodes = append(p.nodes, t.nodes...)
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
	if !l.f32(x) || !l.f32(w) || !l.f32(out) || l.shape(x).Elements() == 0 || l.shape(out).Elements() == 0 {
		return nil, false
	}
	sx, sw := l.shape(x), l.shape(w)
	win, ok := window(n, sx, l.shape(out), sw[2:])
	if !ok {
		return nil, false
	}
	t := &tail{bias: n.input(2), residual: -1, out: out, nodes: []int{i}}
	if t.bias >= 0 && !l.f32(t.bias) {
		return nil, false
	}
	w = l.foldNorm(n, w, t)
	l.follow(t, sw[0], len(sx)-1, false)
	c := kernel.Conv{Images: sx[0], In: sx[1], Out: sw[0], Groups: int(n.Attrs.Int("group", 1)), Window: win, Epilogue: t.epilogue}
	in := []int{x, w}
	bias, residual := -1, -1
	if t.bias >= 0 {
		bias, in = len(in), append(in, t.bias)
	}
	if t.residual >= 0 {
		residual, in = len(in), append(in, t.residual)
	}
	return []*operation{{kind: "conv", nodes: l.pick(t.nodes...), in: in, out: []int{t.out}, scratch: c.Workspace(), launch: func(dst []cuda.Launch, in, out []cuda.Ptr, scratch cuda.Ptr) ([]cuda.Launch, error) {
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
func (l *lowering) foldNorm(n *node, w int, t *tail) int {
	j, ok := l.onlyUser(t.out)
	weights := l.constF32(w)
	if !ok || l.work[j].OpName() != "BatchNormalization" || l.work[j].in[0] != t.out || weights == nil || t.bias >= 0 && l.constF32(t.bias) == nil {
		return w
	}
	channels := l.shape(w)[0]
	scale, shift, ok := l.batchNorm(l.work[j], channels)
	if !ok || !l.f32(l.work[j].out[0]) {
		return w
	}
	key := "conv " + l.derived.key(l.tensor(w)) + " norm " + l.derived.key(l.tensor(l.work[j].in[1])) + " " + n.Label()
	row := len(weights) / channels
	bias := l.constF32(t.bias)
	folded := l.constant(l.derived.get(key+" weights", func() *tensor.Tensor {
		v := make([]float32, len(weights))
		for k, x := range weights {
			v[k] = float32(float64(x) * scale[k/row])
		}
		return tensor.FromSlice(v, l.shape(w)...)
	}))
	t.bias = l.constant(l.derived.get(key+" bias", func() *tensor.Tensor {
		for c := range shift {
			if bias != nil {
				shift[c] += float64(bias[c]) * scale[c]
			}
		}
		return floats(shift, tensor.Shape{channels})
	}))
	t.out, t.nodes = l.work[j].out[0], append(t.nodes, j)
	return folded
}

// attention is the form of an attention: heads that lie side by side in rows.
type attention struct{ a kernel.Attention }

// head is one operand of an attention: a slot and how its elements lie.
type head struct {
	slot    int
	strides [3]int64 // batch, head, token
}

// lowerAttention matches softmax(scale·Q·Kᵀ + mask)·V on [batch, heads, tokens, width],
// where the operands may come out of transpositions, which are then not done at all.
func lowerAttention(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	probs := n.out[0]
	if !l.f32(n.in[0]) || !l.f32(probs) || len(l.shape(probs)) != 4 || !lastAxis(n, 4) {
		return nil, false
	}
	s, ok := l.scores(n.in[0])
	if !ok {
		return nil, false
	}
	pv, ok := l.onlyUser(probs)
	if !ok || l.work[pv].OpName() != "MatMul" || l.work[pv].in[0] != probs {
		return nil, false
	}
	qk := l.work[s.product]
	shape, v := l.shape(probs), l.work[pv].in[1]
	if !l.f32(qk.in[0]) || !l.f32(v) || len(l.shape(qk.in[0])) != 4 || len(l.shape(v)) != 4 {
		return nil, false
	}
	nodes := append([]int{i, pv, s.product}, s.nodes...)
	q := l.operandHead(qk.in[0], &nodes)
	k, okK := l.keyHead(qk.in[1], &nodes)
	vh := l.operandHead(v, &nodes)
	sq, sv := l.shape(qk.in[0]), l.shape(v)
	if !okK || sq[0] != shape[0] || sq[1] != shape[1] || sv[0] != shape[0] || sv[1] != shape[1] || shape.Elements() == 0 {
		return nil, false
	}
	a := kernel.Attention{Batch: shape[0], Heads: shape[1], Queries: shape[2], Keys: shape[3], Size: sq[3], SizeV: sv[3],
		StrideQ: q.strides, StrideK: k.strides, StrideV: vh.strides, Scale: s.scale}
	out := l.work[pv].out[0]
	tokens, width := int64(a.Queries), int64(a.SizeV)
	a.StrideOut = [3]int64{int64(a.Heads) * tokens * width, tokens * width, width}
	if t, ok := l.onlyUser(out); ok && l.work[t].OpName() == "Transpose" && slices.Equal(l.work[t].Attrs.Ints("perm"), []int64{0, 2, 1, 3}) {
		nodes, out = append(nodes, t), l.work[t].out[0]
		a.StrideOut = [3]int64{tokens * int64(a.Heads) * width, width, int64(a.Heads) * width}
	}
	if !l.f32(out) || a.Size > 256 || a.SizeV > 256 {
		return nil, false
	}
	in := []int{q.slot, k.slot, vh.slot}
	if s.mask >= 0 {
		st, ok := kernel.BroadcastStrides(l.shape(s.mask), shape)
		if !ok {
			return nil, false
		}
		in = append(in, s.mask)
		copy(a.StrideMask[:], st)
	}
	o := attentionOperation(a, s.mask >= 0)
	o.nodes, o.in, o.out = l.pick(nodes...), in, []int{out}
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

// lastAxis reports that a softmax runs over the last of rank axes.
func lastAxis(n *node, rank int) bool {
	def := int64(-1)
	if n.Opset < 13 {
		def = 1
	}
	axis, err := tensor.Axis(n.Attrs.Int("axis", def), rank)
	return err == nil && axis == rank-1
}

// scoring is what stands between the product of Q and K and the softmax.
type scoring struct {
	product int
	nodes   []int
	scale   float32
	mask    int // slot, −1 for none
}

// scores walks back from the softmax's input to the product.
func (l *lowering) scores(slot int) (scoring, bool) {
	s := scoring{scale: 1, mask: -1}
	for {
		i, ok := l.maker[slot]
		if !ok || l.claimed[i] || len(l.users[slot]) != 1 || l.output[slot] {
			return s, false
		}
		n := l.work[i]
		switch n.OpName() {
		case "MatMul":
			s.product = i
			return s, l.f32(n.in[0]) && l.f32(n.in[1])
		case "Add":
			if s.mask >= 0 || s.scale != 1 {
				return s, false
			}
			main, other := n.in[0], n.in[1]
			if _, made := l.maker[main]; !made || !l.shape(main).Equal(l.shape(n.out[0])) {
				main, other = other, main
			}
			if !l.f32(main) || !l.f32(other) || !l.shape(main).Equal(l.shape(n.out[0])) {
				return s, false
			}
			s.mask, slot = other, main
		case "Mul", "Div":
			v, ok := l.scalar(n.in[1])
			main := n.in[0]
			if !ok && n.Op == "Mul" {
				v, ok = l.scalar(n.in[0])
				main = n.in[1]
			}
			if !ok || v == 0 || !l.shape(main).Equal(l.shape(n.out[0])) {
				return s, false
			}
			if n.Op == "Div" {
				v = 1 / v
			}
			s.scale *= v
			slot = main
		default:
			return s, false
		}
		s.nodes = append(s.nodes, i)
	}
}

// operandHead is an operand as [batch, heads, tokens, width]: read through the
// transposition that made it so, if only this reads it, else as it lies.
func (l *lowering) operandHead(slot int, nodes *[]int) head {
	s := l.shape(slot)
	if i, ok := l.maker[slot]; ok && !l.claimed[i] && len(l.users[slot]) == 1 && !l.output[slot] {
		if n := l.work[i]; n.OpName() == "Transpose" && slices.Equal(n.Attrs.Ints("perm"), []int64{0, 2, 1, 3}) && l.f32(n.in[0]) {
			*nodes = append(*nodes, i)
			return rowsOfHeads(n.in[0], l.shape(n.in[0]))
		}
	}
	return head{slot, [3]int64{int64(s[1] * s[2] * s[3]), int64(s[2] * s[3]), int64(s[3])}}
}

// rowsOfHeads is an operand that lies as [batch, tokens, heads, width].
func rowsOfHeads(slot int, s tensor.Shape) head {
	return head{slot, [3]int64{int64(s[1] * s[2] * s[3]), int64(s[3]), int64(s[2] * s[3])}}
}

// keyHead is K, which the product reads as [batch, heads, width, tokens]: it must come
// out of a transposition of something whose last axis is the width.
func (l *lowering) keyHead(slot int, nodes *[]int) (head, bool) {
	i, ok := l.maker[slot]
	if !ok || l.claimed[i] || len(l.users[slot]) != 1 || l.output[slot] || len(l.shape(slot)) != 4 {
		return head{}, false
	}
	n := l.work[i]
	if n.OpName() != "Transpose" || !l.f32(n.in[0]) {
		return head{}, false
	}
	switch perm := n.Attrs.Ints("perm"); {
	case slices.Equal(perm, []int64{0, 2, 3, 1}):
		*nodes = append(*nodes, i)
		return rowsOfHeads(n.in[0], l.shape(n.in[0])), true
	case slices.Equal(perm, []int64{0, 1, 3, 2}):
		*nodes = append(*nodes, i)
		return l.operandHead(n.in[0], nodes), true
	}
	return head{}, false
}
