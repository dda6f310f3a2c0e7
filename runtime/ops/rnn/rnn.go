package rnn

import (
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
)

// rnnCell is Hₜ = f(Xₜ·Wᵀ + Hₜ₋₁·Rᵀ + Wb + Rb).
func rnnCell[T form.Real]() cell[T] {
	return cell[T]{1, func(c *ops.Call, d dims, _ []T) (step[T], error) {
		act, err := readActivations(c.Node, d.dirs, "Tanh")
		if err != nil {
			return nil, err
		}
		return func(dir int, wx, rh, b, h, _ []T) {
			for i := range h {
				h[i] = T(act[dir][0](float64(wx[i] + rh[i] + b[i] + b[d.hidden+i])))
			}
		}, nil
	}}
}
