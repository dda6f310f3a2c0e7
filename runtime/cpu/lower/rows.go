package lower

import (
	"github.com/aimass/aimass/kernels/norm"
	"github.com/aimass/aimass/kernels/reduce"
	"github.com/aimass/aimass/kernels/softmax"
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
	if !f.f32(in) || !f.f32(out) || len(n.Out) > 1 && anyWanted(n.Out[1:]) || n.Attrs.Int("stash_type", 1) != 1 {
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

func anyWanted(slots []int) bool {
	for _, s := range slots {
		if s >= 0 {
			return true
		}
	}
	return false
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

// spelledLayerNorm matches d = x − mean(x); d / √(mean(d²) + ε) · γ + β.
func (f *fuser) spelledLayerNorm(i int) (*group, bool) {
	n := f.node(i)
	x, mean := n.In[0], n.Out[0]
	if !f.f32(x) || !f.f32(mean) || !f.overLast(n) || n.Attrs.Int("keepdims", 1) != 1 {
		return nil, false
	}
	sub, ok := f.onlyUser(mean)
	if !ok || f.node(sub).OpName() != "Sub" || f.node(sub).In[0] != x || f.node(sub).In[1] != mean {
		return nil, false
	}
	d := f.node(sub).Out[0]
	if !f.f32(d) || f.output[d] {
		return nil, false
	}
	c, ok := f.variance(d)
	if !ok {
		return nil, false
	}
	eps := float32(0)
	c.then("Add", func(s int) bool { v, ok := f.scalar(s); eps = v; return ok && v >= 0 }).then("Sqrt", nil)
	if !c.ok {
		return nil, false
	}
	div, ok := f.onlyUser(c.at)
	if !ok || f.node(div).OpName() != "Div" || f.node(div).In[0] != d || f.node(div).In[1] != c.at || !f.readOnlyBy(d, append(c.nodes, div)) {
		return nil, false
	}
	nodes := append([]int{i, sub, div}, c.nodes...)
	s := f.shape(x)
	cols := s[len(s)-1]
	p := &norm.Rows{Rows: s[:len(s)-1].Elements(), Cols: cols, Epsilon: eps}
	tail := &chain{f: f, at: f.node(div).Out[0], ok: true}
	vector := func(dst *[]float32) func(int) bool {
		return func(slot int) bool {
			*dst = f.constF32(slot)
			return len(*dst) == cols && alongAxis(f.shape(slot), cols, 1)
		}
	}
	if tail.then("Mul", vector(&p.Gamma)); tail.ok {
		g := *tail
		if tail.then("Add", vector(&p.Beta)); !tail.ok {
			*tail = g
			tail.ok = true
			p.Beta = nil
		}
	} else {
		tail.ok = true
		p.Gamma = nil
	}
	out := tail.at
	if p.Rows*cols == 0 || !f.f32(out) {
		return nil, false
	}
	return f.rows(p, append(nodes, tail.nodes...), x, out), true
}

// variance walks from d through d² to its mean over the last axis.
func (f *fuser) variance(d int) (*chain, bool) {
	for _, i := range f.users[d] {
		n := f.node(i)
		c := &chain{f: f, at: d, ok: true}
		switch {
		case n.OpName() == "Pow" && n.In[0] == d && f.near(2)(n.In[1]):
			c.through(i, "Pow", nil)
		case n.OpName() == "Mul" && n.In[0] == d && n.In[1] == d:
			c.through(i, "Mul", nil)
		default:
			continue
		}
		c.then("ReduceMean", nil)
		if c.ok && f.overLast(f.node(c.nodes[1])) {
			return c, true
		}
	}
	return nil, false
}

// readOnlyBy reports that exactly these nodes, or some of them, read the slot.
func (f *fuser) readOnlyBy(slot int, nodes []int) bool {
	for _, u := range f.users[slot] {
		found := false
		for _, n := range nodes {
			found = found || n == u
		}
		if !found {
			return false
		}
	}
	return true
}

// axes are the axes that a reduction runs over, sorted; nil if they are not constant.
func (f *fuser) axes(n *Node) []int {
	list := n.Attrs.Ints("axes")
	if len(n.In) > 1 && n.In[1] >= 0 {
		t := f.constant(n.In[1])
		if t == nil {
			return nil
		}
		v, err := tensor.Int64s(t)
		if err != nil {
			return nil
		}
		list = v
	}
	rank := len(f.shape(n.In[0]))
	seen := make([]bool, rank)
	for _, a := range list {
		k, err := tensor.Axis(a, rank)
		if err != nil {
			return nil
		}
		seen[k] = true
	}
	var out []int
	for k, on := range seen {
		if on || len(list) == 0 && n.Attrs.Int("noop_with_empty_axes", 0) == 0 {
			out = append(out, k)
		}
	}
	return out
}

func (f *fuser) overLast(n *Node) bool {
	a := f.axes(n)
	return len(a) == 1 && a[0] == len(f.shape(n.In[0]))-1
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
	s, axes := f.shape(in), f.axes(n)
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
