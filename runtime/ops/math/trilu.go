package math

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// evalTrilu keeps the upper or lower triangle of the last two axes, from diagonal k on.
func evalTrilu(c *ops.Call) error {
	x := c.T(0)
	if x == nil || x.Rank() < 2 || x.DType != tensor.String && x.DType.Bits() < 8 {
		return fmt.Errorf("expected a tensor of rank 2 or more with elements of whole bytes, got %v", x)
	}
	k := int64(0)
	if t := c.T(1); t != nil {
		if t.DType != tensor.Int64 || t.Elements() != 1 {
			return fmt.Errorf("k: expected one int64, got %v", t)
		}
		k = tensor.Data[int64](t)[0]
	}
	y, err := c.Output(0, x.DType, x.Shape)
	if err != nil {
		return err
	}
	upper := c.Node.Attrs.Int("upper", 1) != 0
	h, w := x.Shape[x.Rank()-2], x.Shape[x.Rank()-1]
	// Beyond the matrix every diagonal is alike; the clamp keeps i+k from overflowing.
	k = max(-int64(h)-1, min(int64(w)+1, k))
	if x.DType == tensor.String {
		triangle(y.Strings(), x.Strings(), h, w, 1, int(k), upper)
		return nil
	}
	triangle(y.Bytes(), x.Bytes(), h, w, x.DType.Bits()/8, int(k), upper)
	return nil
}

// triangle copies the wanted part of each row of h×w matrices, whose elements take e
// entries of the slices.
func triangle[T any](dst, src []T, h, w, e, k int, upper bool) {
	for r := 0; r*w*e < len(src); r++ {
		from, to := max(0, min(w, r%h+k)), w
		if !upper {
			from, to = 0, max(0, min(w, r%h+k+1))
		}
		copy(dst[(r*w+from)*e:(r*w+to)*e], src[(r*w+from)*e:])
	}
}
