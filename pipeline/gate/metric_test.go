package gate

import (
	"math"
	"testing"

	"github.com/aimass/aimass/api"
)

func rows(v ...float64) [][]float64 {
	out := make([][]float64, len(v))
	for i := range v {
		out[i] = v[i : i+1]
	}
	return out
}

// TestMetrics against values worked out by hand.
func TestMetrics(t *testing.T) {
	classes := [][]float64{{.7, .2, .1}, {.1, .8, .1}, {.3, .4, .3}}
	f := func(name string, labels []float64, answers [][]float64, weight []float64, want float64) {
		t.Helper()
		figure, err := metrics[name].prepare(labels, answers)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if got := figure(weight); math.Abs(got-want) > 1e-12 {
			t.Errorf("%s of %v: %v, want %v", name, labels, got, want)
		}
	}
	f("auc", []float64{0, 0, 1, 1}, rows(.1, .4, .35, .8), nil, .75)
	f("auc", []float64{0, 1}, [][]float64{{.9, .1}, {.2, .8}}, nil, 1)
	f("auc", []float64{0, 0, 1, 1}, rows(.1, .4, .35, .8), []float64{1, 0, 1, 1}, 1)
	f("accuracy", []float64{0, 1, 1}, rows(.2, .5, .4), nil, 2./3)
	f("accuracy", []float64{0, 1, 2}, classes, nil, 2./3)
	f("accuracy", []float64{0, 2, 5}, rows(0, 2, 4), nil, 2./3) // numbers of classes
	f("accuracy", []float64{0, 1, 2}, classes, []float64{0, 0, 3}, 0)
	f("logloss", []float64{1, 0}, rows(.5, .75), nil, (math.Log(2)+math.Log(4))/2)
	f("logloss", []float64{1}, [][]float64{classes[1]}, nil, -math.Log(.8))
	f("brier", []float64{1, 0}, rows(.5, .25), nil, (.25+.0625)/2)
	f("brier", []float64{1}, [][]float64{classes[1]}, nil, .01+.04+.01)
	f("mae", []float64{1, 2}, rows(2, 0), nil, 1.5)
	f("rmse", []float64{1, 2}, rows(2, 4), nil, math.Sqrt(2.5))
	bad := func(name string, labels []float64, answers [][]float64) {
		t.Helper()
		if _, err := metrics[name].prepare(labels, answers); api.CodeOf(err) != api.CodeGateInvalid {
			t.Errorf("%s of %v and %v: %v", name, labels, answers, err)
		}
	}
	bad("auc", []float64{2, 0}, rows(.1, .2))
	bad("auc", []float64{1}, [][]float64{{.1, .2, .7}})
	bad("logloss", []float64{3}, [][]float64{{.1, .2, .7}})
	bad("accuracy", []float64{-1}, rows(.5))
	bad("accuracy", []float64{.5}, rows(.5))
	bad("mae", []float64{1}, [][]float64{{1, 2}})
}
