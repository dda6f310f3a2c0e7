package compress

import (
	"fmt"
	"math"
)

// Calibration says how the range of an activation is found from its values.
type Calibration string

// The ways of calibration. All begin with a histogram of the magnitudes.
const (
	// MinMax takes the least and the greatest value.
	MinMax Calibration = "minmax"
	// Percentile cuts 0.01 % of the values off.
	Percentile Calibration = "percentile"
	// Entropy takes the range that loses least information when the histogram is put into
	// 128 levels (the Kullback–Leibler divergence, as in TensorRT's calibrator; Migacz,
	// "8-bit Inference with TensorRT", 2017).
	Entropy Calibration = "entropy"
)

func (c Calibration) orDefault() Calibration {
	if c == "" {
		return MinMax
	}
	return c
}

func (c Calibration) check() error {
	switch c.orDefault() {
	case MinMax, Percentile, Entropy:
		return nil
	}
	return fmt.Errorf("calibration: expected %s, %s or %s, got %q", MinMax, Percentile, Entropy, c)
}

// valueRange is the range that a byte covers.
type valueRange struct{ low, high float64 }

// params gives scale and zero point of uint8; zero is always a code, so that padding is exact.
func (r valueRange) params() (scale float32, zero uint8) {
	low, high := min(r.low, 0), max(r.high, 0)
	if high-low == 0 {
		return 1, 0
	}
	scale = float32((high - low) / 255)
	return scale, uint8(max(0, min(255, math.RoundToEven(-low/float64(scale)))))
}

// bins of a histogram of magnitudes.
const bins = 2048

// histogram counts magnitudes up to limit, which doubles (two bins become one) when a
// greater value comes.
type histogram struct {
	low, high, limit float64
	counts           [bins]float64
	n                float64
}

func (h *histogram) add(values []float32) {
	for _, f := range values {
		x := float64(f)
		if math.IsNaN(x) || math.IsInf(x, 0) {
			continue
		}
		if h.n == 0 || x < h.low {
			h.low = x
		}
		if h.n == 0 || x > h.high {
			h.high = x
		}
		h.n++
		a := math.Abs(x)
		if h.limit == 0 && a > 0 {
			h.limit = a
		}
		for a > h.limit {
			h.limit *= 2
			for i := range bins / 2 {
				h.counts[i] = h.counts[2*i] + h.counts[2*i+1]
			}
			clear(h.counts[bins/2:])
		}
		if h.limit > 0 {
			h.counts[min(int(a/h.limit*bins), bins-1)]++
		}
	}
}

// rangeBy cuts the range where the calibration says so; a side that the values don't reach
// stays as it is.
func (h *histogram) rangeBy(c Calibration) valueRange {
	r := valueRange{h.low, h.high}
	var cut float64
	switch c.orDefault() {
	case Percentile:
		left := h.n * 0.0001
		i := bins - 1
		for ; i > 0; i-- {
			if left -= h.counts[i]; left < 0 {
				break
			}
		}
		cut = float64(i+1) / bins * h.limit
	case Entropy:
		cut = float64(h.leastDivergence()) / bins * h.limit
	default:
		return r
	}
	return valueRange{max(r.low, -cut), min(r.high, cut)}
}

// leastDivergence gives the number of bins, from the first on, whose quantization to 128
// levels diverges least from the histogram with what lies above put into the last bin.
func (h *histogram) leastDivergence() int {
	const levels = 128
	best, at := math.Inf(1), bins
	for n := levels; n <= bins; n += levels / 4 {
		p := h.counts[:n]
		outliers := 0.0
		for _, x := range h.counts[n:] {
			outliers += x
		}
		d, total := 0.0, 0.0
		for _, x := range p {
			total += x
		}
		total += outliers
		if total == 0 {
			continue
		}
		inside := total - outliers
		for l := range levels {
			from, to := l*n/levels, (l+1)*n/levels
			sum, filled := 0.0, 0.0
			for _, x := range p[from:to] {
				sum += x
				if x > 0 {
					filled++
				}
			}
			for i := from; i < to; i++ {
				x := p[i]
				if i == n-1 {
					x += outliers
				}
				if x == 0 {
					continue
				}
				y := 1e-9
				if p[i] > 0 && inside > 0 {
					y = sum / filled / inside
				}
				d += x / total * math.Log(x/total/y)
			}
		}
		if d < best {
			best, at = d, n
		}
	}
	return at
}
