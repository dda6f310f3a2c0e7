package nn

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// rotary is the geometry of a RotaryEmbedding: X is [batch, heads, rows, size], or
// [batch, rows, heads·size] with the heads in an attribute.
type rotary struct {
	batch, heads, rows, size int
	dims                     int // elements of each head that are turned
	flat                     bool
}

func newRotary(c *ops.Call) (*rotary, error) {
	s, a := c.T(0).Shape, c.Node.Attrs
	g := &rotary{}
	switch h := a.Int("num_heads", 0); {
	case len(s) == 4:
		g.batch, g.heads, g.rows, g.size = s[0], s[1], s[2], s[3]
	case len(s) == 3 && h > 0 && h <= maxWindow && s[2]%int(h) == 0:
		g.flat, g.batch, g.rows, g.heads, g.size = true, s[0], s[1], int(h), s[2]/int(h)
	default:
		return nil, fmt.Errorf("expected X of rank 4, or of rank 3 that num_heads %d divides, got %v", h, c.T(0))
	}
	d := a.Int("rotary_embedding_dim", 0)
	if d == 0 {
		d = int64(g.size)
	}
	if d < 0 || d > int64(g.size) || d%2 != 0 {
		return nil, fmt.Errorf("rotary_embedding_dim: %d is no even number up to %d", d, g.size)
	}
	g.dims = int(d)
	return g, nil
}

// cacheRow checks the caches and gives, for a batch and row, the row of theirs to use:
// [positions, dims/2] looked up by position_ids, or [batch, rows, dims/2] without.
func (g *rotary) cacheRow(c *ops.Call) (func(b, r int) int, error) {
	half := g.dims / 2
	cos, sin, ids := c.T(1), c.T(2), c.T(3)
	if !cos.Shape.Equal(sin.Shape) || cos.Rank() == 0 || cos.Shape[cos.Rank()-1] != half {
		return nil, fmt.Errorf("caches: expected two of one shape ending in %d, got %v and %v", half, cos, sin)
	}
	if ids == nil {
		if !cos.Shape.Equal(tensor.Shape{g.batch, g.rows, half}) {
			return nil, fmt.Errorf("caches: expected [%d,%d,%d] without position_ids, got %v", g.batch, g.rows, half, cos)
		}
		return func(b, r int) int { return b*g.rows + r }, nil
	}
	if ids.DType != tensor.Int64 || ids.Elements() != g.batch*g.rows || cos.Rank() != 2 {
		return nil, fmt.Errorf("position_ids: expected %d int64 and caches of rank 2, got %v and %v", g.batch*g.rows, ids, cos)
	}
	at := tensor.Data[int64](ids)
	for _, p := range at {
		if p < 0 || p >= int64(cos.Shape[0]) {
			return nil, fmt.Errorf("position_ids: %d is outside of %v", p, cos)
		}
	}
	return func(b, r int) int { return int(at[b*g.rows+r]) }, nil
}

// evalRotary turns pairs of each head's elements by the angle of their position: halves
// against each other, or neighbours if interleaved.
func evalRotary(c *ops.Call) error {
	x := c.T(0)
	if err := sameReal(x, c.T(1), c.T(2)); err != nil {
		return err
	}
	if !c.Has(1) || !c.Has(2) {
		return fmt.Errorf("expected cos_cache and sin_cache")
	}
	g, err := newRotary(c)
	if err != nil {
		return err
	}
	row, err := g.cacheRow(c)
	if err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, x.Shape)
	if err != nil {
		return err
	}
	var in [3][]float64
	for i := range in {
		if in[i], err = tensor.Float64s(c.T(i)); err != nil {
			return err
		}
	}
	r := form.Rounder(x.DType)
	inter := c.Node.Attrs.Int("interleaved", 0) != 0
	out := append([]float64{}, in[0]...)
	half := g.dims / 2
	for b := range g.batch {
		for t := range g.rows {
			angle := row(b, t) * half
			for h := range g.heads {
				at := ((b*g.heads+h)*g.rows + t) * g.size
				if g.flat {
					at = ((b*g.rows+t)*g.heads + h) * g.size
				}
				for i := range half {
					p, q := at+i, at+half+i
					if inter {
						p, q = at+2*i, at+2*i+1
					}
					u, v, cos, sin := in[0][p], in[0][q], in[1][angle+i], in[2][angle+i]
					out[p] = r(cos*u) - r(sin*v)
					out[q] = r(sin*u) + r(cos*v)
				}
			}
		}
	}
	return tensor.StoreFloat64s(y, out)
}
