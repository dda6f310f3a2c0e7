package batcher

import "math/bits"

// curve is a snapshot of the latency model for one class, read between powers of two.
type curve struct {
	known   bool
	class   uint64
	version uint64
	most    int // Config.MaxRows
	t       [binCount]int64
	even    [binCount]float64 // as t, by Latency.Smooth
	sizes   int               // entries of t and even that hold: t[k] belongs to 2^k rows, the last to most
	best    int               // the fewest rows with nearly the most throughput
	spread  float64           // mean deviation of a run time, as a share of it
	base    float64           // what a batch costs besides its rows, in nanoseconds
}

// fresh is how many samples a curve may be behind.
const fresh = 16

// curveOf gives the curve of an item's class.
func (p *Policy) curveOf(it *Item) *curve {
	c := &p.curves[it.Class%uint64(len(p.curves))]
	v := p.latency.version.Load()
	if c.known && c.class == it.Class && v-c.version < fresh && (v == c.version || c.version >= 4*fresh) {
		return c
	}
	p.learn(c, it, v)
	return c
}

func (p *Policy) learn(c *curve, it *Item, version uint64) {
	*c = curve{class: it.Class, version: version, most: p.cfg.MaxRows, best: 1}
	work := it.Bytes / int64(it.rows())
	last := int64(0)
	var sizes [binCount]int
	for k := 0; ; k++ {
		rows := min(1<<k, c.most)
		sizes[k] = rows
		t, dev, known := p.latency.Estimate(it.Class, work, rows)
		if !known {
			return
		}
		// More rows never take less time: a dip is noise.
		last = max(last, t)
		c.t[k], c.sizes = last, k+1
		c.spread += float64(dev) / float64(t)
		if rows == c.most {
			break
		}
	}
	c.spread /= float64(c.sizes)
	c.known = true
	smooth, base := p.latency.Smooth(it.Class, work, sizes[:c.sizes], c.even[:0])
	rate := 0.0
	c.base = base
	for k, t := range smooth {
		rate = max(rate, float64(sizes[k])/t)
	}
	for k, t := range smooth {
		if c.best = sizes[k]; float64(c.best) >= rate*nearly*t {
			break
		}
	}
}

// nearly is the share of the best throughput that a smaller batch must have to be preferred.
const nearly = 0.97

// by is the time within which a batch is very likely done.
func (c *curve) by(rows int) int64 {
	t := c.at(rows)
	return t + int64(float64(t)*c.spread*deviations)
}

// deviations is how many mean deviations a run may take longer than expected.
const deviations = 2

// at reads the expected run time of a batch; beyond the largest size it goes on in
// proportion.
func (c *curve) at(rows int) int64 {
	rows = max(rows, 1)
	if rows >= c.most {
		return c.t[c.sizes-1] * int64(rows) / int64(c.most)
	}
	k := bits.Len(uint(rows)) - 1
	lo, hi := 1<<k, min(2<<k, c.most)
	if lo == rows || k+1 >= c.sizes {
		return c.t[k]
	}
	return c.t[k] + (c.t[k+1]-c.t[k])*int64(rows-lo)/int64(hi-lo)
}

// smooth reads even for at most most rows.
func (c *curve) smooth(rows int) float64 {
	k := bits.Len(uint(rows)) - 1
	lo, hi := 1<<k, min(2<<k, c.most)
	if lo == rows || k+1 >= c.sizes {
		return c.even[min(k, c.sizes-1)]
	}
	return c.even[k] + (c.even[k+1]-c.even[k])*float64(rows-lo)/float64(hi-lo)
}

// rate is the throughput of the best size, in rows a nanosecond.
func (c *curve) rate() float64 { return float64(c.best) / float64(max(c.at(c.best), 1)) }
