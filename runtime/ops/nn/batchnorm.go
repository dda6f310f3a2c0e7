package nn

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func batchNormForms() []*ops.Op {
	op := func(since, maxOut int, more ...[]ops.Attr) *ops.Op {
		return &ops.Op{
			Name: "BatchNormalization", Since: since, MinIn: 5, MaxIn: 5, MinOut: 1, MaxOut: maxOut,
			Attrs: form.Join(form.Float("epsilon", "momentum"), form.Join(more...)), Shape: shapeBatchNorm, Eval: evalBatchNorm,
		}
	}
	return []*ops.Op{
		op(1, 5, form.Int("is_test", "spatial"), form.Consumed()),
		op(6, 5, form.Int("is_test", "spatial")),
		op(7, 5, form.Int("spatial")),
		op(9, 5),
		op(14, 3, form.Int("training_mode")),
	}
}

// training reports whether the node learns: by is_test before opset 7, by the number of
// outputs before 14, by training_mode since.
func training(n *graph.Node) bool {
	switch {
	case n.Opset >= 14:
		return n.Attrs.Int("training_mode", 0) != 0
	case n.Opset >= 7:
		return wanted(n) > 1
	}
	return n.Attrs.Int("is_test", 0) == 0 && wanted(n) > 1
}

// wanted is the number of a node's outputs up to the last one that is used.
func wanted(n *graph.Node) int {
	k := len(n.Out)
	for k > 0 && n.Out[k-1] == nil {
		k--
	}
	return k
}

func shapeBatchNorm(c *ops.ShapeCall) error {
	form.Like(c, 0, c.In[0].DType, 0)
	for i := 1; i < len(c.Out); i++ {
		form.Like(c, i, c.In[3].DType, 3)
	}
	return nil
}

// evalBatchNorm scales and shifts each channel by its mean and variance; in training it
// takes them from the input and puts out the running ones as well.
func evalBatchNorm(c *ops.Call) error {
	x := c.T(0)
	if err := form.NeedReal("X", x); err != nil {
		return err
	}
	if x.Rank() < 1 {
		return fmt.Errorf("expected rank 1 or more, got %v", x)
	}
	g := channels{n: x.Shape[0], c: 1, size: 1}
	if x.Rank() > 1 {
		g.c, g.size = x.Shape[1], x.Shape[2:].Elements()
	}
	if c.Node.Opset < 9 && c.Node.Attrs.Int("spatial", 1) == 0 {
		g.c, g.size = g.c*g.size, 1
	}
	var p [5][]float64
	for i := range p {
		t := c.T(i)
		if err := form.NeedReal("parameter", t); err != nil {
			return err
		}
		if i > 0 && t.Elements() != g.c {
			return fmt.Errorf("input %d: expected %d values, one a channel, got %v", i, g.c, t)
		}
		v, err := tensor.Float64s(t)
		if err != nil {
			return err
		}
		p[i] = v
	}
	y, err := c.Output(0, x.DType, x.Shape)
	if err != nil {
		return err
	}
	a := c.Node.Attrs
	mean, variance := p[3], p[4]
	if training(c.Node) {
		mean, variance = g.moments(p[0])
		m := float64(a.Float("momentum", 0.9))
		if err := learn(c, m, p[3], p[4], mean, variance); err != nil {
			return err
		}
	}
	eps := float64(a.Float("epsilon", 1e-5))
	out := make([]float64, len(p[0]))
	for i := range g.n * g.c {
		ch := i % g.c
		k := p[1][ch] / math.Sqrt(variance[ch]+eps)
		for j := i * g.size; j < (i+1)*g.size; j++ {
			out[j] = (p[0][j]-mean[ch])*k + p[2][ch]
		}
	}
	return tensor.StoreFloat64s(y, out)
}

// learn writes the running mean and variance, and in old opsets the batch's own.
func learn(c *ops.Call, momentum float64, runMean, runVar, mean, variance []float64) error {
	mix := func(run, batch []float64) []float64 {
		out := make([]float64, len(run))
		for i := range run {
			out[i] = run[i]*momentum + batch[i]*(1-momentum)
		}
		return out
	}
	for i, v := range [][]float64{nil, mix(runMean, mean), mix(runVar, variance), mean, variance} {
		if i == 0 || !c.Wanted(i) {
			continue
		}
		t, err := c.Output(i, c.T(3).DType, c.T(3).Shape)
		if err != nil {
			return err
		}
		if err := tensor.StoreFloat64s(t, v); err != nil {
			return err
		}
	}
	return nil
}

// ChannelAffine gives the scale and the shift of each channel that an inference BatchNormalization with
// constant parameters (scale, bias, mean, variance) comes to.
func ChannelAffine(n *graph.Node, p [4][]float32) (scale, shift []float64, ok bool) {
	channels := len(p[0])
	if n.Attrs.Int("training_mode", 0) != 0 || n.Opset < 7 || n.Attrs.Int("spatial", 1) == 0 || wanted(n) > 1 {
		return nil, nil, false
	}
	for _, v := range p {
		if len(v) != channels {
			return nil, nil, false
		}
	}
	eps := float64(n.Attrs.Float("epsilon", 1e-5))
	scale, shift = make([]float64, channels), make([]float64, channels)
	for c := range channels {
		scale[c] = float64(p[0][c]) / math.Sqrt(float64(p[3][c])+eps)
		shift[c] = float64(p[1][c]) - float64(p[2][c])*scale[c]
		if x := scale[c] + shift[c]; math.IsInf(x, 0) || math.IsNaN(x) {
			return nil, nil, false
		}
	}
	return scale, shift, true
}

// channels is a tensor seen as n × c × size.
type channels struct{ n, c, size int }

// moments are each channel's mean and variance.
func (g channels) moments(x []float64) (mean, variance []float64) {
	mean, variance = make([]float64, g.c), make([]float64, g.c)
	count := float64(g.n * g.size)
	for i := range g.n * g.c {
		for _, v := range x[i*g.size : (i+1)*g.size] {
			mean[i%g.c] += v / count
		}
	}
	for i := range g.n * g.c {
		for _, v := range x[i*g.size : (i+1)*g.size] {
			d := v - mean[i%g.c]
			variance[i%g.c] += d * d / count
		}
	}
	return mean, variance
}
