package evaluate

import (
	"math"
	"math/rand/v2"
	"testing"
)

// noisy draws rows whose true log-odds are a·z + b.
func noisy(seed uint64, n int, a, b float64) (y, z []float64) {
	rng := rand.New(rand.NewPCG(seed, 2))
	for range n {
		v := rng.NormFloat64()
		hit := 0.0
		if rng.Float64() < 1/(1+math.Exp(-(a*v+b))) {
			hit = 1
		}
		y, z = append(y, hit), append(z, v)
	}
	return
}

func near(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func TestAUCCountsPairs(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		n := 2 + rng.IntN(40)
		y, p, w := make([]float64, n), make([]float64, n), make([]float64, n)
		for i := range n {
			y[i], p[i], w[i] = float64(rng.IntN(2)), float64(rng.IntN(8)), float64(rng.IntN(3))
		}
		y[0], y[1], w[0], w[1] = 0, 1, 1, 1
		pairs := func(w []float64) float64 {
			var won, all float64
			for i := range n {
				for j := range n {
					if y[i] == 1 && y[j] == 0 {
						all += w[i] * w[j]
						if p[i] > p[j] {
							won += w[i] * w[j]
						} else if p[i] == p[j] {
							won += w[i] * w[j] / 2
						}
					}
				}
			}
			return won / all
		}
		ones := make([]float64, n)
		for i := range ones {
			ones[i] = 1
		}
		near(t, "AUC", AUC(y, p), pairs(ones), 1e-12)
		near(t, "weighted AUC", NewRanking(y, p).AUC(w), pairs(w), 1e-12)
	}
	if a := AUC([]float64{1, 1}, []float64{0, 1}); !math.IsNaN(a) {
		t.Errorf("AUC of one class is %v", a)
	}
}

func TestLossesByHand(t *testing.T) {
	y, p := []float64{1, 0, 1}, []float64{0.8, 0.3, 0}
	near(t, "Brier", Brier(y, p), (0.04+0.09+1)/3, 1e-12)
	near(t, "log loss", LogLoss(y, p), -(math.Log(0.8)+math.Log(0.7)+math.Log(1e-6))/3, 1e-9)
}

// TestECEOfKnownBins has 3 bins of 4 rows: observed .25, .5 and 1 against .1,
// .5 and .8.
func TestECEOfKnownBins(t *testing.T) {
	p := []float64{.1, .1, .1, .1, .5, .5, .5, .5, .8, .8, .8, .8}
	y := []float64{1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 1}
	near(t, "ECE", ECE(y, p, 3), (0.15+0+0.2)/3, 1e-12)
	near(t, "ECE of one value", ECE([]float64{1, 0}, []float64{.5, .5}, 15), 0, 1e-12)
}

func TestQuantilesInterpolate(t *testing.T) {
	got := Quantiles([]float64{4, 1, 3, 2}, 2)
	if len(got) != 3 || got[0] != 1 || got[1] != 2.5 || got[2] != 4 {
		t.Errorf("%v", got)
	}
	if got := Quantiles([]float64{7, 7, 7}, 5); len(got) != 1 {
		t.Errorf("cuts of equal values: %v", got)
	}
}

func TestBinOfEdges(t *testing.T) {
	cuts := []float64{1, 2, 3}
	for p, want := range map[float64]int{0: 0, 1: 0, 1.9: 0, 2: 1, 3: 1, 9: 1} {
		if got := BinOf(cuts, p); got != want {
			t.Errorf("%v is in bin %d, want %d", p, got, want)
		}
	}
}

func TestPlattFindsTheTruth(t *testing.T) {
	y, z := noisy(3, 200_000, 0.7, -1.2)
	c, err := FitPlatt(y, z)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "slope", c.Slope, 0.7, 0.03)
	near(t, "intercept", c.Intercept, -1.2, 0.03)
	var g0, g1 float64
	for i := range z {
		d := c.Apply(z[i]) - y[i]
		g0 += d
		g1 += d * z[i]
	}
	near(t, "gradient by intercept", g0, 0, 1e-3)
	near(t, "gradient by slope", g1, 0, 1e-3)
}

func TestPlattRefusesWhatHasNoAnswer(t *testing.T) {
	for name, y := range map[string][]float64{"one class": {1, 1, 1, 1}, "parted": {0, 0, 1, 1}} {
		if c, err := FitPlatt(y, []float64{-2, -1, 1, 2}); err == nil {
			t.Errorf("%s: fitted %+v", name, c)
		}
	}
}

func TestWilson(t *testing.T) {
	low, high := Wilson(10, 50, 1.959963984540054)
	near(t, "low", low, 0.1124375, 1e-6)
	near(t, "high", high, 0.3303711, 1e-6)
	if low, high := Wilson(0, 0, 2); low != 0 || high != 1 {
		t.Errorf("of nothing: %v to %v", low, high)
	}
	if low, _ := Wilson(0, 9, 2); low != 0 {
		t.Errorf("of no hits: from %v", low)
	}
}

// TestBootstrapCoversAMean compares with the normal interval of a mean, and
// checks that rows of one group stay together: ten copies of each row must not
// narrow the interval.
func TestBootstrapCoversAMean(t *testing.T) {
	const n = 400
	rng := rand.New(rand.NewPCG(8, 8))
	var x []float64
	for range n {
		x = append(x, rng.NormFloat64())
	}
	mean := func(copies int) func(w []float64) []float64 {
		return func(w []float64) []float64 {
			var s, t float64
			for i, v := range w {
				s += v * x[i/copies]
				t += v
			}
			return []float64{s / t, math.NaN()}
		}
	}
	for _, copies := range []int{1, 10} {
		group := make([]int, n*copies)
		for i := range group {
			group[i] = i / copies
		}
		ci := Bootstrap(group, 2000, 0.95, 1, mean(copies))
		near(t, "width", ci[0].High-ci[0].Low, 2*1.96/math.Sqrt(n), 0.03)
		if len(ci) != 1 && !math.IsNaN(ci[1].Low) {
			t.Errorf("an interval of nothing: %v", ci[1])
		}
	}
}
