package gbdt

import (
	"cmp"
	"math"
	"slices"
)

// sums is what a set of rows adds up to.
type sums struct {
	g, h float64
	n    int64
}

func (s *sums) add(o sums) {
	s.g += o.g
	s.h += o.h
	s.n += o.n
}

func (s sums) less(o sums) sums { return sums{s.g - o.g, s.h - o.h, s.n - o.n} }

// bounds is the interval that a leaf's value must keep so that monotone
// features stay monotone.
type bounds struct{ lo, hi float64 }

func (b bounds) clip(v float64) float64 { return min(max(v, b.lo), b.hi) }

var unbounded = bounds{math.Inf(-1), math.Inf(1)}

// split is a way to cut a leaf in two.
type split struct {
	gain    float64
	feature int
	// bin, of a numeric feature: bins up to it go left.
	bin int
	// missingLeft sends the missing of a numeric feature left.
	missingLeft bool
	// set, of a categorical feature, has the bins that go left.
	set         [4]uint64
	left, right sums
}

// goesLeft tells the way of one bin of the split's feature.
func (s *split) goesLeft(b *binner, bin int) bool {
	if b.code != nil {
		return s.set[bin>>6]>>(bin&63)&1 == 1
	}
	if bin == b.n {
		return s.missingLeft
	}
	return bin <= s.bin
}

// searcher finds the best split of one feature of one leaf. One goroutine uses
// it at a time.
type searcher struct {
	c     *Config
	u     *unit
	b     *binner
	f     Feature
	total sums
	lim   bounds
	base  float64
	best  split
}

// leafValue is the value that minimises the second-order loss of s with ridge
// l2.
func leafValue(s sums, l2 float64) float64 {
	d := s.h + l2
	if d <= 0 {
		return 0
	}
	return -s.g / d
}

// positive makes a quotient by a hessian of zero count for nothing.
func positive(h float64) float64 {
	if h <= 0 {
		return math.Inf(1)
	}
	return h
}

// score is twice the loss that value v takes off, by the second-order model.
func score(s sums, l2, v float64) float64 { return -(2*s.g + (s.h+l2)*v) * v }

// side values one side of a split within the leaf's bounds.
func (q *searcher) side(s sums, l2 float64) (value, gain float64) {
	v := q.lim.clip(leafValue(s, l2))
	return v, score(s, l2, v)
}

// try weighs the split into left and the rest and returns its gain; ok is false
// where a side is too small or the order of the sides is forbidden.
func (q *searcher) try(left sums, l2 float64) (gain float64, ok bool) {
	right := q.total.less(left)
	if left.n < int64(q.c.MinRows) || right.n < int64(q.c.MinRows) || left.h < q.c.MinHessian || right.h < q.c.MinHessian {
		return 0, false
	}
	if q.lim == unbounded && q.f.Monotone == 0 {
		return left.g*left.g/positive(left.h+l2) + right.g*right.g/positive(right.h+l2) - q.base, true
	}
	lv, lg := q.side(left, l2)
	rv, rg := q.side(right, l2)
	if q.f.Monotone != 0 && float64(q.f.Monotone)*(rv-lv) < 0 {
		return 0, false
	}
	return lg + rg - q.base, true
}

// search fills q.best from the histogram m of the feature; a gain of zero means
// that nothing is worth it.
func (q *searcher) search(m *hist) {
	_, q.base = q.side(q.total, q.c.L2)
	q.best.gain = q.c.MinGain
	if q.b.code != nil {
		q.categorical(m)
	} else {
		q.numeric(m)
	}
	if q.best.left.n == 0 {
		q.best.gain = 0
		return
	}
	q.best.right = q.total.less(q.best.left)
}

func (q *searcher) numeric(m *hist) {
	miss := sums{}
	if q.b.missing {
		miss = q.u.of(&m[q.b.n])
	}
	q.scan(m, sums{}, false, miss.n > 0)
	if miss.n > 0 {
		q.scan(m, miss, true, false)
	} else if q.best.left.n > 0 {
		q.best.missingLeft = q.best.left.n > q.total.n-q.best.left.n
	}
}

// scan walks the bins upward with what is left of the first cut already in
// left. whole allows the cut after the last bin, which parts the missing from
// the rest.
func (q *searcher) scan(m *hist, left sums, missingLeft, whole bool) {
	end := q.b.n - 1
	if whole {
		end++
	}
	free := q.lim == unbounded && q.f.Monotone == 0
	least, l2 := int64(q.c.MinRows), q.c.L2
	for b := range end {
		if q.u.count(&m[b]) == 0 {
			continue
		}
		left.add(q.u.of(&m[b]))
		if left.n < least {
			continue
		}
		if q.total.n-left.n < least {
			break
		}
		if free && left.h+l2 > 0 && q.total.h-left.h+l2 > 0 {
			// What try comes to here, without a call; most cuts end at this comparison.
			rg := q.total.g - left.g
			if left.g*left.g/(left.h+l2)+rg*rg/(q.total.h-left.h+l2)-q.base <= q.best.gain {
				continue
			}
		}
		if gain, ok := q.try(left, l2); ok && gain > q.best.gain {
			q.best = split{gain: gain, bin: b, missingLeft: missingLeft, left: left}
		}
	}
}

// categorical orders the bins that are frequent enough by their smoothed mean
// gradient and tries the sets at both ends of that order.
func (q *searcher) categorical(m *hist) {
	var order [MaxBins]uint8
	var key [MaxBins]float64
	k := 0
	for b := range q.b.n {
		if s := q.u.of(&m[b]); s.n >= int64(q.c.CategoryMinRows) {
			order[k] = uint8(b)
			key[b] = s.g / (s.h + q.c.CategorySmoothing)
			k++
		}
	}
	slices.SortFunc(order[:k], func(x, y uint8) int { return cmp.Or(cmp.Compare(key[x], key[y]), cmp.Compare(x, y)) })
	l2 := q.c.L2 + q.c.CategoryL2
	for _, backward := range []bool{false, true} {
		var left sums
		var set [4]uint64
		for i := range min(k, q.c.CategoryMax) {
			b := order[i]
			if backward {
				b = order[k-1-i]
			}
			left.add(q.u.of(&m[b]))
			set[b>>6] |= 1 << (b & 63)
			if gain, ok := q.try(left, l2); ok && gain > q.best.gain {
				q.best = split{gain: gain, set: set, left: left}
			}
		}
	}
}
