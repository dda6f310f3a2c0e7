package ragged

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// Reduce names the operator that pools.
const Reduce = "SegmentReduce"

// Modes of Reduce.
const (
	Sum  = "sum"
	Mean = "mean"
	Max  = "max"
)

// reduce pools the tokens of each sequence by itself: of x [1, tokens, …] and positions [tokens] it makes
// [tokens, …], or with keepdims [tokens, 1, …], where every token has what its whole sequence gives.
func reduce() *ops.Op {
	return &ops.Op{
		Name: Reduce, Domain: Domain, Since: 1, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(form.Str("mode"), form.Int("keepdims")),
		Shape: func(c *ops.ShapeCall) error {
			if !c.Known(2) {
				c.SetType(0, c.In[0].DType)
				return nil
			}
			s, err := reduced(c.In[0].Shape, c.In[1].Shape, c.Node.Attrs.Int("keepdims", 1) != 0)
			if err != nil {
				return err
			}
			c.Set(0, c.In[0].DType, s)
			return nil
		},
		Eval: evalReduce,
	}
}

func reduced(x, positions tensor.Shape, keep bool) (tensor.Shape, error) {
	if len(x) < 2 || x[0] != 1 || len(positions) != 1 || positions[0] != x[1] {
		return nil, fmt.Errorf("the shapes %v and %v do not fit", x, positions)
	}
	out := tensor.Shape{x[1]}
	if keep {
		out = append(out, 1)
	}
	return append(out, x[2:]...), nil
}

func evalReduce(c *ops.Call) error {
	x := c.T(0)
	if p := c.T(1); p.DType != tensor.Int64 {
		return fmt.Errorf("the positions are %v, expected %v", p.DType, tensor.Int64)
	}
	s, err := reduced(x.Shape, c.T(1).Shape, c.Node.Attrs.Int("keepdims", 1) != 0)
	if err != nil {
		return err
	}
	out, err := c.Output(0, x.DType, s)
	if err != nil {
		return err
	}
	starts, mode := Starts(nil, tensor.Data[int64](c.T(1))), c.Node.Attrs.Str("mode", Sum)
	switch x.DType {
	case tensor.Float32:
		pool(tensor.Data[float32](out), tensor.Data[float32](x), make([]float64, x.Shape[2:].Elements()), starts, mode)
	case tensor.Int64:
		pool(tensor.Data[int64](out), tensor.Data[int64](x), make([]int64, x.Shape[2:].Elements()), starts, mode)
	default:
		return fmt.Errorf("can't pool %v", x.DType)
	}
	return nil
}

// pool sums in acc, which is as wide as a token.
func pool[T float32 | int64, A float64 | int64](y, x []T, acc []A, starts []int32, mode string) {
	w := len(acc)
	for s := range starts[:len(starts)-1] {
		from, to := int(starts[s]), int(starts[s+1])
		for i, v := range x[from*w : (from+1)*w] {
			acc[i] = A(v)
		}
		for t := from + 1; t < to; t++ {
			row := x[t*w : (t+1)*w]
			if mode == Max {
				for i, v := range row {
					if A(v) > acc[i] || v != v {
						acc[i] = A(v)
					}
				}
				continue
			}
			for i, v := range row {
				acc[i] += A(v)
			}
		}
		first := y[from*w : (from+1)*w]
		for i, v := range acc {
			if mode == Mean {
				v /= A(to - from)
			}
			first[i] = T(v)
		}
		for t := from + 1; t < to; t++ {
			copy(y[t*w:], first)
		}
	}
}
