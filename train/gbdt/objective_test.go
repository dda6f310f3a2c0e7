package gbdt

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestGradientsAreTheSlopesOfTheLoss compares with finite differences of the
// mean loss, weights included.
func TestGradientsAreTheSlopesOfTheLoss(t *testing.T) {
	const n, step = 30, 1e-5
	rng := rand.New(rand.NewPCG(1, 2))
	f := func(c Config, label func() float64) {
		t.Helper()
		obj := newObjective(&c)
		y, w := make([]float64, n), make([]float64, n)
		scores := make([][]float64, c.outputs())
		grads := make([][]pair, c.outputs())
		var total float64
		for k := range scores {
			scores[k], grads[k] = make([]float64, n), make([]pair, n)
			for i := range n {
				scores[k][i] = rng.NormFloat64()
			}
		}
		for i := range n {
			y[i], w[i] = label(), 0.5+rng.Float64()
			total += w[i]
		}
		obj.gradients(scores, y, w, grads, 0, n)
		for k := range scores {
			for i := range n {
				at := scores[k][i]
				loss := func(d float64) float64 {
					scores[k][i] = at + d
					defer func() { scores[k][i] = at }()
					return total * meanLoss(obj, scores, y, w, 1)
				}
				slope := (loss(step) - loss(-step)) / (2 * step)
				if c.Objective == Regression {
					// The gradient is of half the squared error.
					slope /= 2
				}
				if got := float64(grads[k][i].g); math.Abs(got-slope) > 1e-4 {
					t.Errorf("%v: output %d row %d has gradient %v, the loss rises by %v", c.Objective, k, i, got, slope)
				}
			}
		}
	}
	c := config()
	f(c, func() float64 { return float64(rng.IntN(2)) })
	c.Objective, c.Classes = Multiclass, 4
	f(c, func() float64 { return float64(rng.IntN(4)) })
	c.Objective = Regression
	f(c, rng.NormFloat64)
	c.Objective, c.Quantile = Quantile, 0.3
	f(c, rng.NormFloat64)
}

// TestHessians checks those with a closed form: of log loss p(1-p), of softmax
// p(1-p)·K/(K-1), which for K = 2 is that of the log loss in the difference of
// the scores times 2.
func TestHessians(t *testing.T) {
	y := []float64{1}
	g := [][]pair{{{}}, {{}}}
	logLoss{}.gradients([][]float64{{0.7}}, y, nil, g, 0, 1)
	p := sigmoid(0.7)
	if got := float64(g[0][0].h); math.Abs(got-p*(1-p)) > 1e-6 {
		t.Errorf("log loss: %v, want %v", got, p*(1-p))
	}
	softmaxLoss{2}.gradients([][]float64{{-0.2}, {0.5}}, y, nil, g, 0, 1)
	for k := range 2 {
		if got := float64(g[k][0].h); math.Abs(got-2*p*(1-p)) > 1e-6 {
			t.Errorf("softmax output %d: %v, want %v", k, got, 2*p*(1-p))
		}
	}
}

func TestWeightedQuantile(t *testing.T) {
	v := []float64{5, 1, 3}
	for _, k := range []struct {
		w    []float64
		q    float64
		want float64
	}{{nil, 0.5, 3}, {nil, 0.01, 1}, {nil, 0.99, 5}, {[]float64{10, 1, 1}, 0.5, 5}, {[]float64{1, 2, 1}, 0.5, 2}} {
		if got := weightedQuantile(v, k.w, k.q); got != k.want {
			t.Errorf("quantile %v with weights %v is %v, want %v", k.q, k.w, got, k.want)
		}
	}
}
