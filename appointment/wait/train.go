package wait

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/aimass/aimass/appointment/sim"
	"github.com/aimass/aimass/train/gbdt"
)

// Config of a training on simulated half-days. Begin with [DefaultConfig].
type Config struct {
	Clinic sim.Clinic
	// Half-days to train on, to calibrate on and to test on.
	TrainDays, CalibrateDays, TestDays int
	// Level of the service interval.
	Level float64
	// Rounds, LearningRate, Leaves and MinRows of each boosted model.
	Rounds          int
	LearningRate    float64
	Leaves, MinRows int
	Seed            uint64
	// Workers as in gbdt.Config.
	Workers int
}

// DefaultConfig trains on 1,500 half-days, calibrates on 500 and tests on 500.
func DefaultConfig() Config {
	return Config{
		Clinic: sim.DefaultClinic(), TrainDays: 1500, CalibrateDays: 500, TestDays: 500, Level: .9,
		Rounds: 200, LearningRate: .05, Leaves: 15, MinRows: 40, Seed: 1,
	}
}

// Report holds what was measured on the test half-days.
type Report struct {
	// Coverage of P50, P90 and P95, after and before correction.
	Coverage, RawCoverage [3]float64
	// Pinball loss of the three, and of the best constant.
	Pinball, ConstantPinball [3]float64
	// Service interval, and that of mean ± normal quantile · standard deviation by
	// visit type.
	Service, NormalService IntervalReport
	// NoWait is the share of those who did not wait; Rows of the test.
	NoWait float64
	Rows   int
}

// Gate returns an error naming the first figure that is out of its limits: P90
// coverage 88 to 92 %, service coverage 88 to 92 % and at least 87 % in each
// visit type, pinball better than the constant, Winkler better than the normal
// interval.
func (r *Report) Gate() error {
	f := func(ok bool, what string, v ...any) error {
		if ok {
			return nil
		}
		return fmt.Errorf("wait model: "+what, v...)
	}
	errs := []error{
		f(r.Coverage[1] >= .88 && r.Coverage[1] <= .92, "P90 coverage %.3f, must be .88 to .92", r.Coverage[1]),
		f(r.Pinball[1] < r.ConstantPinball[1], "P90 pinball %.3f, the constant's is %.3f", r.Pinball[1], r.ConstantPinball[1]),
		r.Service.Gate(),
		f(r.Service.Winkler < r.NormalService.Winkler, "service Winkler %.2f, the normal interval's is %.2f", r.Service.Winkler, r.NormalService.Winkler),
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Gate returns an error unless coverage is 88 to 92 % and at least 87 % in each
// group.
func (r IntervalReport) Gate() error {
	if r.Coverage < .88 || r.Coverage > .92 {
		return fmt.Errorf("service interval: coverage %.3f, must be .88 to .92", r.Coverage)
	}
	for g, c := range r.ByGroup {
		if c < .87 {
			return fmt.Errorf("service interval: coverage %.3f in group %d, must be at least .87", c, g)
		}
	}
	return nil
}

// Train simulates, trains, corrects and measures. The report is valid whether or
// not its Gate passes; a caller promotes only what does.
func Train(ctx context.Context, c Config) (*Model, *Report, error) {
	rng := rand.New(rand.NewPCG(c.Seed, 2))
	train := draw(&c.Clinic, c.TrainDays, rng)
	trees := new(Trees)
	levels := [numQuantiles]float64{waitLevels[0], waitLevels[1], waitLevels[2], (1 - c.Level) / 2, (1 + c.Level) / 2}
	for k, level := range levels {
		labels := train.wait
		if k >= len(waitLevels) {
			labels = train.service
		}
		m, err := fit(ctx, c, features(c.Clinic.Doctors, len(c.Clinic.Types)), train.rows, labels, level)
		if err != nil {
			return nil, nil, fmt.Errorf("wait model: %w", err)
		}
		trees[k] = m
	}
	m, err := calibrate(trees, draw(&c.Clinic, c.CalibrateDays, rng), c.Level)
	if err != nil {
		return nil, nil, err
	}
	return m, measure(m, train, draw(&c.Clinic, c.TestDays, rng)), nil
}

func features(doctors, types int) []gbdt.Feature {
	return []gbdt.Feature{
		{Name: "doctor", Categories: doctors}, {Name: "n"}, {Name: "interval"}, {Name: "index"},
		{Name: "visit_type", Categories: types}, {Name: "slot_minute"}, {Name: "drift"}, {Name: "expected_ahead"}, {Name: "sd_load"},
	}
}

// fit trains one quantile.
func fit(ctx context.Context, c Config, features []gbdt.Feature, rows [][]float32, labels []float64, level float64) (*gbdt.Model, error) {
	g := gbdt.DefaultConfig()
	g.Objective, g.Quantile = gbdt.Quantile, level
	g.Rounds, g.LearningRate, g.Leaves, g.MinRows = c.Rounds, c.LearningRate, c.Leaves, c.MinRows
	g.Seed, g.Workers, g.EarlyStop = c.Seed, c.Workers, 0
	data := &gbdt.Dataset{Features: features, Columns: make([][]float32, len(features)), Labels: labels}
	for f := range features {
		for _, row := range rows {
			data.Columns[f] = append(data.Columns[f], row[f])
		}
	}
	return gbdt.Train(ctx, g, data, nil, nil)
}

// raw are a quantiler's columns over a sample.
type raw [numQuantiles][]float64

func predictRaw(q Quantiler, s sample) raw {
	var out raw
	var space []float64
	for _, row := range s.rows {
		space = q.AppendQuantiles(space[:0], row)
		for k, v := range space {
			out[k] = append(out[k], v)
		}
	}
	return out
}

// calibrate corrects a quantiler on visits it has not seen.
func calibrate(q Quantiler, s sample, level float64) (*Model, error) {
	m := &Model{Quantiles: q}
	columns := predictRaw(q, s)
	var err error
	for k, level := range waitLevels {
		if m.Waits[k], err = FitUpper(columns[k], s.wait, level); err != nil {
			return nil, fmt.Errorf("wait model: %w", err)
		}
	}
	if m.Service, err = FitInterval(columns[3], columns[4], s.service, s.group, level); err != nil {
		return nil, fmt.Errorf("wait model: %w", err)
	}
	return m, nil
}

// measure compares the model with constants and normal intervals that are
// fitted on the training visits.
func measure(m *Model, train, test sample) *Report {
	r := &Report{Rows: len(test.rows)}
	before := predictRaw(m.Quantiles, test)
	var after raw
	for _, row := range test.rows {
		p := m.Predict(row)
		for k, v := range []float64{p.P50, p.P90, p.P95, p.ServiceLo, p.ServiceHi} {
			after[k] = append(after[k], v)
		}
	}
	for k, level := range waitLevels {
		constant := slices.Repeat([]float64{quantileOf(train.wait, level)}, len(test.rows))
		r.Coverage[k], r.RawCoverage[k] = CoverageBelow(after[k], test.wait), CoverageBelow(before[k], test.wait)
		r.Pinball[k], r.ConstantPinball[k] = Pinball(after[k], test.wait, level), Pinball(constant, test.wait, level)
	}
	r.Service = MeasureInterval(after[3], after[4], test.service, test.group, m.Service.Level)
	lo, hi := normalIntervals(train.service, train.group, test.group, m.Service.Level)
	r.NormalService = MeasureInterval(lo, hi, test.service, test.group, m.Service.Level)
	for _, w := range test.wait {
		if w == 0 {
			r.NoWait += 1 / float64(len(test.wait))
		}
	}
	return r
}

// normalIntervals are mean ± z · standard deviation, by group of the training
// rows, for the test rows.
func normalIntervals(train []float64, trainGroup, testGroup []int, level float64) (lo, hi []float64) {
	top := 0
	for _, g := range append(slices.Clone(trainGroup), testGroup...) {
		top = max(top, g)
	}
	n, sum, sum2 := make([]float64, top+1), make([]float64, top+1), make([]float64, top+1)
	for i, y := range train {
		g := trainGroup[i]
		n[g]++
		sum[g] += y
		sum2[g] += y * y
	}
	z := math.Sqrt2 * math.Erfinv(level)
	for _, g := range testGroup {
		mean := sum[g] / n[g]
		sd := math.Sqrt(sum2[g]/n[g] - mean*mean)
		lo, hi = append(lo, math.Max(0, mean-z*sd)), append(hi, mean+z*sd)
	}
	return lo, hi
}
