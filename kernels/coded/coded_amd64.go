//go:build amd64 && cgo && !noasm

package coded

// #cgo CFLAGS: -O3 -std=c11 -I${SRCDIR}/../isa -I${SRCDIR}/../pool -I${SRCDIR}/../gemm
// #cgo noescape aimass_coded_avx2
// #cgo nocallback aimass_coded_avx2
// #cgo noescape aimass_coded_avx512
// #cgo nocallback aimass_coded_avx512
// #include "coded.h"
import "C"

import (
	"unsafe"

	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/kernels/pool"
)

func ptr(x []float32) *C.float { return (*C.float)(unsafe.Pointer(unsafe.SliceData(x))) }

func gemmNative(m int, a []float32, lda int, w *Weights, c []float32, ldc int, ep *gemm.Epilogue, threads int) {
	t := C.struct_coded_task{
		m: C.int64_t(m), n: C.int64_t(w.N), k: C.int64_t(w.K), lda: C.int64_t(lda), ldc: C.int64_t(ldc), block: C.int64_t(w.block),
		kind: C.int32_t(w.kind), threads: C.int32_t(pool.Threads(threads)),
	}
	t.ep.alpha, t.ep.beta = 1, 1
	var bias, residual *C.float
	if ep != nil {
		if ep.Alpha != 0 {
			t.ep.alpha = C.float(ep.Alpha)
		}
		if ep.Beta != 0 {
			t.ep.beta = C.float(ep.Beta)
		}
		t.ep.act, t.ep.act_a, t.ep.act_b, t.ep.ldr = C.int32_t(ep.Act.Func), C.float(ep.Act.A), C.float(ep.Act.B), C.int64_t(ep.LDR)
		bias, residual = ptr(ep.Bias), ptr(ep.Residual)
	}
	codes, zeros := (*C.uint32_t)(unsafe.Pointer(unsafe.SliceData(w.codes))), (*C.int8_t)(unsafe.Pointer(unsafe.SliceData(w.zeros)))
	if w.level == isa.AVX512 {
		C.aimass_coded_avx512(&t, ptr(a), codes, ptr(w.scales), zeros, ptr(c), bias, residual)
	} else {
		C.aimass_coded_avx2(&t, ptr(a), codes, ptr(w.scales), zeros, ptr(c), bias, residual)
	}
}
