package contrib

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/linalg"
	"github.com/aimass/aimass/runtime/tensor"
)

func attentionAttrs() []ops.Attr {
	return form.Join(form.Required(form.Int("num_heads")), form.Int("unidirectional", "do_rotary", "past_present_share_buffer"), form.Float("scale", "mask_filter_value"))
}

func attention() *ops.Op {
	return &ops.Op{
		Name: "Attention", Domain: Domain, Since: 1, MinIn: 2, MaxIn: 7, MinOut: 1, MaxOut: 2,
		Attrs: form.Join(attentionAttrs(), form.Ints("qkv_hidden_sizes"), form.Int("rotary_embedding_dim")),
		Shape: typed,
		Eval: func(c *ops.Call) error {
			p, err := planAttention(c, 1, 4)
			if err != nil {
				return err
			}
			x, err := floats(c, 0)
			if err != nil {
				return err
			}
			w, err := floats(c, 1)
			if err != nil {
				return err
			}
			bias, err := vector(c, 2, p.total)
			if err != nil {
				return err
			}
			qkv := make([]float32, p.rows*p.total)
			for i := range qkv {
				if bias != nil {
					qkv[i] = bias[i%p.total]
				}
			}
			linalg.Gemm(p.rows, p.total, p.in, x, p.in, w, p.total, qkv, p.total)
			return p.finish(c, qkv, 3, 4, 5, c.T(0).DType)
		},
	}
}

// attnPlan is what Attention and QAttention have in common: the sizes of the projections.
type attnPlan struct {
	batch, length, rows, in int
	heads                   int
	sizes                   [3]int // of the queries, keys and values, over all heads
	total                   int
	old                     int // length of the past
}

func planAttention(c *ops.Call, weight, past int) (*attnPlan, error) {
	a := c.Node.Attrs
	if a.Int("do_rotary", 0) != 0 || a.Int("past_present_share_buffer", 0) != 0 {
		return nil, fmt.Errorf("do_rotary and past_present_share_buffer are not supported")
	}
	x, err := need(c, 0, 3)
	if err != nil {
		return nil, err
	}
	w, err := need(c, weight, 2)
	if err != nil {
		return nil, err
	}
	p := &attnPlan{batch: x.Shape[0], length: x.Shape[1], in: x.Shape[2], rows: x.Shape[0] * x.Shape[1], total: w.Shape[1]}
	p.heads = int(a.Int("num_heads", 0))
	p.sizes = [3]int{p.total / 3, p.total / 3, p.total / 3}
	if s := a.Ints("qkv_hidden_sizes"); len(s) == 3 {
		for i, v := range s {
			if v < 1 || v > int64(p.total) {
				return nil, fmt.Errorf("qkv_hidden_sizes %v do not sum to %d", s, p.total)
			}
			p.sizes[i] = int(v)
		}
	}
	if w.Shape[0] != p.in || p.sizes[0]+p.sizes[1]+p.sizes[2] != p.total || p.sizes[0] != p.sizes[1] ||
		p.heads < 1 || p.sizes[0]%p.heads != 0 || p.sizes[2]%p.heads != 0 {
		return nil, fmt.Errorf("weights of %v for %v and %d heads", w, x, p.heads)
	}
	if c.Has(past) {
		t, err := need(c, past, 5)
		if err != nil {
			return nil, err
		}
		s := t.Shape
		if s[0] != 2 || s[1] != p.batch || s[2] != p.heads || s[4] != p.sizes[0]/p.heads || p.sizes[2] != p.sizes[0] {
			return nil, fmt.Errorf("input %d is %v, expected [2, %d, %d, …, %d]", past, t, p.batch, p.heads, p.sizes[0]/p.heads)
		}
		p.old = s[3]
	}
	return p, nil
}

// finish attends over the projections qkv, [rows, total], and the past of input pastAt.
func (p *attnPlan) finish(c *ops.Call, qkv []float32, maskAt, pastAt, biasAt int, d tensor.DType) error {
	qk, width := p.sizes[0]/p.heads, p.sizes[2]/p.heads
	n := &attn{batch: p.batch, heads: p.heads, groups: p.heads, queries: p.length, keys: p.old + p.length, qk: qk, width: width}
	n.scale = scaleOf(c.Node.Attrs, qk)
	n.q = toHeads(qkv, p.batch, p.length, p.heads, qk, 0, p.total)
	n.k = toHeads(qkv, p.batch, p.length, p.heads, qk, p.sizes[0], p.total)
	n.v = toHeads(qkv, p.batch, p.length, p.heads, width, p.sizes[0]*2, p.total)
	past, err := floats(c, pastAt)
	if err != nil {
		return err
	}
	if past != nil {
		half := len(past) / 2
		n.k = join(past[:half], n.k, p.batch*p.heads, p.old, p.length, qk)
		n.v = join(past[half:], n.v, p.batch*p.heads, p.old, p.length, width)
	}
	if err := n.setMask(c, maskAt, causal(c.Node.Attrs), c.Node.Attrs.Float("mask_filter_value", -10000)); err != nil {
		return err
	}
	if biasAt > 0 {
		if err := n.setBias(c, biasAt); err != nil {
			return err
		}
	}
	if err := n.attend(c, d); err != nil {
		return err
	}
	if qk == width {
		return give(c, 1, d, append(append([]float32(nil), n.k...), n.v...), 2, p.batch, p.heads, n.keys, qk)
	}
	return nil
}

func causal(a graph.Attrs) bool { return a.Int("unidirectional", 0) != 0 }
