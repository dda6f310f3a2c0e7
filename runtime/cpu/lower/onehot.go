package lower

import (
	"fmt"
	"math"
	"slices"

	"github.com/aimass/aimass/kernels/elementwise"
	"github.com/aimass/aimass/runtime/match"
	"github.com/aimass/aimass/runtime/tensor"
)

// oneHot takes the product of one-hot rows, as exporters of JAX and TensorFlow spell them
// (Cast of Equal with 0, 1, 2, …), with constant weights: each row of the result is a row
// of the weights, with what follows the product already done to it.
func (f *fuser) oneHot(i int) (*group, bool) {
	n := f.node(i)
	w := f.constant(n.In[1])
	cast, ok := f.aloneBefore(n.In[0], i, "Cast")
	if !ok || w == nil || len(w.Shape) != 2 || w.DType != tensor.Float32 || !f.f32(n.Out[0]) {
		return nil, false
	}
	equal, ok := f.aloneBefore(f.node(cast).In[0], cast, "Equal")
	if !ok {
		return nil, false
	}
	rows, cols := w.Shape[0], w.Shape[1]
	full := f.shape(f.node(equal).Out[0])
	ids := f.node(equal).In[0]
	if !f.counts(f.node(equal).In[1], rows) {
		ids = f.node(equal).In[1]
		if !f.counts(f.node(equal).In[0], rows) {
			return nil, false
		}
	}
	if _, ok := f.movable(ids); !ok || !f.pl.Info[ids].DType.IsInt() || len(full) < 2 || full[len(full)-1] != rows ||
		len(f.shape(ids)) != len(full) || f.shape(ids)[len(full)-1] != 1 || f.shape(ids).Elements()*rows != full.Elements() {
		return nil, false
	}
	if !f.pl.Packed.get(w, "finite", func(src *tensor.Tensor) (any, int64) { return finite(tensor.Data[float32](src)), 0 }).(bool) {
		return nil, false // 0·∞ is NaN in every row
	}
	ep := newEpilogue()
	f.follow(n.Out[0], cols, 1, ep)
	if ep.residual >= 0 {
		return nil, false
	}
	table := f.pl.Packed.get(w, fmt.Sprintf("rows %p %d %p", n.Node, len(ep.nodes), ep.bias), func(src *tensor.Tensor) (any, int64) {
		t := rowTable(tensor.Data[float32](src), rows, cols, ep)
		return t, int64(4 * len(t))
	}).([]float32)
	pick := pickRows[int32]
	switch f.pl.Info[ids].DType {
	case tensor.Int32:
	case tensor.Int64:
		pick = pickRows[int64]
	default:
		return nil, false
	}
	out := ep.out
	run := func(e *Env) error {
		pick(e, out, ids, table, rows, cols)
		return nil
	}
	return &group{nodes: append([]int{equal, cast, i}, ep.nodes...), reads: []int{ids}, writes: []int{out}, run: run}, true
}

func finite(v []float32) bool {
	return !slices.ContainsFunc(v, func(x float32) bool { return math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) })
}

// rowTable is what follows a product, done to each row of the weights, and to a row of
// zeros behind them.
func rowTable(w []float32, rows, cols int, ep *epilogue) []float32 {
	t := make([]float32, (rows+1)*cols)
	copy(t, w[:rows*cols])
	for j := range t {
		t[j] *= ep.alpha
		if ep.bias != nil {
			t[j] += ep.bias[j%len(ep.bias)]
		}
	}
	elementwise.Unary(t, t, ep.act, 1)
	return t
}

func pickRows[T int32 | int64](e *Env, out, ids int, table []float32, rows, cols int) {
	dst := e.f32(out)
	for r, id := range tensor.Data[T](e.Tensor(ids)) {
		if id < 0 || id >= T(rows) {
			id = T(rows) // equal to none
		}
		copy(dst[r*cols:(r+1)*cols], table[int(id)*cols:])
	}
}

// aloneBefore is the node that makes a slot, if it is of the operator and node i alone
// reads the slot.
func (f *fuser) aloneBefore(slot, i int, op string) (int, bool) {
	m, ok := f.maker[slot]
	if user, alone := f.onlyUser(slot); !ok || !alone || user != i {
		return 0, false
	}
	return m, !f.claimed[m] && f.node(m).OpName() == op
}

// counts reports a constant of the integers below n in order, along the last axis.
func (f *fuser) counts(slot, n int) bool {
	t := f.constant(slot)
	if t == nil || !t.DType.IsInt() || t.DType.Bits() < 8 || t.Elements() != n || !match.AlongAxis(t.Shape, n, 1) {
		return false
	}
	v, err := tensor.Int64s(t)
	for k := range v {
		if v[k] != int64(k) {
			return false
		}
	}
	return err == nil
}
