package nn

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

var linearAttentionAttrs = form.Join(form.Int("chunk_size"), form.Required(form.Int("kv_num_heads", "q_num_heads")),
	form.Float("scale"), form.Str("update_rule"))

// linear is the geometry of attention with a recurrent state.
type linear struct {
	batch, rows, heads, kvHeads, dk, dv int
	gated, delta                        bool
}

func newLinear(n *graph.Node, q, k, v tensor.Shape) (*linear, error) {
	hq, hk := n.Attrs.Int("q_num_heads", 0), n.Attrs.Int("kv_num_heads", 0)
	if len(q) != 3 || len(k) != 3 || len(v) != 3 || hq < 1 || hk < 1 || hq > maxWindow || hk > maxWindow ||
		hq%hk != 0 || q[2]%int(hq) != 0 || k[2]%int(hk) != 0 || v[2]%int(hk) != 0 {
		return nil, fmt.Errorf("query %v, key %v and value %v can't be split into %d and %d heads", q, k, v, hq, hk)
	}
	a := &linear{batch: q[0], rows: q[1], heads: int(hq), kvHeads: int(hk), dk: q[2] / int(hq), dv: v[2] / int(hk)}
	if k[0] != q[0] || v[0] != q[0] || k[1] != q[1] || v[1] != q[1] || k[2] != a.kvHeads*a.dk {
		return nil, fmt.Errorf("query %v, key %v and value %v do not fit together", q, k, v)
	}
	switch rule := n.Attrs.Str("update_rule", "gated_delta"); rule {
	case "linear":
	case "gated":
		a.gated = true
	case "delta":
		a.delta = true
	case "gated_delta":
		a.gated, a.delta = true, true
	default:
		return nil, fmt.Errorf("update_rule: unknown value %q", rule)
	}
	return a, a.state().Check()
}

func (a *linear) out() tensor.Shape   { return tensor.Shape{a.batch, a.rows, a.heads * a.dv} }
func (a *linear) state() tensor.Shape { return tensor.Shape{a.batch, a.kvHeads, a.dk, a.dv} }

func shapeLinearAttention(c *ops.ShapeCall) error {
	d, ds := c.In[0].DType, c.In[0].DType
	if c.Has(3) {
		ds = c.In[3].DType
	}
	c.SetType(1, ds)
	if !known(c, 3, d) {
		return nil
	}
	a, err := newLinear(c.Node, c.In[0].Shape, c.In[1].Shape, c.In[2].Shape)
	if err != nil {
		return err
	}
	c.Set(0, d, a.out())
	c.Set(1, ds, a.state())
	return nil
}

// evalLinearAttention keeps for each key head a state S [dk×dv]: each row decays it by
// exp(decay), corrects the value by what S already gives for the key (delta rules), adds
// key ⊗ value, and reads S with the query. Rows go in order; chunk_size changes nothing.
func evalLinearAttention(c *ops.Call) error {
	for i := range 3 {
		if err := form.NeedReal("input", c.T(i)); err != nil {
			return err
		}
	}
	a, err := newLinear(c.Node, c.T(0).Shape, c.T(1).Shape, c.T(2).Shape)
	if err != nil {
		return err
	}
	if a.gated != c.Has(4) || a.delta != c.Has(5) {
		return fmt.Errorf("update_rule %q needs decay: %t, beta: %t; given are %v and %v", c.Node.Attrs.Str("update_rule", "gated_delta"), a.gated, a.delta, c.T(4), c.T(5))
	}
	var in [6][]float64
	for i := range in {
		if t := c.T(i); t != nil {
			if in[i], err = tensor.Float64s(t); err != nil {
				return err
			}
		}
	}
	if t := c.T(3); t != nil && !t.Shape.Equal(a.state()) {
		return fmt.Errorf("past_state: expected %v, got %v", a.state(), t)
	}
	decay, err := a.perHead(c.T(4), a.kvHeads, a.kvHeads*a.dk)
	if err != nil {
		return fmt.Errorf("decay: %w", err)
	}
	beta, err := a.perHead(c.T(5), a.kvHeads, 1)
	if err != nil {
		return fmt.Errorf("beta: %w", err)
	}
	state := make([]float64, a.state().Elements())
	copy(state, in[3])
	scale := float64(c.Node.Attrs.Float("scale", 0))
	if scale == 0 {
		scale = 1 / math.Sqrt(float64(a.dk))
	}
	out := make([]float64, a.out().Elements())
	for b := range a.batch {
		for t := range a.rows {
			row := b*a.rows + t
			for h := range a.kvHeads {
				s := state[(b*a.kvHeads+h)*a.dk*a.dv:][:a.dk*a.dv]
				if a.gated {
					a.fade(s, in[4][row*decay:(row+1)*decay], h)
				}
				step := 1.0
				if a.delta {
					step = in[5][row*beta+min(h, beta-1)]
				}
				a.write(s, in[1][(row*a.kvHeads+h)*a.dk:][:a.dk], in[2][(row*a.kvHeads+h)*a.dv:][:a.dv], step)
			}
			a.read(out, in[0], state, b, row, scale)
		}
	}
	return a.store(c, out, state)
}

// perHead gives the width of a [batch, rows, width] input, which must be one of two.
func (a *linear) perHead(t *tensor.Tensor, one, other int) (int, error) {
	if t == nil {
		return 0, nil
	}
	if t.Rank() != 3 || t.Shape[0] != a.batch || t.Shape[1] != a.rows || t.Shape[2] != one && t.Shape[2] != other {
		return 0, fmt.Errorf("expected [%d,%d,%d or %d], got %v", a.batch, a.rows, one, other, t)
	}
	return t.Shape[2], nil
}

// fade multiplies a head's state by exp of its decay: one for the head or one a key element.
func (a *linear) fade(s, decay []float64, h int) {
	for d := range a.dk {
		g := decay[h%len(decay)]
		if len(decay) != a.kvHeads {
			g = decay[h*a.dk+d]
		}
		g = math.Exp(g)
		for m := range a.dv {
			s[d*a.dv+m] *= g
		}
	}
}

func (a *linear) write(s, k, v []float64, step float64) {
	w := append([]float64{}, v...)
	if a.delta {
		for d, x := range k {
			for m := range w {
				w[m] -= s[d*a.dv+m] * x
			}
		}
		for m := range w {
			w[m] *= step
		}
	}
	for d, x := range k {
		for m, e := range w {
			s[d*a.dv+m] += x * e
		}
	}
}

func (a *linear) read(out, q, state []float64, b, row int, scale float64) {
	group := a.heads / a.kvHeads
	for h := range a.heads {
		s := state[(b*a.kvHeads+h/group)*a.dk*a.dv:]
		dst := out[(row*a.heads+h)*a.dv:][:a.dv]
		for d, x := range q[(row*a.heads+h)*a.dk:][:a.dk] {
			for m := range dst {
				dst[m] += scale * x * s[d*a.dv+m]
			}
		}
	}
}

func (a *linear) store(c *ops.Call, out, state []float64) error {
	y, err := c.Output(0, c.T(0).DType, a.out())
	if err != nil {
		return err
	}
	if err := tensor.StoreFloat64s(y, out); err != nil {
		return err
	}
	if !c.Wanted(1) {
		return nil
	}
	d := c.T(0).DType
	if c.Has(3) {
		d = c.T(3).DType
	}
	s, err := c.Output(1, d, a.state())
	if err != nil {
		return err
	}
	return tensor.StoreFloat64s(s, state)
}
