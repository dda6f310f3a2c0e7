package ml

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func oneHotEncoder() []*ops.Op {
	return []*ops.Op{{
		Name: "OneHotEncoder", Domain: Domain, Since: 1,
		MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(form.Ints("cats_int64s"), form.Strs("cats_strings"), form.Int("zeros")),
		Shape: func(c *ops.ShapeCall) error {
			if !c.In[0].Known {
				c.SetType(0, tensor.Float32)
				return nil
			}
			n := max(len(c.Node.Attrs.Ints("cats_int64s")), len(c.Node.Attrs.Strs("cats_strings")))
			c.Set(0, tensor.Float32, append(c.In[0].Shape.Clone(), n))
			return nil
		},
		Bind: bindOneHot, Eval: ops.Bound(bindOneHot),
	}}
}

// bindOneHot: each element becomes a row of zeros with a one at its category. Numbers are
// cut to integers first. An unknown category is a row of zeros, or an error if zeros = 0.
func bindOneHot(n *graph.Node) (func(*ops.Call) error, error) {
	ints, strs := n.Attrs.Ints("cats_int64s"), n.Attrs.Strs("cats_strings")
	zeros := n.Attrs.Int("zeros", 1) != 0
	if (len(ints) == 0) == (len(strs) == 0) {
		return nil, fmt.Errorf("one of cats_int64s and cats_strings is expected")
	}
	width := max(len(ints), len(strs))
	find, _, unknown, _ := Categories(n)
	byStr := make(map[string]int, len(strs))
	for i, v := range strs {
		byStr[v] = i
	}
	return func(c *ops.Call) error {
		x := c.T(0)
		y, err := c.Output(0, tensor.Float32, append(x.Shape.Clone(), width))
		if err != nil {
			return err
		}
		out := tensor.Data[float32](y)
		if x.DType == tensor.String {
			if len(strs) == 0 {
				return fmt.Errorf("input 0 is %v, the categories are integers", x)
			}
			for i, s := range x.Strings() {
				at, ok := byStr[s]
				if ok {
					out[i*width+at] = 1
				} else if !zeros {
					return fmt.Errorf("element %d, %.40q, is no known category", i, s)
				}
			}
			return nil
		}
		if len(ints) == 0 {
			return fmt.Errorf("input 0 is %v, the categories are strings", x)
		}
		return oneHotNumbers(x, out, find, width, unknown)
	}, nil
}

func oneHotNumbers(x *tensor.Tensor, out []float32, find Find[int64], width int, unknown func(int, int64) error) error {
	mark := func(i int, v int64) error {
		at, ok := find(v)
		if !ok {
			return unknown(i, v)
		}
		out[i*width+int(at)] = 1
		return nil
	}
	if x.DType.IsFloat() {
		v, err := tensor.Float64s(x)
		for i := 0; i < len(v) && err == nil; i++ {
			err = mark(i, Category(v[i]))
		}
		return err
	}
	v, err := tensor.Int64s(x)
	for i := 0; i < len(v) && err == nil; i++ {
		err = mark(i, v[i])
	}
	return err
}
