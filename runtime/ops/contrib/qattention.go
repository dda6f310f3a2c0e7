package contrib

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/linalg"
)

func qAttention() *ops.Op {
	return &ops.Op{
		Name: "QAttention", Domain: Domain, Since: 1, MinIn: 5, MaxIn: 9, MinOut: 1, MaxOut: 2,
		Attrs: attentionAttrs(),
		Shape: func(c *ops.ShapeCall) error {
			c.SetType(0, c.In[2].DType)
			c.SetType(1, c.In[2].DType)
			return nil
		},
		Eval: func(c *ops.Call) error {
			p, err := planAttention(c, 1, 8)
			if err != nil {
				return err
			}
			zx, err := zeros(c.T(6), c.T(0).DType, 1)
			if err != nil {
				return err
			}
			x, err := integerSide(c.T(0), zx)
			if err != nil {
				return err
			}
			zw, err := zeros(c.T(7), c.T(1).DType, p.total)
			if err != nil {
				return err
			}
			w, err := integerSide(c.T(1), zw)
			if err != nil {
				return err
			}
			sx, err := number(c, 3, 1)
			if err != nil {
				return err
			}
			sw, err := scales(c, 4, p.total)
			if err != nil {
				return err
			}
			bias, err := vector(c, 2, p.total)
			if err != nil {
				return err
			}
			if bias == nil {
				return fmt.Errorf("input 2, the bias, is missing")
			}
			sums := make([]int32, p.rows*p.total)
			linalg.Gemm(p.rows, p.total, p.in, x, p.in, w, p.total, sums, p.total)
			qkv := make([]float32, len(sums))
			for i, s := range sums {
				qkv[i] = float32(s)*(sx*sw[i%p.total]) + bias[i%p.total]
			}
			return p.finish(c, qkv, 5, 8, -1, c.T(2).DType)
		},
	}
}
