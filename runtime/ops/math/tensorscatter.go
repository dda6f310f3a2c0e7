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
	if cache == nil || update == nil || cache.DType != update.DType || cache.DType.Bits() < 8 || cache.Rank() != update.Rank() {
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
	copy(y.Bytes(), cache.Bytes())
	length, n := cache.Shape[axis], update.Shape[axis]
	chunk := cache.Shape[axis+1:].Elements() * cache.DType.Bits() / 8
	rows := cache.Shape[1:axis].Elements()
	for b, from := range at {
		if mode == "linear" && (from < 0 || from > int64(length-n)) {
			return fmt.Errorf("write index %d with %d rows is outside of a cache of %d", from, n, length)
		}
		for r := b * rows; r < (b+1)*rows; r++ {
			for i := range n {
				to := int((from%int64(length) + int64(length+i)) % int64(length))
				copy(y.Bytes()[(r*length+to)*chunk:(r*length+to+1)*chunk], update.Bytes()[(r*n+i)*chunk:])
			}
		}
	}
	return nil
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
