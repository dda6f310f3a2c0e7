//go:build amd64 && cgo && !noasm

package softmax

// #cgo CFLAGS: -O3 -std=c11 -I${SRCDIR}/../isa -I${SRCDIR}/../pool
// #cgo LDFLAGS: -lm
// #cgo noescape aimass_softmax_avx2
// #cgo nocallback aimass_softmax_avx2
// #cgo noescape aimass_softmax_avx512
// #cgo nocallback aimass_softmax_avx512
// #include "softmax.h"
import "C"

import (
	"unsafe"

	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/kernels/pool"
)

func ptr(x []float32) *C.float { return (*C.float)(unsafe.Pointer(unsafe.SliceData(x))) }

func rowsNative(level isa.Level, y []float32, ldy int, x []float32, ldx, rows, cols int, scale float32, log bool, threads int) {
	t := C.struct_softmax_task{ldy: C.int64_t(ldy), ldx: C.int64_t(ldx), rows: C.int64_t(rows), cols: C.int64_t(cols),
		scale: C.float(scale), threads: C.int32_t(pool.Threads(threads))}
	call(level, &t, y, x, log)
}

func middleNative(level isa.Level, y, x []float32, outer, n, inner int, log bool, threads int) {
	t := C.struct_softmax_task{rows: C.int64_t(outer), cols: C.int64_t(n), inner: C.int64_t(inner),
		threads: C.int32_t(pool.Threads(threads))}
	call(level, &t, y, x, log)
}

func call(level isa.Level, t *C.struct_softmax_task, y, x []float32, log bool) {
	if log {
		t.log = 1
	}
	if level == isa.AVX512 {
		C.aimass_softmax_avx512(t, ptr(y), ptr(x))
	} else {
		C.aimass_softmax_avx2(t, ptr(y), ptr(x))
	}
}
