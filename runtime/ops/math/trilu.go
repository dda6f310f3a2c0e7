package math

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// evalTrilu keeps the upper or lower triangle of the last two axes, from diagonal k on.
func evalTrilu(c *ops.Call) error {
	x := c.T(0)
	if x == nil || x.Rank() < 2 || x.DType == tensor.String || x.DType.Bits() < 8 {
		return fmt.Errorf("expected a numeric tensor of rank 2 or more, got %v", x)
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
	h, w, e := x.Shape[x.Rank()-2], x.Shape[x.Rank()-1], x.DType.Bits()/8
	// Beyond the matrix every diagonal is alike; the clamp keeps i+k from overflowing.
	k = max(-int64(h)-1, min(int64(w)+1, k))
	src, dst := x.Bytes(), y.Bytes()
	for r := 0; r*w*e < len(src); r++ {
		d := max(0, min(w, r%h+int(k)))
		from, to := d, w
		if !upper {
			from, to = 0, max(0, min(w, r%h+int(k)+1))
		}
		copy(dst[(r*w+from)*e:(r*w+to)*e], src[(r*w+from)*e:])
	}
	return nil
}
