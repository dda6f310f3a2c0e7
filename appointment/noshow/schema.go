package noshow

import "github.com/aimass/aimass/train/features"

// schema describes the features of the training days, by which the server tells drift.
func (r *run) schema() *features.Schema {
	s := &features.Schema{Task: "binary", Target: "no-show", Classes: []string{"show", "no-show"}, Rows: len(r.fit.records), Data: r.table.SHA256,
		Prediction: features.DescribePrediction("p_noshow", 0, r.predicted)}
	names := FeatureNames(r.options.Moment)
	for i, name := range names {
		if i == scholarshipFeature && !r.options.UseScholarship {
			continue // the model does not look at it
		}
		f := features.Feature{Name: name, Tensor: "numeric", Column: i}
		values := make([]float64, len(r.fit.data.Columns[i]))
		for k, v := range r.fit.data.Columns[i] {
			values[k] = float64(v)
		}
		f.DescribeNumbers(values)
		s.Features = append(s.Features, f)
	}
	if !r.options.UsePlace {
		return s
	}
	place := features.Feature{Name: "neighbourhood", Tensor: "neighbourhood"}
	codes := make([]int32, len(r.fit.records))
	for k, v := range r.fit.data.Columns[len(names)] {
		codes[k] = int32(v)
	}
	place.DescribeCodes(codes, r.table.Places)
	place.Nullable = true // −1 is a place that is not known
	s.Features = append(s.Features, place)
	return s
}
