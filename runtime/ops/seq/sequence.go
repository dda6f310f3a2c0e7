package seq

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// sequence is input 0 as a sequence.
func sequence(c *ops.Call) (*tensor.Sequence, error) {
	s, ok := c.In[0].(*tensor.Sequence)
	if !ok {
		return nil, fmt.Errorf("input 0 is a %T, expected a sequence", c.In[0])
	}
	return s, nil
}

// position reads input i as an index from −n to n−1+beyond, or gives def if it is left
// out.
func position(c *ops.Call, i, n, beyond, def int) (int, error) {
	t := c.T(i)
	if t == nil {
		return def, nil
	}
	v, err := tensor.Int64s(t)
	if err != nil || len(v) != 1 {
		return 0, fmt.Errorf("the position is %v, expected one integer", t)
	}
	if v[0] < -int64(n) || v[0] >= int64(n+beyond) {
		return 0, fmt.Errorf("position %d is outside of a sequence of %d", v[0], n)
	}
	if v[0] < 0 {
		return int(v[0]) + n, nil
	}
	return int(v[0]), nil
}

func sequenceAt() []*ops.Op {
	return []*ops.Op{{Name: "SequenceAt", Since: 11, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1,
		Eval: func(c *ops.Call) error {
			s, err := sequence(c)
			if err != nil {
				return err
			}
			k, err := position(c, 1, len(s.Elem), 0, -1)
			if err != nil {
				return err
			}
			if k < 0 {
				return fmt.Errorf("the position is left out")
			}
			c.Set(0, s.Elem[k])
			return nil
		}}}
}

func sequenceConstruct() []*ops.Op {
	return []*ops.Op{{Name: "SequenceConstruct", Since: 11, MinIn: 1, MaxIn: -1, MinOut: 1, MaxOut: 1,
		Eval: func(c *ops.Call) error {
			s := &tensor.Sequence{}
			for i := range c.In {
				t := c.T(i)
				if t == nil {
					return fmt.Errorf("input %d is left out", i)
				}
				if i > 0 && t.DType != s.Of {
					return fmt.Errorf("input %d is %v, expected %v as input 0", i, t, s.Of)
				}
				s.Of = t.DType
				s.Elem = append(s.Elem, t)
			}
			c.Set(0, s)
			return nil
		}}}
}

func sequenceEmpty() []*ops.Op {
	return []*ops.Op{{Name: "SequenceEmpty", Since: 11, MinOut: 1, MaxOut: 1,
		Attrs: form.Int("dtype"),
		Eval: func(c *ops.Call) error {
			d, ok := tensor.FromONNX(c.Node.Attrs.Int("dtype", tensor.Float32.ONNX()))
			if !ok {
				return fmt.Errorf("dtype is %d, which is no element type", c.Node.Attrs.Int("dtype", 0))
			}
			c.Set(0, &tensor.Sequence{Of: d})
			return nil
		}}}
}

func sequenceErase() []*ops.Op {
	return []*ops.Op{{Name: "SequenceErase", Since: 11, MinIn: 1, MaxIn: 2, MinOut: 1, MaxOut: 1,
		Eval: func(c *ops.Call) error {
			s, err := sequence(c)
			if err != nil {
				return err
			}
			n := len(s.Elem)
			k, err := position(c, 1, n, 0, n-1)
			if err != nil {
				return err
			}
			if k < 0 {
				return fmt.Errorf("the sequence is empty")
			}
			out := &tensor.Sequence{Of: s.Of, Elem: make([]tensor.Value, 0, n-1)}
			out.Elem = append(append(out.Elem, s.Elem[:k]...), s.Elem[k+1:]...)
			c.Set(0, out)
			return nil
		}}}
}

func sequenceInsert() []*ops.Op {
	return []*ops.Op{{Name: "SequenceInsert", Since: 11, MinIn: 2, MaxIn: 3, MinOut: 1, MaxOut: 1,
		Eval: func(c *ops.Call) error {
			s, err := sequence(c)
			if err != nil {
				return err
			}
			t := c.T(1)
			if t == nil || s.Of != tensor.Invalid && t.DType != s.Of {
				return fmt.Errorf("%v does not go into a sequence of %v", t, s.Of)
			}
			n := len(s.Elem)
			k, err := position(c, 2, n, 1, n)
			if err != nil {
				return err
			}
			out := &tensor.Sequence{Of: t.DType, Elem: make([]tensor.Value, 0, n+1)}
			out.Elem = append(append(append(out.Elem, s.Elem[:k]...), t), s.Elem[k:]...)
			c.Set(0, out)
			return nil
		}}}
}

func sequenceLength() []*ops.Op {
	return []*ops.Op{{Name: "SequenceLength", Since: 11, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Shape: func(c *ops.ShapeCall) error {
			c.Set(0, tensor.Int64, tensor.Shape{})
			return nil
		},
		Eval: func(c *ops.Call) error {
			s, err := sequence(c)
			if err != nil {
				return err
			}
			c.Set(0, tensor.Scalar(int64(len(s.Elem))))
			return nil
		}}}
}
