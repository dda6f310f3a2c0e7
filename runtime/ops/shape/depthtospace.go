package shape

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func depthToSpace() []*ops.Op {
	return blockOps("DepthToSpace", 11, func(s tensor.Shape, b int, mode string) (split tensor.Shape, perm []int, out tensor.Shape, err error) {
		if s[1]%(b*b) != 0 {
			return nil, nil, nil, fmt.Errorf("%d channels do not divide by blocksize² = %d", s[1], b*b)
		}
		c := s[1] / (b * b)
		split, perm = tensor.Shape{s[0], b, b, c, s[2], s[3]}, []int{0, 3, 4, 1, 5, 2}
		if mode == "CRD" {
			split, perm = tensor.Shape{s[0], c, b, b, s[2], s[3]}, []int{0, 1, 4, 2, 5, 3}
		}
		return split, perm, tensor.Shape{s[0], c, s[2] * b, s[3] * b}, nil
	})
}

func spaceToDepth() []*ops.Op {
	return blockOps("SpaceToDepth", 28, func(s tensor.Shape, b int, mode string) (split tensor.Shape, perm []int, out tensor.Shape, err error) {
		if s[2]%b != 0 || s[3]%b != 0 {
			return nil, nil, nil, fmt.Errorf("%v does not divide by blocksize %d", s, b)
		}
		h, w := s[2]/b, s[3]/b
		perm = []int{0, 3, 5, 1, 2, 4}
		if mode == "CRD" {
			perm = []int{0, 1, 3, 5, 2, 4}
		}
		return tensor.Shape{s[0], s[1], h, b, w, b}, perm, tensor.Shape{s[0], s[1] * b * b, h, w}, nil
	})
}

// blockOps makes both operators: the input is seen under a shape of 6 axes, permuted, and
// seen under the output's. The attribute mode came with an opset of its own.
func blockOps(name string, modeSince int, plan func(s tensor.Shape, b int, mode string) (tensor.Shape, []int, tensor.Shape, error)) []*ops.Op {
	bind := func(n *graph.Node, s tensor.Shape) (tensor.Shape, []int, tensor.Shape, error) {
		b, mode := n.Attrs.Int("blocksize", 0), n.Attrs.Str("mode", "DCR")
		if len(s) != 4 {
			return nil, nil, nil, fmt.Errorf("the input has shape %v, expected rank 4", s)
		}
		if b < 1 || b > 1<<20 {
			return nil, nil, nil, fmt.Errorf("blocksize is %d", b)
		}
		if mode != "DCR" && mode != "CRD" {
			return nil, nil, nil, fmt.Errorf("mode is %q, expected DCR or CRD", mode)
		}
		split, perm, out, err := plan(s, int(b), mode)
		if err == nil {
			err = out.Check()
		}
		return split, perm, out, err
	}
	old := &ops.Op{Name: name, Since: 1, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Required(form.Int("blocksize")),
		Shape: func(c *ops.ShapeCall) error {
			return view(c, func(s tensor.Shape) (tensor.Shape, error) {
				_, _, out, err := bind(c.Node, s)
				return out, err
			})
		},
		Eval: func(c *ops.Call) error {
			x := c.T(0)
			split, perm, s, err := bind(c.Node, x.Shape)
			if err != nil {
				return err
			}
			y, err := c.Output(0, x.DType, s)
			if err != nil {
				return err
			}
			between := make(tensor.Shape, len(perm))
			for i, k := range perm {
				between[i] = split[k]
			}
			permute(y.Reshaped(between), x.Reshaped(split), perm)
			return nil
		}}
	now := *old
	now.Since, now.Attrs = modeSince, form.Join(old.Attrs, form.Str("mode"))
	return []*ops.Op{old, &now}
}
