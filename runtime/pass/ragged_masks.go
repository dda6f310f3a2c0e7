package pass

import (
	"slices"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/ragged"
	"github.com/aimass/aimass/runtime/tensor"
)

// What exporters make of a mask of the keys before it meets the scores.

// ownTokens takes out reads of a value through indices that number its elements in order, [1, tokens] read at (0, 0), (0, 1), …
// Left alone, the numbers would become positions, which begin again with each sequence.
func (r *packer) ownTokens() {
	for _, n := range r.g.Nodes {
		if n.OpName() != "Gather" && n.OpName() != "GatherND" || n.In[0].Const != nil {
			continue
		}
		out := r.a[n.Out[0]]
		axis, _, ok := growing(out.Shape, r.b[n.Out[0]].Shape)
		if !out.Known || !ok || !r.inOrder(n, batchA) || !r.inOrder(n, batchB) {
			continue
		}
		shape := make([]int64, len(out.Shape))
		for i, d := range out.Shape {
			shape[i] = int64(d)
		}
		shape[axis] = -1
		n.Op, n.Opset, n.Attrs = "Reshape", 13, graph.Attrs{}
		n.In = []*graph.Value{n.In[0], {Name: n.Label() + " (shape)", Const: tensor.FromSlice(shape, len(shape)), Type: graph.TensorType(tensor.Int64, len(shape))}}
	}
}

// inOrder reports whether a Gather or GatherND picks all elements of so many tokens, one after the other.
func (r *packer) inOrder(n *graph.Node, tokens int) bool {
	infos := r.a
	if tokens == batchB {
		infos = r.b
	}
	data, idx := infos[n.In[0]], infos[n.In[1]].Tensor()
	if !data.Known || data.Shape.Elements() != tokens || idx == nil || infos[n.Out[0]].Shape.Elements() != tokens {
		return false
	}
	at, err := tensor.Int64s(idx)
	if err != nil {
		return false
	}
	extents := tensor.Shape{tokens}
	if n.Op == "GatherND" {
		parts := idx.Shape[len(idx.Shape)-1]
		if n.Attrs.Int("batch_dims", 0) != 0 || parts != len(data.Shape) {
			return false
		}
		extents = data.Shape
	} else if axis, err := tensor.Axis(n.Attrs.Int("axis", 0), len(data.Shape)); err != nil || data.Shape[axis] != tokens {
		return false
	}
	if len(at) != tokens*len(extents) {
		return false
	}
	for i := range tokens {
		flat := int64(0)
		for k, d := range extents {
			flat = flat*int64(d) + at[i*len(extents)+k]
		}
		if flat != int64(i) {
			return false
		}
	}
	return true
}

// throughMasks are the operators through which a mask is followed to what it is for each key.
var throughMasks = []string{"Add", "And", "Cast", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min", "Mul", "Neg", "Not", "Or", "Sub", "Where", "Xor"}

// keyMask is a mask of the scores as one number for each key; not ok if it is more than that. What it has for every
// query alike is computed once, from what it is made of, by nodes that are added to r.masks. A mask that is 0
// for all keys is none.
func (r *packer) keyMask(v *graph.Value) (mask *graph.Value, ok bool) {
	m := r.byKey(v)
	if m == nil {
		return nil, false
	}
	if t := m.Tensor(); t != nil {
		return nil, t.DType == tensor.Float32 && tensor.Data[float32](t)[0] == 0
	}
	return m, r.a[v].DType == tensor.Float32
}

// byKey is a value with one element for each key, or one for all; nil if it has more.
func (r *packer) byKey(v *graph.Value) *graph.Value {
	if v == nil {
		return nil
	}
	if m, ok := r.keys[v]; ok {
		return m
	}
	m := r.makeByKey(v)
	r.keys[v] = m
	return m
}

func (r *packer) makeByKey(v *graph.Value) *graph.Value {
	a := r.a[v]
	if ta := r.everywhere(v); ta != nil {
		one := tensor.New(ta.DType, tensor.Shape{})
		copy(one.Bytes(), ta.Bytes()[:len(one.Bytes())])
		return &graph.Value{Name: v.Name + " (one)", Const: one, Type: graph.TensorType(ta.DType)}
	}
	if v.Const != nil {
		return nil
	}
	if a.Known && len(a.Shape) == 4 && a.Shape[3] == batchA && a.Shape.Elements() == batchA {
		return v
	}
	n := v.Def
	if n == nil || len(n.Out) != 1 {
		return nil
	}
	if n.OpName() == "Expand" {
		return r.byKey(n.In[0])
	}
	if !slices.Contains(throughMasks, n.OpName()) {
		return nil
	}
	c := &graph.Node{Name: n.Name + " (keys)", Op: n.Op, Domain: n.Domain, Opset: n.Opset, Attrs: n.Attrs}
	for _, in := range n.In {
		m := r.byKey(in)
		if m == nil {
			return nil
		}
		c.In = append(c.In, m)
	}
	m := &graph.Value{Name: v.Name + " (keys)", Type: graph.Type{Kind: graph.TensorKind, DType: v.Type.DType}, Def: c}
	c.Out = []*graph.Value{m}
	r.masks = append(r.masks, c)
	return m
}

// everywhere is a constant that has one and the same element at every place, however many tokens there are, nil
// if v is none. A window of few neighbours looks so for short sequences: what depends on positions
// is looked at for the longest one, too.
func (r *packer) everywhere(v *graph.Value) *tensor.Tensor {
	t := v.Tensor()
	if v.Const == nil {
		t = r.a[v].Tensor()
		for _, infos := range []map[*graph.Value]ops.Info{r.b, r.longs} {
			if infos == nil {
				continue
			}
			if o := infos[v].Tensor(); t == nil || o == nil || !alike(t, o) {
				return nil
			}
		}
	}
	if t == nil || t.DType == tensor.String || !uniform(t) || t.Elements() == 0 {
		return nil
	}
	return t
}

// runningSums makes sums along the tokens, by which some models number them, begin again with each sequence.
func (r *packer) runningSums() {
	for _, n := range r.g.Nodes {
		if n.OpName() != "CumSum" || n.Attrs.Int("exclusive", 0) != 0 || n.Attrs.Int("reverse", 0) != 0 {
			continue
		}
		a, b, axis := r.a[n.In[0]], r.b[n.In[0]], r.a[n.In[1]].Tensor()
		if n.In[1].Const != nil {
			axis = n.In[1].Tensor()
		}
		if !a.Known || a.Const != nil || len(a.Shape) != 2 || !a.Shape.Equal(tensor.Shape{1, batchA}) || !b.Shape.Equal(tensor.Shape{1, batchB}) || axis == nil ||
			a.DType != tensor.Int64 && a.DType != tensor.Int32 {
			continue
		}
		if k, err := tensor.Int64s(axis); err != nil || len(k) != 1 || k[0] != 1 && k[0] != -1 {
			continue
		}
		n.Op, n.Domain, n.Opset, n.Attrs = ragged.RunningSum, ragged.Domain, 1, graph.Attrs{}
		n.In = []*graph.Value{n.In[0], r.positions}
	}
}
