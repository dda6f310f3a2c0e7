package isa

import "unsafe"

// populateFrom is the size in bytes from which memory is asked for in one go.
const populateFrom = 128 << 10

// Alloc makes a zeroed slice that begins at a 64-byte boundary, which packed
// weights need for aligned loads.
func Alloc(n int) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(AllocBytes(4*n)))), n)
}

// AllocBytes is Alloc for bytes.
func AllocBytes(n int) []byte {
	raw := make([]byte, n+64)
	if n >= populateFrom {
		populate(raw)
	}
	off := (64 - int(uintptr(unsafe.Pointer(unsafe.SliceData(raw)))&63)) & 63
	return raw[off : off+n : off+n]
}
