package pass

import (
	"github.com/aimass/aimass/runtime/tensor"
)

// powerOfOneType gives Pow's constant exponent the base's type, where that holds it: devices then know squares and other whole
// powers, which exporters write as integers too.
func powerOfOneType(x *expansion) {
	if len(x.n.In) != 2 || x.n.Opset < 7 || x.n.In[1] == nil {
		x.fail()
		return
	}
	e, constant := x.n.In[1].Const.(*tensor.Tensor)
	d := x.e.of(x.n.In[0]).dtype
	x.need(constant && (d == tensor.Float32 || d == tensor.Float64))
	if x.failed || e.DType == d || e.Elements() != 1 {
		x.fail()
		return
	}
	v, err := tensor.Float64s(e)
	x.need(err == nil && (d == tensor.Float64 || float64(float32(v[0])) == v[0]))
	if x.failed {
		return
	}
	t := tensor.New(d, e.Shape)
	if d == tensor.Float64 {
		tensor.Data[float64](t)[0] = v[0]
	} else {
		tensor.Data[float32](t)[0] = float32(v[0])
	}
	x.hand(0, x.op("Pow", max(x.n.Opset, 12), nil, x.n.In[0], x.constant(t)))
}
