package nn

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// mask says what each query may see: the additive bias of attn_mask, the causal
// frontier, a window around the query and the valid length of a cache.
type mask struct {
	keys        int
	causal      bool
	left, right int64 // −1: unbounded
	offset      []int64
	valid       []int64 // keys that count, by batch; nil: all
	bias        []float64
	width       int    // of the bias's last axis; keys beyond it are masked
	stride      [3]int // of the bias, by batch, head and query
}

func newMask(c *ops.Call, a *attention) (*mask, error) {
	at := c.Node.Attrs
	m := &mask{keys: a.keys(), causal: at.Int("is_causal", 0) != 0, left: at.Int("left_window_size", -1), right: at.Int("right_window_size", -1), offset: make([]int64, a.batch)}
	if m.left < -1 || m.right < -1 {
		return nil, fmt.Errorf("window sizes %d and %d: expected −1 or more", m.left, m.right)
	}
	for b := range m.offset {
		m.offset[b] = int64(a.past)
	}
	if t := c.T(6); t != nil {
		if t.DType != tensor.Int64 || t.Elements() != a.batch {
			return nil, fmt.Errorf("nonpad_kv_seqlen: expected %d int64, got %v", a.batch, t)
		}
		m.valid = tensor.Data[int64](t)
		for b, n := range m.valid {
			if n < 0 || n > int64(m.keys) {
				return nil, fmt.Errorf("nonpad_kv_seqlen: %d is outside of 0 to %d", n, m.keys)
			}
			m.offset[b] = n - int64(a.queries)
		}
	}
	if t := c.T(3); t != nil {
		return m, m.read(t, a)
	}
	return m, nil
}

// read turns attn_mask into an additive bias that broadcasts to the scores; its last
// axis may be shorter.
func (m *mask) read(t *tensor.Tensor, a *attention) error {
	r := t.Rank()
	if r < 1 || r > 4 || t.Shape[r-1] > m.keys {
		return fmt.Errorf("attn_mask: %v does not broadcast to %v", t, a.scores())
	}
	m.width = t.Shape[r-1]
	want, step := a.scores(), t.Shape.Strides()
	for i, d := range t.Shape[:r-1] {
		axis := 4 - r + i
		if d != 1 && d != want[axis] {
			return fmt.Errorf("attn_mask: %v does not broadcast to %v", t, want)
		}
		if d != 1 {
			m.stride[axis] = step[i]
		}
	}
	v, err := tensor.Float64s(t)
	if err != nil {
		return fmt.Errorf("attn_mask: %w", err)
	}
	m.bias = v
	if t.DType == tensor.Bool {
		for i, on := range v {
			v[i] = 0
			if on == 0 {
				v[i] = math.Inf(-1)
			}
		}
	}
	return nil
}

// row writes the bias of one query's row and reports whether it may see any key.
func (m *mask) row(dst []float64, b, h, q int) (open bool) {
	inf := math.Inf(-1)
	at := b*m.stride[0] + h*m.stride[1] + q*m.stride[2]
	place := m.offset[b] + int64(q)
	for j := range dst {
		k := int64(j)
		dst[j] = 0
		switch {
		case m.causal && k > place, m.left >= 0 && place-k > m.left, m.right >= 0 && k-place > m.right,
			m.valid != nil && k >= m.valid[b], m.bias != nil && j >= m.width:
			dst[j] = inf
		case m.bias != nil:
			dst[j] = m.bias[at+j]
		}
		open = open || dst[j] != inf
	}
	return open
}
