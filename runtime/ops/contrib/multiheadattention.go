package contrib

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func multiHeadAttention() *ops.Op {
	return &ops.Op{
		Name: "MultiHeadAttention", Domain: Domain, Since: 1, MinIn: 1, MaxIn: 8, MinOut: 1, MaxOut: 3,
		Attrs: form.Join(form.Required(form.Int("num_heads")), form.Int("unidirectional"), form.Float("scale", "mask_filter_value")),
		Shape: typed,
		Eval:  evalMHA,
	}
}

// mha gathers the inputs of MultiHeadAttention: queries, keys and values as rows of all
// heads, or packed by threes (queries of rank 5) or twos (keys of rank 5), or already
// laid out by heads (keys and values of rank 4).
type mha struct {
	attn
	c *ops.Call
}

func evalMHA(c *ops.Call) error {
	m := &mha{c: c}
	m.heads = int(c.Node.Attrs.Int("num_heads", 0))
	if m.heads < 1 || m.heads > 1<<20 {
		return fmt.Errorf("num_heads is %d", m.heads)
	}
	m.groups = m.heads
	bias, err := floats(c, 3)
	if err != nil {
		return err
	}
	if err := m.load(bias); err != nil {
		return err
	}
	d := c.T(0).DType
	if err := m.addPast(); err != nil {
		return err
	}
	m.scale = scaleOf(c.Node.Attrs, m.qk)
	if err := m.setMask(c, 4, causal(c.Node.Attrs), c.Node.Attrs.Float("mask_filter_value", -10000)); err != nil {
		return err
	}
	if err := m.setBias(c, 5); err != nil {
		return err
	}
	if err := m.attend(c, d); err != nil {
		return err
	}
	if err := give(c, 1, d, m.k, m.batch, m.heads, m.keys, m.qk); err != nil {
		return err
	}
	return give(c, 2, d, m.v, m.batch, m.heads, m.keys, m.width)
}

// load lays out q, k and v with the bias added.
func (m *mha) load(bias []float32) error {
	c := m.c
	q := c.T(0)
	if q.Rank() == 5 {
		if q.Shape[2] != m.heads || q.Shape[3] != 3 {
			return fmt.Errorf("input 0 is %v, expected [batch, length, %d, 3, size]", q, m.heads)
		}
		m.batch, m.queries, m.qk = q.Shape[0], q.Shape[1], q.Shape[4]
		m.keys, m.width = m.queries, m.qk
		x, err := floats(c, 0)
		if err != nil {
			return err
		}
		m.q, m.k, m.v = m.unpack(x, m.queries, 3, 0), m.unpack(x, m.queries, 3, 1), m.unpack(x, m.queries, 3, 2)
		return m.addBias(bias)
	}
	if q.Rank() != 3 || q.Shape[2]%m.heads != 0 {
		return fmt.Errorf("input 0 is %v, expected [batch, length, a multiple of %d]", q, m.heads)
	}
	m.batch, m.queries, m.qk = q.Shape[0], q.Shape[1], q.Shape[2]/m.heads
	x, err := floats(c, 0)
	if err != nil {
		return err
	}
	m.q = toHeads(x, m.batch, m.queries, m.heads, m.qk, 0, q.Shape[2])
	if err := m.loadKeys(); err != nil {
		return err
	}
	return m.addBias(bias)
}

func (m *mha) loadKeys() error {
	k, v := m.c.T(1), m.c.T(2)
	kx, err := floats(m.c, 1)
	if err != nil {
		return err
	}
	vx, err := floats(m.c, 2)
	if err != nil {
		return err
	}
	switch {
	case k != nil && k.Rank() == 5 && v == nil && k.Shape[0] == m.batch && k.Shape[2] == m.heads && k.Shape[3] == 2 && k.Shape[4] == m.qk:
		m.keys, m.width = k.Shape[1], m.qk
		m.k, m.v = m.unpack(kx, m.keys, 2, 0), m.unpack(kx, m.keys, 2, 1)
	case k == nil || v == nil:
		return fmt.Errorf("keys are %v and values %v", k, v)
	case k.Rank() == 3 && v.Rank() == 3 && k.Shape[0] == m.batch && v.Shape[0] == m.batch && k.Shape[2] == m.qk*m.heads && v.Shape[1] == k.Shape[1] && v.Shape[2]%m.heads == 0:
		m.keys, m.width = k.Shape[1], v.Shape[2]/m.heads
		m.k = toHeads(kx, m.batch, m.keys, m.heads, m.qk, 0, k.Shape[2])
		m.v = toHeads(vx, m.batch, m.keys, m.heads, m.width, 0, v.Shape[2])
	case k.Rank() == 4 && v.Rank() == 4 && k.Shape[:2].Equal(tensor.Shape{m.batch, m.heads}) && v.Shape[:3].Equal(k.Shape[:3]) && k.Shape[3] == m.qk:
		m.keys, m.width, m.k, m.v = k.Shape[2], v.Shape[3], kx, vx
	default:
		return fmt.Errorf("keys of %v and values of %v do not fit queries of %v with %d heads", k, v, m.c.T(0), m.heads)
	}
	return nil
}

// unpack takes part at of n from [batch, rows, heads, n, size], laid out by heads.
func (m *mha) unpack(x []float32, rows, n, at int) []float32 {
	out := make([]float32, 0, m.batch*m.heads*rows*m.qk)
	for b := range m.batch {
		for h := range m.heads {
			for r := range rows {
				from := (((b*rows+r)*m.heads+h)*n + at) * m.qk
				out = append(out, x[from:from+m.qk]...)
			}
		}
	}
	return out
}

// addBias adds the three projections' biases, one after the other in b.
func (m *mha) addBias(b []float32) error {
	if b == nil {
		return nil
	}
	nq, nv := m.heads*m.qk, m.heads*m.width
	if len(b) != 2*nq+nv {
		return fmt.Errorf("input 3 is %v, expected %d elements", m.c.T(3), 2*nq+nv)
	}
	add := func(x, b []float32, rows, size int) []float32 {
		out := make([]float32, len(x))
		for i, v := range x {
			out[i] = v + b[i/(rows*size)%m.heads*size+i%size]
		}
		return out
	}
	m.q = add(m.q, b[:nq], m.queries, m.qk)
	m.k = add(m.k, b[nq:2*nq], m.keys, m.qk)
	m.v = add(m.v, b[2*nq:], m.keys, m.width)
	return nil
}

func (m *mha) addPast() error {
	c := m.c
	if !c.Has(6) {
		return nil
	}
	pk, err := need(c, 6, 4)
	if err != nil {
		return err
	}
	pv, err := need(c, 7, 4)
	if err != nil {
		return err
	}
	old := pk.Shape[2]
	if !pk.Shape.Equal(tensor.Shape{m.batch, m.heads, old, m.qk}) || !pv.Shape.Equal(tensor.Shape{m.batch, m.heads, old, m.width}) {
		return fmt.Errorf("the past is %v and %v, expected [%d, %d, …, %d or %d]", pk, pv, m.batch, m.heads, m.qk, m.width)
	}
	k, err := floats(c, 6)
	if err != nil {
		return err
	}
	v, err := floats(c, 7)
	if err != nil {
		return err
	}
	m.k = join(k, m.k, m.batch*m.heads, old, m.keys, m.qk)
	m.v = join(v, m.v, m.batch*m.heads, old, m.keys, m.width)
	m.keys += old
	return nil
}
