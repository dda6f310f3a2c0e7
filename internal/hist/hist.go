// Package hist counts durations in logarithmic buckets, cheaply enough for every request.
package hist

import (
	"math/bits"
	"sync/atomic"
)

// Buckets: four for each power of two, from 1 µs to some 100 s.
const (
	minBits = 10
	sub     = 2
	count   = (37-minBits)<<sub + 2
)

// Histogram of nanoseconds. The zero value is ready; it is safe for concurrent use.
type Histogram struct {
	bucket [count]atomic.Uint64
	sum    atomic.Int64
}

// Observe counts one duration.
func (h *Histogram) Observe(ns int64) {
	h.bucket[index(ns)].Add(1)
	h.sum.Add(ns)
}

func index(ns int64) int {
	if ns < 1<<minBits {
		return 0
	}
	e := bits.Len64(uint64(ns)) - 1
	i := (e-minBits)<<sub | int(ns>>(e-sub))&(1<<sub-1)
	return min(i+1, count-1)
}

// bound is the upper limit of a bucket, exclusive.
func bound(i int) int64 {
	e := minBits + i>>sub
	return 1<<e + int64(i&(1<<sub-1))<<(e-sub)
}

// Snapshot gives the number of observations, their sum in nanoseconds, and for each of
// the given limits how many were below it. A limit inside a bucket counts the bucket
// whole if its lower half lies below.
func (h *Histogram) Snapshot(limits []int64) (n uint64, sum int64, below []uint64) {
	below = make([]uint64, len(limits))
	for i := range h.bucket {
		c := h.bucket[i].Load()
		if c == 0 {
			continue
		}
		n += c
		mid := bound(i)
		if i > 0 {
			mid = (bound(i-1) + bound(i)) / 2
		}
		for k, l := range limits {
			if mid <= l {
				below[k] += c
			}
		}
	}
	return n, h.sum.Load(), below
}

// Quantile estimates the q-quantile in nanoseconds, 0 if nothing was observed.
func (h *Histogram) Quantile(q float64) int64 {
	var total uint64
	for i := range h.bucket {
		total += h.bucket[i].Load()
	}
	if total == 0 {
		return 0
	}
	want := uint64(q * float64(total))
	var seen uint64
	for i := range h.bucket {
		if seen += h.bucket[i].Load(); seen > want {
			return bound(i)
		}
	}
	return bound(count - 1)
}
