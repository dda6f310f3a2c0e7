//go:build amd64 && cgo && !noasm

package reduce

// #cgo CFLAGS: -O3 -std=c11 -I${SRCDIR}/../isa -I${SRCDIR}/../pool
// #cgo LDFLAGS: -lm
// #cgo noescape aimass_reduce_avx2
// #cgo nocallback aimass_reduce_avx2
// #cgo noescape aimass_reduce_avx512
// #cgo nocallback aimass_reduce_avx512
// #cgo noescape aimass_reduce_runs_avx2
// #cgo nocallback aimass_reduce_runs_avx2
// #cgo noescape aimass_reduce_runs_avx512
// #cgo nocallback aimass_reduce_runs_avx512
// #include "reduce.h"
import "C"

import (
	"unsafe"

	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/kernels/pool"
)

func axisNative(level isa.Level, op Op, dst, x []float32, outer, n, inner, threads int) {
	t := C.struct_reduce_task{outer: C.int64_t(outer), n: C.int64_t(n), inner: C.int64_t(inner),
		op: C.int32_t(op), threads: C.int32_t(pool.Threads(threads))}
	d, s := (*C.float)(unsafe.Pointer(unsafe.SliceData(dst))), (*C.float)(unsafe.Pointer(unsafe.SliceData(x)))
	if level == isa.AVX512 {
		C.aimass_reduce_avx512(&t, d, s)
	} else {
		C.aimass_reduce_avx2(&t, d, s)
	}
}

func runsNative(level isa.Level, op Op, dst, src []float32, at []int64, n, threads int) {
	t := C.struct_reduce_runs{count: C.int64_t(len(at)), n: C.int64_t(n), op: C.int32_t(op), threads: C.int32_t(pool.Threads(threads))}
	d, s := (*C.float)(unsafe.Pointer(unsafe.SliceData(dst))), (*C.float)(unsafe.Pointer(unsafe.SliceData(src)))
	p := (*C.int64_t)(unsafe.Pointer(unsafe.SliceData(at)))
	if level == isa.AVX512 {
		C.aimass_reduce_runs_avx512(&t, d, s, p)
	} else {
		C.aimass_reduce_runs_avx2(&t, d, s, p)
	}
}
