//go:build amd64 && cgo && !noasm

package isa

// #cgo CFLAGS: -O3 -std=c11
// #include "peak.h"
import "C"

import (
	"embed"
	"time"

	"golang.org/x/sys/cpu"
)

// headers makes the package's compiled form change whenever a shared C header
// does, so that the go command recompiles the rooms that include it: it does
// not follow #include across package folders.
//
//go:embed *.h
var headers embed.FS

func detect() Features {
	if _, err := headers.Open("simd.h"); err != nil {
		panic("BUG: isa: " + err.Error())
	}
	x := &cpu.X86
	var f Features
	if !x.HasAVX2 || !x.HasFMA || !x.HasOSXSAVE {
		return f
	}
	f.Level = AVX2
	if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL {
		f.Level = AVX512
		f.VNNI = x.HasAVX512VNNI
		f.BF16 = x.HasAVX512BF16
	}
	return f
}

// PeakGFLOPS measures the rate of fused multiply-adds of one thread at a level,
// in 10⁹ operations a second, a multiply-add being two: the best of short runs
// over some milliseconds. It is 0 at Generic.
func PeakGFLOPS(l Level) float64 {
	const steps = 4000
	best := 0.0
	for range 400 {
		start, lanes := time.Now(), 0
		switch l {
		case AVX2:
			C.aimass_fma_chains_avx2(steps)
			lanes = 8
		case AVX512:
			C.aimass_fma_chains_avx512(steps)
			lanes = 16
		}
		best = max(best, float64(2*12*steps*lanes)/float64(max(1, time.Since(start).Nanoseconds())))
	}
	return best
}
