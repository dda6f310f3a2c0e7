// Package elementwise applies functions of one or two float32 values over
// tensors: Unary, Binary with its broadcasting forms, and Program, a fused
// chain of them that passes over memory once.
//
// The destination may be one of the operands (same start, same length), never
// a shifted overlap of one. No function keeps a slice after it returns, and
// none allocates. Safe for concurrent use on different destinations.
//
// Neighbours: act (the functions of one value), pool (threads), isa.
package elementwise

import (
	"fmt"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/isa"
)

// Op is a function of two values. Max and Min give NaN if either is NaN.
type Op uint8

// The functions of two values.
const (
	Add Op = iota
	Sub
	Mul
	Div
	Max
	Min
	opCount
)

// Unary sets dst[i] = f(x[i]) for all of x; dst has at least len(x) values.
func Unary(dst, x []float32, f act.Act, threads int) {
	unary(isa.Current().Level, dst, x, f, threads)
}

func unary(level isa.Level, dst, x []float32, f act.Act, threads int) {
	if len(dst) < len(x) || int(f.Func) >= act.Count {
		panic(fmt.Sprintf("BUG: elementwise: unary %d of %d values into %d", f.Func, len(x), len(dst)))
	}
	if len(x) == 0 {
		return
	}
	if level != isa.Generic {
		unaryNative(level, dst, x, f, threads)
		return
	}
	unaryGeneric(dst, x, f)
}

// Binary sets dst[i] = x[i] op y[i] for all of x.
func Binary(op Op, dst, x, y []float32, threads int) {
	binary(isa.Current().Level, &form{op: op, rows: 1, cols: len(x), ys: 1, yr: len(x)}, dst, x, y, threads)
}

// BinaryScalar sets dst[i] = x[i] op y or, with swap, y op x[i].
func BinaryScalar(op Op, dst, x []float32, y float32, swap bool, threads int) {
	one := [1]float32{y}
	binary(isa.Current().Level, &form{op: op, rows: 1, cols: len(x), swap: swap}, dst, x, one[:], threads)
}

// BinaryRow sets dst[r,c] = x[r,c] op y[c] over rows×len(y) values or, with
// swap, y[c] op x[r,c]. The matrices are dense.
func BinaryRow(op Op, dst, x []float32, rows int, y []float32, swap bool, threads int) {
	binary(isa.Current().Level, &form{op: op, rows: rows, cols: len(y), ys: 1, swap: swap}, dst, x, y, threads)
}

// BinaryCol sets dst[r,c] = x[r,c] op y[r] over len(y)×cols values or, with
// swap, y[r] op x[r,c]. The matrices are dense.
func BinaryCol(op Op, dst, x []float32, cols int, y []float32, swap bool, threads int) {
	binary(isa.Current().Level, &form{op: op, rows: len(y), cols: cols, yr: 1, swap: swap}, dst, x, y, threads)
}

// form is a binary operation on a rows×cols matrix x and a y that steps by yr
// a row and ys a column (0 or 1).
type form struct {
	op         Op
	rows, cols int
	yr, ys     int
	swap       bool
}

func binary(level isa.Level, f *form, dst, x, y []float32, threads int) {
	n := f.rows * f.cols
	if n == 0 {
		return
	}
	need := (f.rows-1)*f.yr + (f.cols-1)*f.ys + 1
	if len(x) < n || len(dst) < n || len(y) < need || f.op >= opCount {
		panic(fmt.Sprintf("BUG: elementwise: op %d on %d×%d: dst %d, x %d, y %d of %d",
			f.op, f.rows, f.cols, len(dst), len(x), len(y), need))
	}
	if level != isa.Generic {
		binaryNative(level, f, dst, x, y, threads)
		return
	}
	binaryGeneric(f, dst, x, y)
}
