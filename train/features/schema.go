// Package features is the one place that knows what a model's features are: their schema, the
// statistics of the data that they were trained on, how values become tensors, what a value
// that training has not seen is, and how far what is served has drifted from it.
//
// A version carries them as features.json beside model.onnx. Trainers write it (Describe), the
// pipeline binds it to the served model (Bind) and checks and counts by it.
//
// Neighbours: train/table below; tabular and pipeline above.
//
// Ownership: a Schema is not changed once it is bound. Concurrency: a Monitor is safe for
// concurrent use; everything else is data.
package features

import (
	"encoding/json"
	"math"
	"slices"

	"github.com/aimass/aimass/api"
)

// FileName is the schema's file in a version's folder.
const FileName = "features.json"

// The kinds of features.
const (
	Numeric     = "numeric"
	Categorical = "categorical"
)

// Schema describes the features of a model and what it was trained on.
type Schema struct {
	// Task is binary, multiclass, regression or quantile.
	Task   string `json:"task"`
	Target string `json:"target"`
	// Classes are the target's, in the order of the model's outputs.
	Classes []string `json:"classes,omitempty"`
	// Rows is how many rows the statistics are of; Data the SHA-256 of the file.
	Rows     int       `json:"rows"`
	Data     string    `json:"data_sha256"`
	Features []Feature `json:"features"`
	// Prediction describes the model's own answers to rows that it was not fitted on.
	Prediction *Prediction `json:"prediction,omitempty"`
}

// Feature is one feature: where it lies in the inputs and what training has seen of it.
type Feature struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	// Tensor is the input that holds it, Column the column there.
	Tensor string `json:"tensor"`
	Column int    `json:"column"`
	// Categories of a categorical feature. An input of integers holds their places in this
	// list, another the texts themselves.
	Categories []string `json:"categories,omitempty"`
	// Low and High bound what counts as in range of a numeric feature: what training has seen,
	// widened by a tenth of its span on each side.
	Low  *float64 `json:"low,omitempty"`
	High *float64 `json:"high,omitempty"`
	// Nullable says that training has seen rows without a value.
	Nullable bool `json:"nullable"`

	Statistics Statistics `json:"statistics"`
}

// Statistics of one feature over the training rows.
type Statistics struct {
	Missing float64 `json:"missing_share"`
	// Of a numeric feature, over the rows that have a value.
	Min  float64 `json:"min,omitempty"`
	Max  float64 `json:"max,omitempty"`
	Mean float64 `json:"mean,omitempty"`
	Std  float64 `json:"std,omitempty"`
	// Cuts are quantiles, rising; Shares[b] is the share of values v with
	// Cuts[b-1] < v <= Cuts[b]. Of a categorical feature, Shares[c] is that of category c and
	// the last that of all others.
	Cuts   []float64 `json:"quantiles,omitempty"`
	Shares []float64 `json:"shares"`
}

// Prediction describes one number of the model's answer.
type Prediction struct {
	// Tensor is the output, Column the column there; −1 is the greatest of a row.
	Tensor string  `json:"tensor"`
	Column int     `json:"column"`
	Mean   float64 `json:"mean"`
	Std    float64 `json:"std"`
	Rows   int     `json:"rows"`
}

// JSON writes the schema's file.
func (s *Schema) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(s, "", "  ")
	return append(b, '\n'), err
}

// Parse reads a schema's file and checks it.
func Parse(b []byte) (*Schema, error) {
	s := &Schema{}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, api.Errorf(api.CodeFeatureSchemaInvalid, "%s can't be read: %w", FileName, err)
	}
	for i := range s.Features {
		if err := s.Features[i].check(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (f *Feature) check() error {
	want := len(f.Statistics.Cuts) + 1
	switch f.Kind {
	case Numeric:
		if f.Low == nil || f.High == nil || !(*f.Low <= *f.High) {
			return api.Errorf(api.CodeFeatureSchemaInvalid, "%s: feature %q has no range", FileName, f.Name)
		}
		if !slices.IsSorted(f.Statistics.Cuts) {
			return api.Errorf(api.CodeFeatureSchemaInvalid, "%s: the quantiles of feature %q do not rise", FileName, f.Name)
		}
	case Categorical:
		want = len(f.Categories) + 1
	default:
		return api.Errorf(api.CodeFeatureSchemaInvalid, "%s: feature %q is of kind %q, expected numeric or categorical", FileName, f.Name, f.Kind)
	}
	if len(f.Statistics.Shares) != want || f.Column < 0 {
		return api.Errorf(api.CodeFeatureSchemaInvalid, "%s: feature %q has %d shares, expected %d, in column %d", FileName, f.Name, len(f.Statistics.Shares), want,
			f.Column)
	}
	for _, v := range f.Statistics.Shares {
		if !(v >= 0 && v <= 1) {
			return api.Errorf(api.CodeFeatureSchemaInvalid, "%s: a share of feature %q is %v", FileName, f.Name, v)
		}
	}
	return nil
}

// gridCuts is how many quantiles describe a numeric feature: as many as tell distributions
// apart to 2 %.
const gridCuts = 49

// DescribeNumbers fills a numeric feature from its training values, NaN where one is missing.
// Values are compared as float32, in which they are served.
func (f *Feature) DescribeNumbers(values []float64) {
	f.Kind = Numeric
	sorted := make([]float64, 0, len(values))
	for _, v := range values {
		if v == v {
			// What float32 can't hold counts as its largest: JSON, in which statistics rest, has no infinity.
			sorted = append(sorted, float64(float32(max(-math.MaxFloat32, min(math.MaxFloat32, v)))))
		}
	}
	slices.Sort(sorted)
	st := &f.Statistics
	st.Missing = share(len(values)-len(sorted), len(values))
	f.Nullable = len(sorted) < len(values)
	if len(sorted) > 0 {
		st.Min, st.Max = sorted[0], sorted[len(sorted)-1]
		st.Mean, st.Std = moments(sorted)
	}
	margin := (st.Max - st.Min) / 10
	low, high := st.Min-margin, st.Max+margin
	f.Low, f.High = &low, &high
	for k := 1; k <= gridCuts && len(sorted) > 0; k++ {
		c := sorted[min(k*len(sorted)/(gridCuts+1), len(sorted)-1)]
		if n := len(st.Cuts); (n == 0 || c > st.Cuts[n-1]) && c < st.Max {
			st.Cuts = append(st.Cuts, c)
		}
	}
	st.Shares = make([]float64, len(st.Cuts)+1)
	for _, v := range sorted {
		st.Shares[binOf(st.Cuts, v)] += 1 / float64(len(sorted))
	}
	clampShares(st.Shares)
}

// DescribeCodes fills a categorical feature from its training values, places in categories or
// -1 where one is missing; those beyond categories count as others.
func (f *Feature) DescribeCodes(codes []int32, categories []string) {
	f.Kind, f.Categories = Categorical, categories
	st := &f.Statistics
	st.Shares = make([]float64, len(categories)+1)
	missing := 0
	for _, c := range codes {
		if c < 0 {
			missing++
			continue
		}
		st.Shares[min(int(c), len(categories))]++
	}
	for i := range st.Shares {
		st.Shares[i] /= float64(max(1, len(codes)-missing))
	}
	clampShares(st.Shares)
	st.Missing, f.Nullable = share(missing, len(codes)), missing > 0
}

// clampShares takes the rounding error of sums back.
func clampShares(s []float64) {
	for i := range s {
		s[i] = min(s[i], 1)
	}
}

// DescribePrediction sums up the model's answers.
func DescribePrediction(tensor string, column int, values []float64) *Prediction {
	mean, std := moments(values)
	return &Prediction{Tensor: tensor, Column: column, Mean: mean, Std: std, Rows: len(values)}
}

func share(n, of int) float64 { return float64(n) / float64(max(1, of)) }

func moments(v []float64) (mean, std float64) {
	for _, x := range v {
		mean += x / float64(len(v))
	}
	for _, x := range v {
		std += (x - mean) * (x - mean) / float64(max(1, len(v)-1))
	}
	return mean, math.Sqrt(std)
}

// binOf is the number of the bin that holds v: the first whose upper cut is not below it.
func binOf(cuts []float64, v float64) int {
	lo, hi := 0, len(cuts)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if cuts[mid] < v {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}
