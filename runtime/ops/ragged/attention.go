package ragged

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// Domain and Attention name the operator.
const (
	Domain    = "aimass"
	Attention = "SegmentAttention"
)

// Register adds the operators.
func Register(r *ops.Registry) { r.Add(attention(), reduce(), runningSum()) }

// attention is softmax(scale·Q·K + mask)·V for each sequence by itself, on Q
// [1, heads, tokens, d], K [1, heads, d, tokens], V [1, heads, tokens, dv], positions [tokens] and
// a mask of the keys [1, 1, 1, tokens], which may be left out. With blank, weights that are no numbers count as 0.
func attention() *ops.Op {
	return &ops.Op{
		Name: Attention, Domain: Domain, Since: 1, MinIn: 4, MaxIn: 5, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(form.Float("scale"), form.Int("blank")),
		Shape: func(c *ops.ShapeCall) error {
			if !c.Known(5) {
				c.SetType(0, tensor.Float32)
				return nil
			}
			var shapes [5]tensor.Shape
			for i := range c.In {
				shapes[i] = c.In[i].Shape
			}
			if err := check(shapes, len(c.In) > 4 && c.In[4].Present); err != nil {
				return err
			}
			q, v := shapes[0], shapes[2]
			c.Set(0, tensor.Float32, tensor.Shape{1, q[1], q[2], v[3]})
			return nil
		},
		Eval: eval,
	}
}

func check(s [5]tensor.Shape, masked bool) error {
	q, k, v, p, m := s[0], s[1], s[2], s[3], s[4]
	if len(q) != 4 || len(k) != 4 || len(v) != 4 || len(p) != 1 || q[0] != 1 || k[0] != 1 || v[0] != 1 ||
		k[1] != q[1] || v[1] != q[1] || k[2] != q[3] || k[3] != q[2] || v[2] != q[2] || p[0] != q[2] {
		return fmt.Errorf("the shapes %v, %v, %v and %v do not fit", q, k, v, p)
	}
	if masked && (len(m) != 4 || m[3] != q[2] || m.Elements() != q[2]) {
		return fmt.Errorf("the mask has the shape %v, expected [1,1,1,%d]", m, q[2])
	}
	return nil
}

// Starts appends the first token of each sequence, and at last the number of tokens.
func Starts(dst []int32, positions []int64) []int32 {
	for i, p := range positions {
		if p == 0 || i == 0 {
			dst = append(dst, int32(i))
		}
	}
	return append(dst, int32(len(positions)))
}

func eval(c *ops.Call) error {
	var shapes [5]tensor.Shape
	for i := range c.In {
		if c.Has(i) {
			shapes[i] = c.T(i).Shape
			if want := map[bool]tensor.DType{true: tensor.Int64, false: tensor.Float32}[i == 3]; c.T(i).DType != want {
				return fmt.Errorf("input %d is %v, expected %v", i, c.T(i).DType, want)
			}
		}
	}
	if err := check(shapes, c.Has(4)); err != nil {
		return err
	}
	heads, tokens, dk, dv := shapes[0][1], shapes[0][2], shapes[0][3], shapes[2][3]
	out, err := c.Output(0, tensor.Float32, tensor.Shape{1, heads, tokens, dv})
	if err != nil {
		return err
	}
	q, k, v, y := tensor.Data[float32](c.T(0)), tensor.Data[float32](c.T(1)), tensor.Data[float32](c.T(2)), tensor.Data[float32](out)
	var mask []float32
	if c.Has(4) {
		mask = tensor.Data[float32](c.T(4))
	}
	scale, blank := float64(c.Node.Attrs.Float("scale", 1)), c.Node.Attrs.Int("blank", 0) != 0
	starts := Starts(nil, tensor.Data[int64](c.T(3)))
	weight := make([]float64, tokens)
	for h := range heads {
		for s := range starts[:len(starts)-1] {
			from, to := int(starts[s]), int(starts[s+1])
			for t := from; t < to; t++ {
				most := math.Inf(-1)
				for j := from; j < to; j++ {
					sum := 0.0
					for d := range dk {
						sum += float64(q[(h*tokens+t)*dk+d]) * float64(k[(h*dk+d)*tokens+j])
					}
					sum *= scale
					if mask != nil {
						sum += float64(mask[j])
					}
					weight[j] = sum
					most = max(most, sum)
				}
				total := 0.0
				for j := from; j < to; j++ {
					weight[j] = math.Exp(weight[j] - most)
					total += weight[j]
				}
				for j := from; j < to; j++ {
					if weight[j] /= total; blank && math.IsNaN(weight[j]) {
						weight[j] = 0
					}
				}
				for d := range dv {
					sum := 0.0
					for j := from; j < to; j++ {
						sum += weight[j] * float64(v[(h*tokens+j)*dv+d])
					}
					y[(h*tokens+t)*dv+d] = float32(sum)
				}
			}
		}
	}
	return nil
}
