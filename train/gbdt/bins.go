package gbdt

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// binSample is how many rows the quantiles of a feature are taken from.
const binSample = 400_000

// binner maps the values of one feature to bins 0..n-1, and what is missing or
// unknown to bin n.
type binner struct {
	n int
	// upper[b], of a numeric feature, is the threshold of bin b: bin b holds
	// upper[b-1] < x <= upper[b]. The last is +Inf.
	upper []float32
	// code[b], of a categorical feature, is the category in bin b; bin[c] is
	// its inverse, n where a category has no bin.
	code []int32
	bin  []uint8
	// missing says whether training has a row in bin n.
	missing bool
}

// width is the number of bins that occur in training.
func (b *binner) width() int {
	if b.missing {
		return b.n + 1
	}
	return b.n
}

// find gives the bin of x.
func (b *binner) find(x float32) uint8 {
	if b.code != nil {
		if !(x >= 0) || x >= float32(len(b.bin)) {
			return uint8(b.n)
		}
		return b.bin[int(x)]
	}
	if x != x {
		return uint8(b.n)
	}
	lo, hi := 0, b.n-1
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if x <= b.upper[mid] {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return uint8(lo)
}

// valueCount is a distinct value and how often it occurs.
type valueCount struct {
	value float32
	count int
}

// newBinner cuts one column. seed decides the sample of a long column.
func newBinner(f Feature, col []float32, bins int, seed uint64) *binner {
	if f.Categorical() {
		return newCategoryBinner(f, col, bins)
	}
	b := &binner{}
	vals := make([]float32, 0, min(len(col), binSample))
	if len(col) <= binSample {
		for _, v := range col {
			if v == v {
				vals = append(vals, v)
			}
		}
		b.missing = len(vals) < len(col)
	} else {
		rng := rand.New(rand.NewPCG(seed, 0x62696e73))
		for range binSample {
			if v := col[rng.IntN(len(col))]; v == v {
				vals = append(vals, v)
			}
		}
		b.missing = slices.ContainsFunc(col, func(v float32) bool { return v != v })
	}
	slices.Sort(vals)
	b.upper = cut(distinct(vals), len(vals), bins)
	b.n = len(b.upper)
	return b
}

// distinct counts the runs of equal values of a sorted slice; -0 and 0 are one
// value.
func distinct(sorted []float32) []valueCount {
	var d []valueCount
	for _, v := range sorted {
		if n := len(d); n > 0 && d[n-1].value == v {
			d[n-1].count++
		} else {
			d = append(d, valueCount{v, 1})
		}
	}
	return d
}

// cut gives the upper thresholds of at most limit bins of nearly equal counts.
// A value that by itself fills a bin's share gets a bin of its own, and what
// is left is shared anew among the bins left.
func cut(d []valueCount, total, limit int) []float32 {
	var upper []float32
	left, bins, in := total, limit, 0
	for i := 0; i < len(d)-1; i++ {
		in += d[i].count
		room := len(d) <= limit || (bins > 1 && float64(in) >= float64(left)/float64(bins)) ||
			(bins > 1 && in > 0 && float64(d[i+1].count) >= float64(left)/float64(bins))
		if !room {
			continue
		}
		upper = append(upper, between(d[i].value, d[i+1].value))
		left -= in
		in = 0
		bins--
	}
	return append(upper, float32(math.Inf(1)))
}

// between gives a float32 t with lo <= t < hi, the middle where it can be.
func between(lo, hi float32) float32 {
	t := float32((float64(lo) + float64(hi)) / 2)
	if !(t >= lo && t < hi) {
		return lo
	}
	return t
}

// newCategoryBinner gives bins to the most frequent categories, by falling
// count, then by code.
func newCategoryBinner(f Feature, col []float32, bins int) *binner {
	counts := make([]int, f.Categories)
	b := &binner{bin: make([]uint8, f.Categories), code: []int32{}}
	for _, v := range col {
		if v >= 0 && v < float32(f.Categories) {
			counts[int(v)]++
		} else {
			b.missing = true
		}
	}
	for c, k := range counts {
		if k > 0 {
			b.code = append(b.code, int32(c))
		}
	}
	slices.SortFunc(b.code, func(x, y int32) int {
		return cmp.Or(cmp.Compare(counts[y], counts[x]), cmp.Compare(x, y))
	})
	if len(b.code) > bins {
		b.code = b.code[:bins]
		b.missing = true
	}
	b.n = len(b.code)
	for i := range b.bin {
		b.bin[i] = uint8(b.n)
	}
	for i, c := range b.code {
		b.bin[c] = uint8(i)
	}
	return b
}

// group is the set of features that share one byte a row: the bin of a feature
// is (byte / stride) % width.
type group struct {
	features []int
	size     int
	// margin[i][b] is the bin of features[i] in joint bin b.
	margin [][]uint8
	column []uint8
}

// binned is the training table as bytes.
type binned struct {
	binners []*binner
	groups  []*group
	// place[f] is the group of feature f and its position in there.
	place []struct{ group, member int }
	rows  int
}

// newBinned bins every column and packs narrow features together, first fit in
// rising order of width.
func newBinned(d *Dataset, c *Config) *binned {
	nf := len(d.Features)
	t := &binned{binners: make([]*binner, nf), place: make([]struct{ group, member int }, nf), rows: d.Rows()}
	share(nf, c.workers(), func(f int) {
		t.binners[f] = newBinner(d.Features[f], d.Columns[f], c.Bins, c.Seed+uint64(f))
	})
	order := make([]int, nf)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(t.binners[a].width(), t.binners[b].width()) })
	for _, f := range order {
		w := max(t.binners[f].width(), 1)
		gi := slices.IndexFunc(t.groups, func(g *group) bool { return g.size*w <= 256 })
		if gi < 0 {
			gi = len(t.groups)
			t.groups = append(t.groups, &group{size: 1})
		}
		g := t.groups[gi]
		g.features = append(g.features, f)
		g.size *= w
		t.place[f].group, t.place[f].member = gi, len(g.features)-1
	}
	share(len(t.groups), c.workers(), func(i int) { t.fill(t.groups[i], d) })
	return t
}

func (t *binned) fill(g *group, d *Dataset) {
	g.column = make([]uint8, t.rows)
	g.margin = make([][]uint8, len(g.features))
	stride := 1
	for i, f := range g.features {
		b := t.binners[f]
		for r, v := range d.Columns[f] {
			g.column[r] += uint8(int(b.find(v)) * stride)
		}
		w := max(b.width(), 1)
		m := make([]uint8, g.size)
		for j := range m {
			m[j] = uint8(j / stride % w)
		}
		g.margin[i] = m
		stride *= w
	}
}
