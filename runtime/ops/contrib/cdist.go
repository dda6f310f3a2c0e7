package contrib

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func cdist() *ops.Op {
	return &ops.Op{
		Name: "CDist", Domain: Domain, Since: 1, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1,
		Attrs: form.Str("metric"),
		Shape: func(c *ops.ShapeCall) error {
			c.SetType(0, c.In[0].DType)
			if c.Known(2) && len(c.In[0].Shape) == 2 && len(c.In[1].Shape) == 2 {
				c.Set(0, c.In[0].DType, tensor.Shape{c.In[0].Shape[0], c.In[1].Shape[0]})
			}
			return nil
		},
		Eval: evalCDist,
	}
}

// evalCDist gives the distance of each row of A from each row of B: Euclidean, its
// square, or the sum of the differences along the axes, a metric that only graphs of our
// own passes ask for.
func evalCDist(c *ops.Call) error {
	metric := c.Node.Attrs.Str("metric", "sqeuclidean")
	if metric != "euclidean" && metric != "sqeuclidean" && metric != "cityblock" {
		return fmt.Errorf("metric %q is unknown", metric)
	}
	ta, err := need(c, 0, 2)
	if err != nil {
		return err
	}
	tb, err := need(c, 1, 2)
	if err != nil {
		return err
	}
	n := ta.Shape[1]
	if tb.Shape[1] != n {
		return fmt.Errorf("rows of %v and %v differ in length", ta, tb)
	}
	a, err := tensor.Float64s(ta)
	if err != nil {
		return err
	}
	b, err := tensor.Float64s(tb)
	if err != nil {
		return err
	}
	y, err := c.Output(0, ta.DType, tensor.Shape{ta.Shape[0], tb.Shape[0]})
	if err != nil {
		return err
	}
	out, store := form.Sink[float64](y)
	for i := range ta.Shape[0] {
		for j := range tb.Shape[0] {
			var s float64
			for k, v := range a[i*n : (i+1)*n] {
				if d := v - b[j*n+k]; metric == "cityblock" {
					s += math.Abs(d)
				} else {
					s += d * d
				}
			}
			if metric == "euclidean" {
				s = math.Sqrt(s)
			}
			out[i*tb.Shape[0]+j] = s
		}
	}
	return store()
}
