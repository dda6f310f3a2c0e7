//go:build amd64 && cgo && !noasm

package gemm64

// #cgo CFLAGS: -O3 -std=c11 -I${SRCDIR}/../isa -I${SRCDIR}/../pool
// #cgo noescape aimass_gemm64_avx2
// #cgo nocallback aimass_gemm64_avx2
// #cgo noescape aimass_gemm64_avx512
// #cgo nocallback aimass_gemm64_avx512
// #include "gemm64.h"
import "C"

import (
	"unsafe"

	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/kernels/pool"
)

// panelWidth is NR of gemm64_body.h: two vectors.
func panelWidth(level isa.Level) int {
	switch level {
	case isa.AVX512:
		return 16
	case isa.AVX2:
		return 8
	}
	return 0
}

func ptr(x []float64) *C.double { return (*C.double)(unsafe.Pointer(unsafe.SliceData(x))) }

func gemmNative(m int, a []float64, lda int, b *Packed, c []float64, ldc int, s Metric, ep *Epilogue, threads int) {
	t := C.struct_gemm64_task{
		m: C.int64_t(m), n: C.int64_t(b.N), k: C.int64_t(b.K), lda: C.int64_t(lda), ldb: C.int64_t(b.K), ldc: C.int64_t(ldc),
		threads: C.int32_t(pool.Threads(threads)), form: C.B_PANELS, sum: C.SUM_PRODUCTS,
	}
	if b.columns() {
		t.form = C.B_TRANS
	}
	switch s {
	case Euclidean:
		t.sum, t.root = C.SUM_SQUARES, 1
	case SquaredEuclidean:
		t.sum = C.SUM_SQUARES
	case Cityblock:
		t.sum = C.SUM_DIFFERENCES
	}
	call(b.level, &t, a, b.data, c, ep)
}

func matMulNative(level isa.Level, p *gemm.Product, a, b, c []float64, ep *Epilogue, threads int) {
	t := C.struct_gemm64_task{
		m: C.int64_t(p.M), n: C.int64_t(p.N), k: C.int64_t(p.K), lda: C.int64_t(p.LDA), ldb: C.int64_t(p.LDB), ldc: C.int64_t(p.LDC),
		threads: C.int32_t(pool.Threads(threads)), form: C.B_PLAIN, sum: C.SUM_PRODUCTS,
	}
	if p.TransA {
		t.trans_a = 1
	}
	if p.TransB {
		t.form = C.B_TRANS
	}
	for d := range p.Batch {
		t.batch[d] = C.int64_t(p.Batch[d])
		t.stride_a[d], t.stride_b[d], t.stride_c[d] = C.int64_t(p.StrideA[d]), C.int64_t(p.StrideB[d]), C.int64_t(p.StrideC[d])
	}
	call(level, &t, a, b, c, ep)
}

func call(level isa.Level, t *C.struct_gemm64_task, a, b, c []float64, ep *Epilogue) {
	alpha, beta := ep.scales()
	t.alpha, t.beta = C.double(alpha), C.double(beta)
	var bias, residual *C.double
	if ep != nil && ep.Bias != nil {
		bias = ptr(ep.Bias)
	}
	if ep != nil && ep.Residual != nil {
		residual, t.ldr = ptr(ep.Residual), C.int64_t(ep.LDR)
	}
	if level == isa.AVX512 {
		C.aimass_gemm64_avx512(t, ptr(a), ptr(b), ptr(c), bias, residual)
	} else {
		C.aimass_gemm64_avx2(t, ptr(a), ptr(b), ptr(c), bias, residual)
	}
}
