package contrib

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func groupQueryAttention() *ops.Op {
	return &ops.Op{
		Name: "GroupQueryAttention", Domain: Domain, Since: 1, MinIn: 7, MaxIn: 12, MinOut: 1, MaxOut: 3,
		Attrs: form.Join(form.Required(form.Int("num_heads", "kv_num_heads")),
			form.Int("do_rotary", "rotary_interleaved", "local_window_size", "smooth_softmax"), form.Float("scale", "softcap")),
		Shape: shapeGQA,
		Eval:  evalGQA,
	}
}

// shapeGQA needs to know how long the longest sequence gets.
func shapeGQA(c *ops.ShapeCall) error {
	if err := typed(c); err != nil {
		return err
	}
	a, q := c.Node.Attrs, c.In[0].Shape
	heads, groups := int(a.Int("num_heads", 0)), int(a.Int("kv_num_heads", 0))
	total := c.In[6].Tensor()
	if !c.In[0].Known || len(q) != 3 || heads < 1 || groups < 1 || heads > 1<<20 || groups > heads || total == nil || total.Elements() != 1 {
		return nil
	}
	n, err := tensor.Int64s(total)
	if err != nil || n[0] < 1 || n[0] > 1<<31 {
		return nil // Eval says what is wrong
	}
	parts, keys := heads, int(n[0])
	if !c.Has(1) {
		parts += 2 * groups
	}
	if c.Has(3) {
		if !c.In[3].Known || len(c.In[3].Shape) != 4 {
			return nil
		}
		keys = max(keys, c.In[3].Shape[2])
	}
	size := q[2] / parts
	c.Set(0, c.In[0].DType, tensor.Shape{q[0], q[1], heads * size})
	for i := 1; i < len(c.Out); i++ {
		c.Set(i, c.In[0].DType, tensor.Shape{q[0], groups, keys, size})
	}
	return nil
}

// gqa is a GroupQueryAttention: fewer heads of keys and values than of queries, a cache
// of the past, and a length of its own for each sequence of the batch.
type gqa struct {
	attn
	c     *ops.Call
	old   int   // room of the past
	lens  []int // keys of each sequence, the new ones with them
	most  int   // total_sequence_length
	start []int // position of each sequence's first query
}

func evalGQA(c *ops.Call) error {
	g := &gqa{c: c}
	a := c.Node.Attrs
	g.heads, g.groups = int(a.Int("num_heads", 0)), int(a.Int("kv_num_heads", 0))
	if g.groups < 1 || g.heads < 1 || g.heads > 1<<20 || g.heads%g.groups != 0 {
		return fmt.Errorf("num_heads %d and kv_num_heads %d do not go together", g.heads, g.groups)
	}
	k, v, err := g.project()
	if err != nil {
		return err
	}
	if err := g.lengths(); err != nil {
		return err
	}
	if a.Int("do_rotary", 0) != 0 {
		if err := g.rotate(k); err != nil {
			return err
		}
	}
	if err := g.cache(k, v); err != nil {
		return err
	}
	g.scale, g.softcap = scaleOf(a, g.qk), float64(a.Float("softcap", 0))
	if err := g.setBias(c, 10); err != nil {
		return err
	}
	if a.Int("smooth_softmax", 0) == 1 {
		g.sink = make([]float32, g.heads)
	}
	if c.Has(11) {
		if g.sink, err = vector(c, 11, g.heads); err != nil {
			return err
		}
	}
	g.window(int(a.Int("local_window_size", -1)))
	d := c.T(0).DType
	room := g.keys
	if err := give(c, 1, d, g.k, g.batch, g.groups, room, g.qk); err != nil {
		return err
	}
	if err := give(c, 2, d, g.v, g.batch, g.groups, room, g.qk); err != nil {
		return err
	}
	return g.attend(c, d)
}

// project lays the queries out and gives the new keys and values by heads; they may all
// come packed in input 0.
func (g *gqa) project() (k, v []float32, err error) {
	q, err := need(g.c, 0, 3)
	if err != nil {
		return nil, nil, err
	}
	g.batch, g.queries = q.Shape[0], q.Shape[1]
	x, err := floats(g.c, 0)
	if err != nil {
		return nil, nil, err
	}
	packed := !g.c.Has(1)
	parts := g.heads
	if packed {
		parts += 2 * g.groups
	}
	if q.Shape[2] == 0 || q.Shape[2]%parts != 0 {
		return nil, nil, fmt.Errorf("input 0 is %v, expected a multiple of %d", q, parts)
	}
	g.qk = q.Shape[2] / parts
	g.width = g.qk
	g.q = toHeads(x, g.batch, g.queries, g.heads, g.qk, 0, q.Shape[2])
	if packed {
		k = toHeads(x, g.batch, g.queries, g.groups, g.qk, g.heads*g.qk, q.Shape[2])
		return k, toHeads(x, g.batch, g.queries, g.groups, g.qk, (g.heads+g.groups)*g.qk, q.Shape[2]), nil
	}
	var kv [2][]float32
	for i := range kv {
		want := tensor.Shape{g.batch, g.queries, g.groups * g.qk}
		if t := g.c.T(1 + i); t == nil || !t.Shape.Equal(want) {
			return nil, nil, fmt.Errorf("input %d is %v, expected %v", 1+i, t, want)
		}
		x, err := floats(g.c, 1+i)
		if err != nil {
			return nil, nil, err
		}
		kv[i] = toHeads(x, g.batch, g.queries, g.groups, g.qk, 0, g.groups*g.qk)
	}
	return kv[0], kv[1], nil
}

// lengths reads how far each sequence goes: seqlens_k is one less than its keys. The
// first run of a batch has all its queries new, with padding on the right.
func (g *gqa) lengths() error {
	sl, tl := g.c.T(5), g.c.T(6)
	if sl == nil || tl == nil || sl.Elements() != g.batch || tl.Elements() != 1 {
		return fmt.Errorf("seqlens_k is %v and total_sequence_length %v", sl, tl)
	}
	lens, err := tensor.Int64s(sl)
	if err != nil {
		return err
	}
	total, err := tensor.Int64s(tl)
	if err != nil {
		return err
	}
	if g.c.Has(3) {
		t, err := need(g.c, 3, 4)
		if err != nil {
			return err
		}
		g.old = t.Shape[2]
		want := tensor.Shape{g.batch, g.groups, g.old, g.qk}
		if u := g.c.T(4); !t.Shape.Equal(want) || u == nil || !u.Shape.Equal(want) {
			return fmt.Errorf("the past is %v and %v, expected %v", t, u, want)
		}
	}
	if total[0] < 1 || total[0] > int64(g.old+g.queries) {
		return fmt.Errorf("total_sequence_length is %d, with %d of the past and %d new", total[0], g.old, g.queries)
	}
	g.most = int(total[0])
	g.keys = max(g.old, g.most)
	first := g.queries == g.most
	for _, l := range lens {
		n := int(l) + 1
		if l < 0 || n > g.most || !first && n < g.queries {
			return fmt.Errorf("seqlens_k is %v, with total_sequence_length %d and %d queries", lens, g.most, g.queries)
		}
		g.lens = append(g.lens, n)
		if first {
			g.start = append(g.start, 0)
		} else {
			g.start = append(g.start, n-g.queries)
		}
	}
	for _, s := range g.start {
		if s > g.old {
			return fmt.Errorf("a sequence begins at %d, the past holds %d", s, g.old)
		}
	}
	return nil
}

// rotate turns queries and new keys by their positions.
func (g *gqa) rotate(k []float32) error {
	r, err := newRotary(g.c, 7, g.c.Node.Attrs.Int("rotary_interleaved", 0) != 0)
	if err != nil {
		return err
	}
	var pos []int64
	if t := g.c.T(9); t != nil {
		if pos, err = tensor.Int64s(t); err != nil || len(pos) != g.batch*g.queries {
			return fmt.Errorf("position_ids are %v, expected [%d, %d]", t, g.batch, g.queries)
		}
	}
	turn := func(x []float32, heads int) error {
		for i := 0; i < len(x)/g.qk; i++ {
			b, s := i/(heads*g.queries), i%g.queries
			p := int64(g.start[b] + s)
			if pos != nil {
				p = pos[b*g.queries+s]
			} else if p >= int64(g.lens[b]) {
				p = 0 // padding: its answer counts for nothing, but its position must exist
			}
			if err := r.turn(x[i*g.qk:(i+1)*g.qk], p); err != nil {
				return err
			}
		}
		return nil
	}
	if err := turn(g.q, g.heads); err != nil {
		return err
	}
	return turn(k, g.groups)
}

// cache lays the past and the new keys and values out in rooms of g.keys rows.
func (g *gqa) cache(k, v []float32) error {
	lay := func(pastAt int, x []float32) ([]float32, error) {
		past, err := floats(g.c, pastAt)
		if err != nil {
			return nil, err
		}
		out := make([]float32, g.batch*g.groups*g.keys*g.qk)
		for i := range g.batch * g.groups {
			b := i / g.groups
			room := out[i*g.keys*g.qk : (i+1)*g.keys*g.qk]
			n := g.start[b]
			if past != nil {
				copy(room[:n*g.qk], past[i*g.old*g.qk:])
			}
			copy(room[n*g.qk:], x[i*g.queries*g.qk:(i+1)*g.queries*g.qk])
		}
		return out, nil
	}
	var err error
	if g.k, err = lay(3, k); err != nil {
		return err
	}
	g.v, err = lay(4, v)
	return err
}

// window masks out what lies after each query, beyond its sequence, or too far back.
func (g *gqa) window(size int) {
	g.mask = make([]float32, g.batch*g.queries*g.keys)
	out := float32(math.Inf(-1))
	for b := range g.batch {
		for i := range g.queries {
			row := g.mask[(b*g.queries+i)*g.keys:][:g.keys]
			at := g.start[b] + i
			for j := range row {
				if j > at || size > 0 && j <= at-size {
					row[j] = out
				}
			}
		}
	}
}
