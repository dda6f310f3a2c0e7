package shape

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func flatten() []*ops.Op {
	to := func(n *graph.Node) func(tensor.Shape) (tensor.Shape, error) {
		return func(s tensor.Shape) (tensor.Shape, error) {
			axis, rank := n.Attrs.Int("axis", 1), int64(len(s))
			if axis < -rank || axis > rank {
				return nil, fmt.Errorf("axis %d is outside of −%d to %d", axis, rank, rank)
			}
			if axis < 0 {
				axis += rank
			}
			return tensor.Shape{s[:axis].Elements(), s[axis:].Elements()}, nil
		}
	}
	return []*ops.Op{{Name: "Flatten", Since: 1, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Int("axis"),
		Shape: func(c *ops.ShapeCall) error { return view(c, to(c.Node)) },
		Eval:  func(c *ops.Call) error { return evalView(c, to(c.Node)) }}}
}
