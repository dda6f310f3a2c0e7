package lower

import (
	"fmt"
	"slices"

	"github.com/aimass/aimass/kernels/elementwise"
	"github.com/aimass/aimass/kernels/elementwise64"
	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/kernels/gemm64"
	"github.com/aimass/aimass/runtime/match"
	"github.com/aimass/aimass/runtime/tensor"
)

// f64 reports whether a slot is a float64 tensor of known shape in memory that a step may address directly.
func (f *fuser) f64(slot int) bool { return f.known(slot, tensor.Float64) }

// constF64 is a slot's constant elements, nil if it is no constant of float64.
func (f *fuser) constF64(slot int) []float64 {
	if t := f.constant(slot); t != nil && t.DType == tensor.Float64 {
		return tensor.Data[float64](t)
	}
	return nil
}

// f64 is a slot's float64 elements during a run.
func (e *Env) f64(slot int) []float64 { return number[float64](e, slot) }

// product64 is a product of float64 matrices in the making.
type product64 struct {
	nodes    []int
	a, b     int
	p        gemm.Product
	ep       gemm64.Epilogue
	residual int // slot, −1 for none
	out      int
}

// matMul64 takes MatMul of float64.
func (f *fuser) matMul64(i int) (*group, bool) {
	n := f.node(i)
	a, b, out := n.In[0], n.In[1], n.Out[0]
	if !f.f64(a) || !f.f64(b) || !f.f64(out) || f.shape(out).Elements() == 0 {
		return nil, false
	}
	d := &product64{nodes: []int{i}, a: a, b: b, residual: -1, out: out}
	var ok bool
	if d.p, ok = rowsByColumns(f.shape(a), f.shape(b), f.shape(out)); !ok {
		return nil, false
	}
	return f.product64(d), true
}

// rowsByColumns is the geometry of a MatMul, vectors included.
func rowsByColumns(sa, sb, so tensor.Shape) (p gemm.Product, ok bool) {
	if len(sa) == 0 || len(sb) == 0 {
		return p, false
	}
	lead := so.Clone()
	if len(sb) == 1 {
		sb, lead = tensor.Shape{sb[0], 1}, append(lead, 1)
	}
	if len(sa) == 1 {
		sa, lead = tensor.Shape{1, sa[0]}, slices.Insert(lead, len(lead)-1, 1)
	}
	rank := len(lead)
	p = gemm.Product{M: lead[rank-2], N: lead[rank-1], K: sa[len(sa)-1]}
	p.LDA, p.LDB, p.LDC = p.K, p.N, p.N
	if !batchStrides(&p, sa, sb, lead) {
		return p, false
	}
	if len(sb) == 2 && rowsOnly(sa, lead) { // one tall product
		p.M, p.Batch, p.StrideA, p.StrideC = lead[:rank-1].Elements(), [4]int{1, 1, 1, 1}, [4]int{}, [4]int{}
	}
	return p, p.K > 0
}

// rowsOnly reports that every batch of a product has rows of its own on the left.
func rowsOnly(sa, so tensor.Shape) bool {
	return len(sa) == len(so) && sa[:len(sa)-1].Equal(so[:len(so)-1])
}

// gemm64 takes Gemm of float64.
func (f *fuser) gemm64(i int) (*group, bool) {
	n := f.node(i)
	a, b, out := n.In[0], n.In[1], n.Out[0]
	if !f.f64(a) || !f.f64(b) || !f.f64(out) || len(f.shape(a)) != 2 || len(f.shape(b)) != 2 || f.shape(out).Elements() == 0 {
		return nil, false
	}
	d := &product64{nodes: []int{i}, a: a, b: b, residual: -1, out: out}
	sa, sb := f.shape(a), f.shape(b)
	d.p = gemm.Product{M: f.shape(out)[0], N: f.shape(out)[1], K: sa[1], LDA: sa[1], LDB: sb[1],
		TransA: n.Attrs.Int("transA", 0) != 0, TransB: n.Attrs.Int("transB", 0) != 0}
	d.p.LDC = d.p.N
	if d.p.TransA {
		d.p.K = sa[0]
	}
	d.ep.Alpha, d.ep.Beta = float64(n.Attrs.Float("alpha", 1)), float64(n.Attrs.Float("beta", 1))
	if d.p.K == 0 || d.ep.Alpha == 0 || n.Opset < 7 {
		return nil, false
	}
	c := n.input(2)
	if c < 0 || d.ep.Beta == 0 || f.addend64(d, c, d.ep.Beta) {
		return f.product64(d), true
	}
	if d.ep.Beta != 1 || !f.f64(c) || !f.shape(c).Equal(tensor.Shape{d.p.M, 1}) {
		return nil, false
	}
	// What each row has of its own is added behind.
	add := mustDoubles([]elementwise.Layout{elementwise.Full, elementwise.Col}, []elementwise64.Step{{Op: elementwise64.Add, Dst: valueReg, X: 0, Y: 1}})
	g := f.product64(d)
	run, rows, cols := g.run, d.p.M, d.p.N
	g.reads, out = append(g.reads, c), d.out
	g.run = func(e *Env) error {
		if err := run(e); err != nil {
			return err
		}
		add.Run(e.f64(out), rows, cols, append(e.inputs64[:0], e.f64(out), e.f64(c)), e.Threads)
		return nil
	}
	return g, true
}

// addend64 takes what is added to a product: constants along the columns, or a whole matrix.
func (f *fuser) addend64(d *product64, c int, beta float64) bool {
	if v := f.constF64(c); v != nil && (len(v) == 1 || match.AlongAxis(f.shape(c), d.p.N, 1)) {
		if d.ep.Bias == nil {
			d.ep.Bias = make([]float64, d.p.N)
		}
		for j := range d.ep.Bias {
			d.ep.Bias[j] += beta * v[j%len(v)]
		}
		return true
	}
	if d.residual < 0 && f.f64(c) && f.shape(c).Equal(f.shape(d.out)) {
		d.residual, d.ep.LDR, d.ep.Beta = c, d.p.N, beta
		return true
	}
	return false
}

// product64 makes the step, with a constant that is added behind it.
func (f *fuser) product64(d *product64) *group {
	if j, ok := f.onlyUser(d.out); ok && d.ep.Bias == nil && d.residual < 0 {
		n := f.node(j)
		for k := range n.In {
			if n.OpName() == "Add" && n.Opset >= 7 && n.In[1-k] == d.out && !f.claimed[j] && f.f64(n.Out[0]) &&
				f.shape(n.Out[0]).Equal(f.shape(d.out)) && f.constF64(n.In[k]) != nil && f.addend64(d, n.In[k], 1) {
				d.nodes, d.out = append(d.nodes, j), n.Out[0]
				break
			}
		}
	}
	g := &group{nodes: d.nodes, reads: []int{d.a}, writes: []int{d.out}}
	if d.residual >= 0 {
		g.reads = append(g.reads, d.residual)
	}
	// Beside what the steps keep, ep holds the residual of one run.
	ep := func(e *Env) *gemm64.Epilogue {
		e.gemm64 = d.ep
		if d.residual >= 0 {
			e.gemm64.Residual = e.f64(d.residual)
		}
		return &e.gemm64
	}
	w := f.constant(d.b)
	if w == nil || len(w.Shape) > 2 || d.p.TransA {
		g.reads = append(g.reads, d.b)
		g.run = func(e *Env) error {
			gemm64.MatMul(&d.p, e.f64(d.a), e.f64(d.b), e.f64(d.out), ep(e), e.Threads)
			return nil
		}
		return g
	}
	packed := f.pack64(w, d.p.K, d.p.N, d.p.LDB, d.p.TransB)
	rows := f.shape(d.out).Elements() / d.p.N
	g.run = func(e *Env) error {
		gemm64.Gemm(rows, e.f64(d.a), d.p.LDA, packed, e.f64(d.out), d.p.N, ep(e), e.Threads)
		return nil
	}
	return g
}

// pack64 gives a packed constant of k×n.
func (f *fuser) pack64(w *tensor.Tensor, k, n, ld int, trans bool) *gemm64.Packed {
	return f.pl.Packed.get(w, fmt.Sprintf("gemm64 %dx%d %t", k, n, trans), func(src *tensor.Tensor) (any, int64) {
		p := gemm64.Pack(k, n, tensor.Packable[float64](src), ld, trans)
		return p, int64(p.Bytes())
	}).(*gemm64.Packed)
}
