//go:build !amd64 || !cgo || noasm

package attention

import "github.com/aimass/aimass/kernels/isa"

func (p *Params) runNative(isa.Level, []float32, []float32, []float32, []float32) {
	panic("BUG: attention: no native kernels in this build")
}
