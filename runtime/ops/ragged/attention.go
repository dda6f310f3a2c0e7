package ragged

import (
	"fmt"
	"math"
	"slices"

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
			want := tensor.Float32
			if i == 3 {
				want = tensor.Int64
			}
			if c.T(i).DType != want {
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
	q, y := tensor.Data[float32](c.T(0)), tensor.Data[float32](out)
	k, v := tensor.Data[float32](c.T(1)), tensor.Data[float32](c.T(2))
	x := head{tokens: tokens, dk: dk, dv: dv, scale: float64(c.Node.Attrs.Float("scale", 1)), blank: c.Node.Attrs.Int("blank", 0) != 0, weight: make([]float64, tokens)}
	if c.Has(4) {
		x.mask = tensor.Data[float32](c.T(4))
	}
	starts := Starts(nil, tensor.Data[int64](c.T(3)))
	for h := range heads {
		x.k, x.v = k[h*dk*tokens:][:dk*tokens], v[h*tokens*dv:][:tokens*dv]
		for s := range starts[:len(starts)-1] {
			from, to := int(starts[s]), int(starts[s+1])
			for t := from; t < to; t++ {
				row := h*tokens + t
				x.attend(y[row*dv:][:dv], q[row*dk:][:dk], from, to)
			}
		}
	}
	return nil
}

// head is what the tokens of one head look at: keys as columns, values as rows.
type head struct {
	k, v, mask     []float32
	tokens, dk, dv int
	scale          float64
	blank          bool      // a token that may look at nothing gives zeros instead of NaN
	weight         []float64 // room for a token's weights
}

// attend writes to y what the token with the query q gathers from the tokens of its sequence, from up to to.
func (x *head) attend(y, q []float32, from, to int) {
	for j := from; j < to; j++ {
		sum := 0.0
		for d, v := range q {
			sum += float64(v) * float64(x.k[d*x.tokens+j])
		}
		x.weight[j] = sum * x.scale
		if x.mask != nil {
			x.weight[j] += float64(x.mask[j])
		}
	}
	softmax(x.weight[from:to], x.blank)
	for d := range y {
		sum := 0.0
		for j := from; j < to; j++ {
			sum += x.weight[j] * float64(x.v[j*x.dv+d])
		}
		y[d] = float32(sum)
	}
}

// softmax turns scores into weights. Where no score is finite they are NaN, or zero if blank.
func softmax(weight []float64, blank bool) {
	most, total := slices.Max(weight), 0.0
	for j, w := range weight {
		weight[j] = math.Exp(w - most)
		total += weight[j]
	}
	for j := range weight {
		if weight[j] /= total; blank && math.IsNaN(weight[j]) {
			weight[j] = 0
		}
	}
}
