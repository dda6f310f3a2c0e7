package compress

import (
	"fmt"
	"slices"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// perElement are the operators through which a channel or neuron goes alone: what comes out
// at its place depends on what went in there. Those that have a constant beside it take one
// that is a number, or has one value for each channel.
var perElement = map[string]bool{
	"Relu": true, "LeakyRelu": true, "Sigmoid": true, "Tanh": true, "Gelu": true, "Erf": true, "Elu": true, "Selu": true, "HardSwish": true,
	"HardSigmoid": true, "Softplus": true, "Softsign": true, "Mish": true, "Clip": true, "Mul": true, "Add": true, "Div": true, "Sub": true,
	"Pow": true, "Sqrt": true, "Abs": true, "Neg": true, "Exp": true, "PRelu": true, "Cast": true,
}

// pools are the operators that keep channels apart though they join places.
var pools = map[string]bool{"MaxPool": true, "AveragePool": true, "GlobalAveragePool": true, "GlobalMaxPool": true}

// region is what lies between two layers that share an axis: every node works on each index
// of it alone, so that an index can go from all of them.
type region struct {
	m     *graph.Model
	users map[*graph.Value][]*graph.Node
	// axis is the place of the shared axis, counted from the end (−1: the last).
	axis, width int
	// inner lists the values of the region; cuts the constants with their axis.
	inner map[*graph.Value]bool
	cuts  map[*graph.Value]int
	ends  []*graph.Node
	// pooled allows pooling inside, which keeps channels apart.
	pooled bool
}

// grow follows start to the layers that read it; false where something between them mixes
// the indices or is seen from outside.
func (r *region) grow(start *graph.Value, end func(n *graph.Node, v *graph.Value) bool) bool {
	work := []*graph.Value{start}
	r.inner[start] = true
	for len(work) > 0 {
		v := work[0]
		work = work[1:]
		if slices.Contains(r.m.Out, v) {
			return false
		}
		for _, n := range r.users[v] {
			switch {
			case len(n.Subgraphs()) > 0 || n.Domain != "":
				return false
			case end(n, v):
				if !slices.Contains(r.ends, n) {
					r.ends = append(r.ends, n)
				}
			case !r.separates(n, start):
				return false
			case !r.inner[n.Out[0]]:
				r.inner[n.Out[0]] = true
				work = append(work, n.Out[0])
			}
		}
	}
	return len(r.ends) > 0
}

// separates reports whether a node works on each index alone: by its operator, and because what else it reads
// comes from start as well or is a constant that can be cut.
func (r *region) separates(n *graph.Node, start *graph.Value) bool {
	if len(n.Out) != 1 || !perElement[n.Op] && !(r.pooled && pools[n.Op]) {
		return false
	}
	for _, w := range n.In {
		if w == nil || r.inner[w] {
			continue
		}
		if t := w.Tensor(); t != nil && !r.constant(w, t) || t == nil && !r.reaches(w, start) {
			return false
		}
	}
	return true
}

// constant takes a constant beside the region: a number, or one value an index.
func (r *region) constant(v *graph.Value, t *tensor.Tensor) bool {
	if t.Elements() == 1 {
		return true
	}
	axis := t.Rank() + r.axis
	if axis < 0 || t.DType != tensor.Float32 || t.Shape[axis] != r.width || t.Elements() != r.width || len(r.users[v]) != 1 {
		return false
	}
	r.cuts[v] = axis
	return true
}

// reaches reports whether v is computed from start by operators of the region alone.
func (r *region) reaches(v, start *graph.Value) bool {
	for v != start {
		if v.Def == nil || v.Def.Domain != "" || !perElement[v.Def.Op] {
			return false
		}
		next := (*graph.Value)(nil)
		for _, w := range v.Def.In {
			if w != nil && w.Const == nil {
				if next != nil && next != w {
					return r.reaches(next, start) && r.reaches(w, start)
				}
				next = w
			}
		}
		if next == nil {
			return false
		}
		v = next
	}
	return true
}

// cut shrinks the region's constants.
func (r *region) cut(kept []int) {
	for v, axis := range r.cuts {
		setConst(v, take(v.Tensor(), axis, kept))
	}
	for v := range r.inner {
		v.Type = graph.Type{DType: v.Type.DType} // its declared extents are gone
	}
}

func setConst(v *graph.Value, t *tensor.Tensor) {
	v.Const, v.Type = t, graph.TensorType(t.DType, t.Shape...)
}

// own reports whether v is a float32 constant of the rank that one node alone reads.
func own(users map[*graph.Value][]*graph.Node, v *graph.Value, rank int) bool {
	w, _ := floats(v, rank)
	return w != nil && len(users[v]) == 1
}

// side is where a weight matrix has its outgoing and incoming axis.
func side(n *graph.Node) (out, in int, ok bool) {
	switch {
	case standard(n, "MatMul"):
		return 1, 0, true
	case standard(n, "Gemm") && n.Attrs.Int("transA", 0) == 0:
		if n.Attrs.Int("transB", 0) != 0 {
			return 0, 1, true
		}
		return 1, 0, true
	}
	return 0, 0, false
}

// pruneNeurons takes hidden neurons out of MatMul or Gemm, activation, MatMul or Gemm.
func pruneNeurons(e *env, m *graph.Model, share float64) error {
	before, after := 0, 0
	for _, n := range m.Nodes {
		out, _, ok := side(n)
		users := m.Users()
		if !ok || len(n.In) < 2 || !own(users, n.In[1], 2) {
			continue
		}
		w := n.In[1].Tensor()
		r := &region{m: m, users: users, axis: -1, width: w.Shape[out], inner: map[*graph.Value]bool{}, cuts: map[*graph.Value]int{}}
		if n.Op == "Gemm" && len(n.In) > 2 && n.In[2] != nil {
			c := n.In[2].Tensor()
			if c == nil || !r.constant(n.In[2], c) {
				continue
			}
		}
		fits := r.grow(n.Out[0], func(k *graph.Node, v *graph.Value) bool {
			_, in, ok := side(k)
			return ok && k.In[0] == v && own(users, k.In[1], 2) && k.In[1].Tensor().Shape[in] == r.width
		})
		if !fits {
			continue
		}
		// What a neuron adds to the next layer is bounded by both its norms.
		a, b := make([]float64, r.width), make([]float64, r.width)
		norms(a, w, out)
		for _, k := range r.ends {
			_, in, _ := side(k)
			norms(b, k.In[1].Tensor(), in)
		}
		for i := range a {
			a[i] *= b[i]
		}
		kept := keepers(a, share, 16)
		setConst(n.In[1], take(w, out, kept))
		for _, k := range r.ends {
			_, in, _ := side(k)
			setConst(k.In[1], take(k.In[1].Tensor(), in, kept))
		}
		r.cut(kept)
		before, after = before+r.width, after+len(kept)
	}
	if before == 0 {
		return fmt.Errorf("neurons: no two products with constant weights follow on each other with nothing between them but elementwise operators")
	}
	e.note("prune: %d of %d hidden neurons left", after, before)
	return nil
}

// pruneChannels takes channels out of Conv, elementwise operators and pooling, Conv.
func pruneChannels(e *env, m *graph.Model, share float64) error {
	before, after := 0, 0
	for _, n := range m.Nodes {
		users := m.Users()
		if !standard(n, "Conv") || n.Attrs.Int("group", 1) != 1 {
			continue
		}
		w, shape := floats(n.In[1], -1)
		if w == nil || len(users[n.In[1]]) != 1 {
			continue
		}
		r := &region{m: m, users: users, axis: -len(shape) + 1, width: shape[0], inner: map[*graph.Value]bool{}, cuts: map[*graph.Value]int{}, pooled: true}
		if len(n.In) > 2 && n.In[2] != nil {
			if !own(users, n.In[2], 1) {
				continue
			}
			r.cuts[n.In[2]] = 0
		}
		fits := r.grow(n.Out[0], func(k *graph.Node, v *graph.Value) bool {
			if !standard(k, "Conv") || k.In[0] != v || k.Attrs.Int("group", 1) != 1 || len(users[k.In[1]]) != 1 {
				return false
			}
			x, s := floats(k.In[1], -1)
			return x != nil && s[1] == r.width
		})
		if !fits {
			continue
		}
		a, b := make([]float64, r.width), make([]float64, r.width)
		norms(a, n.In[1].Tensor(), 0)
		for _, k := range r.ends {
			norms(b, k.In[1].Tensor(), 1)
		}
		for i := range a {
			a[i] *= b[i]
		}
		kept := keepers(a, share, 16)
		setConst(n.In[1], take(n.In[1].Tensor(), 0, kept))
		for _, k := range r.ends {
			setConst(k.In[1], take(k.In[1].Tensor(), 1, kept))
		}
		r.cut(kept)
		before, after = before+r.width, after+len(kept)
	}
	if before == 0 {
		return fmt.Errorf("channels: no two convolutions with constant filters follow on each other with nothing between them but elementwise operators and pooling")
	}
	e.note("prune: %d of %d channels left", after, before)
	return nil
}
