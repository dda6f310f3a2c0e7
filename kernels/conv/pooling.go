package conv

import (
	"fmt"

	"github.com/aimass/aimass/kernels/isa"
)

// PoolOp is a kind of pooling.
type PoolOp uint8

// The kinds of pooling.
const (
	MaxPool       PoolOp = iota // largest value of the window; NaN counts as larger
	AvgPool                     // mean of the values inside the image
	AvgPoolPadded               // mean with the padding counted as zeros
)

// Pool reduces each window of planes (images × channels) dense h×w planes to
// one value, giving oh×ow values a plane. The caller chooses oh and ow
// (Window.Out, or one more where a model asks for rounding up); a window that
// reaches past the padding is cut there. One with nothing inside the image
// gives −Inf for MaxPool and 0 otherwise.
func Pool(op PoolOp, y, x []float32, planes, h, w, oh, ow int, win Window, threads int) {
	pooling(isa.Current().Level, op, y, x, planes, h, w, oh, ow, win, threads)
}

func pooling(level isa.Level, op PoolOp, y, x []float32, planes, h, w, oh, ow int, win Window, threads int) {
	win = win.Norm()
	if planes*oh*ow == 0 {
		return
	}
	if len(x) < planes*h*w || len(y) < planes*oh*ow || win.KH < 1 || win.KW < 1 {
		panic(fmt.Sprintf("BUG: conv: pool %d planes of %d×%d to %d×%d: x %d, y %d", planes, h, w, oh, ow, len(x), len(y)))
	}
	if level != isa.Generic && h*w > 0 {
		poolNative(level, op, y, x, planes, h, w, oh, ow, win, threads)
		return
	}
	poolGeneric(op, y, x, planes, h, w, oh, ow, win)
}
