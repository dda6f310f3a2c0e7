// Package gemm multiplies float32 matrices: with weights packed once at load
// (PackB, Gemm), with two activations as operands (MatMul), and through a
// chain of small dense layers in one call (Chain).
//
// All matrices are row-major: element (i, j) of a matrix with row stride ld
// lies at i*ld+j. Slices may be longer than needed; one that is too short is a
// broken invariant and panics before anything is computed. No function keeps
// a slice after it returns, and PackB and NewChain copy what they need. The
// destination must not overlap an operand, the residual excepted: it may be
// the destination itself with the same stride. Packed values are read-only
// and may be shared by any number of calls at a time. Nothing allocates after
// packing.
//
// Neighbours: act (functions of the epilogue), pool (threads), isa.
package gemm

import (
	"fmt"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/isa"
)

// Epilogue is what happens to the product P before it is stored:
//
//	C = act(Alpha·P + bias + Beta·Residual)
//
// A nil *Epilogue stores P.
type Epilogue struct {
	// Alpha multiplies the product. 0 means 1; fold a true 0 into the graph.
	Alpha float32
	// Bias has one value a column (n values), or one a row (m values) if
	// BiasRows. nil means none. In a batched MatMul all batches share it.
	Bias     []float32
	BiasRows bool
	// Residual is an m×n matrix with row stride LDR, added before Act. nil
	// means none. It may be C. In a batched MatMul it steps like C.
	Residual []float32
	LDR      int
	// Beta multiplies Residual. 0 means 1.
	Beta float32
	Act  act.Act
}

// PackedB is a k×n matrix laid out for the tile of one instruction set, to be
// the right operand of Gemm.
type PackedB struct {
	K, N  int
	level isa.Level
	// data holds ⌈N/NR⌉ panels of K rows of NR values, the last padded with
	// zeros, at a 64-byte boundary; NR is panelWidth(level). With at most
	// narrow columns it is the transposed matrix, and at level Generic the
	// plain K×N matrix.
	data []float32
}

// narrow is the most columns for which sums run along vectors of the depth: DOT_ROWS of gemm_body.h.
const narrow = 2

// columns reports that the matrix lies transposed.
func (b *PackedB) columns() bool { return b.level != isa.Generic && b.N <= narrow }

// Bytes is the size of the packed copy.
func (b *PackedB) Bytes() int { return 4 * len(b.data) }

// PackB copies a k×n matrix. With trans, b holds the n×k matrix whose
// transpose is meant: element (p, j) is b[j*ldb+p].
func PackB(k, n int, b []float32, ldb int, trans bool) *PackedB {
	return packB(isa.Current().Level, k, n, b, ldb, trans)
}

func packB(level isa.Level, k, n int, b []float32, ldb int, trans bool) *PackedB {
	rows, cols := k, n
	if trans {
		rows, cols = n, k
	}
	CheckMatrix("b", b, rows, cols, ldb)
	nr := panelWidth(level)
	if nr == 0 {
		nr = max(n, 1)
	}
	p := &PackedB{K: k, N: n, level: level}
	if p.columns() {
		nr = 1
	}
	panels := (n + nr - 1) / nr
	p.data = isa.Alloc(panels * k * nr)
	rs, cs := ldb, 1
	if trans {
		rs, cs = 1, ldb
	}
	for j0 := 0; j0 < n; j0 += nr {
		w := min(nr, n-j0)
		panel := p.data[j0*k:]
		for kk := range k {
			row := panel[kk*nr : kk*nr+w]
			src := kk*rs + j0*cs
			if cs == 1 {
				copy(row, b[src:src+w])
				continue
			}
			for j := range row {
				row[j] = b[src+j*cs]
			}
		}
	}
	return p
}

// Gemm computes the m×b.N matrix C from the m×b.K matrix A, with at most
// threads threads (pool.Threads clamps it; small products use one anyway).
func Gemm(m int, a []float32, lda int, b *PackedB, c []float32, ldc int, ep *Epilogue, threads int) {
	CheckMatrix("a", a, m, b.K, lda)
	CheckMatrix("c", c, m, b.N, ldc)
	checkEpilogue(ep, m, b.N)
	if m == 0 || b.N == 0 {
		return
	}
	if b.level != isa.Generic {
		gemmNative(m, a, lda, b, c, ldc, ep, threads)
		return
	}
	gemmGeneric(m, a, lda, b, c, ldc, ep, threads)
}

// GroupMax is the most products of a Group.
const GroupMax = 3

// Weighted is one product of a Group, C = Act(Alpha·A·B + Bias): see Epilogue.
type Weighted struct {
	B     *PackedB
	C     []float32
	LDC   int
	Alpha float32
	Bias  []float32
	Act   act.Act
}

// Group computes up to GroupMax products of the same m rows of A, whose weights were packed for
// the same instruction set and have the same K, in one go: A is read and packed once. The
// queries, keys and values of an attention are what it is for.
func Group(m int, a []float32, lda int, products []Weighted, threads int) {
	if len(products) == 0 || len(products) > GroupMax {
		panic(fmt.Sprintf("BUG: gemm: a group of %d products", len(products)))
	}
	first := products[0].B
	native := first.level != isa.Generic && first.K > 0 && m > 0
	CheckMatrix("a", a, m, first.K, lda)
	for i := range products {
		p := &products[i]
		if p.B.K != first.K || p.B.level != first.level {
			panic("BUG: gemm: products of a group differ in K or instruction set")
		}
		CheckMatrix("c", p.C, m, p.B.N, p.LDC)
		if p.Bias != nil && len(p.Bias) < p.B.N {
			panic(fmt.Sprintf("BUG: gemm: bias has %d values of %d", len(p.Bias), p.B.N))
		}
		if int(p.Act.Func) >= act.Count {
			panic("BUG: gemm: unknown activation")
		}
		native = native && p.B.N > narrow
	}
	if native {
		groupNative(m, a, lda, products, threads)
		return
	}
	for i := range products {
		p := &products[i]
		Gemm(m, a, lda, p.B, p.C, p.LDC, &Epilogue{Alpha: p.Alpha, Bias: p.Bias, Act: p.Act}, threads)
	}
}

// maxBatchDims is the number of batch axes that MatMul steps through itself.
const maxBatchDims = 4

// Product describes C = A·B for two matrices that are both activations, over a
// batch. TransA means that a holds the K×M matrix, TransB that b holds N×K.
type Product struct {
	M, N, K        int
	LDA, LDB, LDC  int
	TransA, TransB bool
	// Batch are the sizes of up to four batch axes, outer first, and StrideA,
	// StrideB and StrideC the steps in elements for each; 0 repeats an
	// operand. A size of 0 in a leading, unused place means 1; an axis that is
	// truly empty is the caller's to handle.
	Batch                     [maxBatchDims]int
	StrideA, StrideB, StrideC [maxBatchDims]int
}

// batches is the number of products and the largest offset of each operand.
func (p *Product) batches() (count, offA, offB, offC int) {
	count = 1
	for d, n := range p.Batch {
		n = max(n, 1)
		count *= n
		offA += (n - 1) * p.StrideA[d]
		offB += (n - 1) * p.StrideB[d]
		offC += (n - 1) * p.StrideC[d]
	}
	return count, offA, offB, offC
}

// Count is the number of products.
func (p *Product) Count() int {
	count, _, _, _ := p.batches()
	return count
}

// Offsets are where the operands of product t of Count begin.
func (p *Product) Offsets(t int) (a, b, c int) {
	for d := maxBatchDims - 1; d >= 0; d-- {
		n := max(p.Batch[d], 1)
		a += t % n * p.StrideA[d]
		b += t % n * p.StrideB[d]
		c += t % n * p.StrideC[d]
		t /= n
	}
	return a, b, c
}

// CheckProduct panics unless the slices hold all operands of a product's batch. residual, which steps like c, may be nil.
func CheckProduct[T float32 | float64](p *Product, a, b, c, residual []T, ldr int) {
	_, offA, offB, offC := p.batches()
	ar, ac, br, bc := p.M, p.K, p.K, p.N
	if p.TransA {
		ar, ac = ac, ar
	}
	if p.TransB {
		br, bc = bc, br
	}
	if p.K > 0 {
		CheckMatrix("a", a[min(offA, len(a)):], ar, ac, p.LDA)
		CheckMatrix("b", b[min(offB, len(b)):], br, bc, p.LDB)
	}
	CheckMatrix("c", c[min(offC, len(c)):], p.M, p.N, p.LDC)
	if residual != nil {
		CheckMatrix("residual", residual[min(offC, len(residual)):], p.M, p.N, ldr)
	}
}

// MatMul computes all products of the batch. ep may be nil.
func MatMul(p *Product, a, b, c []float32, ep *Epilogue, threads int) {
	matMul(isa.Current().Level, p, a, b, c, ep, threads)
}

func matMul(level isa.Level, p *Product, a, b, c []float32, ep *Epilogue, threads int) {
	if p.M == 0 || p.N == 0 {
		return
	}
	checkEpilogue(ep, p.M, p.N)
	var residual []float32
	ldr := 0
	if ep != nil {
		residual, ldr = ep.Residual, ep.LDR
	}
	CheckProduct(p, a, b, c, residual, ldr)
	if level != isa.Generic && p.K > 0 {
		matMulNative(level, p, a, b, c, ep, threads)
		return
	}
	matMulGeneric(p, a, b, c, ep, threads)
}

// CheckMatrix panics unless x holds a rows×cols matrix with row stride ld.
func CheckMatrix[T float32 | float64](name string, x []T, rows, cols, ld int) {
	if rows < 0 || cols < 0 || (rows > 1 && ld < cols) {
		panic(fmt.Sprintf("BUG: gemm: %s is %d×%d with row stride %d", name, rows, cols, ld))
	}
	if rows > 0 && cols > 0 && len(x) < (rows-1)*ld+cols {
		panic(fmt.Sprintf("BUG: gemm: %s has %d values, its %d×%d view with row stride %d needs %d",
			name, len(x), rows, cols, ld, (rows-1)*ld+cols))
	}
}

func checkEpilogue(ep *Epilogue, m, n int) {
	if ep == nil {
		return
	}
	want := n
	if ep.BiasRows {
		want = m
	}
	if ep.Bias != nil && len(ep.Bias) < want {
		panic(fmt.Sprintf("BUG: gemm: bias has %d values of %d", len(ep.Bias), want))
	}
	if ep.Residual != nil {
		CheckMatrix("residual", ep.Residual, m, n, ep.LDR)
	}
	if int(ep.Act.Func) >= act.Count {
		panic("BUG: gemm: unknown activation")
	}
}
