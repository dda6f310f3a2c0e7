package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/aimass/aimass/pipeline"
)

func perFeature(name, help string, more ...string) *prometheus.Desc {
	return desc(name, help, append([]string{"model", "version", "feature"}, more...)...)
}

// The metrics of models that carry the statistics of their training data.
var (
	featureViolations = perFeature("aimass_features_violations_total", "Values that training has not seen the like of.", "kind")
	featurePSI        = perFeature("aimass_features_psi_ratio", "Population stability index of the latest requests against the training data.")
	featureKS         = perFeature("aimass_features_ks_ratio", "Kolmogorov-Smirnov statistic of the latest requests against the training data.")
	featureMissing    = perFeature("aimass_features_missing_ratio", "Share of the latest rows without a value.")
	featureRows       = perModel("aimass_features_window_rows", "Rows of the latest requests that drift is told of.")
	predictionMean    = desc("aimass_features_prediction_mean", "Mean answer to the latest rows (bound: mean, low and high of its 95 % interval, training).", "model", "version", "bound")
)

func drift(out chan<- prometheus.Metric, v *pipeline.Served) {
	d := v.Features.Drift()
	gauge := func(m *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(m, prometheus.GaugeValue, value, append([]string{v.Model, v.VersionText}, labels...)...)
	}
	gauge(featureRows, float64(d.Rows))
	for i := range d.Features {
		f := &d.Features[i]
		for kind, n := range map[string]int64{"missing": f.Missing, "out_of_range": f.OutOfRange, "unknown_category": f.Unknown} {
			out <- prometheus.MustNewConstMetric(featureViolations, prometheus.CounterValue, float64(n), v.Model, v.VersionText, f.Name, kind)
		}
		if d.Rows == 0 {
			continue
		}
		gauge(featurePSI, f.PSI, f.Name)
		gauge(featureMissing, f.MissingShare, f.Name)
		if f.KSLimit > 0 {
			gauge(featureKS, f.KS, f.Name)
		}
	}
	if p := d.Prediction; p != nil {
		gauge(predictionMean, p.Mean, "mean")
		gauge(predictionMean, p.Low, "low")
		gauge(predictionMean, p.High, "high")
		gauge(predictionMean, p.TrainingMean, "training")
	}
}
