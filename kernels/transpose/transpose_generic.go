package transpose

import "unsafe"

// block is the edge of the squares in which a matrix is turned, so that the lines of
// both sides stay in the first-level cache.
const block = 16

func generic[T any](dst []T, ldd int, src []T, lds, rows, cols int) {
	for r0 := 0; r0 < rows; r0 += block {
		r1 := min(r0+block, rows)
		for c0 := 0; c0 < cols; c0 += block {
			for c := c0; c < min(c0+block, cols); c++ {
				to := dst[c*ldd+r0 : c*ldd+r1]
				at := r0*lds + c
				for i := range to {
					to[i] = src[at]
					at += lds
				}
			}
		}
	}
}

func words[T Word](x []T) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(x))), len(x))
}
