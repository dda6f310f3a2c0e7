//go:build !amd64 || !cgo || noasm

package resize

func nearestNative([]float32, []float32, int, int, int, []int32, []int32, int) {
	panic("BUG: resize: no native kernels in this build")
}

func linearNative([]float32, []float32, int, int, int, *Taps, *Taps, int) {
	panic("BUG: resize: no native kernels in this build")
}
