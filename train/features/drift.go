package features

import (
	"math"

	"github.com/aimass/aimass/runtime/tensor"
)

// windowRows is how many rows a window counts before the next begins; what is told is of the
// window in progress and the one before it.
const windowRows = 20_000

// window counts rows by feature and bin.
type window struct {
	rows    int
	bins    [][]int32 // by feature; the last bin is that of the missing
	answers int
	// sum and squares are of the answers less the mean of training, so that they stay exact.
	sum, squares float64
}

func (m *Monitor) newWindow() window {
	w := window{bins: make([][]int32, len(m.bound))}
	for i := range m.bound {
		w.bins[i] = make([]int32, len(m.bound[i].Statistics.Shares)+1)
	}
	return w
}

func (w *window) clear() {
	for _, b := range w.bins {
		clear(b)
	}
	w.rows, w.answers, w.sum, w.squares = 0, 0, 0, 0
}

// mostObserved bounds the rows of one request that are counted: enough of a large batch,
// evenly picked, to know its distribution.
const mostObserved = 16

// Observe counts a request that was answered. While another is being counted it counts
// nothing: no request waits for the statistics of another.
func (m *Monitor) Observe(in []tensor.Tensor, out []tensor.Value) {
	if !m.mu.TryLock() {
		return
	}
	defer m.mu.Unlock()
	if m.now.rows >= windowRows {
		m.now, m.old = m.old, m.now
		m.now.clear()
	}
	rows := 0
	for i := range m.bound {
		b := &m.bound[i]
		c, ok := b.columnOf(in)
		if !ok {
			continue
		}
		step := (c.rows + mostObserved - 1) / mostObserved
		seen := 0
		for row := 0; row < c.rows; row += step {
			bin, missing, _ := b.place(&c, row)
			if missing {
				bin = len(m.now.bins[i]) - 1
			}
			m.now.bins[i][bin]++
			seen++
		}
		rows = max(rows, seen)
	}
	m.now.rows += rows
	m.observeAnswer(out)
}

func (m *Monitor) observeAnswer(out []tensor.Value) {
	if m.output < 0 || m.output >= len(out) {
		return
	}
	t, ok := out[m.output].(*tensor.Tensor)
	if !ok || len(t.Shape) == 0 || len(t.Shape) > 2 {
		return
	}
	c := column{t: t, rows: t.Shape[0], stride: 1}
	if len(t.Shape) == 2 {
		c.stride = t.Shape[1]
	}
	p := m.Schema.Prediction
	if p.Column >= c.stride {
		return
	}
	step := max(1, (c.rows+mostObserved-1)/mostObserved)
	for row := 0; row < c.rows; row += step {
		v := math.Inf(-1)
		if c.at = p.Column; p.Column < 0 {
			for c.at = 0; c.at < c.stride; c.at++ {
				v = max(v, c.number(row))
			}
		} else {
			v = c.number(row)
		}
		if d := v - p.Mean; !math.IsNaN(d) && !math.IsInf(d, 0) {
			m.now.answers++
			m.now.sum += d
			m.now.squares += d * d
		}
	}
}

// Drift tells how far what was served lately is from the training data.
type Drift struct {
	Policy Policy `json:"policy"`
	// Rows is how many rows of the latest requests the figures are of.
	Rows         int            `json:"rows"`
	TrainingRows int            `json:"training_rows"`
	Features     []FeatureDrift `json:"features"`
	// Prediction is null for a model that has none described, or has answered too little.
	Prediction *PredictionDrift `json:"prediction"`
	// Drifted says that a feature has.
	Drifted bool `json:"drifted"`
}

// FeatureDrift is the drift of one feature.
type FeatureDrift struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	// PSI is the population stability index: below 0.1 little, above 0.25 much.
	PSI float64 `json:"psi"`
	// KS is the greatest difference between the distribution functions (Kolmogorov–Smirnov),
	// at the training quantiles; KSLimit what chance alone stays below in 99 of 100 cases. Of a
	// categorical feature both are 0.
	KS      float64 `json:"ks"`
	KSLimit float64 `json:"ks_limit"`
	// MissingShare now and in training.
	MissingShare         float64 `json:"missing_share"`
	TrainingMissingShare float64 `json:"training_missing_share"`
	// The values since the version was loaded that training has not seen the like of.
	Missing    int64 `json:"violations_missing"`
	OutOfRange int64 `json:"violations_out_of_range"`
	Unknown    int64 `json:"violations_unknown_category"`
	Drifted    bool  `json:"drifted"`
}

// PredictionDrift compares the mean answer with that of training.
type PredictionDrift struct {
	Tensor string  `json:"tensor"`
	Rows   int     `json:"rows"`
	Mean   float64 `json:"mean"`
	// Low and High are the mean's 95 % interval, by the normal approximation.
	Low          float64 `json:"low95"`
	High         float64 `json:"high95"`
	TrainingMean float64 `json:"training_mean"`
}

// The bars above which a feature counts as drifted: the usual one of the PSI, together with
// what chance alone would give.
const psiBar = 0.25

// Drift compares what was served lately with the training data.
func (m *Monitor) Drift() Drift {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := Drift{Policy: m.Policy, Rows: m.now.rows + m.old.rows, TrainingRows: m.Schema.Rows, Features: []FeatureDrift{}}
	for i := range m.bound {
		f := m.bound[i].Feature
		counts := make([]float64, len(m.now.bins[i]))
		total := 0.0
		for b := range counts {
			counts[b] = float64(m.now.bins[i][b] + m.old.bins[i][b])
			total += counts[b]
		}
		v := &m.Violations[i]
		fd := FeatureDrift{Name: f.Name, Kind: f.Kind, TrainingMissingShare: f.Statistics.Missing,
			Missing: v.Missing.Load(), OutOfRange: v.OutOfRange.Load(), Unknown: v.Unknown.Load()}
		if total > 0 {
			fd.compare(f, counts, total, m.Schema.Rows)
		}
		d.Drifted = d.Drifted || fd.Drifted
		d.Features = append(d.Features, fd)
	}
	d.Prediction = m.predictionDrift()
	return d
}

// compare fills the figures from the counts by bin, those of the missing last.
func (d *FeatureDrift) compare(f *Feature, counts []float64, total float64, trained int) {
	last := len(counts) - 1
	missing := counts[last]
	d.MissingShare = missing / total
	st := &f.Statistics
	expected := make([]float64, len(counts))
	for b, s := range st.Shares {
		expected[b] = s * (1 - st.Missing)
	}
	expected[last] = st.Missing
	groups := 0
	d.PSI, groups = psi(expected, counts, total, f.Kind == Numeric)
	// Chance gives a PSI of about (groups−1)·(1/n + 1/m), chi-squared distributed; three times
	// that is beyond its 99th percentile from two groups on.
	chance := 3 * float64(groups) * (1/total + 1/float64(max(1, trained)))
	d.Drifted = d.PSI > psiBar && d.PSI > chance
	if present := total - missing; f.Kind == Numeric && present > 0 {
		var was, is float64
		for b := range st.Shares {
			was += st.Shares[b]
			is += counts[b] / present
			d.KS = max(d.KS, math.Abs(was-is))
		}
		// The asymptotic 99 % point of the two-sample statistic.
		d.KSLimit = 1.628 * math.Sqrt(1/present+1/float64(max(1, trained)))
	}
}

// psiGroup is the least share of a group in training: the index is the sum over some ten
// groups, of numbers neighbours joined, of categories the rare ones.
const psiGroup = 0.1

// psi is the population stability index Σ (q−p)·ln(q/p) over groups of bins, the missing (the
// last bin) a group of their own. Half a row is added to every group, so that empty ones count
// as rare.
func psi(expected, counts []float64, total float64, ordered bool) (index float64, groups int) {
	var ps, qs []float64
	add := func(p, q float64) { ps, qs = append(ps, p), append(qs, q) }
	last := len(counts) - 1
	var p, q float64
	for b := range last {
		if !ordered && expected[b] >= psiGroup/5 {
			add(expected[b], counts[b])
			continue
		}
		p, q = p+expected[b], q+counts[b]
		if ordered && p >= psiGroup {
			add(p, q)
			p, q = 0, 0
		}
	}
	if p > 0 || q > 0 {
		add(p, q)
	}
	if expected[last] > 0 || counts[last] > 0 {
		add(expected[last], counts[last])
	}
	n := float64(len(ps))
	for k := range ps {
		pk := (ps[k]*total + 0.5) / (total + 0.5*n)
		qk := (qs[k] + 0.5) / (total + 0.5*n)
		index += (qk - pk) * math.Log(qk/pk)
	}
	return index, len(ps)
}

func (m *Monitor) predictionDrift() *PredictionDrift {
	p := m.Schema.Prediction
	n := m.now.answers + m.old.answers
	if p == nil || n < 2 {
		return nil
	}
	sum, squares := m.now.sum+m.old.sum, m.now.squares+m.old.squares
	mean := sum / float64(n)
	variance := max(0, (squares-float64(n)*mean*mean)/float64(n-1))
	half := 1.959964 * math.Sqrt(variance/float64(n))
	return &PredictionDrift{Tensor: p.Tensor, Rows: n, Mean: p.Mean + mean, Low: p.Mean + mean - half, High: p.Mean + mean + half, TrainingMean: p.Mean}
}
