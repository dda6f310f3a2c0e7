// Package softmax normalises rows of float32 to probabilities or their
// logarithms.
//
// The destination may be the source itself. Nothing is kept or allocated.
// Safe for concurrent use on different destinations. Neighbours: pool, isa;
// attention has its own softmax between its two products.
package softmax

import (
	"fmt"

	"github.com/aimass/aimass/kernels/isa"
)

// Rows sets each of rows rows of cols values (row strides ldy and ldx) to
// e^(scale·x − max) / Σ or, with log, to its logarithm. scale multiplies the
// row first; 1 leaves it. A row whose maximum is −Inf, +Inf or NaN becomes NaN
// where arithmetic makes it so, as in ONNX.
func Rows(y []float32, ldy int, x []float32, ldx, rows, cols int, scale float32, log bool, threads int) {
	softmaxRows(isa.Current().Level, y, ldy, x, ldx, rows, cols, scale, log, threads)
}

func softmaxRows(level isa.Level, y []float32, ldy int, x []float32, ldx, rows, cols int, scale float32, log bool, threads int) {
	if rows == 0 || cols == 0 {
		return
	}
	if need := (rows-1)*ldx + cols; len(x) < need {
		panic(fmt.Sprintf("BUG: softmax: x has %d values of %d", len(x), need))
	}
	if need := (rows-1)*ldy + cols; len(y) < need {
		panic(fmt.Sprintf("BUG: softmax: y has %d values of %d", len(y), need))
	}
	if level != isa.Generic {
		rowsNative(level, y, ldy, x, ldx, rows, cols, scale, log, threads)
		return
	}
	rowsGeneric(y, ldy, x, ldx, rows, cols, scale, log)
}

// Middle is softmax over the middle axis of a dense outer×n×inner tensor; with
// inner 1 it is Rows.
func Middle(y, x []float32, outer, n, inner int, log bool, threads int) {
	middle(isa.Current().Level, y, x, outer, n, inner, log, threads)
}

func middle(level isa.Level, y, x []float32, outer, n, inner int, log bool, threads int) {
	if inner == 1 {
		softmaxRows(level, y, n, x, n, outer, n, 1, log, threads)
		return
	}
	if total := outer * n * inner; len(x) < total || len(y) < total {
		panic(fmt.Sprintf("BUG: softmax: %d×%d×%d of x %d, y %d", outer, n, inner, len(x), len(y)))
	}
	if level != isa.Generic && outer*n*inner > 0 {
		middleNative(level, y, x, outer, n, inner, log, threads)
		return
	}
	middleGeneric(y, x, outer, n, inner, log)
}
