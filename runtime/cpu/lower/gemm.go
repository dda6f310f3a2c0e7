package lower

import (
	"fmt"
	"slices"

	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/runtime/match"
	"github.com/aimass/aimass/runtime/tensor"
)

// lowerMatMul takes products of floats: with constant right operands packed once and the
// nodes that follow done in the tile store, or with two activations.
func lowerMatMul(f *fuser, i int) (*group, bool) {
	if g, ok := f.matMul64(i); ok {
		return g, true
	}
	if g, ok := f.stack(i); ok {
		return g, true
	}
	if g, ok := f.oneHot(i); ok {
		return g, true
	}
	if d, ok := f.matMulWeights(i); ok {
		return f.dense(d), true
	}
	n := f.node(i)
	a, b, out := n.In[0], n.In[1], n.Out[0]
	if !f.f32(a) || !f.f32(b) || !f.f32(out) || f.shape(out).Elements() == 0 {
		return nil, false
	}
	return f.product(i, a, b, out)
}

// denseNode is x·W with constant weights, and what of the node itself comes behind it.
type denseNode struct {
	node, x, k, cols int
	w                *tensor.Tensor
	trans            bool
	aff              *channelwise // nil: none
	ep               *epilogue
}

// out is what the product is followed from.
func (d *denseNode) out(f *fuser) int {
	if d.aff != nil {
		return d.aff.out
	}
	return f.node(d.node).Out[0]
}

// nodes are those of the product without what follows.
func (d *denseNode) nodes() []int {
	if d.aff != nil {
		return append([]int{d.node}, d.aff.nodes...)
	}
	return []int{d.node}
}

// normed puts a normalisation behind the product, and other scales of its columns, into weights and bias.
func (f *fuser) normed(d *denseNode) *denseNode {
	if d.ep.residual >= 0 {
		return d
	}
	c := newChannelwise(f.node(d.node).Out[0], d.cols)
	f.extend(c, 1)
	for {
		v, nodes := f.views(c.out, d.cols)
		past := *c
		past.out, past.nodes = v, slices.Concat(c.nodes, nodes)
		taken := len(past.nodes)
		if len(nodes) > 0 {
			f.extend(&past, 1)
		}
		if len(past.nodes) == taken {
			break
		}
		c = &past
	}
	// The tile store has a bias and one factor for all.
	if slices.ContainsFunc(c.scale, func(s float64) bool { return s != c.scale[0] }) || slices.ContainsFunc(c.nodes, func(i int) bool { return f.node(i).Op == "BatchNormalization" }) {
		d.aff, d.ep.bias = c, c.bias(d.ep.bias, nil)
	}
	return d
}

// matMulWeights reads a MatMul whose right operand is a constant matrix.
func (f *fuser) matMulWeights(i int) (*denseNode, bool) {
	n := f.node(i)
	x, out := n.In[0], n.Out[0]
	w := f.constant(n.In[1])
	if w == nil || len(w.Shape) != 2 || !f.f32(x) || !f.f32(n.In[1]) || !f.f32(out) || f.shape(out).Elements() == 0 || len(f.shape(x)) < 1 || w.Shape[0] == 0 {
		return nil, false
	}
	return f.normed(&denseNode{node: i, x: x, k: w.Shape[0], cols: w.Shape[1], w: w, ep: newEpilogue()}), true
}

// pack gives the packed weights.
func (f *fuser) pack(d *denseNode) *gemm.PackedB {
	ld := d.cols
	if d.trans {
		ld = d.k
	}
	form := fmt.Sprintf("gemm %dx%d %t", d.k, d.cols, d.trans)
	if d.aff != nil {
		form += fmt.Sprintf(" %p %d", f.node(d.node).Node, len(d.aff.nodes))
	}
	return f.pl.Packed.get(d.w, form, func(src *tensor.Tensor) (any, int64) {
		w := tensor.Packable[float32](src)
		if d.aff != nil {
			w = d.aff.columns(w, d.trans)
		}
		p := gemm.PackB(d.k, d.cols, w, ld, d.trans)
		return p, int64(p.Bytes())
	}).(*gemm.PackedB)
}

// dense makes the step of a product with constant weights, and of others of the same x.
func (f *fuser) dense(d *denseNode) *group {
	if g, ok := f.siblings(d); ok {
		return g
	}
	if d.aff == nil && f.shape(d.x).Elements()/d.k <= halfRows { // scaled weights are not those of the file
		if h := f.pl.Packed.halvesOf(d.w); h != nil {
			return f.halfWeights(d, h)
		}
	}
	packed := f.pack(d)
	return f.times(d.nodes(), d.x, d.out(f), d.k, d.cols, d.ep, func(m int, a, c []float32, ep *gemm.Epilogue, threads int) {
		gemm.Gemm(m, a, d.k, packed, c, d.cols, ep, threads)
	})
}

// siblings takes d together with other products of the same x with constant weights, such as
// the queries, keys and values of an attention. The group reads nothing but x, and stands at its
// first node: nodes between its members may read what the first ones write.
func (f *fuser) siblings(first *denseNode) (*group, bool) {
	m := f.shape(first.x).Elements() / first.k
	if m <= stackRows {
		return nil, false // a sibling may begin a stack
	}
	var members []*denseNode
	for _, j := range f.users[first.x] {
		if f.claimed[j] || j < first.node || len(members) == gemm.GroupMax {
			continue
		}
		d, ok := first, j == first.node
		if !ok {
			switch n := f.node(j); {
			case n.In[0] != first.x:
			case n.OpName() == "MatMul":
				d, ok = f.matMulWeights(j)
			case n.OpName() == "Gemm":
				d, ok = f.gemmWeights(j)
			}
			if !ok || d.k != first.k {
				continue
			}
		}
		after := *d.ep
		f.follow(d.out(f), d.cols, 1, &after)
		if after.residual >= 0 {
			if j == first.node {
				return nil, false
			}
			continue
		}
		members = append(members, &denseNode{node: j, x: d.x, k: d.k, cols: d.cols, w: d.w, trans: d.trans, aff: d.aff, ep: &after})
	}
	if len(members) < 2 {
		return nil, false
	}
	g := &group{reads: []int{first.x}, early: true}
	tails := make([]gemm.Weighted, len(members))
	for k, d := range members {
		g.nodes = append(append(g.nodes, d.nodes()...), d.ep.nodes...)
		g.writes = append(g.writes, d.ep.out)
		tails[k] = gemm.Weighted{B: f.pack(d), LDC: d.cols, Alpha: d.ep.alpha, Bias: d.ep.bias, Act: d.ep.act}
	}
	g.run = func(e *Env) error {
		products := e.products[:copy(e.products[:], tails)]
		for k := range products {
			products[k].C = e.f32(g.writes[k])
		}
		gemm.Group(m, e.f32(first.x), first.k, products, e.Threads)
		return nil
	}
	return g, true
}

// times is x·W with what packed constant weights multiply by, done by the nodes, and what follows slot out.
func (f *fuser) times(nodes []int, x, out, k, cols int, ep *epilogue, multiply func(m int, a, c []float32, ep *gemm.Epilogue, threads int)) *group {
	f.follow(out, cols, 1, ep)
	m := f.shape(x).Elements() / k
	g := &group{nodes: append(nodes, ep.nodes...), reads: append([]int{x}, ep.reads...), writes: []int{ep.out}}
	tail := &gemm.Epilogue{Alpha: ep.alpha, Bias: ep.bias, Act: ep.act}
	dst, res := ep.out, ep.residual
	g.run = func(e *Env) error {
		e.gemm = *tail
		if res >= 0 {
			e.gemm.Residual, e.gemm.LDR = e.f32(res), cols
		}
		multiply(m, e.f32(x), e.f32(dst), &e.gemm, e.Threads)
		return nil
	}
	return g
}

// product multiplies two activations, batched.
func (f *fuser) product(i, a, b, out int) (*group, bool) {
	p, ok := rowsByColumns(f.shape(a), f.shape(b), f.shape(out))
	if !ok {
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
		gemm.MatMul(&p, e.f32(a), e.f32(b), e.f32(dst), tail, e.Threads)
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

// lowerGemm takes Gemm: with a constant B what follows is done in the tile store.
func lowerGemm(f *fuser, i int) (*group, bool) {
	if g, ok := f.stack(i); ok {
		return g, true
	}
	if d, ok := f.gemmWeights(i); ok {
		return f.dense(d), true
	}
	if g, ok := f.gemmProduct(i); ok {
		return g, true
	}
	return f.gemm64(i)
}

// gemmProduct takes Gemm of float32 whose B is no constant, or whose A lies transposed.
func (f *fuser) gemmProduct(i int) (*group, bool) {
	n := f.node(i)
	a, b, out := n.In[0], n.In[1], n.Out[0]
	if !f.f32(a) || !f.f32(b) || !f.f32(out) || len(f.shape(a)) != 2 || len(f.shape(b)) != 2 || f.shape(out).Elements() == 0 || n.Opset < 7 {
		return nil, false
	}
	sa, sb, so := f.shape(a), f.shape(b), f.shape(out)
	p := gemm.Product{M: so[0], N: so[1], K: sa[1], LDA: sa[1], LDB: sb[1], LDC: so[1],
		TransA: n.Attrs.Int("transA", 0) != 0, TransB: n.Attrs.Int("transB", 0) != 0}
	if p.TransA {
		p.K = sa[0]
	}
	ep := newEpilogue()
	ep.alpha = n.Attrs.Float("alpha", 1)
	if p.K == 0 || ep.alpha == 0 || n.input(2) >= 0 && !f.gemmBias(n, p.N, ep) {
		return nil, false
	}
	reads := append([]int{a, b}, ep.reads...)
	run := func(e *Env) error {
		e.gemm = gemm.Epilogue{Alpha: ep.alpha, Bias: ep.bias}
		if ep.residual >= 0 {
			e.gemm.Residual, e.gemm.LDR = e.f32(ep.residual), p.N
		}
		gemm.MatMul(&p, e.f32(a), e.f32(b), e.f32(out), &e.gemm, e.Threads)
		return nil
	}
	return &group{nodes: []int{i}, reads: reads, writes: []int{out}, run: run}, true
}

// gemmWeights reads a Gemm whose B is constant and whose C the tile store can add.
func (f *fuser) gemmWeights(i int) (*denseNode, bool) {
	n := f.node(i)
	x, out := n.In[0], n.Out[0]
	w := f.constant(n.In[1])
	if !f.f32(x) || !f.f32(out) || w == nil || !f.f32(n.In[1]) || n.Attrs.Int("transA", 0) != 0 || len(f.shape(x)) != 2 || f.shape(out).Elements() == 0 {
		return nil, false
	}
	d := &denseNode{node: i, x: x, k: w.Shape[0], cols: w.Shape[1], w: w, trans: n.Attrs.Int("transB", 0) != 0, ep: newEpilogue()}
	if d.trans {
		d.k, d.cols = d.cols, d.k
	}
	d.ep.alpha = n.Attrs.Float("alpha", 1)
	if d.k == 0 || d.ep.alpha == 0 {
		return nil, false
	}
	if len(n.In) > 2 && n.In[2] >= 0 {
		if !f.gemmBias(n, d.cols, d.ep) {
			return nil, false
		}
	}
	return f.normed(d), true
}

// gemmBias takes Gemm's C: constant along the columns or one for all, or a whole matrix.
func (f *fuser) gemmBias(n *Node, cols int, ep *epilogue) bool {
	c := n.In[2]
	beta := n.Attrs.Float("beta", 1)
	if v := f.constF32(c); v != nil && (len(v) == 1 || match.AlongAxis(f.shape(c), cols, 1)) {
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

// stackRows is the most rows for which a stack of dense layers goes row by row: beyond
// it the weights are better read once for many rows.
const stackRows = 4

// stackBytes bounds the weights of a stack, which every row reads again: they should stay
// in the second level cache. It also bounds the copies beside those for more rows.
const stackBytes = 1 << 20

// layer is a dense layer of constants, its weights w beside it, with the bias and the function behind it.
type layer struct {
	gemm.Layer
	w     *tensor.Tensor
	out   int
	nodes []int
}

// stack takes two or more small dense layers that follow each other, from node i on.
func (f *fuser) stack(i int) (*group, bool) {
	first, ok := f.denseLayer(i)
	if !ok {
		return nil, false
	}
	x := f.node(i).In[0]
	rows := f.shape(x).Elements() / first.K
	if rows > stackRows {
		return nil, false
	}
	layers, members, nodes, last := []gemm.Layer{first.Layer}, []*layer{first}, first.nodes, first
	size := first.w.Size()
	form := fmt.Sprintf("stack %p", f.node(i).Node)
	for len(layers) < gemm.MaxChainLayers {
		j, ok := f.onlyUser(last.out)
		if !ok {
			break
		}
		next, ok := f.denseLayer(j)
		if !ok || f.node(j).In[0] != last.out || next.K != last.N || !gemm.ChainFits(append(layers[:len(layers):len(layers)], next.Layer)) {
			break
		}
		if size += next.w.Size(); size > stackBytes {
			break
		}
		layers, members, nodes, last = append(layers, next.Layer), append(members, next), append(nodes, next.nodes...), next
		form += fmt.Sprintf(" %p", f.node(j).Node)
	}
	if len(layers) < 2 {
		return nil, false
	}
	form += fmt.Sprintf(" %d", len(nodes))
	chain := f.pl.Packed.get(first.w, form, func(*tensor.Tensor) (chain any, size int64) {
		for _, l := range layers {
			size += int64(4 * (l.K + 1) * l.N)
		}
		lendLayers(members, nil, func(layers []gemm.Layer) { chain = gemm.NewChain(layers) })
		return chain, size
	}).(*gemm.Chain)
	out := last.out
	run := func(e *Env) error {
		chain.Run(rows, e.f32(x), chain.K, e.f32(out), chain.N)
		return nil
	}
	return &group{nodes: nodes, reads: []int{x}, writes: []int{out}, run: run}, true
}

// lendLayers calls f with the layers and their weights, behind those before.
func lendLayers(layers []*layer, before []gemm.Layer, f func([]gemm.Layer)) {
	if len(layers) == 0 {
		f(before)
		return
	}
	layers[0].w.Lend(func(src *tensor.Tensor) {
		l := layers[0].Layer
		l.B = tensor.Data[float32](src)
		lendLayers(layers[1:], append(before, l), f)
	})
}

// denseLayer reads Gemm or MatMul with constant weights, and what follows, as a layer
// y = act(x·W + b).
func (f *fuser) denseLayer(i int) (*layer, bool) {
	n := f.node(i)
	gemmNode := n.OpName() == "Gemm"
	if f.claimed[i] || !gemmNode && n.OpName() != "MatMul" {
		return nil, false
	}
	x, out := n.In[0], n.Out[0]
	w := f.constant(n.In[1])
	if w == nil || len(w.Shape) != 2 || !f.f32(n.In[1]) || !f.f32(x) || !f.f32(out) || w.Elements() == 0 || f.shape(out).Elements() == 0 || len(f.shape(x)) < 2 {
		return nil, false
	}
	l := &layer{w: w}
	l.K, l.N, l.LDB = w.Shape[0], w.Shape[1], w.Shape[1]
	ep := newEpilogue()
	ep.unscaled = true
	if gemmNode {
		if l.Trans = n.Attrs.Int("transB", 0) != 0; l.Trans {
			l.K, l.N = l.N, l.K
		}
		if n.Attrs.Int("transA", 0) != 0 || n.Attrs.Float("alpha", 1) != 1 || n.input(2) >= 0 && !f.gemmBias(n, l.N, ep) {
			return nil, false
		}
	}
	f.follow(out, l.N, 1, ep)
	if ep.residual >= 0 || !gemm.ChainFits([]gemm.Layer{l.Layer}) {
		return nil, false
	}
	l.Bias, l.Act, l.out, l.nodes = ep.bias, ep.act, ep.out, append([]int{i}, ep.nodes...)
	return l, true
}
