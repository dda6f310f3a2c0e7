package lower

import (
	"fmt"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/elementwise"
	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/kernels/softmax"
	"github.com/aimass/aimass/runtime/cpu/lower/move"
	"github.com/aimass/aimass/runtime/ops/ml"
	"github.com/aimass/aimass/runtime/tensor"
)

// table is a slot that holds rows of float32 or float64 features, which a step takes as float32.
type table struct {
	slot, rows, cols int
	narrow           int // scratch of the same in float32; −1 if it is float32 already
}

// table reads a slot.
func (f *fuser) table(slot int) (table, bool) {
	t := table{slot: slot, narrow: -1}
	wide := f.known(slot, tensor.Float64)
	if !wide && !f.f32(slot) || f.shape(slot).Elements() == 0 {
		return t, false
	}
	switch s := f.shape(slot); len(s) {
	case 1:
		t.rows, t.cols = 1, s[0]
	case 2:
		t.rows, t.cols = s[0], s[1]
	default:
		return t, false
	}
	if wide {
		t.narrow = f.scratch(tensor.Float32, t.rows*t.cols)
	}
	return t, true
}

// read gives the features.
func (t *table) read(e *Env) []float32 {
	if t.narrow < 0 {
		return e.f32(t.slot)
	}
	x := e.f32(t.narrow)
	move.Convert(x, number[float64](e, t.slot))
	return x
}

// linearModel is a LinearClassifier with its coefficients packed.
type linearModel struct {
	*ml.Linear
	packed *gemm.PackedB
}

// lowerLinearClassifier takes the sums as a product and the transforms as kernels.
func lowerLinearClassifier(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	x, ok := f.table(n.In[0])
	if !ok {
		return nil, false
	}
	m, _ := f.pl.Packed.get(nil, fmt.Sprintf("linear %p", n.Node), func(*tensor.Tensor) (any, int64) {
		m, err := ml.NewLinear(n.Node)
		if err != nil {
			return (*linearModel)(nil), 0
		}
		p := gemm.PackB(m.Features, m.Targets, m.Coef, m.Features, true)
		return &linearModel{m, p}, int64(p.Bytes())
	}).(*linearModel)
	if m == nil || m.Features != x.cols {
		return nil, false
	}
	z := -1
	if len(n.Out) > 1 {
		z = n.Out[1]
	}
	if z < 0 {
		z = f.scratch(tensor.Float32, x.rows*m.Width)
	} else if !f.f32(z) {
		return nil, false
	}
	ints, strs := m.Labels()
	label, ok := f.labels(n.Out[0], x.rows, ints, strs)
	if !ok {
		return nil, false
	}
	ep := gemm.Epilogue{Bias: m.Intercepts}
	post := m.Transform()
	run := func(e *Env) error {
		out := e.f32(z)
		e.gemm = ep
		gemm.Gemm(x.rows, x.read(e), x.cols, m.packed, out, m.Width, &e.gemm, e.Threads)
		li, ls := label.begin(e)
		for r := range x.rows {
			label.put(li, ls, r, m.Choose(out[r*m.Width:(r+1)*m.Width]))
		}
		transform(post, out, x.rows, m.Width, e.Threads)
		return nil
	}
	return &group{nodes: []int{i}, reads: n.In, writes: []int{n.Out[0], z, x.narrow}, run: run}, true
}

// transform applies a classifier's transform to all rows of scores.
func transform(post ml.Post, z []float32, rows, width, threads int) {
	switch post {
	case ml.None:
	case ml.Logistic:
		elementwise.Unary(z, z, act.Act{Func: act.Sigmoid}, threads)
	case ml.Softmax:
		softmax.Rows(z, width, z, width, rows, width, 1, false, threads)
	default:
		for r := range rows {
			post.Apply(z[r*width : (r+1)*width])
		}
	}
}

// lowerLinearRegressor takes regressions without a transform, which are products.
func lowerLinearRegressor(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	in, out := n.In[0], n.Out[0]
	x, ok := f.table(in)
	coef, bias, targets := n.Attrs.Floats("coefficients"), n.Attrs.Floats("intercepts"), int(n.Attrs.Int("targets", 1))
	if !ok || x.narrow >= 0 || !f.f32(out) || n.Attrs.Str("post_transform", "NONE") != "NONE" || targets < 1 ||
		len(coef) != targets*x.cols || f.shape(out).Elements() != x.rows*targets {
		return nil, false
	}
	packed := f.pl.Packed.get(nil, fmt.Sprintf("linear %p", n.Node), func(*tensor.Tensor) (any, int64) {
		p := gemm.PackB(x.cols, targets, coef, x.cols, true)
		return p, int64(p.Bytes())
	}).(*gemm.PackedB)
	ep := newEpilogue()
	if len(bias) == targets {
		ep.bias = bias
	}
	return f.times([]int{i}, in, out, x.cols, targets, ep, func(m int, a, c []float32, ep *gemm.Epilogue, threads int) {
		gemm.Gemm(m, a, x.cols, packed, c, targets, ep, threads)
	}), true
}
