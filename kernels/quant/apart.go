package quant

import "slices"

// On AVX2 a tile multiplies unsigned A by signed B with vpmaddubsw, which sums each pair of products in 16 bits
// that saturate; where weights are small enough, tiles sum the pairs of two neighbouring groups in 16 bits, too (quads). No
// sum saturates if A is at most span and the positive weights that go into each, and the negative ones, add up to at
// most bound, where span·bound < 1<<15. Weights and values of a layer gather around zero, so
// that is true of nearly all. What exceeds it is cut off, exactly, and added behind the tile's own sums: of
// the weights as they are packed (here), of A as each of its rows is packed (quant_body.h).

// limits are a span of A, the bound of the weights' sums that goes with it, and whether they are of pairs or quads.
type limits struct {
	span, bound int
	quads       bool
}

// choices are the limits there are. Either all of A goes with sums of small weights, or seven tenths of its range with what
// normally distributed weights seldom exceed.
var choices = [4]limits{{255, 128, true}, {180, 182, true}, {255, 128, false}, {180, 182, false}}

// cost is about what a group of half a panel takes, when the share rests of them is added behind. The unit is a
// multiplication of each row: a pair takes two, a quad for its two groups three and an addition, a rest two and the loads that others share.
func (l limits) cost(rests float64) float64 {
	c := 2 + 2.5*rests
	if l.quads {
		c -= .27
	}
	if l.span < 255 {
		c += .04 // A is looked through and parts of it are multiplied again
	}
	return c
}

// takeApart cuts the packed weights, in groups of size bytes for each half of a panel, to the limits that cost least.
func (b *PackedB) takeApart(size, perPanel int) {
	var rests [len(choices)]int
	b.each(size, perPanel, func(_, _ int, w [][]int8) {
		one, both := greatest(w)
		for i, l := range choices {
			if l.quads && both > l.bound {
				rests[i]++
			}
			if l.quads && both-l.bound > one[0] {
				rests[i]++ // the first group can't have it all
			}
			for _, pair := range one {
				if !l.quads && pair > l.bound {
					rests[i]++
				}
			}
		}
	})
	cost := func(i int) float64 { return choices[i].cost(float64(rests[i]) / float64(len(b.data)/size)) }
	best := 0
	for i := range choices {
		if cost(i) < cost(best) {
			best = i
		}
	}
	if b.limits = choices[best]; rests[best] > 0 {
		b.cutAll(size, perPanel)
	}
}

// cutAll cuts the weights to the bound and lists what is cut off.
func (b *PackedB) cutAll(size, perPanel int) {
	var at []int32
	cut := func(g int, w [][]int8) {
		rest := [][]int8{make([]int8, size), make([]int8, size)}
		if !cutTo(b.bound, w, rest) {
			return
		}
		for k := range w {
			for r := rest[k]; slices.ContainsFunc(r, func(x int8) bool { return x != 0 }); {
				more := make([]int8, size) // what no pair bears of a rest is another
				cutTo(b.bound, [][]int8{r}, [][]int8{more})
				at, b.rest, r = append(at, int32(g+k)), append(b.rest, r...), more
			}
		}
	}
	half := -1
	b.each(size, perPanel, func(h, g int, w [][]int8) {
		if h != half {
			half, b.rests = h, append(b.rests, int32(len(at)))
		}
		if b.quads {
			cut(g, w)
			return
		}
		for k := range w {
			cut(g+k, w[k:k+1])
		}
	})
	b.rests = append(append(b.rests, int32(len(at))), at...)
}

// each calls f with the weights of groups g and g+1 of each half of a panel, or of the last alone.
func (b *PackedB) each(size, perPanel int, f func(half, g int, w [][]int8)) {
	for h := range len(b.data) / size / perPanel {
		for g := 0; g < perPanel; g += 2 {
			var w [2][]int8
			n := min(2, perPanel-g)
			for k := range n {
				w[k] = b.data[((h/2*perPanel+g+k)*2+h%2)*size:][:size]
			}
			f(h, g, w[:n])
		}
	}
}

// greatest gives the greatest sum of a pair of each group, and of a quad of all.
func greatest(w [][]int8) (one [2]int, both int) {
	for i := 0; i < len(w[0]); i += 2 {
		ups, downs := 0, 0
		for k, x := range w {
			up := max(int(x[i]), 0) + max(int(x[i+1]), 0)
			down := up - int(x[i]) - int(x[i+1])
			one[k] = max(one[k], up, down)
			ups, downs = ups+up, downs+down
		}
		both = max(both, ups, downs)
	}
	return one, both
}

// cutTo cuts each sum of weights to the bound and adds what it cuts off to rest. It takes of the first group what it
// can, so that few groups have a rest.
func cutTo(bound int, w, rest [][]int8) (any bool) {
	for i := 0; i < len(w[0]); i += 2 {
		for _, sign := range [2]int{1, -1} {
			over := -bound
			for _, x := range w {
				over += max(sign*int(x[i]), 0) + max(sign*int(x[i+1]), 0)
			}
			any = any || over > 0
			for k, x := range w {
				for j := i; j < i+2 && over > 0; j++ {
					d := min(max(sign*int(x[j]), 0), over)
					x[j] -= int8(sign * d)
					rest[k][j] += int8(sign * d)
					over -= d
				}
			}
		}
	}
	return any
}
