//go:build amd64 && cgo && !noasm

package coded

// #cgo CFLAGS: -O3 -std=c11 -I${SRCDIR}/../isa -I${SRCDIR}/../pool -I${SRCDIR}/../gemm
// #cgo noescape aimass_coded_avx2
// #cgo nocallback aimass_coded_avx2
// #cgo noescape aimass_coded_avx512
// #cgo nocallback aimass_coded_avx512
// #cgo noescape aimass_coded_widen_avx2
// #cgo nocallback aimass_coded_widen_avx2
// #cgo noescape aimass_coded_widen_avx512
// #cgo nocallback aimass_coded_widen_avx512
// #cgo noescape aimass_coded_narrow_avx2
// #cgo nocallback aimass_coded_narrow_avx2
// #cgo noescape aimass_coded_narrow_avx512
// #cgo nocallback aimass_coded_narrow_avx512
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

func halves(x []uint16) *C.uint16_t { return (*C.uint16_t)(unsafe.Pointer(unsafe.SliceData(x))) }

func widenNative(level isa.Level, dst []float32, src []uint16, kind Kind, threads int) {
	n, k, th := C.int64_t(len(src)), C.int(kind), C.int(pool.Threads(threads))
	if level == isa.AVX512 {
		C.aimass_coded_widen_avx512(ptr(dst), halves(src), n, k, th)
	} else {
		C.aimass_coded_widen_avx2(ptr(dst), halves(src), n, k, th)
	}
}

func narrowNative(level isa.Level, dst []uint16, src []float32, kind Kind, threads int) {
	n, k, th := C.int64_t(len(src)), C.int(kind), C.int(pool.Threads(threads))
	if level == isa.AVX512 {
		C.aimass_coded_narrow_avx512(halves(dst), ptr(src), n, k, th)
	} else {
		C.aimass_coded_narrow_avx2(halves(dst), ptr(src), n, k, th)
	}
}
