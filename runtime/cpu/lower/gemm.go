package lower

import (
	"fmt"

	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/runtime/tensor"
)

// lowerMatMul takes float32 products: with constant right operands packed once and the
// nodes that follow done in the tile store, or with two activations.
func lowerMatMul(f *fuser, i int) (*group, bool) {
	if g, ok := f.stack(i); ok {
		return g, true
	}
	n := f.node(i)
	a, b, out := n.In[0], n.In[1], n.Out[0]
	if !f.f32(a) || !f.f32(b) || !f.f32(out) || f.shape(out).Elements() == 0 {
		return nil, false
	}
	sa, sb := f.shape(a), f.shape(b)
	if len(sa) < 1 || len(sb) < 2 || sa[len(sa)-1] == 0 {
		return nil, false
	}
	if w := f.constant(b); w != nil && len(sb) == 2 {
		k, cols := sb[0], sb[1]
		return f.dense(i, a, k, cols, w, false, newEpilogue()), true
	}
	return f.product(i, a, b, out)
}

// dense is x·W with a packed W, and what follows it.
func (f *fuser) dense(i, x, k, cols int, w *tensor.Tensor, trans bool, ep *epilogue) *group {
	form := fmt.Sprintf("gemm %dx%d %t", k, cols, trans)
	ld := cols
	if trans {
		ld = k
	}
	packed := f.pl.Packed.get(w, form, func() (any, int64) {
		p := gemm.PackB(k, cols, tensor.Data[float32](w), ld, trans)
		return p, int64(p.Bytes())
	}).(*gemm.PackedB)
	f.follow(f.node(i).Out[0], cols, 1, ep)
	m := f.shape(x).Elements() / k
	g := &group{nodes: append([]int{i}, ep.nodes...), reads: append([]int{x}, ep.reads...), writes: []int{ep.out}}
	tail := &gemm.Epilogue{Alpha: ep.alpha, Bias: ep.bias, Act: ep.act}
	out, res := ep.out, ep.residual
	g.run = func(e *Env) error {
		e.gemm = *tail
		if res >= 0 {
			e.gemm.Residual, e.gemm.LDR = e.f32(res), cols
		}
		gemm.Gemm(m, e.f32(x), k, packed, e.f32(out), cols, &e.gemm, e.Threads)
		return nil
	}
	return g
}

// product multiplies two activations, batched.
func (f *fuser) product(i, a, b, out int) (*group, bool) {
	sa, sb := f.shape(a), f.shape(b)
	if len(sa) < 2 {
		return nil, false
	}
	so := f.shape(out)
	rank := len(so)
	p := &gemm.Product{M: so[rank-2], N: so[rank-1], K: sa[len(sa)-1]}
	p.LDA, p.LDB, p.LDC = p.K, p.N, p.N
	if !batchStrides(p, sa, sb, so) {
		return nil, false
	}
	ep := newEpilogue()
	f.follow(out, -1, 1, ep)
	if ep.residual >= 0 || ep.bias != nil {
		ep = &epilogue{alpha: 1, out: out, residual: -1}
	}
	tail := &gemm.Epilogue{Alpha: ep.alpha, Act: ep.act}
	dst := ep.out
	run := func(e *Env) error {
		gemm.MatMul(p, e.f32(a), e.f32(b), e.f32(dst), tail, e.Threads)
		return nil
	}
	return &group{nodes: append([]int{i}, ep.nodes...), reads: []int{a, b}, writes: []int{dst}, run: run}, true
}

// batchStrides fills the batch axes of a product of row-major operands.
func batchStrides(p *gemm.Product, sa, sb, so tensor.Shape) bool {
	lead := len(so) - 2
	if lead > len(p.Batch) {
		return false
	}
	stride := func(s tensor.Shape, k int) int { // of batch axis k of the output
		j := k - (len(so) - len(s))
		if j < 0 || s[j] == 1 {
			return 0
		}
		return s[j+1:].Elements()
	}
	for i := range p.Batch {
		p.Batch[i] = 1
	}
	for k := range lead {
		at := len(p.Batch) - lead + k
		p.Batch[at] = so[k]
		p.StrideA[at], p.StrideB[at], p.StrideC[at] = stride(sa, k), stride(sb, k), so[k+1:].Elements()
	}
	return true
}

// lowerGemm takes Gemm with a constant B and a bias along the columns.
func lowerGemm(f *fuser, i int) (*group, bool) {
	if g, ok := f.stack(i); ok {
		return g, true
	}
	n := f.node(i)
	x, out := n.In[0], n.Out[0]
	w := f.constant(n.In[1])
	if !f.f32(x) || !f.f32(out) || w == nil || !f.f32(n.In[1]) || n.Attrs.Int("transA", 0) != 0 || len(f.shape(x)) != 2 || f.shape(out).Elements() == 0 {
		return nil, false
	}
	trans := n.Attrs.Int("transB", 0) != 0
	k, cols := w.Shape[0], w.Shape[1]
	if trans {
		k, cols = cols, k
	}
	ep := newEpilogue()
	ep.alpha = n.Attrs.Float("alpha", 1)
	if k == 0 || ep.alpha == 0 {
		return nil, false
	}
	if len(n.In) > 2 && n.In[2] >= 0 {
		if !f.gemmBias(n, cols, ep) {
			return nil, false
		}
	}
	return f.dense(i, x, k, cols, w, trans, ep), true
}

// gemmBias takes Gemm's C: constant along the columns or one for all, or a whole matrix.
func (f *fuser) gemmBias(n *Node, cols int, ep *epilogue) bool {
	c := n.In[2]
	beta := n.Attrs.Float("beta", 1)
	if v := f.constF32(c); v != nil && (len(v) == 1 || alongAxis(f.shape(c), cols, 1)) {
		ep.bias = make([]float32, cols)
		for j := range ep.bias {
			ep.bias[j] = beta * v[j%len(v)]
		}
		return true
	}
	if beta == 1 && f.f32(c) && f.shape(c).Equal(f.shape(n.Out[0])) {
		ep.residual, ep.reads = c, append(ep.reads, c)
		return true
	}
	return false
}
