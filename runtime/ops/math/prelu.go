package math

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// evalPRelu multiplies negative elements by a slope that broadcasts to the input. Before
// opset 7 a slope of one axis goes along the channels (axis 1).
func evalPRelu(c *ops.Call) error {
	x, slope := c.T(0), c.T(1)
	if x == nil || slope == nil || x.DType != slope.DType {
		return fmt.Errorf("expected input and slope of one type, got %v and %v", x, slope)
	}
	ss, err := slopeShape(c.Node.Opset, x.Shape, slope.Shape)
	if err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, x.Shape)
	if err != nil {
		return err
	}
	o := operands{x, slope.Reshaped(ss), x.Shape}
	if err := arith(opMul, y, o); err != nil {
		return err
	}
	positive := tensor.New(tensor.Bool, x.Shape)
	zero := tensor.New(x.DType, tensor.Shape{})
	if err := compare(opGreater, tensor.Data[bool](positive), operands{x, zero, x.Shape}); err != nil {
		return err
	}
	w := x.DType.Bits() / 8
	dst, src := y.Bytes(), x.Bytes()
	for i, p := range tensor.Data[bool](positive) {
		if p {
			copy(dst[i*w:(i+1)*w], src[i*w:])
		}
	}
	return nil
}

func slopeShape(opset int, x, slope tensor.Shape) (tensor.Shape, error) {
	if b, err := tensor.Broadcast(x, slope); opset >= 7 || len(slope) != 1 || len(x) < 2 || slope[0] == 1 {
		if err == nil && !b.Equal(x) {
			err = fmt.Errorf("slope %v does not broadcast to %v", slope, x)
		}
		return slope, err
	}
	if slope[0] != x[1] {
		return nil, fmt.Errorf("expected %d slopes, one a channel, got %d", x[1], slope[0])
	}
	s := tensor.Shape{slope[0]}
	for range x[2:] {
		s = append(s, 1)
	}
	return s, nil
}
