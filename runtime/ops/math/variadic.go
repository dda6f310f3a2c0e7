package math

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// variadicForms are Sum, Max, Min and Mean: any number of broadcast inputs.
func variadicForms(name string, code opcode, mean bool) []*ops.Op {
	op := ops.Op{
		Name: name, MinIn: 1, MaxIn: -1, MinOut: 1, MaxOut: 1,
		Shape: func(c *ops.ShapeCall) error { return form.Broadcast(c, c.In[0].DType, 0, len(c.In)) },
		Eval:  func(c *ops.Call) error { return fold(c, code, mean) },
	}
	return withConsumed(op, true)
}

func fold(c *ops.Call, code opcode, mean bool) error {
	s := tensor.Shape{}
	for i := range c.In {
		t := c.T(i)
		if t == nil || t.DType != c.T(0).DType {
			return fmt.Errorf("expected inputs of one type, got %v and %v", c.T(0), t)
		}
		var err error
		if s, err = tensor.Broadcast(s, t.Shape); err != nil {
			return err
		}
	}
	y, err := c.Output(0, c.T(0).DType, s)
	if err != nil {
		return err
	}
	cur := c.T(0)
	if len(c.In) == 1 && !mean {
		copy(y.Bytes(), cur.Bytes())
		return nil
	}
	for i := 1; i < len(c.In); i++ {
		if err := arith(code, y, operands{cur, c.T(i), s}); err != nil {
			return err
		}
		cur = y
	}
	if !mean {
		return nil
	}
	n := tensor.New(y.DType, tensor.Shape{})
	if err := storeNumbers(n, []float64{float64(len(c.In))}); err != nil {
		return err
	}
	return arith(opDiv, y, operands{cur, n, s})
}
