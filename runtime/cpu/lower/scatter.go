package lower

import (
	"github.com/aimass/aimass/kernels/pool"
	"github.com/aimass/aimass/kernels/reduce"
	"github.com/aimass/aimass/runtime/ops/layout"
	"github.com/aimass/aimass/runtime/tensor"
)

var scattered = map[string]reduce.Op{"add": reduce.Sum, "mul": reduce.Prod, "max": reduce.Max, "min": reduce.Min}

// somePlaces is how many places are computed at a time, so that they stay in the first-level cache.
const somePlaces = 1024

// lowerScatter takes ScatterND and ScatterElements of float32 with a reduction.
func lowerScatter(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	x, idx, upd, out := n.In[0], n.In[1], n.In[2], n.Out[0]
	op, ok := scattered[n.Attrs.Str("reduction", "none")]
	if !ok || !f.f32(x) || !f.f32(upd) || !f.f32(out) || f.pl.Place[out].Kind != InArena || !f.known(idx, tensor.Int32, tensor.Int64) {
		return nil, false
	}
	s, at := f.shape(x), f.shape(idx)
	size, places := 1, (*layout.Places)(nil)
	if n.OpName() == "ScatterND" {
		last := len(at) - 1
		if last < 0 || at[last] < 1 || at[last] > len(s) || !f.shape(upd).Equal(append(at[:last].Clone(), s[at[last]:]...)) {
			return nil, false
		}
		size, places = s[at[last]:].Elements(), layout.TuplePlaces(s, at, 0)
	} else {
		axis, err := tensor.Axis(n.Attrs.Int("axis", 0), len(s))
		if err != nil || len(at) != len(s) || !f.shape(upd).Equal(at) {
			return nil, false
		}
		for k := range s {
			if k != axis && at[k] > s[k] {
				return nil, false
			}
		}
		places = layout.ElementPlaces(s, at, axis)
	}
	room := f.scratch(tensor.Int64, somePlaces)
	run := func(e *Env) error {
		w := &e.places
		defer w.End()
		if err := w.Start(places, e.Tensor(idx)); err != nil {
			return err
		}
		pool.CopyRows(e.bytes(out), 0, e.bytes(x), 0, len(e.bytes(x)), 1, e.Threads)
		y, u, some := e.f32(out), e.f32(upd), tensor.Data[int64](e.Tensor(room))
		for w.Left() > 0 {
			at, err := w.Next(some)
			if err != nil {
				return err
			}
			reduce.Runs(op, y, u, at, size, e.Threads)
			u = u[len(at)*size:]
		}
		return nil
	}
	return &group{nodes: []int{i}, reads: n.In, writes: []int{out, room}, run: run}, true
}
