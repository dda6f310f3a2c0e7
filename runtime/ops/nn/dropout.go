package nn

import (
	"fmt"
	"math/rand/v2"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func dropoutForms() []*ops.Op {
	op := func(since, maxIn int, attrs []ops.Attr) *ops.Op {
		return &ops.Op{
			Name: "Dropout", Since: since, MinIn: 1, MaxIn: maxIn, MinOut: 1, MaxOut: 2,
			Attrs: attrs, Shape: shapeDropout, Eval: evalDropout, Impure: since >= 12,
		}
	}
	return []*ops.Op{
		op(1, 1, form.Join(form.Float("ratio"), form.Int("is_test"), form.Consumed())),
		op(6, 1, form.Join(form.Float("ratio"), form.Int("is_test"))),
		op(7, 1, form.Float("ratio")),
		op(12, 3, form.Int("seed")),
	}
}

// maskType is the mask's type: the data's own before opset 10.
func maskType(opset int, d tensor.DType) tensor.DType {
	if opset < 10 {
		return d
	}
	return tensor.Bool
}

func shapeDropout(c *ops.ShapeCall) error {
	form.Like(c, 0, c.In[0].DType, 0)
	form.Like(c, 1, maskType(c.Node.Opset, c.In[0].DType), 0)
	return nil
}

// evalDropout copies its input and gives a mask of ones; in training mode it sets a part
// of the elements to 0 and scales the others up so that the expectation stays. With a
// seed the choice is that of numpy's generator.
func evalDropout(c *ops.Call) error {
	x := c.T(0)
	if x == nil || !x.DType.IsFloat() {
		return fmt.Errorf("expected a floating-point tensor, got %v", x)
	}
	ratio, err := dropRatio(c)
	if err != nil {
		return err
	}
	keep := make([]bool, x.Elements())
	uniform := rand.Float64
	if c.Node.Attrs.Has("seed") {
		uniform = newTwister(uint32(c.Node.Attrs.Int("seed", 0))).float64
	}
	for i := range keep {
		keep[i] = ratio == 0 || uniform() >= ratio
	}
	if ratio == 0 {
		c.Set(0, x)
	} else if err := drop(c, x, keep, ratio); err != nil {
		return err
	}
	if !c.Wanted(1) {
		return nil
	}
	mask, err := c.Output(1, maskType(c.Node.Opset, x.DType), x.Shape)
	if err != nil {
		return err
	}
	if mask.DType == tensor.Bool {
		copy(tensor.Data[bool](mask), keep)
		return nil
	}
	one := make([]float32, len(keep))
	for i := range one {
		one[i] = 1
	}
	return tensor.StoreFloat32s(mask, one)
}

// dropRatio is the part to drop: 0 unless the node trains.
func dropRatio(c *ops.Call) (float64, error) {
	t := c.T(2)
	if t == nil {
		return 0, nil
	}
	if t.DType != tensor.Bool || t.Elements() != 1 {
		return 0, fmt.Errorf("training_mode: expected one bool, got %v", t)
	}
	if !tensor.Data[bool](t)[0] {
		return 0, nil
	}
	ratio := 0.5
	if r := c.T(1); r != nil {
		v, err := tensor.Float64s(r)
		if err != nil || len(v) != 1 {
			return 0, fmt.Errorf("ratio: expected one number, got %v", r)
		}
		ratio = v[0]
	}
	if !(ratio >= 0 && ratio < 1) {
		return 0, fmt.Errorf("ratio: %v is outside of [0, 1)", ratio)
	}
	return ratio, nil
}

func drop(c *ops.Call, x *tensor.Tensor, keep []bool, ratio float64) error {
	y, err := c.Output(0, x.DType, x.Shape)
	if err != nil {
		return err
	}
	v, err := tensor.Float64s(x)
	if err != nil {
		return err
	}
	out := make([]float64, len(v))
	for i, e := range v {
		if keep[i] {
			out[i] = e / (1 - ratio)
		}
	}
	return tensor.StoreFloat64s(y, out)
}
