//go:build amd64 && cgo && !noasm

package numeral

// #cgo CFLAGS: -O3 -std=c11
// #cgo noescape aimass_numeral_read_f32
// #cgo nocallback aimass_numeral_read_f32
// #include "numeral.h"
import "C"

import (
	"unsafe"

	"github.com/aimass/aimass/kernels/isa"
)

// Native reports whether ReadFloat32s does anything.
func Native() bool { return isa.Current().Level >= isa.AVX2 }

// ReadFloat32s reads numbers from text, of which the first begins at from, into dst, which has four bytes for each, and returns
// how many it has read and where the next one begins. It reads a number only if a comma and a further value follow,
// so that there is a next one.
func ReadFloat32s(dst, text []byte, from int) (n, next int) {
	if len(dst) < 4*Least || !Native() {
		return 0, from
	}
	at := C.int64_t(from)
	n = int(C.aimass_numeral_read_f32((*C.char)(unsafe.Pointer(unsafe.SliceData(text))), C.int64_t(len(text)), &at,
		(*C.char)(unsafe.Pointer(unsafe.SliceData(dst))), C.int64_t(len(dst)/4), (*C.uint64_t)(unsafe.Pointer(&Powers[-MinPower]))))
	return n, int(at)
}
