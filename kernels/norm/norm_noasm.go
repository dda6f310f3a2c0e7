//go:build !amd64 || !cgo || noasm

package norm

import "github.com/aimass/aimass/kernels/isa"

func (p *Rows) runNative(isa.Level, []float32, []float32) {
	panic("BUG: norm: no native kernels in this build")
}

func instanceNative(isa.Level, []float32, []float32, int, int, int, []float32, []float32, float32, int) {
	panic("BUG: norm: no native kernels in this build")
}

func affineNative(isa.Level, []float32, []float32, int, int, int, []float32, []float32, int) {
	panic("BUG: norm: no native kernels in this build")
}
