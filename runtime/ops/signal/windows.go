package signal

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// windows are HannWindow, HammingWindow and BlackmanWindow: sums of cosines over one
// period of size (periodic) or size−1 (symmetric) samples.
func windows() []*ops.Op {
	var out []*ops.Op
	for _, w := range []struct {
		name    string
		a, b, d float64 // a − b·cos(2πk/n) + d·cos(4πk/n)
	}{
		{"HannWindow", 0.5, 0.5, 0},
		{"HammingWindow", 25.0 / 46, 21.0 / 46, 0},
		{"BlackmanWindow", 0.42, 0.5, 0.08},
	} {
		out = append(out, &ops.Op{
			Name: w.name, Since: 17, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
			Attrs: form.Int("periodic", "output_datatype"),
			Shape: func(c *ops.ShapeCall) error {
				d, err := outputType(c.Node)
				if err != nil {
					return err
				}
				c.SetType(0, d)
				if t := tensorOf(c, 0); t != nil {
					n, err := extent(t, "size")
					if err != nil {
						return err
					}
					c.Set(0, d, tensor.Shape{n})
				}
				return nil
			},
			Eval: func(c *ops.Call) error {
				d, err := outputType(c.Node)
				if err != nil {
					return err
				}
				n, err := extent(c.T(0), "size")
				if err != nil {
					return err
				}
				period := float64(n)
				if c.Node.Attrs.Int("periodic", 1) == 0 {
					period--
				}
				t, err := c.Output(0, d, tensor.Shape{n})
				if err != nil {
					return err
				}
				v := make([]float64, n)
				for k := range v {
					if period == 0 {
						v[k] = 1
						continue
					}
					x := 2 * math.Pi * float64(k) / period
					v[k] = w.a - w.b*math.Cos(x) + w.d*math.Cos(2*x)
				}
				return store(t, v)
			},
		})
	}
	return out
}

// outputType reads output_datatype, float32 by default.
func outputType(n *graph.Node) (tensor.DType, error) {
	code := n.Attrs.Int("output_datatype", 1)
	d, ok := tensor.FromONNX(code)
	if !ok || !form.IsReal(d) && (!d.IsInt() || d.Bits() < 8) {
		return 0, fmt.Errorf("output_datatype %d is not a type of numbers", code)
	}
	return d, nil
}

// extent reads a scalar that is the length of something.
func extent(t *tensor.Tensor, name string) (int, error) {
	v, err := scalar(t, name)
	if err != nil {
		return 0, err
	}
	if v < 0 || v > maxLength {
		return 0, fmt.Errorf("%s is %d, expected 0 to %d", name, v, maxLength)
	}
	return int(v), nil
}

// store writes v into a tensor of numbers: rounded to floats, cut to integers.
func store(t *tensor.Tensor, v []float64) error {
	switch t.DType {
	case tensor.Uint8:
		cut[uint8](t, v)
	case tensor.Uint16:
		cut[uint16](t, v)
	case tensor.Uint32:
		cut[uint32](t, v)
	case tensor.Uint64:
		cut[uint64](t, v)
	case tensor.Int8:
		cut[int8](t, v)
	case tensor.Int16:
		cut[int16](t, v)
	case tensor.Int32:
		cut[int32](t, v)
	case tensor.Int64:
		cut[int64](t, v)
	default:
		return tensor.StoreFloat64s(t, v)
	}
	return nil
}

func cut[T uint8 | uint16 | uint32 | uint64 | int8 | int16 | int32 | int64](t *tensor.Tensor, v []float64) {
	d := tensor.Data[T](t)
	for i, x := range v {
		d[i] = T(int64(x))
	}
}
