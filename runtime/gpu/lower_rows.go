package gpu

import (
	"github.com/aimass/aimass/cuda"
	"github.com/aimass/aimass/cuda/kernel"
	"github.com/aimass/aimass/runtime/match"
	"github.com/aimass/aimass/runtime/tensor"
)

// lowerSoftmax takes Softmax and LogSoftmax over one axis.
func lowerSoftmax(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	in, out := n.in[0], n.out[0]
	if !l.F32(in) || !l.F32(out) {
		return nil, false
	}
	s, def := l.shape(in), int64(-1)
	if n.Opset < 13 {
		def = 1
	}
	axis, err := tensor.Axis(n.Attrs.Int("axis", def), len(s))
	if err != nil {
		return nil, false
	}
	x := kernel.Softmax{Outer: s[:axis].Elements(), N: s[axis], Inner: s[axis+1:].Elements(), Log: n.Op == "LogSoftmax"}
	if n.Opset < 13 {
		x.N, x.Inner = s[axis:].Elements(), 1
	}
	return []*operation{{kind: "softmax", nodes: l.pick(i), in: []int{in}, out: []int{out}, launch: func(dst []cuda.Launch, in, out []cuda.Ptr,
		_ cuda.Ptr) ([]cuda.Launch, error) {
		x := x
		x.X, x.Y = in[0], out[0]
		return kernel.AppendSoftmax(dst, x)
	}}}, true
}

// normed is an operation that normalises rows: x, then scale and shift where they are
// given (−1 if not).
func (l *lowering) normed(nodes []*node, p kernel.Norm, x, gamma, beta, out int) *operation {
	in := []int{x}
	at := func(slot int) int {
		if slot < 0 {
			return -1
		}
		in = append(in, slot)
		return len(in) - 1
	}
	g, b := at(gamma), at(beta)
	return &operation{kind: "norm", nodes: nodes, in: in, out: []int{out}, launch: func(dst []cuda.Launch, in, out []cuda.Ptr, _ cuda.Ptr) ([]cuda.Launch, error) {
		p := p
		p.X, p.Y = in[0], out[0]
		if g >= 0 {
			p.Gamma = in[g]
		}
		if b >= 0 {
			p.Beta = in[b]
		}
		return kernel.AppendNorm(dst, p)
	}}
}

// lowerLayerNorm takes LayerNormalization and RMSNormalization over the last axes.
func lowerLayerNorm(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	in, out := n.in[0], n.out[0]
	if !l.F32(in) || !l.F32(out) || match.Wanted(n.out[1:]) || n.Attrs.Int("stash_type", 1) != 1 {
		return nil, false
	}
	s := l.shape(in)
	axis, err := tensor.Axis(n.Attrs.Int("axis", -1), len(s))
	if err != nil {
		return nil, false
	}
	p := kernel.Norm{Rows: s[:axis].Elements(), N: s[axis:].Elements(), RMS: n.Op != "LayerNormalization", Eps: n.Attrs.Float("epsilon", 1e-5)}
	for k := 1; k < len(n.in); k++ {
		if v := n.in[k]; v >= 0 && (!l.F32(v) || l.shape(v).Elements() != p.N) {
			return nil, false
		}
	}
	return []*operation{l.normed(l.pick(i), p, in, n.input(1), n.input(2), out)}, true
}

// lowerInstanceNorm takes InstanceNormalization.
func lowerInstanceNorm(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	in, out := n.in[0], n.out[0]
	if !l.F32(in) || !l.F32(out) || n.Opset < 6 || len(l.shape(in)) < 3 {
		return nil, false
	}
	s := l.shape(in)
	for _, v := range n.in[1:3] {
		if !l.F32(v) || l.shape(v).Elements() != s[1] {
			return nil, false
		}
	}
	p := kernel.Norm{Rows: s[0] * s[1], N: s[2:].Elements(), Eps: n.Attrs.Float("epsilon", 1e-5), Channels: s[1]}
	return []*operation{l.normed(l.pick(i), p, in, n.in[1], n.in[2], out)}, true
}

// lowerSpelledNorm takes a layer norm in nodes of its own.
func lowerSpelledNorm(l *lowering, i int) ([]*operation, bool) {
	m, ok := l.SpelledNorm(i)
	if !ok {
		return nil, false
	}
	s := l.shape(m.X)
	p := kernel.Norm{Rows: s[:len(s)-1].Elements(), N: last(s), Eps: m.Epsilon}
	return []*operation{l.normed(l.pick(m.Nodes...), p, m.X, m.Gamma, m.Beta, m.Out)}, true
}

var reductions = map[string]kernel.ReduceOp{
	"ReduceSum": kernel.ReduceSum, "ReduceMean": kernel.ReduceMean, "ReduceMax": kernel.ReduceMax, "ReduceMin": kernel.ReduceMin, "ReduceProd": kernel.ReduceProd,
	"ReduceL1": kernel.ReduceL1, "ReduceSumSquare": kernel.ReduceSumSquare, "ReduceL2": kernel.ReduceL2, "ReduceLogSum": kernel.ReduceLogSum,
}

// lowerReduce takes reductions over neighbouring axes.
func lowerReduce(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	op, ok := reductions[n.OpName()]
	in, out := n.in[0], n.out[0]
	if !ok || !l.F32(in) || !l.F32(out) || l.shape(in).Elements() == 0 {
		return nil, false
	}
	s, axes := l.shape(in), l.Axes(n.match())
	if len(axes) == 0 || axes[len(axes)-1]-axes[0] != len(axes)-1 {
		return nil, false
	}
	lo, hi := axes[0], axes[len(axes)-1]+1
	return l.reduction(op, i, in, out, s[:lo].Elements(), s[lo:hi].Elements(), s[hi:].Elements()), true
}

func (l *lowering) reduction(op kernel.ReduceOp, i, in, out, outer, n, inner int) []*operation {
	r := kernel.Reduce{Op: op, Outer: outer, N: n, Inner: inner}
	return []*operation{{kind: "reduce", nodes: l.pick(i), in: []int{in}, out: []int{out}, scratch: r.Workspace(), launch: func(dst []cuda.Launch, in,
		out []cuda.Ptr, scratch cuda.Ptr) ([]cuda.Launch, error) {
		r := r
		r.X, r.Y, r.Scratch = in[0], out[0], scratch
		return kernel.AppendReduce(dst, r)
	}}}
}

// lowerGlobalPool takes pools over whole planes.
func lowerGlobalPool(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	in, out := n.in[0], n.out[0]
	if !l.F32(in) || !l.F32(out) || len(l.shape(in)) < 3 || l.shape(in).Elements() == 0 {
		return nil, false
	}
	s, op := l.shape(in), kernel.ReduceMean
	if n.Op == "GlobalMaxPool" {
		op = kernel.ReduceMax
	}
	return l.reduction(op, i, in, out, s[0]*s[1], s[2:].Elements(), 1), true
}

// lowerArg takes ArgMax and ArgMin of float32.
func lowerArg(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	in, out := n.in[0], n.out[0]
	if !l.F32(in) || !l.of(out, tensor.Int64) || l.shape(in).Elements() == 0 {
		return nil, false
	}
	s := l.shape(in)
	axis, err := tensor.Axis(n.Attrs.Int("axis", 0), len(s))
	if err != nil {
		return nil, false
	}
	a := kernel.Arg{Outer: s[:axis].Elements(), N: s[axis], Inner: s[axis+1:].Elements(), Least: n.Op == "ArgMin", Last: n.Attrs.Int("select_last_index", 0) != 0}
	return []*operation{{kind: "arg", nodes: l.pick(i), in: []int{in}, out: []int{out}, launch: func(dst []cuda.Launch, in, out []cuda.Ptr,
		_ cuda.Ptr) ([]cuda.Launch, error) {
		a := a
		a.X, a.Y = in[0], out[0]
		return kernel.AppendArg(dst, a)
	}}}, true
}

// lowerPool takes MaxPool without indices and AveragePool in one and two dimensions.
func lowerPool(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	in, out := n.in[0], n.out[0]
	if !l.F32(in) || !l.F32(out) || match.Wanted(n.out[1:]) || l.shape(in).Elements() == 0 || l.shape(out).Elements() == 0 {
		return nil, false
	}
	w, ok := window(n, l.shape(in), l.shape(out), ints(n.Attrs.Ints("kernel_shape")))
	if !ok {
		return nil, false
	}
	p := kernel.Pool{Average: n.Op == "AveragePool", CountPad: n.Attrs.Int("count_include_pad", 0) != 0, Planes: l.shape(in)[0] * l.shape(in)[1], Window: w}
	if p.Average && !meetsImage(&w) {
		return nil, false // a mean of nothing is NaN for Eval
	}
	return []*operation{{kind: "pool", nodes: l.pick(i), in: []int{in}, out: []int{out}, launch: func(dst []cuda.Launch, in, out []cuda.Ptr,
		_ cuda.Ptr) ([]cuda.Launch, error) {
		p := p
		p.X, p.Y = in[0], out[0]
		return kernel.AppendPool(dst, p)
	}}}, true
}

// meetsImage reports that every place of the window covers some of the image.
func meetsImage(w *kernel.Window) bool {
	return match.Covered(w.OutH, w.H, w.KH, w.StrideY, w.DilateY, w.PadTop) && match.Covered(w.OutW, w.W, w.KW, w.StrideX, w.DilateX, w.PadLeft)
}

// window reads the strides, dilations and padding of a node whose kernel slides over
// images of shape in, of one or two spatial axes, and gives out.
func window(n *node, in, out tensor.Shape, kern []int) (w kernel.Window, ok bool) {
	rank := len(in) - 2
	if rank < 1 || rank > 2 || len(kern) != rank || len(out) != len(in) {
		return w, false
	}
	list := func(name string, count, def int) []int {
		v := ints(n.Attrs.Ints(name))
		if len(v) == 0 {
			for range count {
				v = append(v, def)
			}
		}
		ok = ok && len(v) == count
		return v
	}
	ok = true
	stride, dilation, pads := list("strides", rank, 1), list("dilations", rank, 1), list("pads", 2*rank, 0)
	if !ok {
		return w, false
	}
	auto := n.Attrs.Str("auto_pad", "NOTSET")
	before, after := make([]int, rank), make([]int, rank)
	for i := range rank {
		before[i], after[i] = pads[i], pads[rank+i]
		switch auto {
		case "SAME_UPPER", "SAME_LOWER":
			total := max(0, (out[2+i]-1)*stride[i]+(kern[i]-1)*dilation[i]+1-in[2+i])
			before[i], after[i] = total/2, total-total/2
			if auto == "SAME_LOWER" {
				before[i], after[i] = after[i], before[i]
			}
		case "VALID":
			before[i], after[i] = 0, 0
		}
		if kern[i] < 1 || stride[i] < 1 || dilation[i] < 1 || before[i] < 0 || after[i] < 0 {
			return w, false
		}
	}
	x := rank - 1
	w = kernel.Window{H: 1, OutH: 1, KH: 1, StrideY: 1, DilateY: 1, W: in[2+x], OutW: out[2+x], KW: kern[x], StrideX: stride[x], DilateX: dilation[x],
		PadLeft: before[x], PadRight: after[x]}
	if rank == 2 {
		w.H, w.OutH, w.KH, w.StrideY, w.DilateY, w.PadTop, w.PadBottom = in[2], out[2], kern[0], stride[0], dilation[0], before[0], after[0]
	}
	return w, true
}

// lowerBatchNorm takes an inference BatchNormalization: a scale and a shift a channel.
func lowerBatchNorm(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	in, out := n.in[0], n.out[0]
	if !l.F32(in) || !l.F32(out) || len(l.shape(in)) < 2 {
		return nil, false
	}
	scale, shift, ok := l.BatchNorm(n.match(), l.shape(in)[1])
	if !ok {
		return nil, false
	}
	along := make(tensor.Shape, len(l.shape(in))-1)
	for k := range along {
		along[k] = 1
	}
	along[0] = len(scale)
	key := "batch norm " + l.derived.key(l.tensor(n.in[1]))
	a := l.constant(l.derived.get(key+" scale", func() *tensor.Tensor { return floats(scale, along) }))
	b := l.constant(l.derived.get(key+" shift", func() *tensor.Tensor { return floats(shift, along) }))
	return []*operation{l.binary("mul", "f32", l.pick(i), in, a, out), l.binary("add", "f32", l.pick(i), out, b, out)}, true
}

func floats(v []float64, shape tensor.Shape) *tensor.Tensor {
	f := make([]float32, len(v))
	for i, x := range v {
		f[i] = float32(x)
	}
	return tensor.FromSlice(f, shape...)
}
