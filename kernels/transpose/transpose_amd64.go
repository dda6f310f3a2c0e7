//go:build amd64 && cgo && !noasm

package transpose

// #cgo CFLAGS: -O3 -std=c11 -I${SRCDIR}/../pool
// #cgo noescape aimass_transpose_bytes
// #cgo nocallback aimass_transpose_bytes
// #cgo noescape aimass_transpose_words
// #cgo nocallback aimass_transpose_words
// #include "transpose.h"
import "C"

import (
	"unsafe"

	"github.com/aimass/aimass/kernels/pool"
)

func task(ldd, lds, rows, cols, threads int) C.struct_transpose_task {
	return C.struct_transpose_task{ldd: C.int64_t(ldd), lds: C.int64_t(lds), rows: C.int64_t(rows), cols: C.int64_t(cols), threads: C.int32_t(pool.Threads(threads))}
}

func bytesNative(dst []byte, ldd int, src []byte, lds, rows, cols, threads int) {
	t := task(ldd, lds, rows, cols, threads)
	C.aimass_transpose_bytes(&t, (*C.uint8_t)(unsafe.SliceData(dst)), (*C.uint8_t)(unsafe.SliceData(src)))
}

func wordsNative(dst []uint32, ldd int, src []uint32, lds, rows, cols, threads int) {
	t := task(ldd, lds, rows, cols, threads)
	C.aimass_transpose_words(&t, (*C.uint32_t)(unsafe.SliceData(dst)), (*C.uint32_t)(unsafe.SliceData(src)))
}
