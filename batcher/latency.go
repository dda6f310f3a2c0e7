package batcher

import (
	"math"
	"math/bits"
	"sync"
	"sync/atomic"
)

// Latency is the run time of a model as a function of the rows in a batch, learned as it
// runs and kept apart for each class of input shapes. Reading takes no lock; it is safe for
// concurrent use.
type Latency struct {
	mu      sync.Mutex // writers
	tables  atomic.Pointer[[]*table]
	version atomic.Uint64
}

// maxClasses bounds the shape classes that are remembered apart; the one longest unseen goes.
const maxClasses = 32

// binCount: one bin for each of 1 to 8 rows, then four for each power of two.
const binCount = 8 + 4*18

// table is what was learned of one class.
type table struct {
	class uint64
	work  int64 // input bytes a row, by which unknown classes are compared
	seen  atomic.Uint64
	bins  [binCount]bin
}

// bin holds exponentially weighted means over the batches of about one size.
type bin struct {
	n    atomic.Int64
	rows atomic.Int64 // mean rows, times rowScale
	ns   atomic.Int64 // mean nanoseconds; 0 = never seen
	dev  atomic.Int64 // mean absolute deviation
}

const rowScale = 256

// settled is the number of samples after which a new one weighs as much as it ever will.
const settled = 16

func binOf(rows int) int {
	rows = max(rows, 1)
	if rows <= 8 {
		return rows - 1
	}
	e := bits.Len(uint(rows-1)) - 1 // rows-1 in [2^e, 2^(e+1))
	return min(8+(e-3)<<2+int((rows-1)>>(e-2))&3, binCount-1)
}

// Observe adds a sample of a class whose rows have work input bytes each.
func (l *Latency) Observe(class uint64, work int64, rows int, ns int64) {
	t := l.table(class)
	if t == nil {
		t = l.add(class, work)
	}
	t.seen.Store(l.version.Add(1))
	b := &t.bins[binOf(rows)]
	n := b.n.Add(1)
	old := b.ns.Load()
	if old == 0 || n <= settled && ns < old/2 {
		// A model's first runs of a size may be far slower than all others.
		b.rows.Store(int64(max(rows, 1)) * rowScale)
		b.ns.Store(max(ns, 1))
		b.dev.Store(0)
		return
	}
	// One sample far outside, as a preempted thread gives, moves the mean little.
	w := min(n, settled)
	d := min(ns, 4*old) - old
	b.ns.Store(max(old+d/w, 1))
	dev := b.dev.Load()
	b.dev.Store(dev + (max(d, -d)-dev)/w)
	r := b.rows.Load()
	b.rows.Store(r + (int64(max(rows, 1))*rowScale-r)/w)
}

func (l *Latency) table(class uint64) *table {
	if p := l.tables.Load(); p != nil {
		for _, t := range *p {
			if t.class == class {
				return t
			}
		}
	}
	return nil
}

func (l *Latency) add(class uint64, work int64) *table {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.table(class); t != nil {
		return t
	}
	var next []*table
	if p := l.tables.Load(); p != nil {
		next = append(next, *p...)
	}
	t := &table{class: class, work: max(work, 1)}
	if len(next) >= maxClasses {
		oldest := 0
		for i := range next {
			if next[i].seen.Load() < next[oldest].seen.Load() {
				oldest = i
			}
		}
		next[oldest] = t
	} else {
		next = append(next, t)
	}
	l.tables.Store(&next)
	return t
}

// Estimate gives the expected run time of a batch and its mean absolute deviation; known is
// false while nothing was seen. Between sizes seen it interpolates, beyond them it goes on
// along their line. A class never seen is scaled from the one with the nearest work a row.
func (l *Latency) Estimate(class uint64, work int64, rows int) (ns, dev int64, known bool) {
	if t := l.table(class); t != nil {
		return t.estimate(rows)
	}
	best := l.nearest(work)
	if best == nil {
		return 0, 0, false
	}
	ns, dev, known = best.estimate(rows)
	scale := float64(max(work, 1)) / float64(best.work)
	return int64(float64(ns) * scale), int64(float64(dev) * scale), known
}

// nearest is the table of the class whose work a row is nearest.
func (l *Latency) nearest(work int64) *table {
	p := l.tables.Load()
	if p == nil {
		return nil
	}
	var best *table
	distance := 0.0
	for _, t := range *p {
		ratio := float64(max(work, 1)) / float64(t.work)
		if ratio < 1 {
			ratio = 1 / ratio
		}
		if best == nil || ratio < distance {
			best, distance = t, ratio
		}
	}
	return best
}

// line is a run time of base + slope·rows.
type line struct{ base, slope float64 }

func (f line) at(rows int) float64 { return f.base + f.slope*float64(rows) }

// Smooth appends the run times of batches of the sizes as a curve that noise hardly bends: between what was seen of a size
// and the line through all sizes, nearer to the former the more often it was seen. By Estimate alone a size that was unlucky
// when it was tried would never be tried again. base is what the line says of a batch without rows. Both are in units of their own
// where the class was never seen.
func (l *Latency) Smooth(class uint64, work int64, sizes []int, out []float64) (times []float64, base float64) {
	t := l.table(class)
	if t == nil {
		t = l.nearest(work)
	}
	if t == nil {
		return out, 0
	}
	f := t.fit()
	for _, rows := range sizes {
		b := &t.bins[binOf(rows)]
		p, seen := b.point()
		if !seen {
			out = append(out, f.at(rows))
			continue
		}
		n := float64(min(b.n.Load(), settled))
		scaled := p.ns * f.at(rows) / f.at(int(math.Round(p.rows))) // a bin holds sizes near each other
		out = append(out, (n*scaled+doubt*f.at(rows))/(n+doubt))
	}
	return out, f.base
}

// doubt is how many samples the line through all sizes counts for.
const doubt = 8

// fit is the line of the least squares of relative errors.
func (t *table) fit() line {
	var w, wu, wv, wuu, wuv, wvv float64 // u = 1/ns, v = rows/ns: base·u + slope·v should be 1
	for i := range t.bins {
		p, seen := t.bins[i].point()
		if !seen {
			continue
		}
		n, u, v := float64(min(t.bins[i].n.Load(), settled)), 1/p.ns, p.rows/p.ns
		w, wu, wv = w+n, wu+n*u, wv+n*v
		wuu, wuv, wvv = wuu+n*u*u, wuv+n*u*v, wvv+n*v*v
	}
	if w == 0 {
		return line{slope: 1}
	}
	det := wuu*wvv - wuv*wuv
	if det <= 1e-9*wuu*wvv { // one size only
		ns := wu / wuu
		return line{base: ns * (1 - loneSlope), slope: loneSlope * wv / wvv}
	}
	f := line{base: (wu*wvv - wv*wuv) / det, slope: (wv*wuu - wu*wuv) / det}
	if f.slope <= 0 {
		return line{base: wu / wuu}
	}
	f.base = max(f.base, leastBase*f.slope)
	return f
}

// leastBase is what a run is taken to cost at least besides its rows, in rows: else noise could make
// batches of one seem best, and no others would be tried.
const leastBase = 0.1

// point is a mean that was learned.
type point struct{ rows, ns, dev float64 }

func (b *bin) point() (point, bool) {
	ns := b.ns.Load()
	return point{float64(b.rows.Load()) / rowScale, float64(ns), float64(b.dev.Load())}, ns != 0
}

// nearest finds the closest bin seen from i on in steps of step.
func (t *table) nearest(i, step int) (point, int) {
	for ; i >= 0 && i < binCount; i += step {
		if p, ok := t.bins[i].point(); ok {
			return p, i
		}
	}
	return point{}, -1
}

// loneSlope is the share of a row's time that a further row is taken to cost while only one
// batch size was seen.
const loneSlope = 0.5

func (t *table) estimate(rows int) (ns, dev int64, known bool) {
	r := float64(max(rows, 1))
	i := binOf(rows)
	lo, at := t.nearest(i, -1)
	var hi point
	var up int
	switch {
	case at >= 0 && lo.rows > r: // the own bin's mean lies above
		hi, up = lo, at
		lo, at = t.nearest(at-1, -1)
	case at == i && lo.rows == r:
		return int64(lo.ns), int64(lo.dev), true
	default:
		hi, up = t.nearest(i+1, 1)
	}
	if at < 0 && up < 0 {
		return 0, 0, false
	}
	if at < 0 {
		lo, hi = hi, point{}
		if next, k := t.nearest(up+1, 1); k >= 0 {
			hi = next
		}
	} else if up < 0 {
		// The smallest size seen, not the next: the line between neighbours is mostly noise.
		if first, k := t.nearest(0, 1); k < at {
			hi = first
		}
	}
	slope := loneSlope * lo.ns / lo.rows
	if hi.rows > 0 && hi.rows != lo.rows {
		slope = max((hi.ns-lo.ns)/(hi.rows-lo.rows), 0)
	}
	v := lo.ns + (r-lo.rows)*slope
	return int64(max(v, lo.ns*min(r/lo.rows, 1)/2, 1)), int64(max(lo.dev, hi.dev)), true
}
