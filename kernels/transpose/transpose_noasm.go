//go:build !amd64 || !cgo || noasm

package transpose

func bytesNative([]byte, int, []byte, int, int, int, int) {
	panic("BUG: transpose: no native kernels in this build")
}

func wordsNative([]uint32, int, []uint32, int, int, int, int) {
	panic("BUG: transpose: no native kernels in this build")
}
