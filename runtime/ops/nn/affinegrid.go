package nn

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// affineShape gives the grid's shape for theta [N, axes, axes+1] and size [N, C, out…].
func affineShape(theta tensor.Shape, size *tensor.Tensor) (tensor.Shape, error) {
	if size.DType != tensor.Int64 || size.Rank() != 1 {
		return nil, fmt.Errorf("size: expected int64 of rank 1, got %v", size)
	}
	s, err := tensor.ShapeOf(tensor.Data[int64](size))
	if err != nil {
		return nil, err
	}
	r := len(s) - 2
	if r != 2 && r != 3 || !theta.Equal(tensor.Shape{s[0], r, r + 1}) {
		return nil, fmt.Errorf("theta %v does not fit size %v", theta, s)
	}
	out := append(tensor.Shape{s[0]}, s[2:]...)
	out = append(out, r)
	return out, out.Check()
}

func shapeAffineGrid(c *ops.ShapeCall) error {
	d := c.In[0].DType
	size := c.In[1].Tensor()
	if size == nil || !known(c, 1, d) {
		c.SetType(0, d)
		return nil
	}
	s, err := affineShape(c.In[0].Shape, size)
	if err != nil {
		return err
	}
	c.Set(0, d, s)
	return nil
}

// evalAffineGrid maps the regular grid over −1..1 by each batch's matrix; coordinates
// are listed last axis first.
func evalAffineGrid(c *ops.Call) error {
	theta, size := c.T(0), c.T(1)
	if err := form.NeedReal("theta", theta); err != nil {
		return err
	}
	if size == nil {
		return fmt.Errorf("size is missing")
	}
	s, err := affineShape(theta.Shape, size)
	if err != nil {
		return err
	}
	y, err := c.Output(0, theta.DType, s)
	if err != nil {
		return err
	}
	m, err := tensor.Float64s(theta)
	if err != nil {
		return err
	}
	r := s[len(s)-1]
	dims := s[1 : len(s)-1]
	out := make([]float64, y.Elements())
	at, point := make([]int, r), make([]float64, r+1)
	for i := 0; i < len(out); i += r {
		b := i / r / dims.Elements()
		for a, p := range at {
			point[r-1-a] = position(c.Node, p, dims[a])
		}
		point[r] = 1
		for k := range r {
			for j, p := range point {
				out[i+k] += m[(b*r+k)*(r+1)+j] * p
			}
		}
		odometer(at, dims)
	}
	return tensor.StoreFloat64s(y, out)
}

// position is the coordinate of element p of n: of its centre, or with align_corners so
// that the first and last lie on −1 and 1.
func position(n *graph.Node, p, count int) float64 {
	if n.Attrs.Int("align_corners", 0) == 0 {
		return (2*float64(p)+1)/float64(count) - 1
	}
	if count == 1 {
		return -1
	}
	return 2*float64(p)/float64(count-1) - 1
}
