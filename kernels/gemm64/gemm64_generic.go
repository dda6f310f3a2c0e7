package gemm64

import (
	"math"

	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/kernels/pool"
)

// view is a strided matrix: element (i, j) at i*rs+j*cs.
type view struct {
	x      []float64
	rs, cs int
}

// gemmGeneric is the specification of Gemm and Distances: sums run over the depth in order.
func gemmGeneric(m int, a []float64, lda int, b *Packed, c []float64, ldc int, s Metric, ep *Epilogue, threads int) {
	if m*b.N*b.K < 1<<15 {
		threads = 1
	}
	n := pool.Threads(threads)
	va, vb := view{a, lda, 1}, view{b.data, b.N, 1}
	if b.columns() {
		vb = view{b.data, 1, b.K}
	}
	pool.Run(n, n, func(t int) {
		lo, hi := pool.Split(m, 1, t, n)
		rowsGeneric(lo, hi, b.N, b.K, va, vb, c, ldc, s, ep)
	})
}

// matMulGeneric is the specification of MatMul.
func matMulGeneric(p *gemm.Product, a, b, c []float64, ep *Epilogue, threads int) {
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
		rowsGeneric(0, p.M, p.N, p.K, va, vb, c[oc:], p.LDC, products, e)
	})
}

func rowsGeneric(m0, m1, n, k int, a, b view, c []float64, ldc int, s Metric, ep *Epilogue) {
	var block [256]float64
	for i := m0; i < m1; i++ {
		for j0 := 0; j0 < n; j0 += len(block) {
			sums := block[:min(len(block), n-j0)]
			clear(sums)
			for p := range k {
				x, row := a.x[i*a.rs+p*a.cs], p*b.rs+j0*b.cs
				for j := range sums {
					switch y := b.x[row+j*b.cs]; s {
					case products:
						sums[j] += x * y
					case Cityblock:
						sums[j] += math.Abs(x - y)
					default:
						sums[j] += (x - y) * (x - y)
					}
				}
			}
			if s == Euclidean {
				for j, v := range sums {
					sums[j] = math.Sqrt(v)
				}
			}
			ep.finish(sums, i, j0)
			copy(c[i*ldc+j0:], sums)
		}
	}
}

// finish applies the epilogue to part of row i that begins at column j0.
func (ep *Epilogue) finish(sums []float64, i, j0 int) {
	if ep == nil {
		return
	}
	alpha, beta := ep.scales()
	for j := range sums {
		v := alpha * sums[j]
		if ep.Bias != nil {
			v += ep.Bias[j0+j]
		}
		if ep.Residual != nil {
			v += beta * ep.Residual[i*ep.LDR+j0+j]
		}
		sums[j] = v
	}
}
