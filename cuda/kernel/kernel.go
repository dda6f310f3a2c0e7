// Package kernel describes the launches of the CUDA kernels: for each family a struct that
// says what to compute, and a function AppendX that appends the Launches that do it. All
// that decides a grid, a tile, a split or a path for aligned pointers lies here, so that it can
// be read and tested without a device.
//
// Neighbours: cuda/kernels holds the sources, cuda/ptx what they compile to; runtime/gpu
// lowers graphs to these calls; cuda/driver runs them. Nothing here touches memory or keeps a
// pointer beyond the Launches. Extents are ints, strides and offsets count elements, and a
// Launch indexes at most 2^31−1 elements where it indexes in 32 bits; what is larger is cut
// into several Launches or refused with ErrLimit. Where a call needs workspace its struct has
// Workspace() with the bytes and a field for the pointer; the content need not be initialised, and the
// workspace may be used again by the next call on the same stream.
// Everything is pure and safe for concurrent use.
package kernel

import (
	"errors"
	"fmt"
	"math"
	"math/bits"

	"github.com/aimass/aimass/cuda"
)

// ErrLimit wraps the refusal of a call that no kernel can do.
var ErrLimit = errors.New("beyond what the CUDA kernels can do")

func limit(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrLimit)...)
}

const (
	threads = 256
	// maxIndex bounds what a kernel counts in 32 bits.
	maxIndex = math.MaxInt32
	// maxGrid bounds the second and third extent of a grid, maxGridX the first.
	maxGrid  = 65535
	maxGridX = math.MaxInt32
	// multiprocessors is what tiles and splits are chosen for: an A100 has 108, an H100
	// 132, an RTX 4090 128. A call may have fewer blocks; it then leaves some idle.
	multiprocessors = 108
	// maxLaunches bounds how many Launches one call is cut into.
	maxLaunches = 4096
)

// words boxes parameters as cuda.Launch wants them.
func words(values ...any) []uint64 {
	out := make([]uint64, len(values))
	for i, v := range values {
		switch v := v.(type) {
		case cuda.Ptr:
			out[i] = uint64(v)
		case int:
			out[i] = uint64(v)
		case int32:
			out[i] = uint64(v)
		case int64:
			out[i] = uint64(v)
		case uint32:
			out[i] = uint64(v)
		case uint64:
			out[i] = v
		case float32:
			out[i] = uint64(math.Float32bits(v))
		case bool:
			if v {
				out[i] = 1
			}
		default:
			panic(fmt.Sprintf("BUG: kernel: parameter %d is a %T", i, v))
		}
	}
	return out
}

func launch(module, name string, blocks, block int64, values ...any) cuda.Launch {
	return cuda.Launch{Module: module, Kernel: name, Grid: cuda.Dim3{X: uint32(blocks), Y: 1, Z: 1},
		Block: cuda.Dim3{X: uint32(block), Y: 1, Z: 1}, Args: words(values...)}
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }

// div packs a divisor for the device's split (cuda/kernels/device.cuh).
func div(d int64) uint64 {
	if d < 1 || d > maxIndex {
		panic(fmt.Sprintf("BUG: kernel: divisor %d", d))
	}
	s := bits.Len64(uint64(d - 1))
	hi, lo := bits.Mul64(1<<32, 1<<s-uint64(d))
	q, _ := bits.Div64(hi, lo, uint64(d))
	return (q+1)<<32 | uint64(d)
}

func aligned(p ...cuda.Ptr) bool {
	for _, p := range p {
		if p%16 != 0 {
			return false
		}
	}
	return true
}

// elements multiplies extents; ok is false for a negative one or a product beyond int64.
func elements(dims ...int) (n int64, ok bool) {
	n = 1
	for _, d := range dims {
		if d < 0 {
			return 0, false
		}
		hi, lo := bits.Mul64(uint64(n), uint64(d))
		if hi != 0 || lo > math.MaxInt64 {
			return 0, false
		}
		n = int64(lo)
	}
	return n, true
}
