package gemm

import (
	"github.com/aimass/aimass/kernels/pool"
)

// view is a strided matrix: element (i, j) at i*rs+j*cs.
type view struct {
	x      []float32
	rs, cs int
}

// gemmGeneric is the specification of Gemm: the sum runs over k in order, in
// float32. Rows are independent, so they are what threads share out.
func gemmGeneric(m int, a []float32, lda int, b *PackedB, c []float32, ldc int, ep *Epilogue, threads int) {
	if m*b.N*b.K < 1<<15 {
		threads = 1
	}
	n := pool.Threads(threads)
	va, vb := view{a, lda, 1}, view{b.data, b.N, 1}
	if b.columns() {
		vb = view{b.data, 1, b.K}
	}
	if n <= 1 {
		rowsGeneric(0, m, b.N, b.K, va, vb, c, ldc, ep)
		return
	}
	pool.Run(n, n, func(t int) {
		lo, hi := pool.Split(m, 1, t, n)
		rowsGeneric(lo, hi, b.N, b.K, va, vb, c, ldc, ep)
	})
}

// matMulGeneric is the specification of MatMul.
func matMulGeneric(p *Product, a, b, c []float32, ep *Epilogue, threads int) {
	pool.Run(p.Count(), threads, func(t int) {
		oa, ob, oc := p.Offsets(t)
		va, vb := view{a, p.LDA, 1}, view{b, p.LDB, 1}
		if p.TransA {
			va.rs, va.cs = va.cs, va.rs
		}
		if p.TransB {
			vb.rs, vb.cs = vb.cs, vb.rs
		}
		if p.K > 0 {
			va.x, vb.x = a[oa:], b[ob:]
		}
		e := ep
		if ep != nil && ep.Residual != nil {
			shifted := *ep
			shifted.Residual = ep.Residual[oc:]
			e = &shifted
		}
		rowsGeneric(0, p.M, p.N, p.K, va, vb, c[oc:], p.LDC, e)
	})
}

func rowsGeneric(m0, m1, n, k int, a, b view, c []float32, ldc int, ep *Epilogue) {
	var block [256]float32
	for i := m0; i < m1; i++ {
		for j0 := 0; j0 < n; j0 += len(block) {
			sum := block[:min(len(block), n-j0)]
			clear(sum)
			for p := range k {
				av := a.x[i*a.rs+p*a.cs]
				if b.cs == 1 {
					row := b.x[p*b.rs+j0:]
					row = row[:len(sum)]
					for j, v := range row {
						sum[j] += av * v
					}
					continue
				}
				for j := range sum {
					sum[j] += av * b.x[p*b.rs+(j0+j)*b.cs]
				}
			}
			ep.finish(sum, i, j0)
			copy(c[i*ldc+j0:], sum)
		}
	}
}

// finish applies the epilogue to part of row i that begins at column j0.
func (ep *Epilogue) finish(sum []float32, i, j0 int) {
	if ep == nil {
		return
	}
	alpha, beta := ep.scales()
	for j := range sum {
		v := alpha * sum[j]
		if ep.Bias != nil {
			if ep.BiasRows {
				v += ep.Bias[i]
			} else {
				v += ep.Bias[j0+j]
			}
		}
		if ep.Residual != nil {
			v += beta * ep.Residual[i*ep.LDR+j0+j]
		}
		sum[j] = v
	}
	ep.Act.Apply(sum)
}

func (ep *Epilogue) scales() (alpha, beta float32) {
	alpha, beta = ep.Alpha, ep.Beta
	if alpha == 0 {
		alpha = 1
	}
	if beta == 0 {
		beta = 1
	}
	return alpha, beta
}
