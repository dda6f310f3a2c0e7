package coded

import (
	"fmt"

	"github.com/aimass/aimass/internal/half"
	"github.com/aimass/aimass/kernels/isa"
)

// Widen converts halves, float16 or bfloat16, to floats.
func Widen(dst []float32, src []uint16, kind Kind, threads int) {
	widen(isa.Current().Level, dst, src, kind, threads)
}

func widen(level isa.Level, dst []float32, src []uint16, kind Kind, threads int) {
	checkHalves(len(dst), len(src), kind)
	if level != isa.Generic && len(src) > 0 {
		widenNative(level, dst, src, kind, threads)
		return
	}
	for i, h := range src {
		if kind == BFloat16 {
			dst[i] = half.BrainToFloat32(h)
		} else {
			dst[i] = half.ToFloat32(h)
		}
	}
}

// Narrow converts floats to halves, ties to even. What is no number stays none, and what is too large becomes infinite.
func Narrow(dst []uint16, src []float32, kind Kind, threads int) {
	narrow(isa.Current().Level, dst, src, kind, threads)
}

func narrow(level isa.Level, dst []uint16, src []float32, kind Kind, threads int) {
	checkHalves(len(dst), len(src), kind)
	if level != isa.Generic && len(src) > 0 {
		narrowNative(level, dst, src, kind, threads)
		return
	}
	for i, x := range src {
		if kind == BFloat16 {
			dst[i] = half.BrainFromFloat32(x)
		} else {
			dst[i] = half.FromFloat32(x)
		}
	}
}

func checkHalves(dst, src int, kind Kind) {
	if dst < src || kind < Float16 {
		panic(fmt.Sprintf("BUG: coded: %d of %d values of kind %d", dst, src, kind))
	}
}
