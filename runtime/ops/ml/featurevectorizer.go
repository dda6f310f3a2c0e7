package ml

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func featureVectorizer() []*ops.Op {
	return []*ops.Op{{
		Name: "FeatureVectorizer", Domain: Domain, Since: 1,
		MinIn: 1, MaxIn: -1, MinOut: 1, MaxOut: 1,
		Attrs: form.Ints("inputdimensions"),
		Shape: func(c *ops.ShapeCall) error {
			if !c.In[0].Known {
				c.SetType(0, tensor.Float32)
				return nil
			}
			n, _, err := block(c.In[0].Shape)
			if err != nil {
				return err
			}
			total, err := vectorWidth(c.Node.Attrs.Ints("inputdimensions"), len(c.In))
			if err != nil {
				return err
			}
			c.Set(0, tensor.Float32, tensor.Shape{n, total})
			return nil
		},
		Eval: evalFeatureVectorizer,
	}}
}

// block reads an input as rows: the outermost axis against all others; a vector is one
// row.
func block(s tensor.Shape) (rows, width int, err error) {
	if len(s) == 0 {
		return 0, 0, fmt.Errorf("an input is a scalar, expected [N,C]")
	}
	if len(s) == 1 {
		return 1, s[0], nil
	}
	return s[0], s[1:].Elements(), nil
}

func vectorWidth(dims []int64, inputs int) (int, error) {
	if len(dims) != inputs {
		return 0, fmt.Errorf("inputdimensions has %d entries for %d inputs", len(dims), inputs)
	}
	total := int64(0)
	for _, d := range dims {
		if d < 0 || d > maxTargets {
			return 0, fmt.Errorf("inputdimensions: %d is out of range", d)
		}
		total += d
	}
	return int(total), nil
}

// evalFeatureVectorizer puts the inputs side by side, each cut or filled up with zeros to
// its width.
func evalFeatureVectorizer(c *ops.Call) error {
	dims := c.Node.Attrs.Ints("inputdimensions")
	total, err := vectorWidth(dims, len(c.In))
	if err != nil {
		return err
	}
	n, _, err := block(c.T(0).Shape)
	if err != nil {
		return err
	}
	y, err := c.Output(0, tensor.Float32, tensor.Shape{n, total})
	if err != nil {
		return err
	}
	out := tensor.Data[float32](y)
	at := 0
	for i := range c.In {
		rows, width, err := block(c.T(i).Shape)
		if err != nil {
			return err
		}
		if rows != n {
			return fmt.Errorf("input %d has %d rows, input 0 has %d", i, rows, n)
		}
		x, err := tensor.Float32s(c.T(i))
		if err != nil {
			return err
		}
		d := int(dims[i])
		for r := range n {
			copy(out[r*total+at:r*total+at+d], x[r*width:(r+1)*width])
		}
		at += d
	}
	return nil
}
