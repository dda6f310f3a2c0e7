package kernel

import (
	"slices"

	"github.com/aimass/aimass/cuda"
)

// ReduceOp names a reduction, numbered as in cuda/kernels/reduce.cu.
type ReduceOp int

// The reductions. Max and min of nothing are ∓∞, prod 1, the others 0 (mean NaN, log sum −∞).
const (
	ReduceSum ReduceOp = iota
	ReduceMean
	ReduceMax
	ReduceMin
	ReduceProd
	ReduceL1
	ReduceSumSquare
	ReduceL2
	ReduceLogSum
)

// The stages of cuda/kernels/reduce.cu.
const (
	reduceWhole = iota
	reduceParts
	reduceJoin
)

// Reduce is y[outer, inner] from x[outer, N, inner], float32. Several axes that are not
// neighbours take a Move first.
type Reduce struct {
	Op              ReduceOp
	X, Y            cuda.Ptr
	Outer, N, Inner int
	Scratch         cuda.Ptr // Workspace() bytes
}

// parts says into how many pieces N is cut: enough blocks for the device, pieces of at
// least 1024.
func (r *Reduce) parts() (parts, chunk int64) {
	n := int64(r.N)
	blocks := int64(r.Outer)
	if r.Inner > 1 {
		blocks = ceilDiv(int64(r.Outer)*int64(r.Inner), threads)
	}
	parts = 1
	if blocks > 0 && blocks < multiprocessors {
		run := int64(4096)
		if r.Inner > 1 {
			run = 128
		}
		parts = max(1, min(2*multiprocessors/blocks, n/run))
	}
	chunk = max(ceilDiv(n, parts), 1)
	return max(1, ceilDiv(n, chunk)), chunk
}

// Workspace is how many bytes Scratch needs.
func (r Reduce) Workspace() int64 {
	if p, _ := r.parts(); p > 1 {
		return p * int64(r.Outer) * int64(r.Inner) * 4
	}
	return 0
}

// AppendReduce appends the Launches of r.
func AppendReduce(dst []cuda.Launch, r Reduce) ([]cuda.Launch, error) {
	results, ok := elements(r.Outer, r.Inner)
	_, ok2 := elements(r.Outer, r.N, r.Inner)
	if !ok || !ok2 || results > maxGridX || r.Op < 0 || r.Op > ReduceLogSum {
		return dst, limit("reduction %d of %d×%d×%d", r.Op, r.Outer, r.N, r.Inner)
	}
	if results == 0 {
		return dst, nil
	}
	one := func(x, y cuda.Ptr, n, parts, chunk int64, stage int) cuda.Launch {
		var l cuda.Launch
		if r.Inner == 1 {
			l = launch("reduce", "reduce_row", int64(r.Outer), threads, x, y, n, chunk, float32(r.N), int(r.Op), stage)
		} else {
			l = launch("reduce", "reduce_column", ceilDiv(results, threads), threads, x, y, r.Outer, n, r.Inner, chunk, float32(r.N), int(r.Op), stage)
		}
		l.Grid.Y = uint32(parts)
		return l
	}
	parts, chunk := r.parts()
	if parts == 1 {
		return append(dst, one(r.X, r.Y, int64(r.N), 1, max(int64(r.N), 1), reduceWhole)), nil
	}
	return append(dst, one(r.X, r.Scratch, int64(r.N), parts, chunk, reduceParts), one(r.Scratch, r.Y, parts, 1, parts, reduceJoin)), nil
}

// Arg sets y[outer, inner], int64, to the place along N of the largest (Least: least)
// element of x[outer, N, inner], float32: the first such, with Last the last. NaN wins.
type Arg struct {
	X, Y            cuda.Ptr
	Outer, N, Inner int
	Least, Last     bool
}

// AppendArg appends the Launch of a.
func AppendArg(dst []cuda.Launch, a Arg) ([]cuda.Launch, error) {
	results, ok := elements(a.Outer, a.Inner)
	if _, ok2 := elements(a.Outer, a.N, a.Inner); !ok || !ok2 || results > maxGridX || a.N == 0 {
		return dst, limit("the largest of %d×%d×%d", a.Outer, a.N, a.Inner)
	}
	if results == 0 {
		return dst, nil
	}
	if a.Inner == 1 {
		return append(dst, launch("reduce", "arg_row", ceilDiv(results, 8), threads, a.X, a.Y, results, a.N, a.Least, a.Last)), nil
	}
	return append(dst, launch("reduce", "arg_column", ceilDiv(results, threads), threads, a.X, a.Y, a.Outer, a.N, a.Inner, a.Least, a.Last)), nil
}

// AppendSumParts appends the Launch that sets n float32 at y to the sum of the parts, at most eight,
// in order. A part may lie on a peer, and y may be one of them.
func AppendSumParts(dst []cuda.Launch, y cuda.Ptr, parts []cuda.Ptr, n int64) ([]cuda.Launch, error) {
	if len(parts) < 1 || len(parts) > 8 {
		return dst, limit("a sum of %d parts", len(parts))
	}
	blocks, err := linearBlocks(n, false)
	if err != nil || blocks == 0 {
		return dst, err
	}
	p := append(slices.Clone(parts), make([]cuda.Ptr, 8-len(parts))...)
	return append(dst, launch("reduce", "sum_parts", blocks, threads, y, p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], len(parts), n)), nil
}
