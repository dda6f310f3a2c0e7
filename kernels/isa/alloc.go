package isa

import "unsafe"

// Alloc makes a zeroed slice that begins at a 64-byte boundary, which packed
// weights need for aligned loads.
func Alloc(n int) []float32 {
	raw := make([]float32, n+16)
	off := (64 - int(uintptr(unsafe.Pointer(unsafe.SliceData(raw)))&63)) & 63 / 4
	return raw[off : off+n : off+n]
}

// AllocBytes is Alloc for bytes.
func AllocBytes(n int) []byte {
	raw := make([]byte, n+64)
	off := (64 - int(uintptr(unsafe.Pointer(unsafe.SliceData(raw)))&63)) & 63
	return raw[off : off+n : off+n]
}
