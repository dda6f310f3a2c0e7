// Package transpose turns matrices of elements of one or four bytes.
//
// Source and destination must not overlap; slices that are too short panic before
// anything is written, nothing is kept or allocated. Safe for concurrent use on
// different destinations. Neighbours: pool, isa; runtime/cpu/lower/move turns
// elements of other sizes.
package transpose

import (
	"fmt"

	"github.com/aimass/aimass/kernels/isa"
)

// Word is an element of four bytes.
type Word interface{ ~int32 | ~uint32 | ~float32 }

// Bytes sets dst[c·ldd + r] to src[r·lds + c] for rows by cols elements.
func Bytes(dst []byte, ldd int, src []byte, lds, rows, cols, threads int) {
	if !check(len(dst), ldd, len(src), lds, rows, cols) {
		return
	}
	if isa.Current().Level == isa.Generic {
		generic(dst, ldd, src, lds, rows, cols)
		return
	}
	bytesNative(dst, ldd, src, lds, rows, cols, threads)
}

// Words is Bytes for elements of four bytes.
func Words[T Word](dst []T, ldd int, src []T, lds, rows, cols, threads int) {
	if !check(len(dst), ldd, len(src), lds, rows, cols) {
		return
	}
	if isa.Current().Level == isa.Generic {
		generic(dst, ldd, src, lds, rows, cols)
		return
	}
	wordsNative(words(dst), ldd, words(src), lds, rows, cols, threads)
}

// check panics where a slice is too short; it reports false for a matrix of nothing.
func check(dst, ldd, src, lds, rows, cols int) bool {
	if rows <= 0 || cols <= 0 {
		return false
	}
	if ldd < rows || lds < cols || dst < (cols-1)*ldd+rows || src < (rows-1)*lds+cols {
		panic(fmt.Sprintf("BUG: transpose: %d×%d of %d with row stride %d to %d with row stride %d", rows, cols, src, lds, dst, ldd))
	}
	return true
}
