package noshow

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/evaluate"
	"github.com/aimass/aimass/train/gbdt"
)

// eceBins is the number of equal-mass bins of the calibration error.
const eceBins = 15

// bootstrapRounds is the number of resamplings behind each interval.
const bootstrapRounds = 300

// Gates are the bars that a model must clear on the test days to be written. A
// bar of zero is not asked.
type Gates struct {
	// Name says where the bars come from.
	Name string
	// MinAUC and MinAUCLater (of appointments booked a day ahead or more) are
	// least values; MaxAUC is the value above which a leak is supposed.
	MinAUC, MinAUCLater, MaxAUC float64
	// MaxBrier, MaxLogLoss and MaxECE are greatest values.
	MaxBrier, MaxLogLoss, MaxECE float64
}

// leakAUC is more than honest features reach on the days to come: a split that
// mixes past and future reaches .75, the patient's later outcomes .77 and up.
const leakAUC = 0.76

// ReferenceSHA256 is the hash of the file of Vitória, May 2016, which the
// published bars belong to.
const ReferenceSHA256 = "9132d3e7d0246617df9041d3764f20ad6f08e7b0d9f0997fa254fc5e52eda27d"

// gatesFor gives the bars for a file: those of the reference file for itself,
// for any other that the model beats the mean rate of the test days and does
// not look like a leak.
func gatesFor(sha256 string, m Moment, test *sample) Gates {
	if sha256 == ReferenceSHA256 {
		if m == DayOf {
			return Gates{Name: "reference file, day-of", MinAUC: 0.730, MaxAUC: leakAUC, MaxBrier: 0.1362}
		}
		return Gates{Name: "reference file", MinAUC: 0.728, MinAUCLater: 0.590, MaxAUC: leakAUC, MaxBrier: 0.1362, MaxLogLoss: 0.4225, MaxECE: 0.020}
	}
	y := test.data.Labels
	var rate float64
	for _, v := range y {
		rate += v / float64(len(y))
	}
	entropy := -rate*math.Log(rate) - (1-rate)*math.Log1p(-rate)
	return Gates{Name: "any file: better than the mean rate of its test days", MinAUC: 0.5, MaxAUC: leakAUC, MaxBrier: rate * (1 - rate), MaxLogLoss: entropy}
}

// measure takes the figures of p on s.
func measure(s *sample, p []float64, g Gates, seed uint64) []train.Metric {
	y := s.data.Labels
	later := make([]float64, len(y))
	for i, l := range s.lead {
		if l >= 1 {
			later[i] = 1
		}
	}
	rank := evaluate.NewRanking(y, p)
	stat := func(w []float64) []float64 {
		var sum, brier, loss float64
		onlyLater := make([]float64, len(y))
		for i := range y {
			wi := 1.0
			if w != nil {
				wi = w[i]
			}
			onlyLater[i] = wi * later[i]
			if wi == 0 {
				continue
			}
			sum += wi
			d := p[i] - y[i]
			brier += wi * d * d
			loss += wi * evaluate.LogLoss(y[i:i+1], p[i:i+1])
		}
		return []float64{rank.AUC(w), rank.AUC(onlyLater), brier / sum, loss / sum}
	}
	now := stat(nil)
	ci := evaluate.Bootstrap(patients(s.records), bootstrapRounds, 0.95, seed, stat)
	ece := evaluate.ECE(y, p, eceBins)
	out := []train.Metric{
		metric("auc", now[0], ci[0], g.MinAUC, g.MaxAUC),
		metric("auc_lead_ge_1", now[1], ci[1], g.MinAUCLater, 0),
		metric("brier", now[2], ci[2], 0, g.MaxBrier),
		metric("log_loss", now[3], ci[3], 0, g.MaxLogLoss),
		metric("ece15", ece, evaluate.Interval{Low: ece, High: ece}, 0, g.MaxECE),
	}
	return out
}

// metric sets a figure beside its bars; a bar of 0 is none.
func metric(name string, v float64, ci evaluate.Interval, least, most float64) train.Metric {
	m := train.Metric{Name: name, Set: "test", Value: v, Low: ci.Low, High: ci.High, Passed: true}
	switch {
	case least > 0 && most > 0:
		m.Gate = fmt.Sprintf("%.4g..%.4g", least, most)
	case least > 0:
		m.Gate = fmt.Sprintf(">= %.4g", least)
	case most > 0:
		m.Gate = fmt.Sprintf("<= %.4g", most)
	}
	if least > 0 && !(v >= least) || most > 0 && !(v <= most) {
		m.Passed = false
	}
	return m
}

// patients numbers the rows' patients from 0.
func patients(records []Record) []int {
	seen := make(map[float64]int)
	out := make([]int, len(records))
	for i := range records {
		id, ok := seen[records[i].Patient]
		if !ok {
			id = len(seen)
			seen[records[i].Patient] = id
		}
		out[i] = id
	}
	return out
}

// judge says which gates were missed, or nil.
func judge(metrics []train.Metric, g Gates) error {
	text := ""
	for _, m := range metrics {
		if m.Passed {
			continue
		}
		if text != "" {
			text += "; "
		}
		text += fmt.Sprintf("%s is %.4f, must be %s", m.Name, m.Value, m.Gate)
		if m.Name == "auc" && m.Value > g.MaxAUC {
			text += " (so good that something of the future must leak into the features or the split)"
		}
	}
	if text == "" {
		return nil
	}
	return api.Errorf(api.CodeTrainingGateMissed, "no model was written, for on the test days %s [gates: %s]", text, g.Name)
}

// GroupMetric tells how the model does for one group of test rows.
type GroupMetric struct {
	Group string `json:"group"`
	Rows  int    `json:"rows"`
	// Observed and Predicted are mean no-show rates; AUC is null where the
	// group has one outcome alone.
	Observed  float64  `json:"observed"`
	Predicted float64  `json:"predicted"`
	AUC       *float64 `json:"auc"`
	// HighShare is the share of the group in the high risk band.
	HighShare float64 `json:"high_band_share"`
}

// groupsOf names the groups that a card reports by.
var groupsOf = []struct {
	name string
	in   func(r *Record) bool
}{
	{"women", func(r *Record) bool { return !r.Male }},
	{"men", func(r *Record) bool { return r.Male }},
	{"age 0-17", func(r *Record) bool { return r.Age < 18 }},
	{"age 18-39", func(r *Record) bool { return r.Age >= 18 && r.Age < 40 }},
	{"age 40-64", func(r *Record) bool { return r.Age >= 40 && r.Age < 65 }},
	{"age 65 and over", func(r *Record) bool { return r.Age >= 65 }},
	{"scholarship", func(r *Record) bool { return r.Scholarship }},
	{"no scholarship", func(r *Record) bool { return !r.Scholarship }},
	{"any handicap", func(r *Record) bool { return r.Handicap > 0 }},
	{"booked the same day", func(r *Record) bool { return r.Lead() == 0 }},
}

func measureGroups(s *sample, p []float64, high float64) []GroupMetric {
	var out []GroupMetric
	for _, g := range groupsOf {
		var y, q []float64
		m := GroupMetric{Group: g.name}
		for i := range s.records {
			if !g.in(&s.records[i]) {
				continue
			}
			y, q = append(y, s.data.Labels[i]), append(q, p[i])
			m.Observed += s.data.Labels[i]
			m.Predicted += p[i]
			if p[i] >= high {
				m.HighShare++
			}
		}
		if m.Rows = len(y); m.Rows == 0 {
			continue
		}
		n := float64(m.Rows)
		m.Observed, m.Predicted, m.HighShare = m.Observed/n, m.Predicted/n, m.HighShare/n
		if a := evaluate.AUC(y, q); !math.IsNaN(a) {
			m.AUC = &a
		}
		out = append(out, m)
	}
	return out
}

func treeMessage(member, members int, p gbdt.Progress) string {
	s := fmt.Sprintf("log loss of the validation days %.5f, best %.5f in round %d", p.Loss, p.Best, p.BestRound)
	if members > 1 {
		s = fmt.Sprintf("model %d of %d: %s", member+1, members, s)
	}
	return s
}
