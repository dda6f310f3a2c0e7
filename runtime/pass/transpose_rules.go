package pass

import (
	"maps"
	"slices"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// carried says how a node works on permuted values.
type carried struct {
	in, out []bool // which inputs it then reads, and which outputs it gives, permuted
	raised  []int  // inputs of fewer axes, which have to be raised to all and transposed
	cost    int64  // what the node is slower then, in elements transposed
	change  func() // changes attributes, which are the node's own by then, and constant inputs
}

// mapped are functions of each element of their first input. Others of their inputs hold one element.
var mapped = nameSet("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Cast", "Ceil", "Celu", "Clip", "Cos", "Cosh", "Elu", "Erf", "Exp", "Floor", "Gelu",
	"HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN", "LeakyRelu", "Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin",
	"Sinh", "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu")

// broadcasting are functions of the elements of all their inputs that lie at one place.
var broadcasting = nameSet("Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod",
	"Mul", "Or", "PRelu", "Pow", "Sub", "Sum", "Where", "Xor")

// reducing take axes away, or leave them with one element.
var reducing = nameSet("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "ArgMax", "ArgMin")

func nameSet(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, s := range names {
		m[s] = true
	}
	return m
}

// carriedBy is the rule for a node, nil if it works on values as they are alone.
func (c *carrying) carriedBy(n *graph.Node) *carried {
	name := n.OpName()
	if len(n.In) == 0 || len(n.Out) == 0 || n.In[0] == nil || n.Out[0] == nil {
		return nil
	}
	if broadcasting[name] {
		return c.broadcasts(n)
	}
	if !c.full(n.In[0]) {
		return c.widens(n)
	}
	r := &carried{in: make([]bool, len(n.In)), out: make([]bool, len(n.Out))}
	r.in[0], r.out[0] = true, true
	switch {
	case mapped[name]:
	case reducing[name]:
		return c.reduces(n, r)
	case len(n.Out) > 1 && name != "Split":
		return nil
	case name == "QuantizeLinear" || name == "DequantizeLinear":
		if c.one(n.In[1]) {
			return r
		}
		if n.Attrs.Int("block_size", 0) != 0 {
			return nil
		}
		return c.axis(n, r, 1)
	case name == "Concat":
		for i, v := range n.In {
			if !c.full(v) {
				return nil
			}
			r.in[i] = true
		}
		return c.axis(n, r, 0)
	case name == "Split":
		for i := range n.Out {
			r.out[i] = true
		}
		return c.axis(n, r, 0)
	case name == "Gather":
		if f := c.of(n.In[1]); !f.ranked || len(f.shape) != 1 {
			return nil
		}
		return c.axis(n, r, 0)
	case name == "Softmax" || name == "LogSoftmax" || name == "Hardmax":
		if n.Opset < 13 {
			return nil
		}
		// A row that does not lie together is slower to go through.
		if a, err := tensor.Axis(n.Attrs.Int("axis", -1), len(c.perm)); err == nil && c.inv[a] != len(c.perm)-1 && a == len(c.perm)-1 {
			r.cost = int64(c.of(n.In[0]).seen[0].Elements())
		}
		return c.axis(n, r, -1)
	case name == "Slice":
		return c.slices(n, r)
	case name == "Pad":
		return c.pads(n, r)
	case name == "Tile":
		return c.permutes(n, r, 1)
	case name == "Resize":
		if n.Opset < 11 || n.Attrs.Has("axes") {
			return nil
		}
		return c.permutes(n, r, 2, 3)
	case name == "Transpose":
		return c.turns(n, r)
	case name == "Squeeze":
		return c.squeezes(n, r)
	case name == "Reshape" || name == "Flatten":
		return c.flattens(n, r)
	default:
		return nil
	}
	return r
}

// full reports a value of as many axes as the permutation has.
func (c *carrying) full(v *graph.Value) bool {
	f := c.of(v)
	return f.ranked && len(f.shape) == len(c.perm)
}

// one reports a value of one element, wherever it is put.
func (c *carrying) one(v *graph.Value) bool {
	f := c.of(v)
	return f.ranked && len(f.shape) <= len(c.perm) && f.shape.Elements() == 1
}

func (c *carrying) broadcasts(n *graph.Node) *carried {
	if n.Opset < 8 || !c.full(n.Out[0]) {
		return nil
	}
	r := &carried{in: make([]bool, len(n.In)), out: []bool{true}}
	some := false
	for i, v := range n.In {
		f := c.of(v)
		switch {
		case !f.ranked:
			return nil
		case len(f.shape) == len(c.perm) && v.Const == nil:
			r.in[i], some = true, true
		case f.shape.Elements() == 1:
		case v.Tensor() != nil:
			r.in[i] = true
		default:
			r.raised = append(r.raised, i)
			r.cost += int64(f.seen[0].Elements()) + 2*stepCost
		}
	}
	if !some {
		return nil
	}
	return r
}

// axis is for an operator whose attribute names an axis.
func (c *carrying) axis(n *graph.Node, r *carried, def int64) *carried {
	a, err := tensor.Axis(n.Attrs.Int("axis", def), len(c.perm))
	if err != nil {
		return nil
	}
	r.change = func() { n.Attrs["axis"] = graph.IntAttr(int64(c.inv[a])) }
	return r
}

// axes are those that an attribute or a constant input lists; not ok where they are not known.
// set lists others instead.
func (c *carrying) axes(n *graph.Node, input int) (list []int, set func([]int64), ok bool) {
	var given []int64
	switch {
	case n.Attrs.Has("axes"):
		given = n.Attrs.Ints("axes")
		set = func(v []int64) { n.Attrs["axes"] = graph.IntsAttr(v...) }
	case input < len(n.In) && n.In[input] != nil:
		if given, ok = constInts(n.In[input]); !ok {
			return nil, nil, false
		}
		set = func(v []int64) { n.In[input] = intsLike(n.In[input], v) }
	}
	for _, a := range given {
		k, err := tensor.Axis(a, len(c.perm))
		if err != nil {
			return nil, nil, false
		}
		list = append(list, k)
	}
	return list, set, true
}

// at are the axes of permuted values where those of the list are.
func (c *carrying) at(list []int) []int64 {
	out := make([]int64, len(list))
	for i, a := range list {
		out[i] = int64(c.inv[a])
	}
	return out
}

// keeps reports that the axes other than those listed keep their order, so that without those a
// permuted value is what it was. Axes of extent 1 in s may go anywhere.
func (c *carrying) keeps(without []int, s tensor.Shape) bool {
	last := -1
	for _, k := range c.perm {
		if slices.Contains(without, k) || s != nil && s[k] == 1 {
			continue
		}
		if k < last {
			return false
		}
		last = k
	}
	return true
}

func (c *carrying) reduces(n *graph.Node, r *carried) *carried {
	var list []int
	var set func([]int64)
	if n.Op == "ArgMax" || n.Op == "ArgMin" {
		a, err := tensor.Axis(n.Attrs.Int("axis", 0), len(c.perm))
		if err != nil {
			return nil
		}
		list, set = []int{a}, func(v []int64) { n.Attrs["axis"] = graph.IntAttr(v[0]) }
	} else {
		var ok bool
		if list, set, ok = c.axes(n, 1); !ok || len(list) == 0 && (set != nil || n.Attrs.Int("noop_with_empty_axes", 0) != 0) {
			return nil
		}
	}
	if n.Attrs.Int("keepdims", 1) == 0 {
		if len(list) > 0 && !c.keeps(list, nil) {
			return nil
		}
		r.out[0] = false
	}
	if set != nil {
		// Sorted, since devices look for axes that are neighbours.
		r.change = func() { v := c.at(list); slices.Sort(v); set(v) }
	}
	return r
}

func (c *carrying) slices(n *graph.Node, r *carried) *carried {
	list, set, ok := c.axes(n, 3)
	if !ok {
		return nil
	}
	if set != nil {
		r.change = func() { set(c.at(list)) }
		return r
	}
	starts := int64(len(n.Attrs.Ints("starts")))
	if n.Opset >= 10 {
		f := c.of(n.In[1])
		if !f.ranked || len(f.shape) != 1 || f.shape[0] < 0 {
			return nil
		}
		starts = int64(f.shape[0])
	}
	if int(starts) > len(c.perm) {
		return nil
	}
	v := make([]int64, starts)
	for i := range v {
		v[i] = int64(c.inv[i])
	}
	r.change = func() {
		if n.Opset < 10 {
			n.Attrs["axes"] = graph.IntsAttr(v...)
			return
		}
		for len(n.In) < 4 {
			n.In = append(n.In, nil)
		}
		n.In[3] = intsLike(n.In[1], v)
	}
	return r
}

func (c *carrying) pads(n *graph.Node, r *carried) *carried {
	if n.Opset >= 18 && len(n.In) > 3 && n.In[3] != nil {
		list, set, ok := c.axes(n, 3)
		if !ok {
			return nil
		}
		r.change = func() { set(c.at(list)) }
		return r
	}
	rank := len(c.perm)
	both := func(v []int64) []int64 { return append(permute(c.perm, v[:rank]), permute(c.perm, v[rank:])...) }
	if n.Opset < 11 {
		v := n.Attrs.Ints("pads")
		if len(v) != 2*rank {
			return nil
		}
		r.change = func() { n.Attrs["pads"] = graph.IntsAttr(both(v)...) }
		return r
	}
	v, ok := constInts(n.In[1])
	if !ok || len(v) != 2*rank {
		return nil
	}
	r.change = func() { n.In[1] = intsLike(n.In[1], both(v)) }
	return r
}

// permutes is for an operator with constant inputs that hold an element for each axis.
func (c *carrying) permutes(n *graph.Node, r *carried, inputs ...int) *carried {
	var lists []int
	for _, i := range inputs {
		if i >= len(n.In) || n.In[i] == nil {
			continue
		}
		t := n.In[i].Tensor()
		if t == nil || len(t.Shape) != 1 || t.Elements() != 0 && t.Elements() != len(c.perm) {
			return nil
		}
		if t.Elements() > 0 {
			lists = append(lists, i)
		}
	}
	if len(n.In) > 1 && n.Op == "Resize" && n.In[1] != nil && n.Attrs.Str("coordinate_transformation_mode", "") == "tf_crop_and_resize" {
		return nil
	}
	r.change = func() {
		for _, i := range lists {
			t := n.In[i].Tensor()
			var out *tensor.Tensor
			switch t.DType {
			case tensor.Float32:
				out = tensor.FromSlice(permute(c.perm, tensor.Data[float32](t)), len(c.perm))
			default:
				out = tensor.FromSlice(permute(c.perm, tensor.Data[int64](t)), len(c.perm))
			}
			n.In[i] = &graph.Value{Name: n.In[i].Name, Const: out, Type: graph.TensorType(out.DType, out.Shape...)}
		}
	}
	for _, i := range lists {
		if d := n.In[i].Tensor().DType; d != tensor.Float32 && d != tensor.Int64 {
			return nil
		}
	}
	return r
}

// turns is for a transposition by another permutation: it goes from the other order at once.
func (c *carrying) turns(n *graph.Node, r *carried) *carried {
	q := permOf(n)
	if len(q) != len(c.perm) || slices.Equal(q, c.perm) || slices.Equal(q, c.inv) {
		return nil
	}
	r.out[0] = false
	r.change = func() { n.Attrs["perm"] = permAttr(permute(q, c.inv)) }
	return r
}

func (c *carrying) squeezes(n *graph.Node, r *carried) *carried {
	list, set, ok := c.axes(n, 1)
	if !ok || set == nil || !c.keeps(list, nil) {
		return nil
	}
	r.out[0] = false
	r.change = func() { set(c.at(list)) }
	return r
}

// flattens is for a change of shape that reads the elements of a permuted value in the same order.
func (c *carrying) flattens(n *graph.Node, r *carried) *carried {
	f := c.of(n.In[0])
	if !c.keeps(nil, f.shape) || c.full(n.Out[0]) {
		return nil
	}
	if n.Op == "Flatten" {
		// What is before the axis must stay before it.
		a, out := n.Attrs.Int("axis", 1), c.of(n.Out[0])
		if a < 0 || int(a) >= len(c.perm) || !out.ranked || f.shape[1:].Elements() < 0 || a != 1 || c.perm[0] != 0 {
			return nil
		}
	} else {
		to, ok := constInts(n.In[1])
		if !ok || slices.Contains(to[min(1, len(to)):], 0) || len(to) > 0 && to[0] == 0 && c.perm[0] != 0 {
			return nil
		}
	}
	r.out[0] = false
	return r
}

// widens is for a node that makes a value of as many axes as the permutation has of one of
// fewer, and can as well put the new axes elsewhere.
func (c *carrying) widens(n *graph.Node) *carried {
	if f := c.of(n.In[0]); !f.ranked || len(f.shape) > len(c.perm) || !c.full(n.Out[0]) || len(n.In) > 2 || len(n.Out) > 1 {
		return nil
	}
	r := &carried{in: make([]bool, len(n.In)), out: []bool{true}}
	switch n.OpName() {
	case "Unsqueeze":
		list, set, ok := c.axes(n, 1)
		if !ok || set == nil || !c.keeps(list, nil) {
			return nil
		}
		r.change = func() { v := c.at(list); slices.Sort(v); set(v) }
		return r
	case "Reshape":
		to, ok := constInts(n.In[1])
		if !ok || len(to) != len(c.perm) || slices.Contains(to[1:], 0) || to[0] == 0 && c.perm[0] != 0 {
			return nil
		}
		if !c.keeps(nil, tensor.Shape(narrow(to))) {
			return nil
		}
		r.change = func() { n.In[1] = intsLike(n.In[1], permute(c.perm, to)) }
		return r
	}
	return nil
}

func narrow(v []int64) []int {
	out := make([]int, len(v))
	for i, x := range v {
		out[i] = int(x)
	}
	return out
}

// constInts is a constant list of int64 or int32.
func constInts(v *graph.Value) ([]int64, bool) {
	t := v.Tensor()
	if t == nil || len(t.Shape) > 1 {
		return nil, false
	}
	switch t.DType {
	case tensor.Int64:
		return tensor.Data[int64](t), true
	case tensor.Int32:
		var out []int64
		for _, x := range tensor.Data[int32](t) {
			out = append(out, int64(x))
		}
		return out, true
	}
	return nil, false
}

// intsLike is a constant list in the type of another value.
func intsLike(v *graph.Value, list []int64) *graph.Value {
	t := tensor.FromSlice(list, len(list))
	if v.Type.DType == tensor.Int32 {
		var short []int32
		for _, x := range list {
			short = append(short, int32(x))
		}
		t = tensor.FromSlice(short, len(short))
	}
	return &graph.Value{Name: v.Name, Const: t, Type: graph.TensorType(t.DType, t.Shape...)}
}

func cloneAttrs(a graph.Attrs) graph.Attrs {
	out := maps.Clone(a)
	if out == nil {
		out = graph.Attrs{}
	}
	return out
}

// eval computes a node of one input at once.
func (c *carrying) eval(op string, a graph.Attrs, t *tensor.Tensor) *tensor.Tensor {
	n := &graph.Node{Op: op, Opset: 13, In: []*graph.Value{{Const: t}}, Out: []*graph.Value{{}}, Attrs: a}
	o, err := c.facts[0].reg.Resolve(n)
	call := &ops.Call{Node: n, In: []tensor.Value{t}, Out: make([]tensor.Value, 1), MaxBytes: len(t.Bytes())}
	if err != nil || !evaluates(o, call) {
		panic("BUG: a constant can't be transposed")
	}
	return call.Out[0].(*tensor.Tensor)
}

// raise is a value of fewer axes with all of them, permuted.
func (c *carrying) raise(v *graph.Value) *graph.Value {
	axes := make([]int64, len(c.perm)-len(c.of(v).shape))
	for i := range axes {
		axes[i] = int64(i)
	}
	list := tensor.FromSlice(axes, len(axes))
	high := &graph.Value{Name: v.Name, Type: graph.Type{DType: c.of(v).dtype}}
	n := &graph.Node{Op: "Unsqueeze", Opset: 13, In: []*graph.Value{v, {Name: v.Name + " (axes)", Const: list, Type: graph.TensorType(list.DType, len(axes))}}, Out: []*graph.Value{high}, Attrs: graph.Attrs{}}
	high.Def = n
	c.nodes = append(c.nodes, n)
	c.facts.node(n)
	out := c.form(high)
	c.transpose("", high, out, c.perm)
	return out
}
