package contrib

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func rotaryEmbedding() *ops.Op {
	return &ops.Op{
		Name: "RotaryEmbedding", Domain: Domain, Since: 1, MinIn: 4, MaxIn: 4, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(form.Int("interleaved", "is_packed_batching", "num_heads", "rotary_embedding_dim"), form.Float("scale")),
		Shape: form.Same,
		Eval:  evalRotary,
	}
}

// rotary turns pairs of elements by angles that grow with the position: cos and sin are
// [positions, pairs].
type rotary struct {
	cos, sin    []float32
	pairs       int
	interleaved bool
}

// newRotary reads the caches of inputs cosAt and cosAt+1.
func newRotary(c *ops.Call, cosAt int, interleaved bool) (*rotary, error) {
	t, err := need(c, cosAt, 2)
	if err != nil {
		return nil, err
	}
	r := &rotary{pairs: t.Shape[1], interleaved: interleaved}
	if r.cos, err = floats(c, cosAt); err != nil {
		return nil, err
	}
	if r.sin, err = floats(c, cosAt+1); err != nil {
		return nil, err
	}
	if len(r.sin) != len(r.cos) {
		return nil, fmt.Errorf("input %d is %v, input %d %v", cosAt, t, cosAt+1, c.T(cosAt+1))
	}
	return r, nil
}

// turn turns the first 2·pairs elements of x in place.
func (r *rotary) turn(x []float32, pos int64) error {
	if pos < 0 || r.pairs > 0 && pos >= int64(len(r.cos)/r.pairs) || 2*r.pairs > len(x) {
		return fmt.Errorf("position %d and %d pairs do not fit a head of %d and %d positions", pos, r.pairs, len(x), len(r.cos)/max(r.pairs, 1))
	}
	cos, sin := r.cos[int(pos)*r.pairs:], r.sin[int(pos)*r.pairs:]
	for i := range r.pairs {
		a, b := i, i+r.pairs
		if r.interleaved {
			a, b = 2*i, 2*i+1
		}
		x[a], x[b] = x[a]*cos[i]-x[b]*sin[i], x[a]*sin[i]+x[b]*cos[i]
	}
	return nil
}

func evalRotary(c *ops.Call) error {
	x, a := c.T(0), c.Node.Attrs
	r, err := newRotary(c, 2, a.Int("interleaved", 0) != 0)
	if err != nil {
		return err
	}
	in, err := floats(c, 0)
	if err != nil {
		return err
	}
	pos, err := tensor.Int64s(c.T(1))
	if err != nil {
		return fmt.Errorf("input 1: %w", err)
	}
	heads, dim := int(a.Int("num_heads", 0)), int(a.Int("rotary_embedding_dim", 0))
	var batch, length, size int
	switch x.Rank() {
	case 3:
		batch, length = x.Shape[0], x.Shape[1]
		switch {
		case heads > 0 && x.Shape[2]%heads == 0:
			size = x.Shape[2] / heads
		case dim > 0 && heads <= 0 || r.pairs == 0 || x.Shape[2]%(2*r.pairs) != 0:
			return fmt.Errorf("input 0 is %v with %d heads", x, heads)
		default:
			size = 2 * r.pairs
			heads = x.Shape[2] / size
		}
	case 4:
		batch, heads, length, size = x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3]
	default:
		return fmt.Errorf("input 0 is %v, expected rank 3 or 4", x)
	}
	if len(pos) != 1 && len(pos) != batch*length {
		return fmt.Errorf("input 1 is %v, expected one position or [%d, %d]", c.T(1), batch, length)
	}
	y, err := c.Output(0, x.DType, x.Shape)
	if err != nil {
		return err
	}
	out, store := form.Sink[float32](y)
	copy(out, in)
	for i := range batch * heads * length {
		b, s := i/(heads*length), i/heads%length
		if x.Rank() == 4 {
			s = i % length
		}
		p := pos[0] + int64(s)
		if len(pos) > 1 || batch*length == 1 {
			p = pos[b*length+s]
		}
		if err := r.turn(out[i*size:(i+1)*size], p); err != nil {
			return err
		}
	}
	return store()
}
