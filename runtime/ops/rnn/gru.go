package rnn

import (
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
)

// gruCell has the gates z (update), r (reset) and h (hidden), in this order. The reset
// gate multiplies the state before its product, or with linear_before_reset the product.
func gruCell[T form.Real]() cell[T] {
	return cell[T]{3, func(c *ops.Call, d dims, r []T) (step[T], error) {
		act, err := readActivations(c.Node, d.dirs, "Sigmoid", "Tanh")
		if err != nil {
			return nil, err
		}
		linear := c.Node.Attrs.Int("linear_before_reset", 0) != 0
		n := d.hidden
		z, gate, old := make([]float64, n), make([]float64, n), make([]T, n)
		return func(dir int, wx, rh, b, h, _ []T) {
			f, g := act[dir][0], act[dir][1]
			for i := range h {
				z[i] = f(float64(wx[i] + rh[i] + b[i] + b[3*n+i]))
				gate[i] = f(float64(wx[n+i] + rh[n+i] + b[n+i] + b[4*n+i]))
			}
			for i, v := range h {
				old[i] = T(gate[i]) * v
			}
			rows := r[(dir*3+2)*n*n:]
			for i := range h {
				var m T
				if linear {
					m = T(gate[i]) * (rh[2*n+i] + b[5*n+i])
				} else {
					for j, v := range old {
						m += v * rows[i*n+j]
					}
					m += b[5*n+i]
				}
				v := g(float64(wx[2*n+i] + m + b[2*n+i]))
				h[i] = T((1-z[i])*v + z[i]*float64(h[i]))
			}
		}, nil
	}}
}
