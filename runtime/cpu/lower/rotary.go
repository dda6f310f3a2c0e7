package lower

import (
	"fmt"

	"github.com/aimass/aimass/kernels/attention"
	"github.com/aimass/aimass/runtime/cpu/lower/move"
	"github.com/aimass/aimass/runtime/tensor"
)

// rotary is a rotary embedding being lowered: heads of size elements, of which pairs are turned by the
// angles of their positions.
type rotary struct {
	nodes                    []int
	x                        head
	batch, heads, rows, size int
	pairs                    int
	cos, sin, ids            int // slots; ids −1: the caches have a row for each token
	positions                int // rows of the caches
	interleaved              bool
	out                      attention.Strides
}

// lowerRotary takes RotaryEmbedding, the standard's and com.microsoft's, in float32.
func lowerRotary(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	a := n.Attrs
	r := &rotary{nodes: []int{i}, interleaved: a.Int("interleaved", 0) != 0, cos: n.input(1), sin: n.input(2), ids: n.input(3)}
	if n.Domain != "" {
		r.ids, r.cos, r.sin = n.input(1), n.input(2), n.input(3)
	}
	if !f.f32(n.In[0]) || !f.f32(n.Out[0]) || !f.f32(r.cos) || !f.f32(r.sin) || !f.shape(r.cos).Equal(f.shape(r.sin)) || f.shape(n.In[0]).Elements() == 0 ||
		r.ids >= 0 && !f.known(r.ids, tensor.Int64) || a.Int("is_packed_batching", 0) != 0 || a.Float("scale", 1) != 1 {
		return nil, false
	}
	if !r.geometry(f, n) {
		return nil, false
	}
	reads := []int{r.x.slot, r.cos, r.sin}
	if r.ids >= 0 {
		reads = append(reads, r.ids)
	}
	out := n.Out[0]
	run := func(e *Env) error {
		var ids []int64
		if r.ids >= 0 {
			ids = tensor.Data[int64](e.Tensor(r.ids))
		}
		return r.run(e.f32(out), r.x.f32(e), e.f32(r.cos), e.f32(r.sin), ids)
	}
	return &group{nodes: r.nodes, reads: reads, writes: []int{out}, run: run}, true
}

// geometry reads extents and how the operand and the result lie.
func (r *rotary) geometry(f *fuser, n *Node) bool {
	s, sc := f.shape(n.In[0]), f.shape(r.cos)
	if len(sc) == 0 {
		return false
	}
	r.pairs, r.heads = sc[len(sc)-1], int(n.Attrs.Int("num_heads", 0))
	switch {
	case len(s) == 4:
		r.x = headOf(f.g.OperandHead(n.In[0], &r.nodes))
		r.batch, r.heads, r.rows, r.size = s[0], s[1], s[2], s[3]
		r.out = attention.Strides{Seq: s[1] * s[2] * s[3], Head: s[2] * s[3], Token: s[3]}
	case len(s) == 3 && r.heads > 0 && s[2]%r.heads == 0:
		r.batch, r.rows, r.size = s[0], s[1], s[2]/r.heads
		r.out = attention.Strides{Seq: s[1] * s[2], Head: r.size, Token: s[2]}
		r.x = head{slot: n.In[0], strides: r.out}
	default:
		return false
	}
	dims := n.Attrs.Int("rotary_embedding_dim", 0)
	if dims == 0 && n.Domain == "" {
		dims = int64(r.size)
	}
	if r.pairs*2 > r.size || dims != 0 && dims != int64(r.pairs)*2 {
		return false
	}
	r.positions = sc[:len(sc)-1].Elements()
	if r.ids < 0 {
		return sc.Equal(tensor.Shape{r.batch, r.rows, r.pairs})
	}
	n1 := f.shape(r.ids).Elements()
	return len(sc) == 2 && (n1 == r.batch*r.rows || n1 == 1 && n.Domain != "")
}

func (r *rotary) run(dst, src, cos, sin []float32, ids []int64) error {
	for b := range r.batch {
		for t := range r.rows {
			at := int64(b*r.rows + t)
			switch {
			case len(ids) == r.batch*r.rows:
				at = ids[at]
			case len(ids) == 1:
				at = ids[0] + int64(t)
			}
			if at < 0 || at >= int64(r.positions) {
				return fmt.Errorf("position %d is outside of the %d of the caches", at, r.positions)
			}
			c, s := cos[int(at)*r.pairs:][:r.pairs], sin[int(at)*r.pairs:][:r.pairs]
			for h := range r.heads {
				from := src[b*r.x.strides.Seq+h*r.x.strides.Head+t*r.x.strides.Token:][:r.size]
				to := dst[b*r.out.Seq+h*r.out.Head+t*r.out.Token:][:r.size]
				move.Rotate(to, from, c, s, r.interleaved)
			}
		}
	}
	return nil
}
