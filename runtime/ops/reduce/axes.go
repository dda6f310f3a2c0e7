package reduce

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// plan is which axes of a shape are reduced.
type plan struct {
	in    tensor.Shape
	keep  tensor.Shape // in, with 1 on the reduced axes
	out   tensor.Shape // keep, or without the reduced axes
	count int          // elements that go into one result
}

// newPlan reads the axes of a Reduce node: none means all, unless noop says none.
func newPlan(s tensor.Shape, axes []int64, n *graph.Node) (plan, error) {
	cut := make([]bool, len(s))
	if len(axes) == 0 && n.Attrs.Int("noop_with_empty_axes", 0) == 0 {
		for i := range cut {
			cut[i] = true
		}
	}
	for _, a := range axes {
		i, err := tensor.Axis(a, len(s))
		if err != nil {
			return plan{}, err
		}
		if cut[i] {
			return plan{}, fmt.Errorf("axis %d is listed twice in %v", a, axes)
		}
		cut[i] = true
	}
	p := plan{in: s, keep: tensor.Shape{}, out: tensor.Shape{}, count: 1}
	keepdims := n.Attrs.Int("keepdims", 1) != 0
	for i, d := range s {
		if !cut[i] {
			p.keep, p.out = append(p.keep, d), append(p.out, d)
			continue
		}
		p.count *= d
		p.keep = append(p.keep, 1)
		if keepdims {
			p.out = append(p.out, 1)
		}
	}
	return p, nil
}

// along splits a shape at one axis: outer × n × inner.
type along struct{ outer, n, inner int }

func split(s tensor.Shape, axis int) along {
	return along{s[:axis].Elements(), s[axis], s[axis+1:].Elements()}
}
