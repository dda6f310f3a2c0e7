package kernel

import "github.com/aimass/aimass/cuda"

// warpRow is the longest row that a warp takes; a longer one gets a block.
const warpRow = 1024

// Softmax is softmax, or its logarithm, of [Outer, N, Inner] float32 along N; y may be x.
type Softmax struct {
	X, Y            cuda.Ptr
	Outer, N, Inner int
	Log             bool
}

// AppendSoftmax appends the Launch of s.
func AppendSoftmax(dst []cuda.Launch, s Softmax) ([]cuda.Launch, error) {
	rows, ok := elements(s.Outer, s.Inner)
	total, ok2 := elements(s.Outer, s.N, s.Inner)
	if !ok || !ok2 || rows > maxGridX || s.N > maxIndex {
		return dst, limit("softmax of %d×%d×%d", s.Outer, s.N, s.Inner)
	}
	switch {
	case total == 0:
		return dst, nil
	case s.Inner > 1:
		return append(dst, launch("softmax", "softmax_column", ceilDiv(rows, threads), threads, s.X, s.Y, s.Outer, s.N, s.Inner, s.Log)), nil
	case s.N <= warpRow:
		return append(dst, launch("softmax", "softmax_warp", ceilDiv(rows, 8), threads, s.X, s.Y, rows, s.N, s.Log)), nil
	}
	return append(dst, launch("softmax", "softmax_block", rows, threads, s.X, s.Y, s.N, s.Log)), nil
}

// Norm normalises Rows rows of N float32: with s = x + Skip + Bias, y = (s − mean)/√(var +
// Eps)·Gamma + Beta; RMS leaves the mean out. Skip is [Rows, N], Bias [N]. Gamma and Beta are
// [N], or, with Channels, a value a channel where row r is of channel r mod Channels. Sum, if
// given, receives s. Pointers but X and Y may be 0. y may be x or Skip.
type Norm struct {
	X, Skip, Bias, Gamma, Beta cuda.Ptr
	Y, Sum                     cuda.Ptr
	Rows, N                    int
	Eps                        float32
	RMS                        bool
	Channels                   int
}

// AppendNorm appends the Launch of n.
func AppendNorm(dst []cuda.Launch, n Norm) ([]cuda.Launch, error) {
	if n.Rows < 0 || n.N < 0 || n.Rows > maxGridX || n.N > maxIndex || n.Channels < 0 || n.Channels > maxIndex {
		return dst, limit("a norm of %d×%d", n.Rows, n.N)
	}
	if n.Rows == 0 || n.N == 0 {
		return dst, nil
	}
	name, blocks := "norm_warp", ceilDiv(int64(n.Rows), 8)
	if n.N > warpRow {
		name, blocks = "norm_block", int64(n.Rows)
	}
	return append(dst, launch("norm", name, blocks, threads, n.X, n.Skip, n.Bias, n.Gamma, n.Beta, n.Y, n.Sum, n.Rows, n.N, n.Eps, n.RMS, n.Channels)), nil
}
