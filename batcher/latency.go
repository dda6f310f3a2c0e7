package batcher

import (
	"math/bits"
	"sync/atomic"
)

// Latency is the run time of a model as a function of the rows in a batch, learned as it
// runs: an exponentially weighted mean for each power of two, read without a lock.
type Latency struct {
	bucket [24]atomic.Int64 // nanoseconds; 0 = never seen
}

const latencyWeight = 8 // a new sample counts one eighth

// Observe adds a sample.
func (l *Latency) Observe(rows int, ns int64) {
	b := &l.bucket[bucketOf(rows)]
	if old := b.Load(); old != 0 {
		ns = old + (ns-old)/latencyWeight
	}
	b.Store(max(ns, 1))
}

// Estimate gives the expected run time; known is false while nothing was seen. A size
// never seen is scaled from the nearest smaller one, else taken from the nearest larger.
func (l *Latency) Estimate(rows int) (ns int64, known bool) {
	want := bucketOf(rows)
	for b := want; b >= 0; b-- {
		if t := l.bucket[b].Load(); t != 0 {
			return t << (want - b), true
		}
	}
	for b := want + 1; b < len(l.bucket); b++ {
		if t := l.bucket[b].Load(); t != 0 {
			return t, true
		}
	}
	return 0, false
}

func bucketOf(rows int) int {
	return min(bits.Len(uint(max(rows, 1)-1)), 23)
}
