//go:build amd64 && cgo && !noasm

package numeral

// #cgo CFLAGS: -O3 -std=c11
// #cgo noescape aimass_numeral_read_f32
// #cgo nocallback aimass_numeral_read_f32
// #cgo noescape aimass_numeral_write_f32
// #cgo nocallback aimass_numeral_write_f32
// #include "numeral.h"
import "C"

import (
	"unsafe"

	"github.com/aimass/aimass/kernels/isa"
)

// Native reports whether the functions do anything.
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

// WriteFloat32s writes the little-endian values in src to dst, which has Room for each, as the shortest decimals that read back as they are, with a
// comma behind each. It ends before a value that is not finite or takes an exponent, and returns how many it has written, and bytes.
func WriteFloat32s(dst, src []byte) (n, size int) {
	if len(src) < 4*Least || !Native() {
		return 0, 0
	}
	_ = dst[len(src)/4*Room-1]
	var bytes C.int64_t
	n = int(C.aimass_numeral_write_f32((*C.char)(unsafe.Pointer(unsafe.SliceData(dst))), &bytes,
		(*C.char)(unsafe.Pointer(unsafe.SliceData(src))), C.int64_t(len(src)/4), (*C.uint64_t)(unsafe.Pointer(&Powers[-MinPower]))))
	return n, int(bytes)
}
