package nn

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// causalShapes checks input [N, C, L] against weights [C, 1, k] and gives the state's
// shape [N, C, k−1].
func causalShapes(x, w tensor.Shape) (tensor.Shape, error) {
	if len(x) != 3 || len(w) != 3 || w[0] != x[1] || w[1] != 1 || w[2] < 1 {
		return nil, fmt.Errorf("expected input [N,C,L] and weight [C,1,k], got shapes %v and %v", x, w)
	}
	return tensor.Shape{x[0], x[1], w[2] - 1}, nil
}

func shapeCausalConv(c *ops.ShapeCall) error {
	d := c.In[0].DType
	form.Like(c, 0, d, 0)
	c.SetType(1, d)
	if !c.Known(2) {
		return nil
	}
	s, err := causalShapes(c.In[0].Shape, c.In[1].Shape)
	if err != nil {
		return err
	}
	c.Set(1, d, s)
	return nil
}

// evalCausalConv is CausalConvWithState: a depthwise convolution whose left padding is
// the end of the input before, and whose second output is that of this one.
func evalCausalConv(c *ops.Call) error {
	x, w, b, past := c.T(0), c.T(1), c.T(2), c.T(3)
	if err := sameReal(x, w, b, past); err != nil {
		return err
	}
	if w == nil {
		return fmt.Errorf("weight is missing")
	}
	st, err := causalShapes(x.Shape, w.Shape)
	if err != nil {
		return err
	}
	if past != nil && !past.Shape.Equal(st) || b != nil && b.Elements() != x.Shape[1] {
		return fmt.Errorf("expected past_state %v and %d biases, got %v and %v", st, x.Shape[1], past, b)
	}
	act := c.Node.Attrs.Str("activation", "none")
	if act != "none" && act != "silu" && act != "swish" {
		return fmt.Errorf("activation: unknown value %q", act)
	}
	var in [4][]float64
	for i := range in {
		if t := c.T(i); t != nil {
			if in[i], err = tensor.Float64s(t); err != nil {
				return err
			}
		}
	}
	r := form.Rounder(x.DType)
	channels, length, k := x.Shape[1], x.Shape[2], w.Shape[2]
	out, state := make([]float64, len(in[0])), make([]float64, st.Elements())
	line := make([]float64, length+k-1)
	for p := range x.Shape[0] * channels {
		clear(line)
		if past != nil {
			copy(line, in[3][p*(k-1):(p+1)*(k-1)])
		}
		copy(line[k-1:], in[0][p*length:(p+1)*length])
		ch := p % channels
		for i := range length {
			sum := 0.0
			if b != nil {
				sum = in[2][ch]
			}
			for j, e := range in[1][ch*k : (ch+1)*k] {
				sum += e * line[i+j]
			}
			if sum = r(sum); act != "none" {
				sum /= 1 + math.Exp(-sum)
			}
			out[p*length+i] = sum
		}
		copy(state[p*(k-1):(p+1)*(k-1)], line[length:])
	}
	for i, v := range [][]float64{out, state} {
		if !c.Wanted(i) {
			continue
		}
		s := x.Shape
		if i == 1 {
			s = st
		}
		t, err := c.Output(i, x.DType, s)
		if err != nil {
			return err
		}
		if err := tensor.StoreFloat64s(t, v); err != nil {
			return err
		}
	}
	return nil
}
