// Package gemm64 multiplies float64 matrices, with a right operand packed once
// at load (Pack, Gemm) or with two activations (MatMul), and finds the
// distances of rows (Distances).
//
// Matrices, strides, ownership and what panics are as in package gemm, which
// does the same in float32 with more forms of epilogue. Distances are sums
// over differences, which lose nothing where rows lie close together, as
// |a|² + |b|² − 2ab would.
//
// Neighbours: gemm (Product), pool (threads), isa.
package gemm64

import (
	"fmt"
	"unsafe"

	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/kernels/isa"
)

// Epilogue is what happens to the product P before it is stored:
//
//	C = Alpha·P + bias + Beta·Residual
//
// A nil *Epilogue stores P.
type Epilogue struct {
	Alpha float64   // 0 means 1
	Bias  []float64 // one value a column; nil means none
	// Residual is an m×n matrix with row stride LDR; nil means none. It may be C. In a batched MatMul it steps like C.
	Residual []float64
	LDR      int
	Beta     float64 // 0 means 1
}

// narrow is the most columns of a packed matrix that lie one behind the other, for sums along the depth.
const narrow = 2

// Packed is a k×n matrix laid out for one instruction set, to be the right operand of Gemm or Distances.
type Packed struct {
	K, N  int
	level isa.Level
	// data holds ⌈N/NR⌉ panels of K rows of NR values, the last padded with zeros; or, with at most narrow
	// columns, the transposed matrix. At level Generic it is the plain K×N matrix.
	data []float64
}

// Bytes is the size of the packed copy.
func (b *Packed) Bytes() int { return 8 * len(b.data) }

// columns reports that the matrix lies transposed.
func (b *Packed) columns() bool { return b.level != isa.Generic && b.N <= narrow }

// Pack copies a k×n matrix. With trans, b holds the n×k matrix whose
// transpose is meant: element (p, j) is b[j*ldb+p].
func Pack(k, n int, b []float64, ldb int, trans bool) *Packed {
	return pack(isa.Current().Level, k, n, b, ldb, trans)
}

func pack(level isa.Level, k, n int, b []float64, ldb int, trans bool) *Packed {
	rows, cols, rs, cs := k, n, ldb, 1
	if trans {
		rows, cols, rs, cs = n, k, 1, ldb
	}
	gemm.CheckMatrix("b", b, rows, cols, ldb)
	p := &Packed{K: k, N: n, level: level}
	nr := panelWidth(level)
	if nr == 0 || p.columns() {
		nr = max(n, 1)
	}
	p.data = alloc((n + nr - 1) / nr * nr * k)
	for kk := range k {
		for j := range n {
			at := (j/nr*k+kk)*nr + j%nr
			if p.columns() {
				at = j*k + kk
			}
			p.data[at] = b[kk*rs+j*cs]
		}
	}
	return p
}

// alloc makes a zeroed slice at a 64-byte boundary.
func alloc(n int) []float64 {
	return unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(isa.Alloc(2*n)))), n)
}

// Gemm computes the m×b.N matrix C from the m×b.K matrix A, with at most threads threads.
func Gemm(m int, a []float64, lda int, b *Packed, c []float64, ldc int, ep *Epilogue, threads int) {
	against(m, a, lda, b, c, ldc, products, ep, threads)
}

// Metric is what makes the distance of two rows.
type Metric uint8

// The metrics.
const (
	SquaredEuclidean Metric = 1 + iota
	Euclidean
	Cityblock // the sum of the differences along the axes

	products Metric = 0 // no distance: what Gemm sums
)

// Distances sets C[i][j] to the distance of row i of A from column j of B.
func Distances(m int, a []float64, lda int, b *Packed, c []float64, ldc int, by Metric, threads int) {
	against(m, a, lda, b, c, ldc, by, nil, threads)
}

func against(m int, a []float64, lda int, b *Packed, c []float64, ldc int, s Metric, ep *Epilogue, threads int) {
	gemm.CheckMatrix("a", a, m, b.K, lda)
	gemm.CheckMatrix("c", c, m, b.N, ldc)
	ep.check(m, b.N)
	if m == 0 || b.N == 0 {
		return
	}
	if b.level != isa.Generic && b.K > 0 {
		gemmNative(m, a, lda, b, c, ldc, s, ep, threads)
		return
	}
	gemmGeneric(m, a, lda, b, c, ldc, s, ep, threads)
}

// MatMul computes all products of the batch. ep may be nil.
func MatMul(p *gemm.Product, a, b, c []float64, ep *Epilogue, threads int) {
	matMul(isa.Current().Level, p, a, b, c, ep, threads)
}

func matMul(level isa.Level, p *gemm.Product, a, b, c []float64, ep *Epilogue, threads int) {
	if p.M == 0 || p.N == 0 {
		return
	}
	ep.check(p.M, p.N)
	var residual []float64
	ldr := 0
	if ep != nil {
		residual, ldr = ep.Residual, ep.LDR
	}
	gemm.CheckProduct(p, a, b, c, residual, ldr)
	if level != isa.Generic && p.K > 0 {
		matMulNative(level, p, a, b, c, ep, threads)
		return
	}
	matMulGeneric(p, a, b, c, ep, threads)
}

func (ep *Epilogue) check(m, n int) {
	if ep == nil {
		return
	}
	if ep.Bias != nil && len(ep.Bias) < n {
		panic(fmt.Sprintf("BUG: gemm64: bias has %d values of %d", len(ep.Bias), n))
	}
	if ep.Residual != nil {
		gemm.CheckMatrix("residual", ep.Residual, m, n, ep.LDR)
	}
}

func (ep *Epilogue) scales() (alpha, beta float64) {
	alpha, beta = 1, 1
	if ep != nil && ep.Alpha != 0 {
		alpha = ep.Alpha
	}
	if ep != nil && ep.Beta != 0 {
		beta = ep.Beta
	}
	return alpha, beta
}
