package shape

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/layout"
	"github.com/aimass/aimass/runtime/tensor"
)

func eyeLike() []*ops.Op {
	return []*ops.Op{{Name: "EyeLike", Since: 9, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Int("dtype", "k"),
		Shape: func(c *ops.ShapeCall) error {
			d, err := eyeType(c.Node, c.In[0].DType)
			if err != nil {
				return err
			}
			c.SetType(0, d)
			if !c.In[0].Known {
				return nil
			}
			s, err := eyeShape(c.In[0].Shape)
			if err != nil {
				return err
			}
			c.Set(0, d, s)
			return nil
		},
		Eval: func(c *ops.Call) error {
			d, err := eyeType(c.Node, c.T(0).DType)
			if err != nil {
				return err
			}
			s, err := eyeShape(c.T(0).Shape)
			if err != nil {
				return err
			}
			one := tensor.New(d, tensor.Shape{})
			if err := convert(one, tensor.Scalar(int64(1)), castOptions{saturate: true}); err != nil {
				return err
			}
			y, err := c.Output(0, d, s)
			if err != nil {
				return err
			}
			out, src := layout.Open(y), layout.Open(one)
			k := c.Node.Attrs.Int("k", 0)
			for i := range s[0] {
				if j := int64(i) + k; j >= 0 && j < int64(s[1]) {
					out.Copy(i*s[1]+int(j), src, 0, 1)
				}
			}
			out.Flush()
			return nil
		}}}
}

func eyeType(n *graph.Node, like tensor.DType) (tensor.DType, error) {
	if !n.Attrs.Has("dtype") {
		return like, nil
	}
	return elementType("dtype", n.Attrs.Int("dtype", 0))
}

// eyeShape lets a vector stand for the square matrix of its length, as ONNX' reference
// does beyond the standard's rank 2.
func eyeShape(s tensor.Shape) (tensor.Shape, error) {
	switch len(s) {
	case 1:
		out := tensor.Shape{s[0], s[0]}
		return out, out.Check()
	case 2:
		return s.Clone(), nil
	}
	return nil, fmt.Errorf("the input has shape %v, expected rank 2", s)
}
