// Package resize samples dense planes of float32 at other sizes, nearest or
// linear, from tables of source positions that the caller computes once: so
// every rule for coordinates and rounding is the caller's choice.
//
// Nothing is kept or allocated; y must not overlap x. Safe for concurrent use
// on different destinations. Neighbours: pool, isa.
package resize

import (
	"fmt"

	"github.com/aimass/aimass/kernels/isa"
)

// Nearest sets y[p, i, j] = x[p, rows[i], cols[j]] for planes planes of h×w;
// rows and cols have one source index for each row and column of the result.
func Nearest(y, x []float32, planes, h, w int, rows, cols []int32, threads int) {
	if !check(y, x, planes, h, w, len(rows), len(cols)) {
		return
	}
	inside("rows", rows, h)
	inside("cols", cols, w)
	if isa.Current().Level != isa.Generic {
		nearestNative(y, x, planes, h, w, rows, cols, threads)
		return
	}
	nearestGeneric(y, x, planes, h, w, rows, cols)
}

// Taps mixes, for each place i of one axis of the result, two source places:
// (1 − W[i])·source[Lo[i]] + W[i]·source[Hi[i]].
type Taps struct {
	Lo, Hi []int32
	W      []float32
}

// Linear samples planes planes of h×w with the taps of both axes.
func Linear(y, x []float32, planes, h, w int, rows, cols *Taps, threads int) {
	if !check(y, x, planes, h, w, len(rows.W), len(cols.W)) {
		return
	}
	for _, t := range []struct {
		name string
		taps *Taps
		size int
	}{{"rows", rows, h}, {"cols", cols, w}} {
		if len(t.taps.Lo) != len(t.taps.W) || len(t.taps.Hi) != len(t.taps.W) {
			panic("BUG: resize: taps of different lengths for " + t.name)
		}
		inside(t.name, t.taps.Lo, t.size)
		inside(t.name, t.taps.Hi, t.size)
	}
	if isa.Current().Level != isa.Generic {
		linearNative(y, x, planes, h, w, rows, cols, threads)
		return
	}
	linearGeneric(y, x, planes, h, w, rows, cols)
}

// check reports whether there is anything to do.
func check(y, x []float32, planes, h, w, oh, ow int) bool {
	if len(x) < planes*h*w || len(y) < planes*oh*ow {
		panic(fmt.Sprintf("BUG: resize: %d planes of %d×%d to %d×%d: x %d, y %d", planes, h, w, oh, ow, len(x), len(y)))
	}
	return planes*oh*ow > 0
}

func inside(name string, index []int32, n int) {
	for i, v := range index {
		if v < 0 || int(v) >= n {
			panic(fmt.Sprintf("BUG: resize: %s[%d] is %d of %d", name, i, v, n))
		}
	}
}
