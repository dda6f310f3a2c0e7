package nn

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// newCol2Im checks columns [N, C·taps, positions] against an image's and a block's shape.
func newCol2Im(n *graph.Node, x tensor.Shape, img, block *tensor.Tensor) (*window, tensor.Shape, error) {
	if img.DType != tensor.Int64 || block.DType != tensor.Int64 || img.Rank() != 1 || !img.Shape.Equal(block.Shape) {
		return nil, nil, fmt.Errorf("expected image_shape and block_shape as int64 of one length, got %v and %v", img, block)
	}
	in, err := tensor.ShapeOf(tensor.Data[int64](img))
	if err != nil {
		return nil, nil, err
	}
	k, err := tensor.ShapeOf(tensor.Data[int64](block))
	if err != nil {
		return nil, nil, err
	}
	if len(in) == 0 {
		return nil, nil, fmt.Errorf("image_shape is empty")
	}
	w, err := newWindow(n, in, k)
	if err != nil {
		return nil, nil, err
	}
	if len(x) != 3 || x[1]%w.taps() != 0 || x[2] != tensor.Shape(w.out).Elements() {
		return nil, nil, fmt.Errorf("expected columns [N, C·%d, %d], got shape %v", w.taps(), tensor.Shape(w.out).Elements(), x)
	}
	s := append(tensor.Shape{x[0], x[1] / w.taps()}, in...)
	return w, s, s.Check()
}

func shapeCol2Im(c *ops.ShapeCall) error {
	d := c.In[0].DType
	img, block := c.In[1].Tensor(), c.In[2].Tensor()
	if img == nil || block == nil || !known(c, 1, d) {
		c.SetType(0, d)
		return nil
	}
	_, s, err := newCol2Im(c.Node, c.In[0].Shape, img, block)
	if err != nil {
		return err
	}
	c.Set(0, d, s)
	return nil
}

// evalCol2Im adds the columns' blocks up at their places in the image.
func evalCol2Im(c *ops.Call) error {
	x, img, block := c.T(0), c.T(1), c.T(2)
	if err := form.NeedReal("input", x); err != nil {
		return err
	}
	if img == nil || block == nil {
		return fmt.Errorf("expected image_shape and block_shape")
	}
	w, s, err := newCol2Im(c.Node, x.Shape, img, block)
	if err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, s)
	if err != nil {
		return err
	}
	v, err := tensor.Float64s(x)
	if err != nil {
		return err
	}
	out := make([]float64, y.Elements())
	size, cols := s[2:].Elements(), w.taps()*x.Shape[2]
	for p := range s[0] * s[1] {
		scatter(w, out[p*size:], v[p*cols:], 1, 0, x.Shape[2])
	}
	return tensor.StoreFloat64s(y, out)
}
