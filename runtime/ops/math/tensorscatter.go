package math

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// evalTensorScatter writes an update into a cache along one axis, from an index given
// for each batch on; in circular mode it goes round the end.
func evalTensorScatter(c *ops.Call) error {
	cache, update := c.T(0), c.T(1)
	if cache == nil || update == nil || cache.DType != update.DType || cache.Rank() != update.Rank() {
		return fmt.Errorf("expected cache and update of one type and rank, got %v and %v", cache, update)
	}
	axis, err := tensor.Axis(c.Node.Attrs.Int("axis", -2), cache.Rank())
	if err != nil {
		return err
	}
	if axis == 0 {
		return fmt.Errorf("axis 0 is the batch and can't be written along")
	}
	for i, d := range cache.Shape {
		if u := update.Shape[i]; i != axis && u != d || u > d {
			return fmt.Errorf("update %v does not fit cache %v", update.Shape, cache.Shape)
		}
	}
	mode := c.Node.Attrs.Str("mode", "linear")
	if mode != "linear" && mode != "circular" {
		return fmt.Errorf("mode: expected linear or circular, got %q", mode)
	}
	at, err := writeIndices(c.T(2), cache.Shape[0])
	if err != nil {
		return err
	}
	y, err := c.Output(0, cache.DType, cache.Shape)
	if err != nil {
		return err
	}
	length, n := cache.Shape[axis], update.Shape[axis]
	for _, from := range at {
		if mode == "linear" && (from < 0 || from > int64(length-n)) {
			return fmt.Errorf("write index %d with %d rows is outside of a cache of %d", from, n, length)
		}
	}
	g := scattering{at, cache.Shape[1:axis].Elements(), length, n, cache.Shape[axis+1:].Elements()}
	switch bits := cache.DType.Bits(); {
	case cache.DType == tensor.String:
		scatter(y.Strings(), cache.Strings(), update.Strings(), g)
	case bits >= 8:
		g.chunk *= bits / 8
		scatter(y.Bytes(), cache.Bytes(), update.Bytes(), g)
	default:
		codes := make([]uint8, y.Elements())
		scatter(codes, tensor.Unpack(cache), tensor.Unpack(update), g)
		tensor.Pack(y, codes)
	}
	return nil
}

// scattering is where the update goes: for each batch, rows lines of length chunks, of
// which n are written from at[batch] on.
type scattering struct {
	at                     []int64
	rows, length, n, chunk int
}

func scatter[T any](dst, cache, update []T, g scattering) {
	copy(dst, cache)
	for b, from := range g.at {
		for r := b * g.rows; r < (b+1)*g.rows; r++ {
			for i := range g.n {
				l := int64(g.length)
				to := int((from%l + l + int64(i)) % l)
				copy(dst[(r*g.length+to)*g.chunk:(r*g.length+to+1)*g.chunk], update[(r*g.n+i)*g.chunk:])
			}
		}
	}
}

func writeIndices(t *tensor.Tensor, batch int) ([]int64, error) {
	if t == nil {
		return make([]int64, batch), nil
	}
	if t.DType != tensor.Int64 || t.Elements() != batch {
		return nil, fmt.Errorf("write_indices: expected %d int64, got %v", batch, t)
	}
	return tensor.Data[int64](t), nil
}
