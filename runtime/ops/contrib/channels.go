package contrib

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// windowed are the quantised window operators, of which some keep the channels last.
func windowed(s standard) []*ops.Op {
	w := &windows{
		transpose: s.form("Transpose", 13), conv: s.form("QLinearConv", 10), average: s.form("AveragePool", 11), most: s.form("MaxPool", 12),
	}
	return []*ops.Op{{
		Name: "NhwcMaxPool", Domain: Domain, Since: 1, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(form.Required(form.Ints("kernel_shape")), form.Ints("dilations", "pads", "strides"), form.Int("ceil_mode"), form.Str("auto_pad")),
		Shape: typed,
		Eval: func(c *ops.Call) error {
			return w.run(c, true, func(x *tensor.Tensor) (*tensor.Tensor, error) {
				return w.most.eval(w.most.under(c.Node).Attrs, x)
			})
		},
	}, {
		Name: "QLinearAveragePool", Domain: Domain, Since: 1, MinIn: 4, MaxIn: 5, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(form.Required(form.Ints("kernel_shape")), form.Ints("pads", "strides"),
			form.Int("ceil_mode", "channels_last", "count_include_pad"), form.Str("auto_pad")),
		Shape: typed,
		Eval: func(c *ops.Call) error {
			return w.run(c, c.Node.Attrs.Int("channels_last", 0) != 0, func(x *tensor.Tensor) (*tensor.Tensor, error) {
				return w.pool(c, x)
			})
		},
	}, {
		Name: "QLinearConv", Domain: Domain, Since: 1, MinIn: 8, MaxIn: 9, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(w.conv.Attrs, form.Int("channels_last")),
		Shape: func(c *ops.ShapeCall) error {
			c.SetType(0, c.In[7].DType)
			return nil
		},
		Eval: func(c *ops.Call) error {
			return w.run(c, c.Node.Attrs.Int("channels_last", 0) != 0, func(x *tensor.Tensor) (*tensor.Tensor, error) {
				in := []*tensor.Tensor{x}
				for i := 1; i < len(c.In); i++ {
					in = append(in, c.T(i))
				}
				return w.conv.eval(w.conv.under(c.Node).Attrs, in...)
			})
		},
	}}
}

type windows struct{ transpose, conv, average, most stdForm }

// run gives f the input with its channels second and puts the answer's last again.
func (w *windows) run(c *ops.Call, last bool, f func(*tensor.Tensor) (*tensor.Tensor, error)) error {
	x := c.T(0)
	if x.Rank() < 3 {
		return fmt.Errorf("input 0 is %v, expected rank 3 or more", x)
	}
	r := int64(x.Rank())
	var err error
	if last {
		perm := []int64{0, r - 1}
		for i := int64(1); i < r-1; i++ {
			perm = append(perm, i)
		}
		if x, err = w.transpose.eval(graph.Attrs{"perm": graph.IntsAttr(perm...)}, x); err != nil {
			return err
		}
	}
	y, err := f(x)
	if err != nil {
		return err
	}
	if last {
		perm := []int64{0}
		for i := int64(2); i < r; i++ {
			perm = append(perm, i)
		}
		if y, err = w.transpose.eval(graph.Attrs{"perm": graph.IntsAttr(append(perm, 1)...)}, y); err != nil {
			return err
		}
	}
	c.Set(0, y)
	return nil
}

// pool averages the numbers that x stands for, and quantises them again.
func (w *windows) pool(c *ops.Call, x *tensor.Tensor) (*tensor.Tensor, error) {
	px, err := pointAt(c, 1, x.DType)
	if err != nil {
		return nil, err
	}
	py, err := pointAt(c, 3, x.DType)
	if err != nil {
		return nil, err
	}
	q, _, _, err := bytesOf(x)
	if err != nil {
		return nil, err
	}
	real := tensor.New(tensor.Float32, x.Shape)
	for i, v := range q {
		tensor.Data[float32](real)[i] = px.real(v)
	}
	y, err := w.average.eval(w.average.under(c.Node).Attrs, real)
	if err != nil {
		return nil, err
	}
	out := tensor.New(x.DType, y.Shape)
	v := make([]int32, y.Elements())
	for i, f := range tensor.Data[float32](y) {
		v[i] = py.quant(f)
	}
	storeBytes(out, v)
	return out, nil
}
