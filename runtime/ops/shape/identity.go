package shape

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
)

func identity() []*ops.Op {
	return []*ops.Op{{Name: "Identity", Since: 1, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Shape: func(c *ops.ShapeCall) error {
			c.Out[0] = c.In[0]
			return nil
		},
		Eval: func(c *ops.Call) error {
			if !c.Has(0) {
				return fmt.Errorf("input 0 is left out")
			}
			c.Set(0, c.In[0])
			return nil
		}}}
}
