package wait

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/sim"
	_ "github.com/aimass/aimass/internal/rapidseed"
	"pgregory.net/rapid"
)

// Over many draws of calibration and new value, coverage is at least the level
// and at most level + 1/(n+1), whatever the predictions are.
func TestConformalCoverageOverDraws(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const draws, n = 4000, 39
	below, inside := 0.0, 0.0
	for range draws {
		var lo, hi, y []float64
		group := make([]int, n+1)
		for range n + 1 {
			x := rng.Float64()
			lo, hi = append(lo, x-.1), append(hi, x+.1)
			y = append(y, x+rng.ExpFloat64()*x)
		}
		u, err := FitUpper(hi[:n], y[:n], .9)
		if err != nil {
			t.Fatal(err)
		}
		if y[n] <= hi[n]+u.Offset {
			below++
		}
		v, err := FitInterval(lo[:n], hi[:n], y[:n], group[:n], .9)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := lo[n]-v.All, hi[n]+v.All; a <= y[n] && y[n] <= b {
			inside++
		}
	}
	below, inside = below/draws, inside/draws
	t.Logf("one-sided %.4f, two-sided %.4f", below, inside)
	sd := math.Sqrt(.09 / draws)
	for _, c := range []float64{below, inside} {
		if c < .9-3*sd || c > .9+1.0/(n+1)+3*sd {
			t.Errorf("coverage %.4f, want .9 to %.3f", c, .9+1.0/(n+1))
		}
	}
}

func TestConformalRank(t *testing.T) {
	scores := []float64{9, 1, 8, 2, 7, 3, 6, 4, 5}
	if v, err := conformalRank(scores, .9); err != nil || v != 9 {
		t.Errorf("rank 9 of 9: %v %v", v, err)
	}
	if v, err := conformalRank(scores, .5); err != nil || v != 5 {
		t.Errorf("rank 5 of 9: %v %v", v, err)
	}
	if _, err := conformalRank(scores[:8], .9); appointment.CodeOf(err) != appointment.CodeNotEnoughCalibrated {
		t.Errorf("8 rows for 90 %%: %v", err)
	}
	if _, err := FitUpper(nil, nil, .9); appointment.CodeOf(err) != appointment.CodeNotEnoughCalibrated {
		t.Errorf("no rows: %v", err)
	}
}

func TestMondrianKeepsGroupsApart(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	var lo, hi, y []float64
	var group []int
	for range 4000 {
		g := rng.IntN(2)
		lo, hi, group = append(lo, 5), append(hi, 15), append(group, g)
		y = append(y, 10+float64(1+5*g)*rng.NormFloat64())
	}
	v, err := FitInterval(lo[:2000], hi[:2000], y[:2000], group[:2000], .9)
	if err != nil {
		t.Fatal(err)
	}
	for i := 2000; i < 4000; i++ {
		lo[i], hi[i] = v.Apply(lo[i], hi[i], group[i])
	}
	r := MeasureInterval(lo[2000:], hi[2000:], y[2000:], group[2000:], .9)
	for g, c := range r.ByGroup {
		if c < .87 || c > .93 {
			t.Errorf("group %d is covered %.3f", g, c)
		}
	}
	if v.ByGroup[0] >= v.ByGroup[1] {
		t.Errorf("offsets %v: the steadier group should be narrower", v.ByGroup)
	}
	if a, b := v.Apply(5, 15, 7); a != math.Max(0, 5-v.All) || b != 15+v.All {
		t.Errorf("an unknown group gets %v to %v", a, b)
	}
}

func TestMeasures(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		y := rapid.SliceOfN(rapid.Float64Range(0, 50), 5, 60).Draw(t, "y")
		level := rapid.Float64Range(.05, .95).Draw(t, "level")
		at := func(v float64) float64 {
			c := make([]float64, len(y))
			for i := range c {
				c[i] = v
			}
			return Pinball(c, y, level)
		}
		best := at(quantileOf(y, level))
		if other := at(rapid.Float64Range(0, 50).Draw(t, "other")); other < best-1e-9 {
			t.Fatalf("a constant has pinball %v, the quantile %v", other, best)
		}
	})
	r := MeasureInterval([]float64{0, 0}, []float64{10, 10}, []float64{5, 12}, []int{0, 2}, .9)
	if r.Coverage != .5 || r.Width != 10 || math.Abs(r.Winkler-(10+20*2/2)) > 1e-9 || r.ByGroup[2] != 0 || !math.IsNaN(r.ByGroup[1]) {
		t.Errorf("%+v", r)
	}
}

func TestFeatures(t *testing.T) {
	rows := AppendFeatures(nil, 3, 10, []Planned{{0, .2, 15, 0}, {1, .5, 12, 10}, {2, 0, 25, 20}})
	want := []float64{3, 3, 10, 2, 2, 20, .8*15 + .5*12 - 20, 1.3, math.Sqrt(.16*225 + .25*144)}
	for k, w := range want {
		if math.Abs(float64(rows[2*NumFeatures+k])-w) > 1e-5 {
			t.Errorf("feature %d is %v, want %v", k, rows[2*NumFeatures+k], w)
		}
	}
}

func TestTrainedModelPassesItsGate(t *testing.T) {
	c := DefaultConfig()
	m, r, err := Train(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("coverage %.3f (raw %.3f), pinball %.2f (constant %.2f), no wait %.2f, %d rows", r.Coverage, r.RawCoverage, r.Pinball, r.ConstantPinball, r.NoWait,
		r.Rows)
	t.Logf("service %+v", r.Service)
	t.Logf("normal  %+v", r.NormalService)
	if err := r.Gate(); err != nil {
		t.Error(err)
	}
	var file bytes.Buffer
	if err := m.Save(&file); err != nil {
		t.Fatal(err)
	}
	again, err := Load(&file)
	if err != nil {
		t.Fatal(err)
	}
	s := draw(&c.Clinic, 5, rand.New(rand.NewPCG(8, 8)))
	for _, row := range s.rows {
		p := m.Predict(row)
		if p != again.Predict(row) {
			t.Fatal("a saved model predicts otherwise")
		}
		if p.P50 < 0 || p.P90 < p.P50 || p.P95 < p.P90 || p.ServiceLo < 0 || p.ServiceHi < p.ServiceLo {
			t.Fatalf("quantiles cross: %+v", p)
		}
	}
	out, err := m.PredictTensors(1, s.rows[0])
	if err != nil || out.P90[0] != float32(m.Predict(s.rows[0]).P90) || out.CoverageTarget[0] != .9 || len(out.ServiceInterval) != 2 {
		t.Errorf("tensors %+v, %v", out, err)
	}
}

func TestDamagedModels(t *testing.T) {
	if _, err := Load(bytes.NewReader([]byte("nonsense"))); err == nil {
		t.Error("nonsense was read")
	}
	c := DefaultConfig()
	c.TrainDays, c.CalibrateDays, c.TestDays, c.Rounds = 30, 30, 10, 2
	m, _, err := Train(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	trees := m.Quantiles.(*Trees)
	trees[2].Trees[1].Nodes[0].Left = 0
	var file bytes.Buffer
	if err := m.Save(&file); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(&file); err == nil {
		t.Error("a tree with a loop was read")
	}
}

func TestBadRows(t *testing.T) {
	m := &Model{}
	row := []float32{0, 10, 10, 2, 0, 20, 1, 2, 3}
	f := func(want appointment.Code, b int, rows []float32) {
		t.Helper()
		if _, err := m.PredictTensors(b, rows); appointment.CodeOf(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f(appointment.CodeEmptyBatch, 0, nil)
	f(appointment.CodeFeatureCount, 1, row[:8])
	f(appointment.CodeFeatureCount, 2, row)
	bad := append([]float32(nil), row...)
	bad[4] = float32(math.NaN())
	f(appointment.CodeNotFinite, 1, bad)
	bad[4], bad[3] = 0, 10
	f(appointment.CodeBadPlan, 1, bad)
}

func TestRealServiceTimes(t *testing.T) {
	root := os.Getenv("AIMASS_SHARED")
	if root == "" {
		root = "../../../shared"
	}
	path := filepath.Join(root, "appointments/data/hangu-service-times.csv")
	if _, err := os.Stat(path); err != nil {
		t.Skip("NOT RUN: no hangu-service-times.csv (set AIMASS_SHARED)")
	}
	rows, err := sim.ReadConsultations(path, sim.HanguSHA256)
	if err != nil {
		t.Fatal(err)
	}
	r, err := EvaluateService(context.Background(), rows, DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("raw      %+v", r.Raw)
	t.Logf("mondrian %+v", r.Mondrian)
	t.Logf("normal   %+v", r.Normal)
	if r.Train != 3882 || r.Calibrate != 1343 || r.Mondrian.Rows != 1412 {
		t.Errorf("split %d/%d/%d, the reference has 3882/1343/1412", r.Train, r.Calibrate, r.Mondrian.Rows)
	}
	if err := r.Mondrian.Gate(); err != nil {
		t.Error(err)
	}
	if r.Mondrian.Winkler >= r.Normal.Winkler {
		t.Errorf("Winkler %.2f, the normal interval's is %.2f", r.Mondrian.Winkler, r.Normal.Winkler)
	}
}
