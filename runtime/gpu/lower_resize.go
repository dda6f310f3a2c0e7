package gpu

import (
	"fmt"
	"slices"

	"github.com/aimass/aimass/cuda"
	"github.com/aimass/aimass/cuda/kernel"
	"github.com/aimass/aimass/runtime/ops/nn"
	"github.com/aimass/aimass/runtime/tensor"
)

// lowerResize takes Resize and Upsample of float32 along the last two axes, in every mode but
// extrapolation: which places each of the result is made of is known with the shapes.
func lowerResize(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	x, out := n.in[0], n.out[0]
	if !l.F32(x) || !l.F32(out) || l.shape(out).Elements() == 0 {
		return nil, false
	}
	var in [3]*tensor.Tensor
	r, sc, sz := nn.ResizeInputs(n.Node)
	for k, j := range []int{r, sc, sz} {
		if s := n.input(max(j, 0)); j >= 0 && s >= 0 {
			if in[k] = l.tensor(s); in[k] == nil {
				return nil, false
			}
		}
	}
	s, so := l.shape(x), l.shape(out)
	taps, err := nn.ResizeTaps(n.Node, s, in[0], in[1], in[2])
	rank := len(s)
	if err != nil || rank < 2 {
		return nil, false
	}
	if len(taps) == 0 {
		return l.viewOf(l.pick(i), x, out, 0), s.Equal(so)
	}
	by := [2]nn.Taps{still(s[rank-2]), still(s[rank-1])}
	for _, t := range taps {
		if t.Axis < rank-2 {
			return nil, false
		}
		by[t.Axis-rank+2] = t.Lone()
	}
	q := kernel.Resize{Planes: s[:rank-2].Elements(), H: s[rank-2], W: s[rank-1], OutH: so[rank-2], OutW: so[rank-1], Rows: kernel.Taps{N: by[0].N},
		Cols: kernel.Taps{N: by[1].N}}
	copies := true
	for _, t := range by {
		copies = copies && t.N == 1 && !slices.ContainsFunc(t.Weight, func(w float32) bool { return w != 1 })
	}
	var from operands
	ax := from.add(x)
	var index, weight [2]func([]cuda.Ptr) cuda.Ptr
	for k, t := range by {
		key := fmt.Sprintf("resize %s axis %d of %v to %v", n.Label(), k, s, so)
		index[k] = from.add(l.constant(l.derived.get(key+" index", func() *tensor.Tensor { return tensor.FromSlice(t.Index, len(t.Index)) })))
		weight[k] = from.add(-1)
		if !copies {
			weight[k] = from.add(l.constant(l.derived.get(key+" weight", func() *tensor.Tensor { return tensor.FromSlice(t.Weight, len(t.Weight)) })))
		}
	}
	return []*operation{{kind: "resize", nodes: l.pick(i), in: from.slots, out: []int{out}, launch: func(dst []cuda.Launch, in, out []cuda.Ptr,
		_ cuda.Ptr) ([]cuda.Launch, error) {
		q := q
		q.X, q.Y = ax(in), out[0]
		q.Rows.Index, q.Rows.Weight, q.Cols.Index, q.Cols.Weight = index[0](in), weight[0](in), index[1](in), weight[1](in)
		return kernel.AppendResize(dst, q)
	}}}, true
}

// still are the taps of an axis that stays as it is.
func still(n int) nn.Taps {
	t := nn.Taps{N: 1}
	for i := range n {
		t.Index, t.Weight = append(t.Index, int32(i)), append(t.Weight, 1)
	}
	return t
}
