package lower

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/runtime/ops/ml"
	"github.com/aimass/aimass/runtime/tensor"
)

// vectorModel is a support vector model with its vectors packed: a row's kernels with all of
// them come from one product with act done in the tile store.
type vectorModel struct {
	class  *ml.SVM
	value  *ml.SVR
	k      ml.Vectors
	packed *gemm.PackedB
	ep     gemm.Epilogue
	// Of the radial kernel −γ‖x−v‖² = 2γx·v − γ‖v‖² − γ‖x‖² all is a product if a row has its
	// length as one feature more. Both are taken relative to center, as what is left of the
	// difference of large numbers is inexact.
	center []float32
	degree int // of the polynomial kernel, if it is a small whole number
}

const (
	// vectorRows are done at a time, so that their kernels stay in the cache.
	vectorRows = 64
	// maxRadius bounds γ‖v‖², and with it the error of the radial kernel's exponent: some
	// float32 epsilons times this.
	maxRadius = 256
)

func newVectorModel(n *Node) *vectorModel {
	m := &vectorModel{}
	var err error
	if n.Op == "SVMRegressor" {
		if m.value, err = ml.NewSVR(n.Node); err == nil {
			m.k = m.value.Vectors()
		}
	} else if m.class, err = ml.NewSVM(n.Node); err == nil {
		m.k = m.class.Vectors()
	}
	if err != nil || m.k.Count == 0 || m.k.Features == 0 {
		return nil
	}
	k := m.k.Kernel
	switch k.Kind {
	case "RBF":
		return m.radial()
	case "POLY":
		m.ep.Alpha, m.ep.Bias = float32(k.Gamma), m.constant(k.Coef0)
		if d := int(k.Power); float64(d) == k.Power && d >= 1 && d <= maxPower {
			m.degree = d
		}
	case "SIGMOID":
		m.ep.Alpha, m.ep.Bias, m.ep.Act = float32(k.Gamma), m.constant(k.Coef0), act.Act{Func: act.Tanh}
	}
	if k.Kind != "LINEAR" && m.ep.Alpha == 0 {
		return nil
	}
	m.packed = gemm.PackB(m.k.Features, m.k.Count, m.k.Data, m.k.Features, true)
	return m
}

func (m *vectorModel) constant(v float64) []float32 {
	b := make([]float32, m.k.Count)
	for i := range b {
		b[i] = float32(v)
	}
	return b
}

// radial packs the vectors for the radial kernel; nil where it would be inexact.
func (m *vectorModel) radial() *vectorModel {
	n, g := m.k.Features, m.k.Kernel.Gamma
	m.center = make([]float32, n)
	for j := range n {
		var s float64
		for i := range m.k.Count {
			s += float64(m.k.Data[i*n+j])
		}
		m.center[j] = float32(s / float64(m.k.Count))
	}
	b := make([]float32, m.k.Count*(n+1))
	m.ep.Bias = make([]float32, m.k.Count)
	for i := range m.k.Count {
		row := b[i*(n+1) : (i+1)*(n+1)]
		var s float64
		for j, c := range m.center {
			v := m.k.Data[i*n+j] - c
			s += float64(v) * float64(v)
			row[j] = float32(2 * g * float64(v))
		}
		if !(g*s <= maxRadius) {
			return nil
		}
		row[n] = float32(-g)
		m.ep.Bias[i] = float32(-g * s)
	}
	m.ep.Act = act.Act{Func: act.Exp}
	m.packed = gemm.PackB(n+1, m.k.Count, b, n+1, true)
	return m
}

// kernels computes those of some rows; room is memory for the rows as the product takes them.
func (m *vectorModel) kernels(e *Env, dst, x []float32, rows int, room []float32) {
	n, from := m.k.Features, x
	if m.center != nil {
		for r := range rows {
			row, to := x[r*n:(r+1)*n], room[r*(n+1):(r+1)*(n+1)]
			var s float64
			for j, c := range m.center {
				v := row[j] - c
				s += float64(v) * float64(v)
				to[j] = v
			}
			to[n] = float32(s)
		}
		x, n = room, n+1
	}
	e.gemm = m.ep
	gemm.Gemm(rows, x, n, m.packed, dst, m.k.Count, &e.gemm, e.Threads)
	if m.center != nil {
		// Of a row whose length is not in float32 the product is the difference of two infinities, where the kernels are 0.
		for r := range rows {
			if length := x[r*n+n-1]; length-length != 0 {
				m.k.Kernels(dst[r*m.k.Count:(r+1)*m.k.Count], from[r*m.k.Features:(r+1)*m.k.Features])
			}
		}
	}
	if m.k.Kernel.Kind == "POLY" {
		m.power(dst[:rows*m.k.Count])
	}
}

func (m *vectorModel) power(v []float32) {
	if m.degree > 0 {
		wholePower(v, v, m.degree)
		return
	}
	for i, s := range v {
		v[i] = float32(math.Pow(float64(s), m.k.Kernel.Power))
	}
}

// lowerVectors takes support vector models over float32 features.
func lowerVectors(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	x, ok := f.table(n.In[0])
	if !ok {
		return nil, false
	}
	m, _ := f.pl.Packed.get(nil, fmt.Sprintf("vectors %p", n.Node), func(*tensor.Tensor) (any, int64) {
		m := newVectorModel(n)
		if m == nil {
			return m, 0
		}
		return m, int64(m.packed.Bytes())
	}).(*vectorModel)
	if m == nil || m.k.Features != x.cols {
		return nil, false
	}
	rows, features := x.rows, x.cols
	some := min(rows, vectorRows)
	values := f.scratch(tensor.Float32, some*m.k.Count)
	room := f.scratch(tensor.Float32, some*(features+1))
	g := &group{nodes: []int{i}, reads: n.In, writes: []int{values, room, x.narrow}, cost: rows * m.k.Count * (1 + features/vectorTerms)}
	each := func(e *Env, done func(row int, kernels []float32)) {
		in, k := x.read(e), e.f32(values)
		for at := 0; at < rows; at += some {
			part := min(some, rows-at)
			m.kernels(e, k, in[at*features:(at+part)*features], part, e.f32(room))
			for r := range part {
				done(at+r, k[r*m.k.Count:(r+1)*m.k.Count])
			}
		}
	}
	if m.value != nil {
		out := n.Out[0]
		if !f.f32(out) {
			return nil, false
		}
		g.writes = append(g.writes, out)
		g.run = func(e *Env) error {
			y := e.f32(out)
			each(e, func(row int, kernels []float32) { y[row] = m.value.Score(kernels) })
			return nil
		}
		return g, true
	}
	z, width := -1, m.class.Width()
	if len(n.Out) > 1 {
		z = n.Out[1]
	}
	if z < 0 {
		z = f.scratch(tensor.Float32, rows*width)
	} else if !f.f32(z) {
		return nil, false
	}
	ints, strs := m.class.Labels()
	label, ok := f.labels(n.Out[0], rows, ints, strs)
	if !ok {
		return nil, false
	}
	g.writes = append(g.writes, n.Out[0], z)
	g.run = func(e *Env) error {
		out := e.f32(z)
		li, ls := label.begin(e)
		each(e, func(row int, kernels []float32) {
			label.put(li, ls, row, m.class.Decide(kernels, out[row*width:(row+1)*width], &e.votes))
		})
		return nil
	}
	return g, true
}
