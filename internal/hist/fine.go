package hist

import "math/bits"

// Fine counts durations with a relative error below half a percent: 128 linear buckets for
// each power of two of nanoseconds, up to some two and a half hours (the layout of
// HdrHistogram). The zero value is ready; it is not safe for concurrent use.
type Fine struct {
	n      [(maxFine - fineBits + 1) << fineBits]uint64
	total  uint64
	sum    float64
	lo, hi int64
}

const (
	fineBits = 7
	maxFine  = 43
)

// Observe counts one duration.
func (f *Fine) Observe(ns int64) {
	ns = min(max(ns, 0), 1<<maxFine-1)
	f.n[fineIndex(ns)]++
	if f.total == 0 || ns < f.lo {
		f.lo = ns
	}
	f.hi = max(f.hi, ns)
	f.total++
	f.sum += float64(ns)
}

func fineIndex(ns int64) int {
	if ns < 1<<(fineBits+1) {
		return int(ns)
	}
	e := bits.Len64(uint64(ns)) - 1 - fineBits // ns>>e is in [2^fineBits, 2^(fineBits+1))
	return e<<fineBits + int(ns>>e)
}

// fineValue is the middle of a bucket.
func fineValue(i int) int64 {
	if i < 1<<(fineBits+1) {
		return int64(i)
	}
	e := i>>fineBits - 1
	m := int64(i - e<<fineBits)
	return m<<e + (int64(1)<<e)/2
}

// Count is the number of durations.
func (f *Fine) Count() uint64 { return f.total }

// Mean is their mean, 0 if there are none.
func (f *Fine) Mean() int64 {
	if f.total == 0 {
		return 0
	}
	return int64(f.sum / float64(f.total))
}

// Max is the longest.
func (f *Fine) Max() int64 { return f.hi }

// Quantile gives the q-quantile, 0 if there are none.
func (f *Fine) Quantile(q float64) int64 {
	if f.total == 0 {
		return 0
	}
	want := uint64(q * float64(f.total))
	var seen uint64
	for i, c := range &f.n {
		if seen += c; c > 0 && seen > want {
			return min(max(fineValue(i), f.lo), f.hi)
		}
	}
	return f.hi
}

// Add counts all that another one counted.
func (f *Fine) Add(o *Fine) {
	if o.total == 0 {
		return
	}
	for i, c := range &o.n {
		f.n[i] += c
	}
	if f.total == 0 || o.lo < f.lo {
		f.lo = o.lo
	}
	f.hi = max(f.hi, o.hi)
	f.total += o.total
	f.sum += o.sum
}

// Reset forgets everything.
func (f *Fine) Reset() { *f = Fine{} }
