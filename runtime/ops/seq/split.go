package seq

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/layout"
	"github.com/aimass/aimass/runtime/tensor"
)

func splitToSequence() []*ops.Op {
	return []*ops.Op{{Name: "SplitToSequence", Since: 11, MinIn: 1, MaxIn: 2, MinOut: 1, MaxOut: 1,
		Attrs: form.Int("axis", "keepdims"), Eval: splitToSequenceEval}}
}

func splitToSequenceEval(c *ops.Call) error {
	x := c.T(0)
	axis, err := tensor.Axis(c.Node.Attrs.Int("axis", 0), x.Rank())
	if err != nil {
		return err
	}
	s := &tensor.Sequence{Of: x.DType}
	if !c.Has(1) && c.Node.Attrs.Int("keepdims", 1) == 0 {
		for k := range x.Shape[axis] {
			s.Elem = append(s.Elem, layout.At(x, axis, k))
		}
		c.Set(0, s)
		return nil
	}
	lengths, err := splitLengths(c.T(1), x.Shape[axis])
	if err != nil {
		return err
	}
	at := 0
	for _, n := range lengths {
		shape := x.Shape.Clone()
		shape[axis] = n
		t := tensor.New(x.DType, shape)
		layout.Part(t, x, axis, at, at+n)
		s.Elem = append(s.Elem, t)
		at += n
	}
	c.Set(0, s)
	return nil
}

// splitLengths gives the parts' lengths: one number is the length of all (the last may be
// shorter), a list is each one's, and without either every part has length 1.
func splitLengths(t *tensor.Tensor, total int) ([]int, error) {
	each := int64(1)
	if t != nil {
		v, err := tensor.Int64s(t)
		if err != nil || t.Rank() > 1 {
			return nil, fmt.Errorf("split is %v, expected integers of rank 0 or 1", t)
		}
		if t.Rank() == 1 {
			return listed(v, total)
		}
		if each = v[0]; each < 1 {
			return nil, fmt.Errorf("split is %d, expected 1 or more", each)
		}
	}
	var out []int
	for left := total; left > 0; {
		n := int(min(int64(left), each))
		out = append(out, n)
		left -= n
	}
	return out, nil
}

func listed(v []int64, total int) ([]int, error) {
	out, left := make([]int, len(v)), int64(total)
	for i, n := range v {
		if n < 0 || n > left {
			return nil, fmt.Errorf("split %v for an axis of %d", v, total)
		}
		out[i] = int(n)
		left -= n
	}
	if left != 0 {
		return nil, fmt.Errorf("split %v for an axis of %d", v, total)
	}
	return out, nil
}
