package schedule

import "math"

// z9999 is the standard normal quantile at .9999, where service times are cut.
const z9999 = 3.719016485455709

// ServicePMF returns the service time's distribution on whole minutes, index =
// minutes: a lognormal with the given mean (minutes, > 0) and coefficient of
// variation (≥ 0), rounded to the nearest minute, at least 1, with the mass above
// the .9999 quantile on the last entry. cv = 0 gives a single point.
func ServicePMF(mean, cv float64) []float64 {
	s2 := math.Log(1 + cv*cv)
	s := math.Sqrt(s2)
	if s == 0 {
		k := max(1, int(math.Ceil(mean-.5)))
		p := make([]float64, k+1)
		p[k] = 1
		return p
	}
	mu := math.Log(mean) - s2/2
	last := max(1, int(math.Ceil(math.Exp(mu+s*z9999))))
	p := make([]float64, last+1)
	below := 0.0
	for k := 1; k < last; k++ {
		f := lognormalCDF(float64(k)+.5, mu, s)
		p[k] = f - below
		below = f
	}
	p[last] = 1 - below
	return p
}

func lognormalCDF(x, mu, s float64) float64 {
	return .5 * math.Erfc(-(math.Log(x)-mu)/(s*math.Sqrt2))
}

// MeanOf returns the mean of a distribution on 0, 1, 2, …
func MeanOf(pmf []float64) float64 {
	m := 0.0
	for k, p := range pmf {
		m += float64(k) * p
	}
	return m
}

func varianceOf(pmf []float64) float64 {
	m, m2 := 0.0, 0.0
	for k, p := range pmf {
		m += float64(k) * p
		m2 += float64(k) * float64(k) * p
	}
	return m2 - m*m
}

// coarsened returns pmf on steps of unit minutes, each minute's mass split over
// the two steps around it so that the mean is kept.
func coarsened(pmf []float64, unit int) []float64 {
	if unit == 1 {
		return pmf
	}
	out := make([]float64, (len(pmf)-1+unit-1)/unit+1)
	for k, p := range pmf {
		at, w := k/unit, float64(k%unit)/float64(unit)
		out[at] += (1 - w) * p
		if w > 0 {
			out[at+1] += w * p
		}
	}
	return out
}

// unitFor returns the widest divisor of grid that leaves the longest service
// time some 32 steps: a coarse search is then close and far cheaper.
func unitFor(grid, longest int) int {
	unit := 1
	for u := 2; u <= grid; u++ {
		if grid%u == 0 && longest/u >= 32 {
			unit = u
		}
	}
	return unit
}

// kernel is one patient's contribution to the workload, prepared for
// convolution: minutes below len(dense), then single points.
type kernel struct {
	dense []float64
	tail  []point
	size  int
}

type point struct {
	at int
	p  float64
}

// exactBelow is where a search kernel stops to hold every minute: above it the
// points stand k/exactBelow minutes apart.
const exactBelow = 128

// searchKernel returns the contribution of a patient who comes with probability
// q and then needs pmf minutes. Up to some two hours it is exact. In a longer
// tail the mass between two kept points is split over both so that the mean is
// kept; the search needs no more, and costs are recomputed with [Evaluate].
func searchKernel(pmf []float64, q float64) kernel {
	exact := min(len(pmf), 2*exactBelow)
	if len(pmf)-exact < exactBelow {
		exact = len(pmf)
	}
	k := kernel{dense: make([]float64, exact), size: len(pmf)}
	for i, p := range pmf[:exact] {
		k.dense[i] = q * p
	}
	k.dense[0] += 1 - q
	for at := exact; at < len(pmf); at += at / exactBelow {
		k.tail = append(k.tail, point{at: at})
	}
	if len(k.tail) == 0 {
		return k
	}
	if last := len(pmf) - 1; k.tail[len(k.tail)-1].at != last {
		k.tail = append(k.tail, point{at: last})
	}
	lo := 0
	for i := exact; i < len(pmf); i++ {
		for lo+1 < len(k.tail) && k.tail[lo+1].at <= i {
			lo++
		}
		if lo+1 == len(k.tail) {
			k.tail[lo].p += q * pmf[i]
			continue
		}
		w := float64(i-k.tail[lo].at) / float64(k.tail[lo+1].at-k.tail[lo].at)
		k.tail[lo].p += (1 - w) * q * pmf[i]
		k.tail[lo+1].p += w * q * pmf[i]
	}
	return k
}
