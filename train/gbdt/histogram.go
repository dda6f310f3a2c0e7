package gbdt

import (
	"sync"
	"sync/atomic"
)

// pair is the first and second derivative of the loss of one row.
type pair struct{ g, h float32 }

// bin sums the derivatives of the rows of one bin and counts them.
type bin struct {
	g, h float64
	n    int64
}

// hist is the histogram of one group.
type hist [256]bin

// accumulate adds the rows to h: gh[i] belongs to row rows[i].
func (h *hist) accumulate(col []uint8, rows []int32, gh []pair) {
	gh = gh[:len(rows)]
	for i, r := range rows {
		b := &h[col[r]]
		b.g += float64(gh[i].g)
		b.h += float64(gh[i].h)
		b.n++
	}
}

// subtract takes o from h in the first size bins.
func (h *hist) subtract(o *hist, size int) {
	for i := range size {
		h[i].g -= o[i].g
		h[i].h -= o[i].h
		h[i].n -= o[i].n
	}
}

// clear empties the first size bins.
func (h *hist) clear(size int) { clear(h[:size]) }

// marginal adds up the joint histogram h of g into dst, by the bins of its
// member i. dst[:width] must be empty.
func (g *group) marginal(dst *hist, h *hist, i int) {
	for j, b := range g.margin[i] {
		if h[j].n == 0 {
			continue
		}
		d := &dst[b]
		d.g += h[j].g
		d.h += h[j].h
		d.n += h[j].n
	}
}

// share runs f(0) … f(n-1) on up to workers goroutines and returns when all are
// done. f must write to places of its own alone.
func share(n, workers int, f func(i int)) {
	if workers = min(workers, n); workers <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				f(i)
			}
		})
	}
	wg.Wait()
}

// chunk is how many rows one call of shareRows' function gets.
const chunk = 8192

// shareRows cuts 0..n into chunks and shares them.
func shareRows(n, workers int, f func(from, to int)) {
	if n <= chunk {
		f(0, n)
		return
	}
	share((n+chunk-1)/chunk, workers, func(i int) { f(i*chunk, min(n, (i+1)*chunk)) })
}
