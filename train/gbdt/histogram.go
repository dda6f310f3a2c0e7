package gbdt

import (
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
)

// pair is the first and second derivative of the loss of one row.
type pair struct{ g, h float32 }

// fixed is a pair as multiples of a unit.
type fixed struct{ g, h int32 }

// bin sums the derivatives of the rows of one bin and counts them, in integers:
// sums do not depend on their order, and taking one histogram from another is
// exact. The count lies above the hessian in one word, by unit.shift.
type bin struct{ g, hn int64 }

// unit gives integers their meaning.
type unit struct {
	g, h  float64
	shift uint
}

// of gives what a bin holds.
func (u *unit) of(b *bin) sums {
	return sums{float64(b.g) * u.g, float64(b.hn&(1<<u.shift-1)) * u.h, b.hn >> u.shift}
}

// count is the number of rows of a bin.
func (u *unit) count(b *bin) int64 { return b.hn >> u.shift }

// newUnit fits the derivatives of rows rows, none greater than the two maxima,
// into words: the count takes the upper bits, and the hessians of all rows
// together must stay below it.
func newUnit(rows int, maxG, maxH float64) unit {
	n := bits.Len(uint(rows))
	shift := 63 - n
	return unit{maxG / (1 << 30), maxH / float64(int64(1)<<min(30, shift-n)), uint(shift)}
}

// quantise writes the derivatives as multiples of a unit that it chooses.
func quantise(dst []fixed, src []pair, workers int) unit {
	tops := make([]pair, (len(src)+chunk-1)/chunk)
	shareRows(len(src), workers, func(from, to int) {
		var top pair
		for _, p := range src[from:to] {
			top.g, top.h = max(top.g, p.g, -p.g), max(top.h, p.h)
		}
		tops[from/chunk] = top
	})
	var top pair
	for _, p := range tops {
		top.g, top.h = max(top.g, p.g), max(top.h, p.h)
	}
	u := newUnit(len(src), float64(top.g), float64(top.h))
	var perG, perH float64
	if u.g > 0 {
		perG = 1 / u.g
	}
	if u.h > 0 {
		perH = 1 / u.h
	}
	shareRows(len(src), workers, func(from, to int) {
		for i := from; i < to; i++ {
			dst[i] = fixed{int32(math.RoundToEven(float64(src[i].g) * perG)), int32(math.RoundToEven(float64(src[i].h) * perH))}
		}
	})
	return u
}

// hist is the histogram of one group.
type hist [256]bin

// accumulate adds the rows to h: gh[i] belongs to row rows[i]; one is a count
// of one row.
func (h *hist) accumulate(col []uint8, rows []int32, gh []fixed, one int64) {
	gh = gh[:len(rows)]
	for i, r := range rows {
		b := &h[col[r]]
		b.g += int64(gh[i].g)
		b.hn += int64(gh[i].h) + one
	}
}

// accumulateTwo is accumulate for two groups at once: their updates do not wait
// for each other. The columns have one length.
func accumulateTwo(h1, h2 *hist, col1, col2 []uint8, rows []int32, gh []fixed, one int64) {
	gh = gh[:len(rows)]
	col2 = col2[:len(col1)]
	i := 0
	for ; i+1 < len(rows); i += 2 {
		r, s := rows[i], rows[i+1]
		g, hn := int64(gh[i].g), int64(gh[i].h)+one
		b := &h1[col1[r]]
		b.g += g
		b.hn += hn
		b = &h2[col2[r]]
		b.g += g
		b.hn += hn
		g, hn = int64(gh[i+1].g), int64(gh[i+1].h)+one
		b = &h1[col1[s]]
		b.g += g
		b.hn += hn
		b = &h2[col2[s]]
		b.g += g
		b.hn += hn
	}
	h1.accumulate(col1, rows[i:], gh[i:], one)
	h2.accumulate(col2, rows[i:], gh[i:], one)
}

// accumulateFour is accumulate for four groups at once: each row's derivatives are read once
// for all of them. The columns have one length.
func accumulateFour(h [4]*hist, cols [4][]uint8, rows []int32, gh []fixed, one int64) {
	h0, h1, h2, h3 := h[0], h[1], h[2], h[3]
	c0 := cols[0]
	c1, c2, c3 := cols[1][:len(c0)], cols[2][:len(c0)], cols[3][:len(c0)]
	gh = gh[:len(rows)]
	for i, r := range rows {
		g, hn := int64(gh[i].g), int64(gh[i].h)+one
		b := &h0[c0[r]]
		b.g += g
		b.hn += hn
		b = &h1[c1[r]]
		b.g += g
		b.hn += hn
		b = &h2[c2[r]]
		b.g += g
		b.hn += hn
		b = &h3[c3[r]]
		b.g += g
		b.hn += hn
	}
}

// subtract takes o from h in the first size bins.
func (h *hist) subtract(o *hist, size int) {
	for i := range size {
		h[i].g -= o[i].g
		h[i].hn -= o[i].hn
	}
}

// clear empties the first size bins.
func (h *hist) clear(size int) { clear(h[:size]) }

// marginal adds up the joint histogram h of g into dst, by the bins of its
// member i. dst must be empty.
func (g *group) marginal(dst *hist, h *hist, i int) {
	for j, b := range g.margin[i] {
		dst[b].g += h[j].g
		dst[b].hn += h[j].hn
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
	work := func() {
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			f(i)
		}
	}
	var wg sync.WaitGroup
	for range workers - 1 {
		wg.Go(work)
	}
	work()
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
