//go:build amd64 && cgo && !noasm

package attention

import "github.com/aimass/aimass/kernels/isa"

func (p *Params) runNative(_ isa.Level, out, q, k, v []float32) { p.runGeneric(out, q, k, v) }
