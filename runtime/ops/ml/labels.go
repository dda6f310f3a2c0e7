package ml

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// classLabels are the labels of a classifier: strings, or integers where there are none.
type classLabels struct {
	strs []string
	ints []int64
}

func readLabels(a graph.Attrs, intsName string) classLabels {
	l := classLabels{strs: a.Strs("classlabels_strings"), ints: a.Ints(intsName)}
	if len(l.strs) > 0 {
		l.ints = nil
	}
	return l
}

func (l classLabels) count() int { return max(len(l.strs), len(l.ints)) }

func (l classLabels) dtype() tensor.DType {
	if len(l.strs) > 0 {
		return tensor.String
	}
	return tensor.Int64
}

// output makes the tensor of labels for n rows and gives the function that sets one.
func (l classLabels) output(c *ops.Call, i, n int) (func(row, class int), error) {
	t, err := c.Output(i, l.dtype(), tensor.Shape{n})
	if err != nil {
		return nil, err
	}
	if len(l.strs) > 0 {
		d := t.Strings()
		return func(row, class int) { d[row] = l.strs[class] }, nil
	}
	d := tensor.Data[int64](t)
	return func(row, class int) { d[row] = l.ints[class] }, nil
}

// zeroOne gives the labels 0 and 1, as text for a classifier with string labels.
func (l classLabels) zeroOne() classLabels {
	if len(l.strs) > 0 {
		return classLabels{strs: []string{"0", "1"}}
	}
	return classLabels{ints: []int64{0, 1}}
}

// signs gives the two labels for the sign of a lone score: its own if they are two.
func (l classLabels) signs() classLabels {
	if l.count() == 2 {
		return l
	}
	return l.zeroOne()
}

// rows reads an input of shape [N,C], or [C] for one row, as the number of rows and the
// features of each.
func rows(s tensor.Shape) (n, features int, err error) {
	switch len(s) {
	case 1:
		return 1, s[0], nil
	case 2:
		return s[0], s[1], nil
	}
	return 0, 0, fmt.Errorf("input 0 is of shape %v, expected [N,C] or [C]", s)
}

// classShape is the shape rule of classifiers: labels [N] and scores [N,width].
func classShape(l classLabels, width int, c *ops.ShapeCall) error {
	if !c.In[0].Known {
		c.SetType(0, l.dtype())
		c.SetType(1, tensor.Float32)
		return nil
	}
	n, _, err := rows(c.In[0].Shape)
	if err != nil {
		return err
	}
	c.Set(0, l.dtype(), tensor.Shape{n})
	c.Set(1, tensor.Float32, tensor.Shape{n, width})
	return nil
}

// rowShape is the shape rule of operators with one float32 output [N,width].
func rowShape(width int, c *ops.ShapeCall) error {
	if !c.In[0].Known {
		c.SetType(0, tensor.Float32)
		return nil
	}
	n, _, err := rows(c.In[0].Shape)
	if err != nil {
		return err
	}
	c.Set(0, tensor.Float32, tensor.Shape{n, width})
	return nil
}

// floats32 gives the input's elements as float32 with its rows and features, of which
// there must be want.
func floats32(c *ops.Call, want int) (x []float32, n int, err error) {
	t := c.T(0)
	n, features, err := rows(t.Shape)
	if err != nil {
		return nil, 0, err
	}
	if features != want {
		return nil, 0, fmt.Errorf("input 0 has %d features, the model expects %d", features, want)
	}
	x, err = tensor.Float32s(t)
	return x, n, err
}
