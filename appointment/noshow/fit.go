package noshow

import (
	"context"
	"slices"

	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/evaluate"
	"github.com/aimass/aimass/train/gbdt"
)

// Options hold what may be chosen about a training.
type Options struct {
	Moment Moment
	// Split is by SplitByDays where it is zero.
	Split Split
	// Members is how many models of different draws are averaged.
	Members int
	// Trees governs each member.
	Trees gbdt.Config
	// Medium and High are the probabilities at which the risk bands begin.
	Medium, High float64
	// UsePlace and UseScholarship let a clinic leave these two features out;
	// the tensors stay the same and what is left out is not looked at.
	UsePlace, UseScholarship bool
}

// DefaultOptions returns the settings that were chosen by the log loss of the
// validation days.
func DefaultOptions() Options {
	c := gbdt.DefaultConfig()
	c.Rounds, c.LearningRate, c.Leaves, c.MinRows, c.L2 = 1000, 0.05, 31, 100, 10
	c.RowFraction, c.ColumnFraction = 0.8, 0.6
	c.CategorySmoothing, c.CategoryMinRows, c.CategoryMax = 200, 50, 8
	c.EarlyStop = 40
	return Options{Members: 1, Trees: c, Medium: 0.15, High: 0.30, UsePlace: true, UseScholarship: true}
}

// scholarshipFeature is the place of "scholarship" among the names.
const scholarshipFeature = 7

// sample is a set of rows in the form that models take.
type sample struct {
	records []Record
	data    *gbdt.Dataset
	lead    []int
}

// newSample encodes records. The column of places comes last.
func newSample(e *Encoder, o *Options, records []Record) *sample {
	width := len(FeatureNames(o.Moment))
	s := &sample{records: records, data: &gbdt.Dataset{Features: schema(e, o)}}
	s.data.Columns = make([][]float32, width+1)
	for f := range s.data.Columns {
		s.data.Columns[f] = make([]float32, len(records))
	}
	s.data.Labels = make([]float64, len(records))
	s.lead = make([]int, len(records))
	var row []float32
	var place []int64
	for i := range records {
		row, place = e.Append(row[:0], place[:0], &records[i], true)
		for f, v := range row {
			s.data.Columns[f][i] = v
		}
		s.data.Columns[width][i] = float32(place[0])
		s.data.Labels[i] = float64(flag(records[i].NoShow))
		s.lead[i] = records[i].Lead()
	}
	if !o.UsePlace {
		s.blank(width, -1)
	}
	if !o.UseScholarship {
		s.blank(scholarshipFeature, 0)
	}
	return s
}

// blank makes a column constant, so that no tree can ask it.
func (s *sample) blank(f int, v float32) {
	for i := range s.data.Columns[f] {
		s.data.Columns[f][i] = v
	}
}

func schema(e *Encoder, o *Options) []gbdt.Feature {
	var fs []gbdt.Feature
	for _, n := range FeatureNames(o.Moment) {
		fs = append(fs, gbdt.Feature{Name: n})
	}
	return append(fs, gbdt.Feature{Name: "neighbourhood", Categories: len(e.Places)})
}

// Model is a fitted and calibrated predictor.
type Model struct {
	Moment Moment
	Places []string
	Trees  *gbdt.Model
	Platt  evaluate.Platt
	// Cuts part the calibrated probabilities of the validation days into bins
	// of equal mass; Ranges[b] is the Wilson interval of bin b's no-show rate.
	Cuts   []float64
	Ranges []evaluate.Interval
	// Medium and High are the probabilities at which the risk bands begin.
	Medium, High float64
	members      []*gbdt.Model
}

// calibrationBins is the number of bins that intervals are taken from, wilsonZ
// their half width in standard deviations (95 %).
const (
	calibrationBins = 15
	wilsonZ         = 1.959963984540054
)

// fitModel trains the members on fit with early stop on valid, averages them
// and calibrates the mean on valid.
func fitModel(ctx context.Context, o *Options, places []string, fit, valid *sample, tell func(train.Event)) (*Model, error) {
	m := &Model{Moment: o.Moment, Places: places, Medium: o.Medium, High: o.High}
	for k := range o.Members {
		c := o.Trees
		c.Seed += uint64(k) * 1_000_003
		g, err := gbdt.Train(ctx, c, fit.data, valid.data, func(p gbdt.Progress) {
			if tell != nil {
				tell(treeEvent(k, o.Members, p))
			}
		})
		if err != nil {
			return nil, err
		}
		m.members = append(m.members, g)
	}
	m.Trees = gbdt.Average(m.members...)
	return m, m.calibrate(valid)
}

func treeEvent(member, members int, p gbdt.Progress) train.Event {
	return train.Event{Stage: "trees", Step: member*p.Rounds + p.Round, Steps: members * p.Rounds,
		Message: treeMessage(member, members, p)}
}

func (m *Model) apply(scores []float64) []float64 {
	p := slices.Clone(scores)
	for i, z := range p {
		p[i] = m.Platt.Apply(z)
	}
	return p
}

// predict gives the calibrated probabilities of a sample.
func (m *Model) predict(s *sample) []float64 { return m.apply(m.Trees.Scores(s.data.Columns)[0]) }

// Prediction is what the hosted model answers for one appointment.
type Prediction struct {
	// NoShow is the probability; Low and High the interval of the no-show rate
	// among like appointments, widened to hold NoShow.
	NoShow, Low, High float64
	// Band is 0 for low, 1 for medium, 2 for high risk.
	Band int
}

// Predict answers for one row of features and the number of its place.
func (m *Model) Predict(numeric []float32, place int64) Prediction {
	row := append(slices.Clone(numeric), float32(place))
	p := m.Platt.Apply(m.Trees.AppendScores(nil, row)[0])
	out := Prediction{NoShow: p}
	r := m.Ranges[evaluate.BinOf(m.Cuts, p)]
	out.Low, out.High = min(r.Low, p), max(r.High, p)
	if p >= m.Medium {
		out.Band++
	}
	if p >= m.High {
		out.Band++
	}
	return out
}
