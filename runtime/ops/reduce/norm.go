package reduce

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// evalLpNormalization divides each line along an axis by its L1 or L2 norm; a line of
// norm 0 stays 0.
func evalLpNormalization(c *ops.Call) error {
	x := c.T(0)
	if err := form.NeedReal("input", x); err != nil {
		return err
	}
	p := c.Node.Attrs.Int("p", 2)
	if p != 1 && p != 2 {
		return fmt.Errorf("p: expected 1 or 2, got %d", p)
	}
	axis, err := tensor.Axis(c.Node.Attrs.Int("axis", -1), x.Rank())
	if err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, x.Shape)
	if err != nil {
		return err
	}
	if x.DType == tensor.Float64 {
		return lines(split(x.Shape, axis), y, x, func(y, x []float64) { lpNorm(y, x, p) })
	}
	return lines(split(x.Shape, axis), y, x, func(y, x []float32) { lpNorm(y, x, p) })
}

func lpNorm[T form.Real](y, x []T, p int64) {
	s := 0.0
	for _, v := range x {
		if p == 1 {
			s += math.Abs(float64(v))
		} else {
			s += float64(v) * float64(v)
		}
	}
	if p == 2 {
		s = math.Sqrt(s)
	}
	for i, v := range x {
		y[i] = 0
		if s != 0 {
			y[i] = T(float64(v) / s)
		}
	}
}

// evalMeanVariance takes the mean over the given axes off and divides by the standard
// deviation, to which the standard adds 1e-9.
func evalMeanVariance(c *ops.Call) error {
	x := c.T(0)
	if err := form.NeedReal("input", x); err != nil {
		return err
	}
	axes := c.Node.Attrs.Ints("axes")
	if axes == nil {
		axes = []int64{0, 2, 3}
	}
	p, err := newPlan(x.Shape, axes, c.Node)
	if err != nil {
		return err
	}
	y, err := c.Output(0, x.DType, x.Shape)
	if err != nil {
		return err
	}
	v, err := tensor.Float64s(x)
	if err != nil {
		return err
	}
	centre, spread := make([]float64, p.keep.Elements()), make([]float64, p.keep.Elements())
	reduceFloats(mean, p, centre, v)
	off := make([]float64, len(v))
	tensor.NewWalker(p.in, p.keep).Run(func(at, n int, o, step []int) {
		for i := range n {
			off[at+i] = v[at+i] - centre[o[0]+i*step[0]]
		}
	})
	reduceFloats(sumSquare, p, spread, off)
	tensor.NewWalker(p.in, p.keep).Run(func(at, n int, o, step []int) {
		for i := range n {
			off[at+i] /= math.Sqrt(spread[o[0]+i*step[0]]/float64(p.count)) + 1e-9
		}
	})
	return tensor.StoreFloat64s(y, off)
}
