package wait

import (
	"context"
	"fmt"
	"math"

	"github.com/aimass/aimass/appointment/sim"
	"github.com/aimass/aimass/train/gbdt"
)

// The half-days of the clinic's file that train and that calibrate; the later
// ones test.
const (
	lastTrainSession     = 228
	lastCalibrateSession = 304
)

// ServiceReport measures intervals on a clinic's real service times.
type ServiceReport struct {
	// Raw are the quantile models' own intervals, Mondrian those corrected by visit
	// type (group 0 first visit, 1 return), Normal mean ± z · standard deviation.
	Raw, Mondrian, Normal IntervalReport
	Train, Calibrate      int
}

// EvaluateService trains interval models on the earlier half-days of a clinic's
// file, corrects them on later ones and measures on the last. Inputs are known
// before the visit: visit number, time and place in the half-day, sex, diagnosis
// flags, address, and the means of the patient's and of the half-day's earlier
// visits.
func EvaluateService(ctx context.Context, rows []sim.Consultation, c Config) (*ServiceReport, error) {
	names, table := serviceTable(rows)
	var part [3]sample
	for i, row := range rows {
		k := 2
		switch {
		case row.Session <= lastTrainSession:
			k = 0
		case row.Session <= lastCalibrateSession:
			k = 1
		}
		group := 1
		if row.Visit == 1 {
			group = 0
		}
		part[k].rows = append(part[k].rows, table[i])
		part[k].service = append(part[k].service, row.Minutes)
		part[k].group = append(part[k].group, group)
	}
	var ends [2]*gbdt.Model
	for k, level := range []float64{(1 - c.Level) / 2, (1 + c.Level) / 2} {
		m, err := fit(ctx, c, names, part[0].rows, part[0].service, level)
		if err != nil {
			return nil, fmt.Errorf("service intervals: %w", err)
		}
		ends[k] = m
	}
	predict := func(s sample) (lo, hi []float64) {
		for _, row := range s.rows {
			lo, hi = ends[0].AppendScores(lo, row), ends[1].AppendScores(hi, row)
		}
		return lo, hi
	}
	lo, hi := predict(part[1])
	v, err := FitInterval(lo, hi, part[1].service, part[1].group, c.Level)
	if err != nil {
		return nil, fmt.Errorf("service intervals: %w", err)
	}
	test := part[2]
	r := &ServiceReport{Train: len(part[0].rows), Calibrate: len(part[1].rows)}
	lo, hi = predict(test)
	r.Raw = MeasureInterval(lo, hi, test.service, test.group, c.Level)
	for i := range lo {
		lo[i], hi[i] = v.Apply(lo[i], hi[i], test.group[i])
	}
	r.Mondrian = MeasureInterval(lo, hi, test.service, test.group, c.Level)
	all := make([]int, len(part[0].service))
	lo, hi = normalIntervals(part[0].service, all, make([]int, len(test.service)), c.Level)
	r.Normal = MeasureInterval(lo, hi, test.service, test.group, c.Level)
	return r, nil
}

// serviceTable makes the features of each consultation from it and from earlier
// rows alone.
func serviceTable(rows []sim.Consultation) ([]gbdt.Feature, [][]float32) {
	names := []gbdt.Feature{
		{Name: "visit"}, {Name: "morning"}, {Name: "working"}, {Name: "female"}, {Name: "mental"}, {Name: "somatic"},
		{Name: "address", Categories: 3}, {Name: "start_hour"}, {Name: "position"}, {Name: "patient_mean"}, {Name: "session_mean"},
	}
	type mean struct{ n, sum float64 }
	patients, sessions := map[string]*mean{}, map[int]*mean{}
	value := func(m *mean) float32 {
		if m == nil {
			return float32(math.NaN())
		}
		return float32(m.sum / m.n)
	}
	flag := func(b bool) float32 {
		if b {
			return 1
		}
		return 0
	}
	table := make([][]float32, len(rows))
	for i, c := range rows {
		position := float32(0)
		if s := sessions[c.Session]; s != nil {
			position = float32(s.n)
		}
		table[i] = []float32{
			float32(c.Visit), flag(c.Morning), flag(c.Working), flag(c.Female), flag(c.Mental), flag(c.Somatic),
			float32(c.Address), float32(c.StartHour), position, value(patients[c.Patient]), value(sessions[c.Session]),
		}
		if patients[c.Patient] == nil {
			patients[c.Patient] = new(mean)
		}
		if sessions[c.Session] == nil {
			sessions[c.Session] = new(mean)
		}
		for _, m := range []*mean{patients[c.Patient], sessions[c.Session]} {
			m.n++
			m.sum += c.Minutes
		}
	}
	return names, table
}
