package text

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func stringConcat() *ops.Op {
	return &ops.Op{
		Name: "StringConcat", Since: 20, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1,
		Shape: func(c *ops.ShapeCall) error { return form.Broadcast(c, tensor.String, 0, 2) },
		Eval: func(c *ops.Call) error {
			a, err := stringsOf(c, 0)
			if err != nil {
				return err
			}
			b, err := stringsOf(c, 1)
			if err != nil {
				return err
			}
			s, err := tensor.Broadcast(c.T(0).Shape, c.T(1).Shape)
			if err != nil {
				return err
			}
			y, err := c.Output(0, tensor.String, s)
			if err != nil {
				return err
			}
			out := y.Strings()
			tensor.NewWalker(s, c.T(0).Shape, c.T(1).Shape).Run(func(at, n int, off, step []int) {
				for i := range n {
					out[at+i] = a[off[0]+i*step[0]] + b[off[1]+i*step[1]]
				}
			})
			return nil
		},
	}
}

// stringsOf gives the elements of input i, which must be strings.
func stringsOf(c *ops.Call, i int) ([]string, error) {
	t := c.T(i)
	if t == nil || t.DType != tensor.String {
		return nil, fmt.Errorf("input %d is %v, expected strings", i, t)
	}
	return t.Strings(), nil
}
