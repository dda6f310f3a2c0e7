package contrib

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func inverse() *ops.Op {
	return &ops.Op{
		Name: "Inverse", Domain: Domain, Since: 1, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Shape: form.Same,
		Eval:  evalInverse,
	}
}

// evalInverse inverts each matrix of the last two axes by Gauss and Jordan's elimination
// with partial pivoting, in float64.
func evalInverse(c *ops.Call) error {
	x := c.T(0)
	if err := form.NeedReal("input 0", x); err != nil {
		return err
	}
	r := x.Rank()
	if r < 2 || x.Shape[r-1] != x.Shape[r-2] {
		return fmt.Errorf("input 0 is %v, expected square matrices", x)
	}
	n := x.Shape[r-1]
	in, err := tensor.Float64s(x)
	if err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, x.Shape)
	if err != nil {
		return err
	}
	out, store := form.Sink[float64](y)
	a := make([]float64, n*n)
	for at := 0; at < len(in); at += n * n {
		copy(a, in[at:])
		if !invert(n, a, out[at:at+n*n]) {
			return fmt.Errorf("matrix %d is singular", at/(n*n))
		}
	}
	return store()
}

// invert writes the inverse of a, which it destroys, to b, which is zero.
func invert(n int, a, b []float64) bool {
	for i := range n {
		b[i*n+i] = 1
	}
	for k := range n {
		p := k
		for i := k + 1; i < n; i++ {
			if math.Abs(a[i*n+k]) > math.Abs(a[p*n+k]) {
				p = i
			}
		}
		if a[p*n+k] == 0 {
			return false
		}
		for j := range n {
			a[k*n+j], a[p*n+j] = a[p*n+j], a[k*n+j]
			b[k*n+j], b[p*n+j] = b[p*n+j], b[k*n+j]
		}
		d := 1 / a[k*n+k]
		for j := range n {
			a[k*n+j] *= d
			b[k*n+j] *= d
		}
		for i := range n {
			f := a[i*n+k]
			if i == k || f == 0 {
				continue
			}
			for j := range n {
				a[i*n+j] -= f * a[k*n+j]
				b[i*n+j] -= f * b[k*n+j]
			}
		}
	}
	return true
}
