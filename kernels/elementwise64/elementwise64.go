// Package elementwise64 applies chains of functions of one or two float64 values over tensors,
// and folds an axis of one. It is to float64 what elementwise and reduce are to float32.
//
// The destination of a Program may be one of its full inputs (same start, same length), never a
// shifted overlap of one. No function keeps a slice after it returns, and none allocates. A Program
// is read-only after New; all is safe for concurrent use on different destinations.
//
// Neighbours: elementwise, pool (threads), isa.
package elementwise64

import (
	"fmt"

	"github.com/aimass/aimass/kernels/elementwise"
	"github.com/aimass/aimass/kernels/isa"
)

// Op is a function of two values or of one. Max and Min give NaN if either is NaN.
type Op uint8

// The functions of two values, then those of one.
const (
	Add Op = iota
	Sub
	Mul
	Div
	Max
	Min
	Neg
	Abs
	Sqrt
	Reciprocal
	Exp
	Log
	Sigmoid
	Tanh
	opCount
)

// Unary reports a function of one value.
func (o Op) Unary() bool { return o >= Neg }

// Step sets register Dst to Op of X and Y, or of X alone. Registers 0..len(inputs)-1 hold the inputs
// at the start and may be overwritten; there are eight.
type Step struct {
	Op        Op
	Dst, X, Y uint8
}

const maxRegs = 8

// Program is a short chain of steps, run over blocks that stay in the first-level cache.
type Program struct {
	layouts []elementwise.Layout
	steps   []Step
	level   isa.Level
}

// New checks the steps; the last step's Dst is the result. It returns an error for a program that is
// empty, too long, or reads a register that nothing wrote.
func New(layouts []elementwise.Layout, steps []Step) (*Program, error) {
	return newProgram(isa.Current().Level, layouts, steps)
}

func newProgram(level isa.Level, layouts []elementwise.Layout, steps []Step) (*Program, error) {
	if err := elementwise.CheckProgram(layouts, len(steps)); err != nil {
		return nil, err
	}
	var written [maxRegs]bool
	for i := range layouts {
		written[i] = true
	}
	for i, s := range steps {
		if s.Op >= opCount || s.Dst >= maxRegs || s.X >= maxRegs || s.Y >= maxRegs || !written[s.X] || !s.Op.Unary() && !written[s.Y] {
			return nil, fmt.Errorf("elementwise64: step %d is out of range or reads an empty register", i)
		}
		written[s.Dst] = true
	}
	return &Program{append([]elementwise.Layout(nil), layouts...), append([]Step(nil), steps...), level}, nil
}

// Run computes the dense rows×cols matrix dst from one slice an input.
func (p *Program) Run(dst []float64, rows, cols int, inputs [][]float64, threads int) {
	if rows*cols == 0 {
		return
	}
	elementwise.CheckRun(p.layouts, dst, rows, cols, inputs)
	if p.level != isa.Generic {
		p.runNative(dst, rows, cols, inputs, threads)
		return
	}
	p.runGeneric(dst, rows, cols, inputs)
}

// FoldOp is a fold.
type FoldOp uint8

// The folds. Greatest and Least give NaN if any value is NaN.
const (
	Sum FoldOp = iota
	SumSquare
	SumAbs
	Greatest
	Least
	foldCount
)

// Fold folds the middle axis, of one value at least, of a dense outer×n×inner tensor into the dense outer×inner
// tensor dst, which must not overlap x.
func Fold(op FoldOp, dst, x []float64, outer, n, inner int) {
	fold(isa.Current().Level, op, dst, x, outer, n, inner)
}

func fold(level isa.Level, op FoldOp, dst, x []float64, outer, n, inner int) {
	if outer*inner == 0 {
		return
	}
	if n < 1 || len(dst) < outer*inner || len(x) < outer*n*inner || op >= foldCount {
		panic(fmt.Sprintf("BUG: elementwise64: fold %d over %d×%d×%d of x %d, dst %d", op, outer, n, inner, len(x), len(dst)))
	}
	if level != isa.Generic {
		foldNative(level, op, dst, x, outer, n, inner)
		return
	}
	foldGeneric(op, dst, x, outer, n, inner)
}
