package mlp

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/train/design"
)

// rings draws points of two dense columns and a category that turns the label over.
func rings(n int, classes int) *design.Matrix {
	rng := rand.New(rand.NewPCG(5, uint64(n)))
	m := &design.Matrix{Rows: n, Width: 2, Categories: []int{3}, Codes: make([][]int32, 1)}
	for range n {
		x, y, c := rng.NormFloat64(), rng.NormFloat64(), rng.IntN(4)-1
		m.Dense = append(m.Dense, float32(x), float32(y))
		m.Codes[0] = append(m.Codes[0], int32(c))
		v := math.Hypot(x, y) // no linear model can tell it
		if c == 1 {
			v = 2 - v
		}
		switch classes {
		case 0:
			m.Labels = append(m.Labels, v)
		default:
			m.Labels = append(m.Labels, float64(min(classes-1, max(0, int(v*float64(classes)/2.4)))))
		}
	}
	return m
}

// TestGradients holds every gradient to the difference of losses.
func TestGradients(t *testing.T) {
	for loss, classes := range map[Loss]int{Squared: 0, Logistic: 2, Softmax: 3} {
		c := DefaultConfig()
		c.Loss, c.Hidden, c.Embedding, c.Batch = loss, []int{7, 5}, 2, 32
		if loss == Softmax {
			c.Outputs = classes
		}
		tr := newTrainer(&c, rings(32, classes))
		load := func() { tr.step.load(tr.fit, tr.order, func() bool { return false }) }
		load()
		tr.step.gradients(loss)
		type vector struct{ x, grad []float32 }
		var all []vector
		for _, p := range tr.adam.parts {
			all = append(all, vector{p.x, append([]float32(nil), p.grad...)})
		}
		for v, p := range all {
			for i := range p.x {
				keep := p.x[i]
				const h = 2e-3
				p.x[i] = keep + h
				load()
				up := tr.step.gradients(loss)
				p.x[i] = keep - h
				load()
				down := tr.step.gradients(loss)
				p.x[i] = keep
				want := (up - down) / (2 * h)
				if got := float64(p.grad[i]); math.Abs(got-want) > 5e-3*(1+math.Abs(want)) {
					t.Errorf("loss %d, vector %d, entry %d: %v, by differences %v", loss, v, i, got, want)
				}
			}
		}
	}
}

// TestLearnsWhatIsNotLinear: rings, turned over by a category.
func TestLearnsWhatIsNotLinear(t *testing.T) {
	fit, valid := rings(4000, 2), rings(1000, 2)
	c := DefaultConfig()
	c.Loss, c.Epochs = Logistic, 30
	m, err := Train(context.Background(), c, fit, valid, nil)
	if err != nil {
		t.Fatal(err)
	}
	right := 0
	for i, z := range m.Scores(valid)[0] {
		if (z > 0) == (valid.Labels[i] == 1) {
			right++
		}
	}
	if right < 930 {
		t.Errorf("%d of 1000 are right, want 930 (epoch %d, loss %v)", right, m.Best, m.Loss)
	}
}

func TestDivergenceSettingsAndCancel(t *testing.T) {
	fit, valid := rings(300, 0), rings(100, 0)
	valid.Labels[0] = math.Inf(1)
	if _, err := Train(context.Background(), DefaultConfig(), fit, valid, nil); api.CodeOf(err) != api.CodeTrainingParameterInvalid {
		t.Errorf("diverged: %v", err)
	}
	for _, change := range []func(*Config){
		func(c *Config) { c.Hidden = nil }, func(c *Config) { c.Hidden = []int{0} }, func(c *Config) { c.Embedding = 0 }, func(c *Config) { c.Epochs = 0 },
		func(c *Config) { c.Batch = 0 }, func(c *Config) { c.LearningRate = 0 }, func(c *Config) { c.WeightDecay = 1 }, func(c *Config) { c.EarlyStop = -1 },
		func(c *Config) { c.Unknown = 1 },
	} {
		c := DefaultConfig()
		change(&c)
		if _, err := Train(context.Background(), c, fit, fit, nil); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Train(ctx, DefaultConfig(), fit, fit, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
