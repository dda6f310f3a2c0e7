package rnn

import (
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
)

// lstmCell has the gates i (input), o (output), f (forget) and c (cell), in this order,
// with peepholes P for the first three; input_forget couples f to 1 − i.
func lstmCell[T form.Real]() cell[T] {
	return cell[T]{4, func(c *ops.Call, d dims, _ []T) (step[T], error) {
		act, err := readActivations(c.Node, d.dirs, "Sigmoid", "Tanh", "Tanh")
		if err != nil {
			return nil, err
		}
		n := d.hidden
		peep, err := optional[T](c, 7, d.dirs*3*n)
		if err != nil {
			return nil, err
		}
		coupled := c.Node.Attrs.Int("input_forget", 0) != 0
		return func(dir int, wx, rh, b, h, cs []T) {
			f, g, out := act[dir][0], act[dir][1], act[dir][2]
			p := peep[dir*3*n:]
			gate := func(k, i int) T { return wx[k*n+i] + rh[k*n+i] + b[k*n+i] + b[(4+k)*n+i] }
			for i := range h {
				in := f(float64(gate(0, i) + p[i]*cs[i]))
				forget := 1 - in
				if !coupled {
					forget = f(float64(gate(2, i) + p[2*n+i]*cs[i]))
				}
				cs[i] = T(forget*float64(cs[i]) + in*g(float64(gate(3, i))))
				o := f(float64(gate(1, i) + p[n+i]*cs[i]))
				h[i] = T(o * out(float64(cs[i])))
			}
		}, nil
	}}
}
