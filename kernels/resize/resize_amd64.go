//go:build amd64 && cgo && !noasm

package resize

// #cgo CFLAGS: -O3 -std=c11 -I${SRCDIR}/../pool
// #cgo noescape aimass_resize_nearest
// #cgo nocallback aimass_resize_nearest
// #cgo noescape aimass_resize_linear
// #cgo nocallback aimass_resize_linear
// #include "resize.h"
import "C"

import (
	"unsafe"

	"github.com/aimass/aimass/kernels/pool"
)

func fptr(x []float32) *C.float { return (*C.float)(unsafe.Pointer(unsafe.SliceData(x))) }

func iptr(x []int32) *C.int32_t { return (*C.int32_t)(unsafe.Pointer(unsafe.SliceData(x))) }

func task(planes, h, w, oh, ow, threads int) C.struct_resize_task {
	return C.struct_resize_task{planes: C.int64_t(planes), h: C.int64_t(h), w: C.int64_t(w),
		oh: C.int64_t(oh), ow: C.int64_t(ow), threads: C.int32_t(pool.Threads(threads))}
}

func nearestNative(y, x []float32, planes, h, w int, rows, cols []int32, threads int) {
	t := task(planes, h, w, len(rows), len(cols), threads)
	C.aimass_resize_nearest(&t, iptr(rows), iptr(cols), fptr(x), fptr(y))
}

func linearNative(y, x []float32, planes, h, w int, rows, cols *Taps, threads int) {
	t := task(planes, h, w, len(rows.W), len(cols.W), threads)
	C.aimass_resize_linear(&t, iptr(rows.Lo), iptr(rows.Hi), fptr(rows.W), iptr(cols.Lo), iptr(cols.Hi), fptr(cols.W), fptr(x), fptr(y))
}
