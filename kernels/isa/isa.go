// Package isa chooses, once per process, the instruction set that the kernel
// rooms run on, and holds the C headers with the vector operations that their
// C files share.
//
// Neighbours: every room under kernels/ branches on Current().Level; nothing
// here imports a room. All functions are safe for concurrent use.
//
// The environment variable AIMASS_ISA (generic, avx2 or avx512) forces a level
// at or below what the machine has. A level the machine or the build lacks
// leaves the best available one in force and makes Check return an error.
package isa

import (
	"fmt"
	"os"
	"strings"
)

// Level is a rung of the ladder of instruction sets. A higher level includes
// all lower ones.
type Level uint8

const (
	// Generic is portable Go: the specification of every kernel.
	Generic Level = iota
	// AVX2 means AVX2 with FMA and F16C.
	AVX2
	// AVX512 means AVX-512 F, BW, DQ and VL.
	AVX512
)

// String gives the name that AIMASS_ISA takes.
func (l Level) String() string {
	switch l {
	case AVX2:
		return "avx2"
	case AVX512:
		return "avx512"
	default:
		return "generic"
	}
}

// Features is what the kernels may use.
type Features struct {
	Level Level
	// VNNI: vpdpbusd on 512-bit registers; only at level AVX512.
	VNNI bool
	// BF16: vdpbf16ps; only at level AVX512.
	BF16 bool
}

var current, forceErr = choose(detect(), os.Getenv("AIMASS_ISA"))

// Current returns the features in force in this process.
func Current() Features { return current }

// Check returns an error if AIMASS_ISA names an unknown level or one that this
// machine or build cannot run; Current then is the best that it can.
func Check() error { return forceErr }

// Available lists the levels that can run in this process, lowest first, with
// Current().Level as the last. Tests compare each of them with Generic.
func Available() []Level {
	all := []Level{Generic, AVX2, AVX512}
	return all[:current.Level+1]
}

// Report says in one line which levels run here, for the output of tests.
func Report() string {
	var ran []string
	for _, l := range Available() {
		ran = append(ran, l.String())
	}
	s := "isa: ran " + strings.Join(ran, ", ")
	if current.VNNI {
		s += ", vnni"
	}
	if current.BF16 {
		s += ", bf16"
	}
	if current.Level < AVX512 {
		var not []string
		for l := current.Level + 1; l <= AVX512; l++ {
			not = append(not, l.String())
		}
		s += "; NOT RUN: " + strings.Join(not, ", ") + " (not on this machine, not in this build, or AIMASS_ISA is lower)"
	}
	return s
}

// choose applies the wish in name to the features that were detected.
func choose(best Features, name string) (Features, error) {
	var want Level
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "":
		return best, nil
	case "generic":
		want = Generic
	case "avx2":
		want = AVX2
	case "avx512":
		want = AVX512
	default:
		return best, fmt.Errorf("AIMASS_ISA=%q: want generic, avx2 or avx512", name)
	}
	if want > best.Level {
		return best, fmt.Errorf("AIMASS_ISA=%s: this machine or build has only %s", want, best.Level)
	}
	if want < AVX512 {
		return Features{Level: want}, nil
	}
	return best, nil
}
