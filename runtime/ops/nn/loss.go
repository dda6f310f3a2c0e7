package nn

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

var lossAttrs = form.Join(form.Int("ignore_index"), form.Str("reduction"))

// lossShapes checks scores [N, C, …] against targets [N, …] and gives the loss's shape.
func lossShapes(n *graph.Node, x, target tensor.Shape) (tensor.Shape, error) {
	if len(x) < 2 || len(target) != len(x)-1 || target[0] != x[0] || !target[1:].Equal(x[2:]) {
		return nil, fmt.Errorf("expected scores [N, C, …] and targets [N, …], got shapes %v and %v", x, target)
	}
	switch r := n.Attrs.Str("reduction", "mean"); r {
	case "none":
		return target, nil
	case "mean", "sum":
		return tensor.Shape{}, nil
	default:
		return nil, fmt.Errorf("reduction: unknown value %q", r)
	}
}

func shapeLoss(c *ops.ShapeCall) error {
	d := c.In[0].DType
	form.Like(c, 1, d, 0)
	if !known(c, 2, d) {
		return nil
	}
	s, err := lossShapes(c.Node, c.In[0].Shape, c.In[1].Shape)
	if err != nil {
		return err
	}
	c.Set(0, d, s)
	return nil
}

// evalNLL is NegativeLogLikelihoodLoss: the scores are log probabilities.
func evalNLL(c *ops.Call) error {
	if err := form.NeedReal("input", c.T(0)); err != nil {
		return err
	}
	v, err := tensor.Float64s(c.T(0))
	if err != nil {
		return err
	}
	return likelihood(c, v)
}

// evalCrossEntropy is SoftmaxCrossEntropyLoss: it takes the log probabilities of the
// scores first, and gives them as its second output.
func evalCrossEntropy(c *ops.Call) error {
	x := c.T(0)
	if err := form.NeedReal("scores", x); err != nil {
		return err
	}
	if x.Rank() < 2 {
		return fmt.Errorf("expected scores [N, C, …], got %v", x)
	}
	v, err := tensor.Float64s(x)
	if err != nil {
		return err
	}
	logs := logSoftmax(v, x.Shape)
	if c.Wanted(1) {
		t, err := c.Output(1, x.DType, x.Shape)
		if err != nil {
			return err
		}
		if err := tensor.StoreFloat64s(t, logs); err != nil {
			return err
		}
	}
	return likelihood(c, logs)
}

// logSoftmax computes along axis 1.
func logSoftmax(v []float64, s tensor.Shape) []float64 {
	n, inner := s[1], s[2:].Elements()
	out := make([]float64, len(v))
	if n == 0 {
		return out
	}
	for o := range s[0] {
		for i := range inner {
			at := o*n*inner + i
			top, sum := math.Inf(-1), 0.0
			for k := range n {
				top = max(top, v[at+k*inner])
			}
			for k := range n {
				sum += math.Exp(v[at+k*inner] - top)
			}
			l := math.Log(sum)
			for k := range n {
				out[at+k*inner] = v[at+k*inner] - top - l
			}
		}
	}
	return out
}

// likelihood gathers −log p of each target, weighted by its class; the mean divides by
// the sum of the weights. Targets equal to ignore_index count nothing.
func likelihood(c *ops.Call, logs []float64) error {
	x, target := c.T(0), c.T(1)
	if target == nil || target.DType != tensor.Int64 && target.DType != tensor.Int32 {
		return fmt.Errorf("target: expected int32 or int64, got %v", target)
	}
	s, err := lossShapes(c.Node, x.Shape, target.Shape)
	if err != nil {
		return err
	}
	classes, inner := x.Shape[1], x.Shape[2:].Elements()
	weight, err := classWeights(c.T(2), classes)
	if err != nil {
		return err
	}
	labels, err := tensor.Int64s(target)
	if err != nil {
		return err
	}
	ignore, some := c.Node.Attrs.Int("ignore_index", 0), c.Node.Attrs.Has("ignore_index")
	out := make([]float64, len(labels))
	sum, total := 0.0, 0.0
	for i, l := range labels {
		if some && l == ignore {
			continue
		}
		if l < 0 || l >= int64(classes) {
			return fmt.Errorf("target %d is outside of %d classes", l, classes)
		}
		out[i] = -logs[(i/inner*classes+int(l))*inner+i%inner] * weight[l]
		sum += out[i]
		total += weight[l]
	}
	y, err := c.Output(0, x.DType, s)
	if err != nil {
		return err
	}
	switch c.Node.Attrs.Str("reduction", "mean") {
	case "sum":
		out = []float64{sum}
	case "mean":
		out = []float64{sum / total}
	}
	return tensor.StoreFloat64s(y, out)
}

func classWeights(t *tensor.Tensor, classes int) ([]float64, error) {
	if t == nil {
		w := make([]float64, classes)
		for i := range w {
			w[i] = 1
		}
		return w, nil
	}
	if t.Elements() != classes {
		return nil, fmt.Errorf("weight: expected %d values, got %v", classes, t)
	}
	return tensor.Float64s(t)
}
