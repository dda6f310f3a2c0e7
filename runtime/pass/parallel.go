package pass

import (
	"slices"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/nn"
	"github.com/aimass/aimass/runtime/tensor"
)

// parallel makes one convolution of two with constant weights that read the same value and of which
// only the sum is read: networks that are trained with several branches (RepVGG, MobileOne)
// are often exported with them. A normalisation behind a branch goes into it, and one of the value
// itself is a branch of one tap. One window must hold the other.
func parallel(g *graph.Graph, _ *ops.Registry) error {
	users, mine := g.Users(), map[*graph.Value]bool{}
	for _, n := range g.Nodes {
		for _, v := range n.Out {
			mine[v] = true
		}
	}
	alone := func(v *graph.Value) bool {
		return mine[v] && len(users[v]) == 1 && !slices.Contains(g.Out, v)
	}
	for _, n := range g.Nodes {
		for _, s := range n.Subgraphs() {
			if err := parallel(s, nil); err != nil {
				return err
			}
		}
		if n.OpName() != "Add" || n.Opset < 7 || !alone(n.In[0]) || !alone(n.In[1]) {
			continue
		}
		a, b := branchOf(n.In[0], alone), branchOf(n.In[1], alone)
		if a == nil || b == nil || a.x != b.x {
			continue
		}
		if a.conv == nil {
			a, b = b, a
		}
		if a.conv == nil || b.conv == nil && !b.like(a) {
			continue
		}
		if !a.absorb(b) {
			if !b.absorb(a) {
				continue
			}
			a = b
		}
		a.becomes(n)
	}
	return nil
}

// branch is a convolution of x by w, plus bias, or, without a node, x by bias and scale.
type branch struct {
	x     *graph.Value
	conv  *graph.Node
	scale []float64 // without a node
	w     []float32
	shape tensor.Shape // of w
	bias  []float64
	axes  []taps
	group int
}

// taps are a window's along an axis.
type taps struct{ count, stride, dilation, before, after int }

// branchOf reads what makes v, nil if that is no branch.
func branchOf(v *graph.Value, alone func(*graph.Value) bool) *branch {
	n := v.Def
	if n == nil {
		return nil
	}
	switch n.OpName() {
	case "Conv":
		return convBranch(n)
	case "BatchNormalization":
		scale, shift, ok := constantNorm(n)
		if !ok {
			return nil
		}
		if alone(n.In[0]) {
			if b := branchOf(n.In[0], alone); b != nil && b.conv != nil && len(b.bias) == len(scale) {
				b.scaled(scale, shift)
				return b
			}
		}
		return &branch{x: n.In[0], scale: scale, bias: shift}
	case "Add":
		return shiftedBranch(n, alone)
	}
	return nil
}

// shiftedBranch is a branch to which a number is added: exporters begin sums with 0.
func shiftedBranch(n *graph.Node, alone func(*graph.Value) bool) *branch {
	for k, v := range n.In {
		t := v.Tensor()
		if t == nil || t.DType != tensor.Float32 || t.Elements() != 1 || len(t.Shape) > 1 || n.Opset < 7 || !alone(n.In[1-k]) {
			continue
		}
		b := branchOf(n.In[1-k], alone)
		if b != nil {
			for c := range b.bias {
				b.bias[c] += float64(tensor.Data[float32](t)[0])
			}
		}
		return b
	}
	return nil
}

func constantNorm(n *graph.Node) (scale, shift []float64, ok bool) {
	var p [4][]float32
	for i := range p {
		if len(n.In) != 5 {
			return nil, nil, false
		}
		t := n.In[i+1].Tensor()
		if t == nil || t.DType != tensor.Float32 {
			return nil, nil, false
		}
		p[i] = tensor.Data[float32](t)
	}
	return nn.ChannelAffine(n, p)
}

func convBranch(n *graph.Node) *branch {
	w := n.In[1].Tensor()
	if w == nil || w.DType != tensor.Float32 || len(w.Shape) < 3 || w.Elements() == 0 || n.Attrs.Str("auto_pad", "NOTSET") != "NOTSET" {
		return nil
	}
	b := &branch{x: n.In[0], conv: n, shape: w.Shape, w: tensor.Data[float32](w), bias: make([]float64, w.Shape[0]), group: int(n.Attrs.Int("group", 1))}
	if len(n.In) > 2 && n.In[2] != nil {
		t := n.In[2].Tensor()
		if t == nil || t.DType != tensor.Float32 || t.Elements() != len(b.bias) {
			return nil
		}
		for i, v := range tensor.Data[float32](t) {
			b.bias[i] = float64(v)
		}
	}
	rank := len(w.Shape) - 2
	ints := func(name string, length, def int) []int64 {
		v := n.Attrs.Ints(name)
		if len(v) == 0 {
			v = slices.Repeat([]int64{int64(def)}, length)
		}
		return v
	}
	strides, dilations, pads := ints("strides", rank, 1), ints("dilations", rank, 1), ints("pads", 2*rank, 0)
	if len(strides) != rank || len(dilations) != rank || len(pads) != 2*rank {
		return nil
	}
	for k := range rank {
		b.axes = append(b.axes, taps{w.Shape[k+2], int(strides[k]), int(dilations[k]), int(pads[k]), int(pads[rank+k])})
	}
	return b
}

// scaled puts a scale and a shift of the channels behind the convolution into it.
func (b *branch) scaled(scale, shift []float64) {
	row := len(b.w) / len(scale)
	w := make([]float32, len(b.w))
	for c, s := range scale {
		for i := c * row; i < (c+1)*row; i++ {
			w[i] = float32(float64(b.w[i]) * s)
		}
		b.bias[c] = b.bias[c]*s + shift[c]
	}
	b.w = w
}

// like makes a branch without a convolution one of one tap, as a's groups have it.
func (b *branch) like(a *branch) bool {
	channels := len(b.scale)
	if a.shape[0] != channels || a.shape[1]*a.group != channels {
		return false
	}
	b.group, b.conv = a.group, a.conv
	b.shape = append(a.shape[:2:2], slices.Repeat([]int{1}, len(a.axes))...)
	b.w = make([]float32, channels*a.shape[1])
	for c, s := range b.scale {
		b.w[c*a.shape[1]+c%a.shape[1]] = float32(s)
	}
	for range a.axes {
		b.axes = append(b.axes, taps{count: 1, stride: 1, dilation: 1})
	}
	return true
}

// absorb adds b's taps to a's own where they lie in its window for whatever size of image.
func (a *branch) absorb(b *branch) bool {
	if a.group != b.group || a.shape[0] != b.shape[0] || a.shape[1] != b.shape[1] || len(a.axes) != len(b.axes) {
		return false
	}
	places := make([][]int, len(a.axes)) // of b's taps among a's, by axis
	for k, p := range a.axes {
		q := b.axes[k]
		if p.stride != q.stride || (p.count-1)*p.dilation-p.before-p.after != (q.count-1)*q.dilation-q.before-q.after {
			return false
		}
		for t := range q.count {
			at := t*q.dilation + p.before - q.before
			if at < 0 || at%p.dilation != 0 || at/p.dilation >= p.count {
				return false
			}
			places[k] = append(places[k], at/p.dilation)
		}
	}
	at := []int{0} // of each of b's taps in a window of a's
	for k, p := range a.axes {
		var next []int
		for _, base := range at {
			for _, t := range places[k] {
				next = append(next, base*p.count+t)
			}
		}
		at = next
	}
	w, window := slices.Clone(a.w), len(a.w)/(a.shape[0]*a.shape[1])
	for r, i := 0, 0; r < len(w); r += window {
		for _, t := range at {
			w[r+t] += b.w[i]
			i++
		}
	}
	a.w = w
	for c, v := range b.bias {
		a.bias[c] += v
	}
	return true
}

// becomes makes the node that adds the branches their convolution.
func (b *branch) becomes(n *graph.Node) {
	bias := make([]float32, len(b.bias))
	for c, v := range b.bias {
		bias[c] = float32(v)
	}
	constant := func(of string, v []float32, shape ...int) *graph.Value {
		t := tensor.FromSlice(v, shape...)
		return &graph.Value{Name: n.Label() + " (" + of + ")", Const: t, Type: graph.TensorType(t.DType, t.Shape...)}
	}
	n.Op, n.Opset, n.Attrs = b.conv.Op, b.conv.Opset, b.conv.Attrs
	n.In = []*graph.Value{b.x, constant("weights", b.w, b.shape...), constant("bias", bias, len(bias))}
}
