//go:build amd64 && cgo && !noasm

package isa

// #cgo CFLAGS: -O3 -std=c11
// #include "act.h"
import "C"

import (
	"embed"

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
