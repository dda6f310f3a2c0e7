// Package reduce folds one axis of a float32 tensor, or rows that lie anywhere into each other.
//
// Nothing is kept or allocated; dst must not overlap x. Safe for concurrent
// use on different destinations. Neighbours: pool, isa.
package reduce

import (
	"fmt"

	"github.com/aimass/aimass/kernels/isa"
)

// Op is a fold.
type Op uint8

// The folds. Over no values they give 0, NaN, −Inf, +Inf, 0, 0, 0 and 1. Max
// and Min give NaN if any value is NaN.
const (
	Sum Op = iota
	Mean
	Max
	Min
	SumSquare
	L1
	L2
	Prod
	opCount
)

// Axis folds the middle axis of a dense outer×n×inner tensor into the dense
// outer×inner tensor dst. With inner 1 it is the innermost axis, with outer 1
// the outermost; neighbouring axes that are folded together count as one.
func Axis(op Op, dst, x []float32, outer, n, inner, threads int) {
	axis(isa.Current().Level, op, dst, x, outer, n, inner, threads)
}

func axis(level isa.Level, op Op, dst, x []float32, outer, n, inner, threads int) {
	if outer*inner == 0 {
		return
	}
	if len(dst) < outer*inner || len(x) < outer*n*inner || op >= opCount {
		panic(fmt.Sprintf("BUG: reduce: op %d over %d×%d×%d of x %d, dst %d", op, outer, n, inner, len(x), len(dst)))
	}
	if level != isa.Generic && n > 0 {
		axisNative(level, op, dst, x, outer, n, inner, threads)
		return
	}
	axisGeneric(op, dst, x, outer, n, inner)
}

// Runs folds count = len(at) runs of n values, which lie one after the other in src, into runs of dst: run i into the
// n values from at[i] on, in order of i. Two places are the same or at least n apart. op is Sum, Prod, Max or Min.
func Runs(op Op, dst, src []float32, at []int64, n, threads int) {
	runs(isa.Current().Level, op, dst, src, at, n, threads)
}

func runs(level isa.Level, op Op, dst, src []float32, at []int64, n, threads int) {
	if n == 0 || len(at) == 0 {
		return
	}
	if len(src) < n*len(at) || op != Sum && op != Prod && op != Max && op != Min {
		panic(fmt.Sprintf("BUG: reduce: op %d over %d runs of %d in %d values", op, len(at), n, len(src)))
	}
	for i, k := range at {
		if k < 0 || k > int64(len(dst)-n) {
			panic(fmt.Sprintf("BUG: reduce: run %d of %d values goes to place %d of %d", i, n, k, len(dst)))
		}
	}
	if level != isa.Generic {
		runsNative(level, op, dst, src, at, n, threads)
		return
	}
	runsGeneric(op, dst, src, at, n)
}
