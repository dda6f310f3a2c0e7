package lower

import (
	"github.com/aimass/aimass/kernels/norm"
	"github.com/aimass/aimass/kernels/reduce"
	"github.com/aimass/aimass/kernels/softmax"
	"github.com/aimass/aimass/runtime/match"
	"github.com/aimass/aimass/runtime/tensor"
)

// softmaxAlone takes Softmax and LogSoftmax over one axis.
func (f *fuser) softmaxAlone(i int) (*group, bool) {
	n := f.node(i)
	in, out := n.In[0], n.Out[0]
	if !f.f32(in) || !f.f32(out) || f.shape(in).Elements() == 0 {
		return nil, false
	}
	s := f.shape(in)
	def := int64(-1)
	if n.Opset < 13 {
		def = 1
	}
	axis, err := tensor.Axis(n.Attrs.Int("axis", def), len(s))
	if err != nil {
		return nil, false
	}
	outer, count, inner := s[:axis].Elements(), s[axis], s[axis+1:].Elements()
	if n.Opset < 13 {
		count, inner = s[axis:].Elements(), 1
	}
	log := n.Op == "LogSoftmax"
	run := func(e *Env) error {
		if inner == 1 {
			softmax.Rows(e.f32(out), count, e.f32(in), count, outer, count, 1, log, e.Threads)
		} else {
			softmax.Middle(e.f32(out), e.f32(in), outer, count, inner, log, e.Threads)
		}
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{in}, writes: []int{out}, run: run}, true
}

// lowerLayerNorm takes LayerNormalization and RMSNormalization over the last axes.
func lowerLayerNorm(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	in, out := n.In[0], n.Out[0]
	if !f.f32(in) || !f.f32(out) || len(n.Out) > 1 && match.Wanted(n.Out[1:]) || n.Attrs.Int("stash_type", 1) != 1 {
		return nil, false
	}
	s := f.shape(in)
	axis, err := tensor.Axis(n.Attrs.Int("axis", -1), len(s))
	if err != nil || s.Elements() == 0 {
		return nil, false
	}
	cols := s[axis:].Elements()
	p := &norm.Rows{Rows: s[:axis].Elements(), Cols: cols, RMS: n.Op == "RMSNormalization", Epsilon: n.Attrs.Float("epsilon", 1e-5)}
	for k, dst := range []*[]float32{&p.Gamma, &p.Beta} {
		if len(n.In) > k+1 && n.In[k+1] >= 0 {
			if *dst = f.constF32(n.In[k+1]); len(*dst) != cols {
				return nil, false
			}
		}
	}
	return f.rows(p, []int{i}, in, out), true
}

func (f *fuser) rows(p *norm.Rows, nodes []int, in, out int) *group {
	run := func(e *Env) error {
		c := *p
		c.Threads = e.Threads
		c.Run(e.f32(out), e.f32(in))
		return nil
	}
	return &group{nodes: nodes, reads: []int{in}, writes: []int{out}, run: run}
}

// lowerReduceMean takes a layer normalisation spelled out from its first mean on, or the
// mean alone.
func lowerReduceMean(f *fuser, i int) (*group, bool) {
	if g, ok := f.spelledLayerNorm(i); ok {
		return g, true
	}
	return lowerReduce(f, i)
}

// spelledLayerNorm takes a layer norm in nine nodes.
func (f *fuser) spelledLayerNorm(i int) (*group, bool) {
	m, ok := f.g.SpelledNorm(i)
	if !ok {
		return nil, false
	}
	s := f.shape(m.X)
	cols := s[len(s)-1]
	p := &norm.Rows{Rows: s.Elements() / cols, Cols: cols, Epsilon: m.Epsilon, Gamma: f.constF32(m.Gamma), Beta: f.constF32(m.Beta)}
	return f.rows(p, m.Nodes, m.X, m.Out), true
}

var reductions = map[string]reduce.Op{
	"ReduceSum": reduce.Sum, "ReduceMean": reduce.Mean, "ReduceMax": reduce.Max, "ReduceMin": reduce.Min, "ReduceSumSquare": reduce.SumSquare,
	"ReduceL1": reduce.L1, "ReduceL2": reduce.L2, "ReduceProd": reduce.Prod,
}

// lowerReduce takes reductions over neighbouring axes.
func lowerReduce(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	op, ok := reductions[n.OpName()]
	in, out := n.In[0], n.Out[0]
	if !ok || !f.f32(in) || !f.f32(out) {
		return nil, false
	}
	s, axes := f.shape(in), f.g.Axes(n.match())
	if len(axes) == 0 || axes[len(axes)-1]-axes[0] != len(axes)-1 || s.Elements() == 0 {
		return nil, false
	}
	lo, hi := axes[0], axes[len(axes)-1]+1
	return f.reduction(op, i, in, out, s[:lo].Elements(), s[lo:hi].Elements(), s[hi:].Elements()), true
}

func (f *fuser) reduction(op reduce.Op, i, in, out, outer, n, inner int) *group {
	run := func(e *Env) error {
		reduce.Axis(op, e.f32(out), e.f32(in), outer, n, inner, e.Threads)
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{in}, writes: []int{out}, run: run}
}

// lowerGlobalPool takes pools over whole planes.
func lowerGlobalPool(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	in, out := n.In[0], n.Out[0]
	if !f.f32(in) || !f.f32(out) || f.shape(in).Elements() == 0 {
		return nil, false
	}
	s := f.shape(in)
	op := reduce.Mean
	if n.Op == "GlobalMaxPool" {
		op = reduce.Max
	}
	return f.reduction(op, i, in, out, s[0]*s[1], s[2:].Elements(), 1), true
}
