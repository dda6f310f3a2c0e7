package quant

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func dequantizeLinear() []*ops.Op {
	variant := func(since int, attrs ...string) *ops.Op {
		return &ops.Op{Name: "DequantizeLinear", Since: since, MinIn: 2, MaxIn: 3, MinOut: 1, MaxOut: 1,
			Attrs: form.Int(attrs...), Shape: dequantizeShape, Eval: dequantizeEval}
	}
	return []*ops.Op{
		variant(10),
		variant(13, "axis"),
		variant(21, "axis", "block_size"),
		variant(23, "axis", "block_size", "output_dtype"),
	}
}

func realType(n *graph.Node, scale tensor.DType) (tensor.DType, error) {
	k := n.Attrs.Int("output_dtype", 0)
	if k == 0 {
		return scale, nil
	}
	d, ok := tensor.FromONNX(k)
	if !ok || !d.IsFloat() {
		return 0, fmt.Errorf("output_dtype is %d, which is no floating-point type", k)
	}
	return d, nil
}

func dequantizeShape(c *ops.ShapeCall) error {
	d, err := realType(c.Node, c.In[1].DType)
	if err != nil {
		return err
	}
	c.SetType(0, d)
	if !c.Known(2) {
		return nil
	}
	if _, err := grainOf(c.Node, c.In[0].Shape, c.In[1].Shape); err != nil {
		return err
	}
	c.Set(0, d, c.In[0].Shape)
	return nil
}

func dequantizeEval(c *ops.Call) error {
	x, scale := c.T(0), c.T(1)
	d, err := realType(c.Node, scale.DType)
	if err != nil {
		return err
	}
	g, err := grainOf(c.Node, x.Shape, scale.Shape)
	if err != nil {
		return err
	}
	if z := c.T(2); z != nil && z.DType != x.DType {
		return fmt.Errorf("the zero point is %v, expected %v as the input", z, x.DType)
	}
	zp, err := zeroPoint(c.T(2), scale)
	if err != nil {
		return err
	}
	switch bits := x.DType.Bits(); {
	case x.DType == tensor.Float4E2M1:
		zp = nil // ONNX' reference does not subtract it
	case bits == 8 && x.DType.IsFloat():
		if err := mustBeZero(zp); err != nil {
			return err
		}
		zp = nil
	}
	q, err := tensor.Float32s(x)
	if err != nil {
		return err
	}
	s, err := tensor.Float32s(scale)
	if err != nil {
		return err
	}
	y, err := c.Output(0, d, x.Shape.Clone())
	if err != nil {
		return err
	}
	out := make([]float32, len(q))
	if d == tensor.Float32 {
		out = tensor.Data[float32](y)
	}
	g.each(func(at, n, k, spread int) {
		for i := range n {
			v := q[at+i]
			if zp != nil {
				v -= zp[k+i*spread]
			}
			out[at+i] = v * s[k+i*spread]
		}
	})
	if d == tensor.Float32 {
		return nil
	}
	return tensor.StoreFloat32s(y, out)
}
