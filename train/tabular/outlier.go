package tabular

import (
	"math"
	"slices"

	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/train/design"
)

// outliers scores how unusual a row is among the fitted rows: the squared Mahalanobis distance
// of its standardised numbers, less twice the log of each category's share. That is twice the
// negative log-likelihood, up to a constant, of a normal distribution and independent
// categories (Mahalanobis, 1936). bar is the score that a share of usual rows, the calibration
// rows, does not pass; the guarantee is that of conformal prediction.
type outliers struct {
	scaler *design.Scaler
	// whiten [width, width] turns standardised numbers into uncorrelated ones of unit variance.
	whiten []float32
	width  int
	// rare[j] has the score of each category, the last that of an unknown one.
	rare [][]float32
	bar  float64
	rate float64
}

// whitenRidge keeps directions of no variance finite.
const whitenRidge = 1e-3

func fitOutliers(p *problem) *outliers {
	o := &outliers{rate: p.outlierRate}
	if len(p.numeric) > 0 {
		o.scaler = design.FitScaler(p.fit.numeric)
		o.scaler.Marked = nil // a missing value counts as average
		o.width = o.scaler.Width()
		o.whiten = whitening(o.scaler.Apply(p.fit.numeric, len(p.fit.rows)), o.width)
	}
	for j, names := range p.categories {
		count := make([]float64, len(names)+1)
		for _, c := range p.fit.codes[j] {
			if c < 0 {
				count[len(names)]++
			} else {
				count[c]++
			}
		}
		table := make([]float32, len(count))
		for k, n := range count {
			table[k] = float32(-2 * math.Log((n+0.5)/(float64(len(p.fit.rows))+0.5*float64(len(count)))))
		}
		o.rare = append(o.rare, table)
	}
	scores := o.scores(&p.calibrate)
	o.bar = conformalBound(scores, 1-o.rate)
	return o
}

// whitening inverts the Cholesky factor L of the covariance: x·L⁻ᵀ has the identity as
// covariance.
func whitening(z []float32, width int) []float32 {
	rows := len(z) / max(width, 1)
	l := make([]float64, width*width)
	for r := range rows {
		x := z[r*width : (r+1)*width]
		for i, a := range x {
			for j := range i + 1 {
				l[i*width+j] += float64(a) * float64(x[j]) / float64(rows)
			}
		}
	}
	for i := range width {
		l[i*width+i] += whitenRidge
		for j := range i + 1 {
			s := l[i*width+j]
			for k := range j {
				s -= l[i*width+k] * l[j*width+k]
			}
			if i == j {
				l[i*width+i] = math.Sqrt(max(s, whitenRidge/2))
			} else {
				l[i*width+j] = s / l[j*width+j]
			}
		}
	}
	inverse := make([]float64, width*width) // of l, lower
	for c := range width {
		for i := c; i < width; i++ {
			s := 0.0
			if i == c {
				s = 1
			}
			for k := c; k < i; k++ {
				s -= l[i*width+k] * inverse[k*width+c]
			}
			inverse[i*width+c] = s / l[i*width+i]
		}
	}
	out := make([]float32, width*width)
	for i := range width {
		for j := range width {
			out[j*width+i] = float32(inverse[i*width+j])
		}
	}
	return out
}

func (o *outliers) scores(s *set) []float64 {
	out := make([]float64, len(s.rows))
	if o.width > 0 {
		z := o.scaler.Apply(s.numeric, len(s.rows))
		for r := range out {
			x := z[r*o.width : (r+1)*o.width]
			for j := range o.width {
				var v float32
				for i, a := range x {
					v += a * o.whiten[i*o.width+j]
				}
				out[r] += float64(v) * float64(v)
			}
		}
	}
	for j, table := range o.rare {
		for r, c := range s.codes[j] {
			if c < 0 {
				c = int32(len(table) - 1)
			}
			out[r] += float64(table[c])
		}
	}
	return out
}

// append writes outlier_score FLOAT [N] and outlier BOOL [N].
func (o *outliers) append(g *build.Graph, in *inputs) {
	axis := g.Const(g.Fresh("axis"), []int64{1}, 1)
	sum := ""
	if o.width > 0 {
		w := g.Const(g.Fresh("whiten"), o.whiten, int64(o.width), int64(o.width))
		x := g.Op("MatMul", []string{o.scaler.AppendONNX(g, in.numeric), w})
		sum = g.Op("ReduceSum", []string{g.Op("Mul", []string{x, x}), axis}, build.I("keepdims", 1))
	}
	for j, table := range o.rare {
		t := design.AppendLookUp(g, "rarity", table, len(table)-1, 1, in.codes[j])
		if sum == "" {
			sum = t
			continue
		}
		sum = g.Op("Add", []string{sum, t})
	}
	g.OpAs("outlier_score", "Squeeze", []string{sum, axis})
	bar := g.Const(g.Fresh("outlier_bar"), []float32{float32(o.bar)}, 1)
	g.OpAs("outlier", "Greater", []string{"outlier_score", bar})
	g.Output("outlier_score", build.Float, build.Sym("N"))
	g.Output("outlier", build.Bool, build.Sym("N"))
}

// conformalBound is the ⌈(n+1)·level⌉-th smallest score, which a new one of the same
// distribution does not pass with a probability of at least level; the greatest where there
// are too few (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005).
func conformalBound(scores []float64, level float64) float64 {
	s := slices.Sorted(slices.Values(scores))
	rank := int(math.Ceil(float64(len(s)+1)*level - 1e-9))
	return s[min(max(rank, 1), len(s))-1]
}
