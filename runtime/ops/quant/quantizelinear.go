package quant

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func quantizeLinear() []*ops.Op {
	variant := func(since int, attrs ...string) *ops.Op {
		return &ops.Op{Name: "QuantizeLinear", Since: since, MinIn: 2, MaxIn: 3, MinOut: 1, MaxOut: 1,
			Attrs: form.Int(attrs...), Shape: quantizeShape, Eval: quantizeEval}
	}
	return []*ops.Op{
		variant(10),
		variant(13, "axis"),
		variant(19, "axis", "saturate"),
		variant(21, "axis", "saturate", "block_size", "output_dtype"),
		variant(23, "axis", "saturate", "block_size", "output_dtype", "precision"),
	}
}

// quantizedType is the output's type: the zero point's (Invalid where there is none),
// else output_dtype, else uint8.
func quantizedType(n *graph.Node, zero tensor.DType) (tensor.DType, error) {
	d := tensor.Uint8
	if k := n.Attrs.Int("output_dtype", 0); k != 0 {
		var ok bool
		if d, ok = tensor.FromONNX(k); !ok {
			return 0, fmt.Errorf("output_dtype is %d, which is no element type", k)
		}
		if zero != tensor.Invalid && zero != d {
			return 0, fmt.Errorf("output_dtype is %v, the zero point %v", d, zero)
		}
	}
	if zero != tensor.Invalid {
		d = zero
	}
	if _, _, ok := bounds(d); !ok && tensor.NarrowTable(d) == nil {
		return 0, fmt.Errorf("%v is no type to quantise to", d)
	}
	return d, nil
}

func quantizeShape(c *ops.ShapeCall) error {
	zero := tensor.Invalid
	if c.Has(2) {
		if zero = c.In[2].DType; zero == tensor.Invalid {
			return nil
		}
	}
	d, err := quantizedType(c.Node, zero)
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

func quantizeEval(c *ops.Call) error {
	x, scale := c.T(0), c.T(1)
	zero := tensor.Invalid
	if z := c.T(2); z != nil {
		zero = z.DType
	}
	d, err := quantizedType(c.Node, zero)
	if err != nil {
		return err
	}
	g, err := grainOf(c.Node, x.Shape, scale.Shape)
	if err != nil {
		return err
	}
	zp, err := zeroPoint(c.T(2), scale)
	if err != nil {
		return err
	}
	ratio, err := divided(c.Node, x, scale, g)
	if err != nil {
		return err
	}
	y, err := c.Output(0, d, x.Shape.Clone())
	if err != nil {
		return err
	}
	if lo, hi, ok := bounds(d); ok {
		return storeIntegers(y, ratio, zp, g, lo, hi)
	}
	if d.Bits() < 8 && zp != nil {
		g.each(func(at, n, k, spread int) {
			for i := range n {
				ratio[at+i] += zp[k+i*spread]
			}
		})
	} else if err := mustBeZero(zp); err != nil {
		return err
	}
	return tensor.StoreFloats(y, ratio, c.Node.Attrs.Int("saturate", 1) != 0, tensor.RoundUp)
}

func mustBeZero(zp []float32) error {
	for _, z := range zp {
		if z != 0 {
			return fmt.Errorf("the zero point holds %v, expected 0 for 8-bit floats", z)
		}
	}
	return nil
}

// divided is x / scale, in the precision asked for or that of the two types.
func divided(n *graph.Node, x, scale *tensor.Tensor, g grain) ([]float32, error) {
	xs, err := tensor.Float32s(x)
	if err != nil {
		return nil, err
	}
	ss, err := tensor.Float32s(scale)
	if err != nil {
		return nil, err
	}
	in := tensor.Float32
	if x.DType == scale.DType {
		in = x.DType
	}
	round := rounder(in)
	if k := n.Attrs.Int("precision", 0); k != 0 {
		d, ok := tensor.FromONNX(k)
		if !ok || d != tensor.Float32 && d != tensor.Float16 && d != tensor.BFloat16 {
			return nil, fmt.Errorf("precision is %d, expected float32, float16 or bfloat16", k)
		}
		in, round = d, rounder(d)
	}
	out := make([]float32, len(xs))
	if in == tensor.Float32 {
		g.each(func(at, n, k, spread int) {
			for i := range n {
				out[at+i] = xs[at+i] / ss[k+i*spread]
			}
		})
		return out, nil
	}
	g.each(func(at, n, k, spread int) {
		for i := range n {
			out[at+i] = round(round(xs[at+i]) / round(ss[k+i*spread]))
		}
	})
	return out, nil
}

func storeIntegers(y *tensor.Tensor, v, zp []float32, g grain, lo, hi float64) error {
	q := make([]int64, len(v))
	g.each(func(at, n, k, spread int) {
		for i := range n {
			z := 0.0
			if zp != nil {
				z = float64(zp[k+i*spread])
			}
			q[at+i] = clip(math.RoundToEven(float64(v[at+i])), z, lo, hi)
		}
	})
	return tensor.StoreInt64s(y, q)
}
