package math

import (
	"fmt"
	gomath "math"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func detShape(s tensor.Shape) (tensor.Shape, error) {
	r := len(s)
	if r < 2 || s[r-1] != s[r-2] {
		return nil, fmt.Errorf("expected square matrices, got shape %v", s)
	}
	return s[:r-2], nil
}

func shapeDet(c *ops.ShapeCall) error {
	if !c.Known(1) {
		c.SetType(0, c.In[0].DType)
		return nil
	}
	s, err := detShape(c.In[0].Shape)
	if err != nil {
		return err
	}
	c.Set(0, c.In[0].DType, s)
	return nil
}

// evalDet computes determinants by LU decomposition with partial pivoting, in float64.
func evalDet(c *ops.Call) error {
	x := c.T(0)
	if err := form.NeedReal("input", x); err != nil {
		return err
	}
	s, err := detShape(x.Shape)
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
	n := x.Shape[x.Rank()-1]
	out := make([]float64, y.Elements())
	m := make([]float64, n*n)
	for i := range out {
		copy(m, v[i*n*n:])
		out[i] = determinant(m, n)
	}
	return tensor.StoreFloat64s(y, out)
}

// determinant overwrites the n×n matrix m.
func determinant(m []float64, n int) float64 {
	d := 1.0
	for p := range n {
		top := p
		for i := p + 1; i < n; i++ {
			if gomath.Abs(m[i*n+p]) > gomath.Abs(m[top*n+p]) {
				top = i
			}
		}
		if top != p {
			for j := range n {
				m[p*n+j], m[top*n+j] = m[top*n+j], m[p*n+j]
			}
			d = -d
		}
		pivot := m[p*n+p]
		d *= pivot
		if pivot == 0 {
			return 0
		}
		for i := p + 1; i < n; i++ {
			f := m[i*n+p] / pivot
			for j := p; j < n; j++ {
				m[i*n+j] -= f * m[p*n+j]
			}
		}
	}
	return d
}
