package nn

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/linalg"
	"github.com/aimass/aimass/runtime/tensor"
)

func attentionForms() []*ops.Op {
	op := func(since, maxIn int, more ...string) *ops.Op {
		attrs := form.Join(form.Int("is_causal", "kv_num_heads", "q_num_heads", "qk_matmul_output_mode", "softmax_precision"),
			form.Float("scale", "softcap"), form.Int(more...))
		return &ops.Op{Name: "Attention", Since: since, MinIn: 3, MaxIn: maxIn, MinOut: 1, MaxOut: 4, Attrs: attrs, Shape: shapeAttention, Eval: evalAttention}
	}
	return []*ops.Op{op(23, 6), op(24, 7), op(25, 7, "left_window_size", "right_window_size")}
}

// attention is the geometry of scaled dot-product attention.
type attention struct {
	batch, heads, kvHeads int
	queries, past, fresh  int // rows of Q, of the cache, of K
	dk, dv                int // head sizes of K and V
	flat                  bool
}

// keys is the number of keys each query may see: the cache's and the fresh ones.
func (a *attention) keys() int { return a.past + a.fresh }

// newAttention reads Q, K and V as [batch, heads, rows, size], or [batch, rows,
// heads·size] with the heads in attributes; past is the cache's shape, nil without one.
func newAttention(n *graph.Node, q, k, v, past tensor.Shape) (*attention, error) {
	a := &attention{}
	var kb, kd, vb, vh, vr int
	switch {
	case len(q) == 4 && len(k) == 4 && len(v) == 4:
		a.batch, a.heads, a.queries, a.dk = q[0], q[1], q[2], q[3]
		kb, a.kvHeads, a.fresh, kd = k[0], k[1], k[2], k[3]
		vb, vh, vr, a.dv = v[0], v[1], v[2], v[3]
	case len(q) == 3 && len(k) == 3 && len(v) == 3:
		hq, hk := n.Attrs.Int("q_num_heads", 0), n.Attrs.Int("kv_num_heads", 0)
		if hq < 1 || hk < 1 || hq > maxWindow || hk > maxWindow || q[2]%int(hq) != 0 || k[2]%int(hk) != 0 || v[2]%int(hk) != 0 {
			return nil, fmt.Errorf("Q %v, K %v and V %v can't be split into %d and %d heads", q, k, v, hq, hk)
		}
		a.flat, a.heads, a.kvHeads, vh = true, int(hq), int(hk), int(hk)
		a.batch, a.queries, a.dk = q[0], q[1], q[2]/a.heads
		kb, a.fresh, kd = k[0], k[1], k[2]/a.kvHeads
		vb, vr, a.dv = v[0], v[1], v[2]/a.kvHeads
	default:
		return nil, fmt.Errorf("expected Q, K and V of rank 3 or 4, got shapes %v, %v and %v", q, k, v)
	}
	if kb != a.batch || vb != a.batch || kd != a.dk || vr != a.fresh || vh != a.kvHeads {
		return nil, fmt.Errorf("Q %v, K %v and V %v do not fit together", q, k, v)
	}
	if a.kvHeads == 0 || a.heads%a.kvHeads != 0 {
		return nil, fmt.Errorf("%d query heads are no multiple of %d key heads", a.heads, a.kvHeads)
	}
	if past != nil {
		if len(past) != 4 || past[0] != a.batch || past[1] != a.kvHeads {
			return nil, fmt.Errorf("cache %v does not fit K %v", past, k)
		}
		a.past = past[2]
	}
	return a, a.scores().Check()
}

func (a *attention) out() tensor.Shape {
	if a.flat {
		return tensor.Shape{a.batch, a.queries, a.heads * a.dv}
	}
	return tensor.Shape{a.batch, a.heads, a.queries, a.dv}
}

func (a *attention) cache(size int) tensor.Shape {
	return tensor.Shape{a.batch, a.kvHeads, a.keys(), size}
}

func (a *attention) scores() tensor.Shape {
	return tensor.Shape{a.batch, a.heads, a.queries, a.keys()}
}

func shapeAttention(c *ops.ShapeCall) error {
	d := c.In[0].DType
	for i, t := range []tensor.DType{d, d, c.In[2].DType, d} {
		c.SetType(i, t)
	}
	if !c.Known(6) {
		return nil
	}
	var past tensor.Shape
	if c.Has(4) {
		past = c.In[4].Shape
	}
	a, err := newAttention(c.Node, c.In[0].Shape, c.In[1].Shape, c.In[2].Shape, past)
	if err != nil {
		return err
	}
	c.Set(0, d, a.out())
	c.Set(1, d, a.cache(a.dk))
	c.Set(2, c.In[2].DType, a.cache(a.dv))
	c.Set(3, d, a.scores())
	return nil
}

func evalAttention(c *ops.Call) error {
	q, k, v := c.T(0), c.T(1), c.T(2)
	if err := sameReal(q, k, c.T(4)); err != nil {
		return err
	}
	if err := sameReal(v, c.T(5)); err != nil {
		return err
	}
	if k == nil || c.Has(4) != c.Has(5) || c.Has(4) && c.Has(6) {
		return fmt.Errorf("expected Q, K and V, past_key and past_value together, and no nonpad_kv_seqlen beside them")
	}
	var past tensor.Shape
	if c.Has(4) {
		past = c.T(4).Shape
	}
	a, err := newAttention(c.Node, q.Shape, k.Shape, v.Shape, past)
	if err != nil {
		return err
	}
	if past != nil && (!past.Equal(tensor.Shape{a.batch, a.kvHeads, a.past, a.dk}) || !c.T(5).Shape.Equal(tensor.Shape{a.batch, a.kvHeads, a.past, a.dv})) {
		return fmt.Errorf("caches %v and %v do not fit K %v and V %v", c.T(4), c.T(5), k, v)
	}
	m, err := newMask(c, a)
	if err != nil {
		return err
	}
	if q.DType == tensor.Float64 || v.DType == tensor.Float64 {
		return attend[float64](c, a, m)
	}
	return attend[float32](c, a, m)
}

// head copies one head's rows [rows×size] out of a 4-D or flat tensor.
func head[T any](dst, src []T, flat bool, b, h, heads, rows, size int) {
	if !flat {
		copy(dst[:rows*size], src[(b*heads+h)*rows*size:])
		return
	}
	for r := range rows {
		copy(dst[r*size:(r+1)*size], src[((b*rows+r)*heads+h)*size:])
	}
}

// present joins the cache with the fresh rows, as [batch, kvHeads, keys, size], and
// writes output i if it is wanted.
func present[T form.Real](c *ops.Call, a *attention, fresh, past *tensor.Tensor, i, size int) ([]T, error) {
	f, err := form.Load[T](fresh)
	if err != nil {
		return nil, err
	}
	out := make([]T, a.cache(size).Elements())
	var old []T
	if past != nil {
		if old, err = form.Load[T](past); err != nil {
			return nil, err
		}
	}
	n := a.past * size
	for b := range a.batch {
		for h := range a.kvHeads {
			to := out[(b*a.kvHeads+h)*a.keys()*size:]
			if past != nil {
				copy(to[:n], old[(b*a.kvHeads+h)*n:])
			}
			head(to[n:], f, a.flat, b, h, a.kvHeads, a.fresh, size)
		}
	}
	if !c.Wanted(i) {
		return out, nil
	}
	t, err := c.Output(i, fresh.DType, a.cache(size))
	if err != nil {
		return nil, err
	}
	dst, flush := form.Sink[T](t)
	copy(dst, out)
	return out, flush()
}

// attend computes all heads. Intermediate results are rounded to Q's type and, in the
// softmax, to softmax_precision, as the operator's function body does.
func attend[T form.Real](c *ops.Call, a *attention, m *mask) error {
	q, err := form.Load[T](c.T(0))
	if err != nil {
		return err
	}
	k, err := present[T](c, a, c.T(1), c.T(4), 1, a.dk)
	if err != nil {
		return err
	}
	v, err := present[T](c, a, c.T(2), c.T(5), 2, a.dv)
	if err != nil {
		return err
	}
	y, err := c.Output(0, c.T(0).DType, a.out())
	if err != nil {
		return err
	}
	dst, flush := form.Sink[T](y)
	var probe []T
	keep := func() error { return nil }
	if c.Wanted(3) {
		t, err := c.Output(3, c.T(0).DType, a.scores())
		if err != nil {
			return err
		}
		probe, keep = form.Sink[T](t)
	}
	s := newScorer[T](c, a, m)
	rows := make([]T, a.queries*a.dk)
	out := make([]T, a.queries*a.dv)
	for b := range a.batch {
		for h := range a.heads {
			kv := b*a.kvHeads + h/(a.heads/a.kvHeads)
			head(rows, q, a.flat, b, h, a.heads, a.queries, a.dk)
			p := s.probabilities(b, h, rows, k[kv*a.keys()*a.dk:(kv+1)*a.keys()*a.dk])
			if probe != nil {
				copy(probe[(b*a.heads+h)*len(p):], s.probe)
			}
			clear(out)
			linalg.Gemm(a.queries, a.dv, a.keys(), p, a.keys(), v[kv*a.keys()*a.dv:], a.dv, out, a.dv)
			for r := range a.queries {
				at := ((b*a.heads+h)*a.queries + r) * a.dv
				if a.flat {
					at = ((b*a.queries+r)*a.heads + h) * a.dv
				}
				copy(dst[at:at+a.dv], out[r*a.dv:])
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	return keep()
}

// scorer computes one head's attention probabilities at a time, reusing its buffers.
type scorer[T form.Real] struct {
	*attention
	mask         *mask
	scale        float64 // the square root of the scale, for Q and K each
	softcap      float64
	mode         int64
	round, rsoft func(float64) float64
	soft         tensor.DType // the type that rsoft rounds to
	p, probe     []T
	q, k         []T
}

func newScorer[T form.Real](c *ops.Call, a *attention, m *mask) *scorer[T] {
	at, d := c.Node.Attrs, c.T(0).DType
	s := &scorer[T]{attention: a, mask: m, round: form.Rounder(d), rsoft: form.Rounder(d), soft: d, mode: at.Int("qk_matmul_output_mode", 0)}
	s.scale = 1 / math.Sqrt(float64(a.dk))
	if at.Has("scale") {
		s.scale = float64(at.Float("scale", 1))
	}
	s.scale = s.round(math.Sqrt(s.scale))
	s.softcap = float64(at.Float("softcap", 0))
	if code := at.Int("softmax_precision", 0); code != 0 {
		s.soft = stash(code)
		s.rsoft = form.Rounder(s.soft)
	}
	n := a.queries * a.keys()
	s.p, s.q, s.k = make([]T, n), make([]T, a.queries*a.dk), make([]T, a.keys()*a.dk)
	if c.Wanted(3) {
		s.probe = make([]T, n)
	}
	return s
}

func (s *scorer[T]) probabilities(b, h int, q, k []T) []T {
	for i, e := range q {
		s.q[i] = T(s.round(float64(e) * s.scale))
	}
	for i, e := range k {
		s.k[i] = T(s.round(float64(e) * s.scale))
	}
	clear(s.p)
	n := s.keys()
	linalg.Gemm(s.queries, n, s.dk, s.q, s.dk, linalg.Transpose(s.k, n, s.dk), n, s.p, n)
	s.keep(0)
	bias := make([]float64, n)
	for i := range s.queries {
		row := s.p[i*n : (i+1)*n]
		if s.softcap > 0 {
			for j, e := range row {
				row[j] = T(s.round(s.round(math.Tanh(s.round(float64(e)/s.softcap))) * s.softcap))
			}
		}
		if s.mode == 1 && s.probe != nil {
			copy(s.probe[i*n:], row)
		}
		open := s.mask.row(bias, b, h, i)
		for j, e := range row {
			row[j] = T(s.round(s.round(float64(e)) + s.round(bias[j])))
		}
		if s.mode == 2 && s.probe != nil {
			copy(s.probe[i*n:], row)
		}
		s.softmax(row, open)
	}
	s.keep(3)
	return s.p
}

func (s *scorer[T]) keep(mode int64) {
	if s.mode == mode && s.probe != nil {
		copy(s.probe, s.p)
	}
}

// softmax turns a row of scores into probabilities; a row that may see no key is 0.
func (s *scorer[T]) softmax(row []T, open bool) {
	top := math.Inf(-1)
	for _, e := range row {
		top = max(top, s.rsoft(float64(e)))
	}
	if !open || math.IsInf(top, -1) {
		clear(row)
		return
	}
	e := make([]float64, len(row))
	for j, x := range row {
		e[j] = s.rsoft(math.Exp(s.rsoft(s.rsoft(float64(x)) - top)))
	}
	sum := form.SumRounded(s.soft, e)
	for j := range row {
		row[j] = T(s.round(s.rsoft(e[j] / sum)))
	}
}
