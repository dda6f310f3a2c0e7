package lower

import (
	"github.com/aimass/aimass/kernels/conv"
	"github.com/aimass/aimass/kernels/norm"
	"github.com/aimass/aimass/kernels/resize"
	"github.com/aimass/aimass/runtime/cpu/lower/move"
	"github.com/aimass/aimass/runtime/match"
	"github.com/aimass/aimass/runtime/ops/nn"
	"github.com/aimass/aimass/runtime/tensor"
)

// sliding is a window over one or two spatial axes, seen as two: in one dimension the
// first has extent 1.
type sliding struct {
	conv.Window
	h, w, oh, ow int
}

// plane sees the spatial axes of [N, C, …] as two; of a volume's, the second are the places of
// a plane.
func plane(s tensor.Shape) (h, w int, ok bool) {
	switch len(s) {
	case 3:
		return 1, s[2], true
	case 4:
		return s[2], s[3], true
	case 5:
		return s[2], s[3] * s[4], true
	}
	return 0, 0, false
}

// along is how a kernel slides along one spatial axis.
type along struct{ in, out, kernel, stride, dilation, before, after int }

// slides reads the strides, dilations and padding of a node whose kernel slides over an
// image of shape in and gives out, axis by axis. It reports false where the kernels' idea of
// the output's extents differs from the operator's; with loose, an output that is larger by
// one passes (ceil_mode).
func slides(n *Node, in, out tensor.Shape, kernel []int, loose bool) ([]along, bool) {
	rank := len(in) - 2
	if rank < 1 || len(kernel) != rank || len(out) != len(in) {
		return nil, false
	}
	stride, ok1 := intsOr(n.Attrs.Ints("strides"), rank, 1)
	dilation, ok2 := intsOr(n.Attrs.Ints("dilations"), rank, 1)
	pads, ok3 := intsOr(n.Attrs.Ints("pads"), 2*rank, 0)
	if !ok1 || !ok2 || !ok3 {
		return nil, false
	}
	auto := n.Attrs.Str("auto_pad", "NOTSET")
	axes := make([]along, rank)
	for i := range axes {
		a := along{in[2+i], out[2+i], kernel[i], stride[i], dilation[i], pads[i], pads[rank+i]}
		switch auto {
		case "SAME_UPPER", "SAME_LOWER":
			total := max(0, (a.out-1)*a.stride+(a.kernel-1)*a.dilation+1-a.in)
			a.before, a.after = total/2, total-total/2
			if auto == "SAME_LOWER" {
				a.before, a.after = a.after, a.before
			}
		case "VALID":
			a.before, a.after = 0, 0
		}
		if a.kernel < 1 || a.stride < 1 || a.dilation < 1 || a.before < 0 || a.after < 0 || a.out < 1 {
			return nil, false
		}
		have := conv.Depth{K: a.kernel, Stride: a.stride, Dilation: a.dilation, Before: a.before, After: a.after}.Out(a.in)
		if a.out != have && (!loose || a.out != have+1) {
			return nil, false
		}
		axes[i] = a
	}
	return axes, true
}

// window is slides in one or two dimensions.
func window(n *Node, in, out tensor.Shape, kernel []int, loose bool) (s sliding, ok bool) {
	axes, ok := slides(n, in, out, kernel, loose)
	if !ok || len(axes) > 2 {
		return s, false
	}
	return sliding2(axes), true
}

// sliding2 sees one or two axes as two.
func sliding2(axes []along) sliding {
	y, x := along{in: 1, out: 1, kernel: 1, stride: 1, dilation: 1}, axes[len(axes)-1]
	if len(axes) == 2 {
		y = axes[0]
	}
	return sliding{h: y.in, w: x.in, oh: y.out, ow: x.out, Window: conv.Window{KH: y.kernel, StrideH: y.stride, DilationH: y.dilation, PadTop: y.before, PadBottom: y.after,
		KW: x.kernel, StrideW: x.stride, DilationW: x.dilation, PadLeft: x.before, PadRight: x.after}}
}

// places says where the window's places lie in an image whose channels lie together, step
// elements from one place to the next, and outside for those in the padding; nil where
// every place is taken once, in order.
func (s *sliding) places(step int, outside int32) []int32 {
	if s.KH == 1 && s.KW == 1 && s.StrideH == 1 && s.StrideW == 1 && s.oh == s.h && s.ow == s.w {
		return nil
	}
	out := make([]int32, 0, s.oh*s.ow*s.KH*s.KW)
	for y := range s.oh {
		for x := range s.ow {
			for i := range s.KH {
				for j := range s.KW {
					sy, sx := y*s.StrideH-s.PadTop+i*s.DilationH, x*s.StrideW-s.PadLeft+j*s.DilationW
					if sy < 0 || sy >= s.h || sx < 0 || sx >= s.w {
						out = append(out, outside)
					} else {
						out = append(out, int32((sy*s.w+sx)*step))
					}
				}
			}
		}
	}
	return out
}

// intsOr is a list of n numbers, all def where it is left out.
func intsOr(v []int64, n, def int) ([]int, bool) {
	out := make([]int, n)
	for i := range out {
		out[i] = def
		if len(v) == n {
			out[i] = int(v[i])
		}
	}
	return out, len(v) == 0 || len(v) == n
}

// ints converts a list.
func ints(v []int64) []int {
	out := make([]int, len(v))
	for i, x := range v {
		out[i] = int(x)
	}
	return out
}

// poolOf is the kind of pooling of a node.
func poolOf(n *Node) (conv.PoolOp, bool) {
	switch {
	case n.Op == "MaxPool":
		return conv.MaxPool, true
	case n.Op == "AveragePool" && n.Attrs.Int("count_include_pad", 0) != 0:
		return conv.AvgPoolPadded, true
	}
	return conv.AvgPool, n.Op == "AveragePool"
}

// lowerPool takes MaxPool without indices and AveragePool in one to three dimensions.
func lowerPool(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	x, out := n.In[0], n.Out[0]
	if g, ok := f.bytePool(i); ok {
		return g, true
	}
	if !f.f32(x) || !f.f32(out) || match.Wanted(n.Out[1:]) || f.shape(out).Elements() == 0 || f.shape(x).Elements() == 0 {
		return nil, false
	}
	win, ok := window(n, f.shape(x), f.shape(out), ints(n.Attrs.Ints("kernel_shape")), true)
	if !ok {
		return f.volumePool(i)
	}
	op, ok := poolOf(n)
	if !ok || op != conv.MaxPool && !win.meetsImage() {
		return nil, false // a mean of nothing is NaN for Eval
	}
	planes := f.shape(x)[0] * f.shape(x)[1]
	run := func(e *Env) error {
		conv.Pool(op, e.f32(out), e.f32(x), planes, win.h, win.w, win.oh, win.ow, win.Window, e.Threads)
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{x}, writes: []int{out}, run: run}, true
}

// meetsImage reports that every place of the window covers some of the image.
func (s *sliding) meetsImage() bool {
	return match.Covered(s.oh, s.h, s.KH, s.StrideH, s.DilationH, s.PadTop) && match.Covered(s.ow, s.w, s.KW, s.StrideW, s.DilationW, s.PadLeft)
}

// lowerInstanceNorm takes InstanceNormalization.
func lowerInstanceNorm(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	x, out := n.In[0], n.Out[0]
	if !f.f32(x) || !f.f32(out) || n.Opset < 6 || len(f.shape(x)) < 3 || f.shape(x).Elements() == 0 {
		return nil, false
	}
	s := f.shape(x)
	for _, p := range n.In[1:3] {
		if !f.f32(p) || f.shape(p).Elements() != s[1] {
			return nil, false
		}
	}
	eps, gamma, beta := n.Attrs.Float("epsilon", 1e-5), n.In[1], n.In[2]
	return f.tailed([]int{i}, []int{x, gamma, beta}, out, func(e *Env, dst []float32) {
		norm.Instance(dst, e.f32(x), s[0], s[1], s[2:].Elements(), e.f32(gamma), e.f32(beta), eps, e.Threads)
	}), true
}

// lowerResize takes Resize and Upsample in all modes but extrapolation, axis by axis
// from the last.
func lowerResize(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	x, out := n.In[0], n.Out[0]
	if !f.f32(x) || !f.f32(out) || f.shape(out).Elements() == 0 || f.shape(x).Elements() == 0 {
		return nil, false
	}
	taps, ok := f.resizeTaps(n)
	if !ok {
		return nil, false
	}
	if g, ok := f.resizePlanes(i, x, out, taps); ok {
		return g, true
	}
	type pass struct {
		nn.Taps
		outer, n, inner int
		from, to        int
	}
	var passes []pass
	var extra []int
	cur, from := f.shape(x).Clone(), x
	for k := len(taps) - 1; k >= 0; k-- {
		t := taps[k]
		p := pass{Taps: t, outer: cur[:t.Axis].Elements(), n: cur[t.Axis], inner: cur[t.Axis+1:].Elements(), from: from, to: out}
		cur[t.Axis] = len(t.Index) / t.N
		if k > 0 {
			p.to = f.scratch(tensor.Float32, cur.Elements())
			extra = append(extra, p.to)
		}
		from = p.to
		passes = append(passes, p)
	}
	if !cur.Equal(f.shape(out)) {
		return nil, false
	}
	run := func(e *Env) error {
		for k := range passes {
			p := &passes[k]
			move.Resample(e.f32(p.to), e.f32(p.from), p.outer, p.n, p.inner, p.N, p.Index, p.Weight)
		}
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{x}, writes: append([]int{out}, extra...), run: run}, true
}

// resizeTaps are what each element of a Resize's result is made of, axis by axis; not ok
// where parameters are not constant or nothing changes.
func (f *fuser) resizeTaps(n *Node) ([]nn.Taps, bool) {
	var in [3]*tensor.Tensor
	r, sc, sz := nn.ResizeInputs(n.Node)
	for k, j := range []int{r, sc, sz} {
		if j < 0 || j >= len(n.In) || n.In[j] < 0 {
			continue
		}
		if in[k] = f.constant(n.In[j]); in[k] == nil {
			return nil, false
		}
	}
	taps, err := nn.ResizeTaps(n.Node, f.shape(n.In[0]), in[0], in[1], in[2])
	for k := range taps {
		taps[k] = taps[k].Lone()
	}
	return taps, err == nil && len(taps) > 0
}

// resizePlanes takes what leaves all but the last two axes alone and reads one or two
// elements for each.
func (f *fuser) resizePlanes(i, x, out int, taps []nn.Taps) (*group, bool) {
	s := f.shape(x)
	rank := len(s)
	var by [2]*nn.Taps // rows, columns
	for k := range taps {
		t := &taps[k]
		if rank < 2 || t.Axis < rank-2 || t.N > 2 {
			return nil, false
		}
		by[t.Axis-rank+2] = t
	}
	h, w := s[rank-2], s[rank-1]
	planes := s[:rank-2].Elements()
	nearest := true
	for k, n := range []int{h, w} {
		if by[k] == nil {
			by[k] = still(n)
		}
		nearest = nearest && by[k].N == 1
	}
	var run func(e *Env) error
	if nearest {
		rows, cols := by[0].Index, by[1].Index
		for _, t := range by {
			for _, v := range t.Weight {
				if v != 1 {
					return nil, false
				}
			}
		}
		run = func(e *Env) error {
			resize.Nearest(e.f32(out), e.f32(x), planes, h, w, rows, cols, e.Threads)
			return nil
		}
	} else {
		rows, cols := mixed(by[0]), mixed(by[1])
		if rows == nil || cols == nil {
			return nil, false
		}
		run = func(e *Env) error {
			resize.Linear(e.f32(out), e.f32(x), planes, h, w, rows, cols, e.Threads)
			return nil
		}
	}
	return &group{nodes: []int{i}, reads: []int{x}, writes: []int{out}, run: run}, true
}

// still are the taps of an axis that stays as it is.
func still(n int) *nn.Taps {
	t := &nn.Taps{N: 1}
	for i := range n {
		t.Index, t.Weight = append(t.Index, int32(i)), append(t.Weight, 1)
	}
	return t
}

// mixed gives taps as mixtures of two; nil where weights don't sum to 1.
func mixed(t *nn.Taps) *resize.Taps {
	m := &resize.Taps{}
	for o := range len(t.Index) / t.N {
		i, w := t.Index[o*t.N:(o+1)*t.N], t.Weight[o*t.N:(o+1)*t.N]
		if sum := w[0] + w[t.N-1]; t.N == 2 && (sum < 1-1e-6 || sum > 1+1e-6) || t.N == 1 && w[0] != 1 {
			return nil
		}
		m.Lo, m.Hi = append(m.Lo, i[0]), append(m.Hi, i[t.N-1])
		if t.N == 1 {
			m.W = append(m.W, 0)
		} else {
			m.W = append(m.W, w[1])
		}
	}
	return m
}
