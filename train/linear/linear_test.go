package linear

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/aimass/aimass/train/design"
)

// matrix draws rows of three dense columns and one of four categories.
func matrix(n int, label func(x []float32, c int, noise float64) float64) *design.Matrix {
	rng := rand.New(rand.NewPCG(7, 7))
	m := &design.Matrix{Rows: n, Width: 3, Categories: []int{4}, Codes: make([][]int32, 1)}
	for range n {
		x := []float32{float32(rng.NormFloat64()), float32(rng.NormFloat64()), float32(rng.NormFloat64())}
		c := rng.IntN(5) - 1
		m.Dense = append(m.Dense, x...)
		m.Codes[0] = append(m.Codes[0], int32(c))
		m.Labels = append(m.Labels, label(x, c, rng.NormFloat64()))
	}
	return m
}

// TestOptimality holds every loss and penalty to the definition of the optimum: the smallest
// subgradient, by finite differences of the loss, is nought.
func TestOptimality(t *testing.T) {
	labels := map[Loss]func(x []float32, c int, noise float64) float64{
		Squared: func(x []float32, c int, e float64) float64 { return 3 + 2*float64(x[0]) + float64(c) + e },
		Logistic: func(x []float32, c int, e float64) float64 {
			if 2*float64(x[0])-float64(c)+2*e > 0 {
				return 1
			}
			return 0
		},
		Softmax: func(x []float32, c int, e float64) float64 {
			return float64(min(2, int(math.Abs(float64(x[1])+e))))
		},
	}
	for loss, label := range labels {
		for _, l1 := range []float64{0, 0.5, 1} {
			c := DefaultConfig()
			c.Loss, c.L1, c.Alpha = loss, l1, 0.01
			if loss == Softmax {
				c.Outputs = 3
			}
			m := matrix(500, label)
			got, err := Fit(context.Background(), c, m, nil)
			if err != nil || !got.Converged {
				t.Fatalf("loss %d, l1 %v: %v, violation %v after %d steps", loss, l1, err, got.Violation, got.Steps)
			}
			p := newProblem(&c, m)
			w := append(append(append([]float64(nil), got.Intercept...), got.Weights...), got.Tables[0]...)
			grad := make([]float64, len(w))
			for i := range w {
				keep := w[i]
				const h = 1e-5
				w[i] = keep + h
				up := p.smooth(w, nil)
				w[i] = keep - h
				grad[i] = (up - p.smooth(w, nil)) / (2 * h)
				w[i] = keep
			}
			if v := p.violation(w, grad); v > 1e-5 {
				t.Errorf("loss %d, l1 %v: the optimum is violated by %v", loss, l1, v)
			}
		}
	}
}

// TestLassoDropsNoise: a strong lasso keeps the one column that matters.
func TestLassoDropsNoise(t *testing.T) {
	c := DefaultConfig()
	c.L1, c.Alpha = 1, 0.3
	m := matrix(1000, func(x []float32, _ int, e float64) float64 { return 5*float64(x[1]) + e })
	got, err := Fit(context.Background(), c, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Weights[0] != 0 || got.Weights[2] != 0 || got.Weights[1] < 4 || got.Weights[1] > 5 {
		t.Errorf("weights %v, want 0, some 4.7, 0", got.Weights)
	}
	for _, v := range got.Tables[0] {
		if v != 0 {
			t.Errorf("category weights %v, want 0", got.Tables[0])
		}
	}
}

// TestWeightsCountAsRepeats: a row of weight 2 is as good as two.
func TestWeightsCountAsRepeats(t *testing.T) {
	label := func(x []float32, c int, e float64) float64 { return float64(x[0]) + float64(c) + e }
	m := matrix(200, label)
	m.Weights = make([]float64, m.Rows)
	twice := *m
	twice.Weights = nil
	twice.Dense, twice.Labels = append([]float32(nil), m.Dense...), append([]float64(nil), m.Labels...)
	twice.Codes = [][]int32{append([]int32(nil), m.Codes[0]...)}
	for r := range m.Rows {
		m.Weights[r] = 1
		if r%3 == 0 {
			m.Weights[r] = 2
			twice.Dense = append(twice.Dense, m.Row(r)...)
			twice.Codes[0] = append(twice.Codes[0], m.Codes[0][r])
			twice.Labels = append(twice.Labels, m.Labels[r])
			twice.Rows++
		}
	}
	c := DefaultConfig()
	a, err1 := Fit(context.Background(), c, m, nil)
	b, err2 := Fit(context.Background(), c, &twice, nil)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	for i := range a.Weights {
		if math.Abs(a.Weights[i]-b.Weights[i]) > 1e-4 {
			t.Errorf("weights %v and %v", a.Weights, b.Weights)
		}
	}
}

func TestSettingsAndCancel(t *testing.T) {
	m := matrix(50, func(x []float32, _ int, e float64) float64 { return e })
	for _, change := range []func(*Config){
		func(c *Config) { c.Alpha = -1 }, func(c *Config) { c.L1 = 2 }, func(c *Config) { c.Iterations = 0 }, func(c *Config) { c.Tolerance = 0 },
	} {
		c := DefaultConfig()
		change(&c)
		if _, err := Fit(context.Background(), c, m, nil); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Fit(ctx, DefaultConfig(), m, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
