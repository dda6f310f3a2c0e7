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
	wide := f.f64(in) && f.f64(out)
	if !wide && !(f.f32(in) && f.f32(out)) || f.shape(in).Elements() == 0 {
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
	if wide {
		if inner != 1 || log {
			return nil, false
		}
		return f.softmax64(i, in, out, outer, count), true
	}
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

// lowerReduce takes reductions over axes of which the neighbours go together.
func lowerReduce(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	op, ok := reductions[n.OpName()]
	in, out := n.In[0], n.Out[0]
	if f.f64(in) && f.f64(out) {
		return lowerFold64(f, i)
	}
	if !ok || !f.f32(in) || !f.f32(out) {
		return nil, false
	}
	s, axes := f.shape(in), f.g.Axes(n.match())
	if len(axes) == 0 || s.Elements() == 0 {
		return nil, false
	}
	return f.folding(op, i, partsOf(s, axes), in, out), true
}

// middle is the middle of three axes, which is folded.
type middle struct{ outer, n, inner int }

// partsOf cuts axes, in ascending order, into those that are neighbours, the last first; what is folded
// has extent 1 for the next.
func partsOf(s tensor.Shape, axes []int) (parts []middle) {
	left := s.Clone()
	for end := len(axes); end > 0; {
		first := end - 1
		for first > 0 && axes[first-1] == axes[first]-1 {
			first--
		}
		lo, hi := axes[first], axes[end-1]+1
		parts = append(parts, middle{left[:lo].Elements(), left[lo:hi].Elements(), left[hi:].Elements()})
		for k := lo; k < hi; k++ {
			left[k] = 1
		}
		end = first
	}
	return parts
}

// fold is one fold of the middle of three axes.
type fold struct {
	to, from int // slots
	middle
}

// folds folds one part after the other on the way from in to out; extra are the slots between.
func (f *fuser) folds(d tensor.DType, parts []middle, in, out int) (list []fold, extra []int) {
	for k, m := range parts {
		to := out
		if k < len(parts)-1 {
			to = f.scratch(d, m.outer*m.inner)
			extra = append(extra, to)
		}
		list = append(list, fold{to, in, m})
		in = to
	}
	return list, extra
}

// folding folds parts of float32.
func (f *fuser) folding(op reduce.Op, i int, parts []middle, in, out int) *group {
	folds, extra := f.folds(tensor.Float32, parts, in, out)
	then := op
	if op == reduce.SumSquare {
		then = reduce.Sum
	}
	run := func(e *Env) error {
		op := op
		for k := range folds {
			d := &folds[k]
			reduce.Axis(op, e.f32(d.to), e.f32(d.from), d.outer, d.n, d.inner, e.Threads)
			op = then
		}
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{in}, writes: append([]int{out}, extra...), run: run}
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
	return f.folding(op, i, []middle{{s[0] * s[1], s[2:].Elements(), 1}}, in, out), true
}
