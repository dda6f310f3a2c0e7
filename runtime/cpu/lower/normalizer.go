package lower

import (
	"github.com/aimass/aimass/kernels/elementwise"
	"github.com/aimass/aimass/kernels/reduce"
	"github.com/aimass/aimass/runtime/ops/ml"
	"github.com/aimass/aimass/runtime/tensor"
)

// norms are those of a Normalizer that are reductions. The length (L2) is none: its squares leave float32 before the
// length does.
var norms = map[string]reduce.Op{"MAX": reduce.Max, "L1": reduce.L1}

// lowerNormalizer takes rows of float32: a reduction, and a division of each row by what it gave. Rows of which
// that is 0 or not finite are left to the operator, which takes 1 for 0 and sums in float64.
func lowerNormalizer(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	x, out := n.In[0], n.Out[0]
	norm := n.Attrs.Str("norm", "MAX")
	op, ok := norms[norm]
	if !ok || !f.f32(x) || !f.f32(out) {
		return nil, false
	}
	s := f.shape(x)
	if len(s) < 1 || len(s) > 2 || s.Elements() == 0 {
		return nil, false
	}
	cols := s[len(s)-1]
	rows := s.Elements() / cols
	by := f.scratch(tensor.Float32, rows)
	run := func(e *Env) error {
		in, dst, d := e.f32(x), e.f32(out), e.f32(by)
		reduce.Axis(op, d, in, rows, cols, 1, e.Threads)
		elementwise.BinaryCol(elementwise.Div, dst, in, cols, d, false, e.Threads)
		for r, v := range d {
			if v == 0 || v-v != 0 {
				ml.Normalize(dst[r*cols:(r+1)*cols], in[r*cols:(r+1)*cols], norm)
			}
		}
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{x}, writes: []int{out, by}, run: run}, true
}
