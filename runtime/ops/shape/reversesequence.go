package shape

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/layout"
)

func reverseSequence() []*ops.Op {
	return []*ops.Op{{Name: "ReverseSequence", Since: 10, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1,
		Attrs: form.Int("batch_axis", "time_axis"), Shape: form.SameAll, Eval: reverseSequenceEval}}
}

func reverseSequenceEval(c *ops.Call) error {
	x := c.T(0)
	axes, err := form.Axes([]int64{c.Node.Attrs.Int("batch_axis", 1), c.Node.Attrs.Int("time_axis", 0)}, x.Rank())
	if err != nil {
		return err
	}
	batch, time := axes[0], axes[1]
	lens, err := form.IntsOf(c, 1)
	if err != nil {
		return err
	}
	if len(lens) != x.Shape[batch] {
		return fmt.Errorf("%d sequence lengths for a batch of %d", len(lens), x.Shape[batch])
	}
	for _, l := range lens {
		if l < 0 || l > int64(x.Shape[time]) {
			return fmt.Errorf("sequence length %d of at most %d", l, x.Shape[time])
		}
	}
	y, err := c.Output(0, x.DType, x.Shape.Clone())
	if err != nil {
		return err
	}
	d, src := layout.Open(y), layout.Open(x)
	shape, st := x.Shape.Clone(), x.Shape.Strides()
	shape[batch] = 1
	for b, l := range lens {
		at := b * st[batch]
		shape[time] = int(l)
		back := layout.Whole(x.Shape)
		back.At, back.Stride[time] = at+(int(l)-1)*st[time], -st[time]
		layout.Move(d, layout.Box{At: at, Stride: st}, src, back, shape)
		shape[time] = x.Shape[time] - int(l)
		rest := layout.Box{At: at + int(l)*st[time], Stride: st}
		layout.Move(d, rest, src, rest, shape)
	}
	d.Flush()
	return nil
}
