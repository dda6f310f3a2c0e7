package gbdt

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
)

// leaf is a leaf of the tree that is growing: rows[begin:end] of the grower.
type leaf struct {
	node       int32
	begin, end int
	total      sums
	lim        bounds
	hists      []hist
	best       split
}

// grower grows one tree at a time and keeps its buffers between trees.
type grower struct {
	c        *Config
	data     *Dataset
	binned   *binned
	workers  int
	rows     []int32
	spare    []int32
	fixed    []fixed
	ordered  []fixed
	unit     unit
	pool     [][]hist
	features []bool
	groups   []int
	found    []split
	margins  []hist
}

func newGrower(c *Config, d *Dataset, b *binned) *grower {
	nf := len(d.Features)
	return &grower{
		c: c, data: d, binned: b, workers: c.workers(),
		rows: make([]int32, 0, b.rows), spare: make([]int32, b.rows), fixed: make([]fixed, b.rows), ordered: make([]fixed, b.rows),
		features: make([]bool, nf), found: make([]split, 2*nf), margins: make([]hist, 2*nf),
	}
}

// draw picks this tree's features.
func (g *grower) draw(rng *rand.Rand) {
	nf := len(g.features)
	k := nf
	if g.c.ColumnFraction < 1 {
		k = max(1, int(math.Ceil(g.c.ColumnFraction*float64(nf))))
	}
	clear(g.features)
	g.groups = g.groups[:0]
	for _, f := range rng.Perm(nf)[:k] {
		g.features[f] = true
	}
	for i, gr := range g.binned.groups {
		if slices.ContainsFunc(gr.features, func(f int) bool { return g.features[f] }) {
			g.groups = append(g.groups, i)
		}
	}
}

// grow fits one tree to the derivatives gh on the rows given, with the features
// drawn by rng. sample is not changed.
func (g *grower) grow(ctx context.Context, gh []pair, sample []int32, rng *rand.Rand) (Tree, []leaf, error) {
	g.draw(rng)
	g.unit = quantise(g.fixed, gh, g.workers)
	g.rows = append(g.rows[:0], sample...)
	t := Tree{Nodes: make([]Node, 1, 2*g.c.Leaves)}
	root := leaf{end: len(g.rows), lim: unbounded, hists: g.take()}
	var all bin
	for _, r := range g.rows {
		all.g += int64(g.fixed[r].g)
		all.hn += int64(g.fixed[r].h) + 1<<g.unit.shift
	}
	root.total = g.unit.of(&all)
	t.Nodes[0] = g.newLeafNode(&root)
	g.count(&root)
	g.search(func(int) {}, &root)
	leaves := append(make([]leaf, 0, g.c.Leaves), root)
	for len(leaves) < g.c.Leaves {
		if err := context.Cause(ctx); err != nil {
			return t, nil, err
		}
		best := 0
		for i := range leaves {
			if leaves[i].best.gain > leaves[best].best.gain {
				best = i
			}
		}
		if leaves[best].best.gain <= 0 {
			break
		}
		l, r := g.split(&t, leaves[best], len(leaves)+1 < g.c.Leaves)
		leaves[best] = l
		leaves = append(leaves, r)
	}
	for i := range leaves {
		g.give(leaves[i].hists)
		leaves[i].hists = nil
	}
	return t, leaves, nil
}

func (g *grower) newLeafNode(l *leaf) Node {
	v := l.lim.clip(leafValue(l.total, g.c.L2))
	return Node{Feature: -1, Value: float32(v * g.c.LearningRate), Rows: int32(l.total.n)}
}

// split cuts p as its best split says, adds the two nodes and, where more cuts
// may follow, finds theirs.
func (g *grower) split(t *Tree, p leaf, more bool) (l, r leaf) {
	s := &p.best
	mid := g.partition(&p)
	l = leaf{node: int32(len(t.Nodes)), begin: p.begin, end: mid, total: s.left, lim: p.lim}
	r = leaf{node: l.node + 1, begin: mid, end: p.end, total: s.right, lim: p.lim}
	if m := g.data.Features[s.feature].Monotone; m != 0 {
		half := (p.lim.clip(leafValue(s.left, g.c.L2)) + p.lim.clip(leafValue(s.right, g.c.L2))) / 2
		if m > 0 {
			l.lim.hi, r.lim.lo = half, half
		} else {
			l.lim.lo, r.lim.hi = half, half
		}
	}
	t.Nodes[p.node].cut(s, g.binned.binners[s.feature], l.node, r.node)
	t.Nodes = append(t.Nodes, g.newLeafNode(&l), g.newLeafNode(&r))
	if !more {
		g.give(p.hists)
		return l, r
	}
	small, large := &l, &r
	if small.total.n > large.total.n {
		small, large = large, small
	}
	small.hists, large.hists = g.take(), p.hists
	g.count(small)
	g.search(func(i int) { large.hists[i].subtract(&small.hists[i], g.binned.groups[i].size) }, &l, &r)
	return l, r
}

// cut turns a leaf node into an inner one.
func (n *Node) cut(s *split, b *binner, left, right int32) {
	*n = Node{Feature: int32(s.feature), Left: left, Right: right, Gain: float32(s.gain), Rows: n.Rows}
	if b.code == nil {
		n.Threshold, n.MissingLeft = b.upper[s.bin], s.missingLeft
		return
	}
	n.Set = make([]uint64, (len(b.bin)+63)/64)
	for i, c := range b.code {
		if s.goesLeft(b, i) {
			n.Set[c>>6] |= 1 << (c & 63)
		}
	}
}

// partition orders the leaf's rows left before right, each side in its old
// order, and returns where the right begins.
func (g *grower) partition(p *leaf) int {
	place := g.binned.place[p.best.feature]
	gr := g.binned.groups[place.group]
	b := g.binned.binners[p.best.feature]
	var right [256]int
	for j, m := range gr.margin[place.member] {
		if !p.best.goesLeft(b, int(m)) {
			right[j] = 1
		}
	}
	rows := g.rows[p.begin:p.end]
	// Each part is parted in its place, and then the parts' sides are put together.
	parts := min(g.parallelism(len(rows)), (len(rows)+chunk-1)/chunk)
	size := (len(rows) + parts - 1) / parts
	lefts := make([]int, parts)
	share(parts, parts, func(k int) {
		part, spare := rows[k*size:min((k+1)*size, len(rows))], g.spare[k*size:]
		l, r := 0, 0
		for _, row := range part {
			w := right[gr.column[row]]
			// Both stores always happen; only one of the two places is kept.
			part[l], spare[r] = row, row
			l += 1 - w
			r += w
		}
		lefts[k] = l
	})
	l := lefts[0]
	for k, n := range lefts[1:] {
		l += copy(rows[l:], rows[(k+1)*size:][:n])
	}
	to := rows[l:]
	for k, n := range lefts {
		to = to[copy(to, g.spare[k*size:][:min(size, len(rows)-k*size)-n]):]
	}
	return p.begin + l
}

// parallelWork is the number of histogram updates below which goroutines cost
// more than they save; searchWork is how many of them the search of a feature
// is worth.
const (
	parallelWork = 1 << 14
	searchWork   = 512
)

// count fills the leaf's histograms of the groups in use.
func (g *grower) count(l *leaf) {
	rows := g.rows[l.begin:l.end]
	ord := g.ordered[:len(rows)]
	shareRows(len(rows), g.parallelism(len(rows)*8), func(from, to int) {
		for i, r := range rows[from:to] {
			ord[from+i] = g.fixed[r]
		}
	})
	one := int64(1) << g.unit.shift
	workers := g.parallelism(len(rows) * len(g.groups))
	at := together{len(g.groups), workers}
	share(at.parts(), workers, func(k int) {
		part := g.groups[at.begin(k):at.begin(k+1)]
		for _, i := range part {
			l.hists[i].clear(g.binned.groups[i].size)
		}
		switch len(part) {
		case 4:
			var h [4]*hist
			var cols [4][]uint8
			for k, i := range part {
				h[k], cols[k] = &l.hists[i], g.binned.groups[i].column
			}
			accumulateFour(h, cols, rows, ord, one)
		case 2:
			i, j := part[0], part[1]
			accumulateTwo(&l.hists[i], &l.hists[j], g.binned.groups[i].column, g.binned.groups[j].column, rows, ord, one)
		default:
			l.hists[part[0]].accumulate(g.binned.groups[part[0]].column, rows, ord, one)
		}
	})
}

// together cuts groups into parts of four, two and one, the more at once the better: as many of each size as give
// every worker the same work.
type together struct{ groups, workers int }

// sizes are the numbers of parts of four and of two.
func (t together) sizes() (fours, twos int) {
	fours = t.groups / (4 * t.workers) * t.workers
	return fours, (t.groups - 4*fours) / (2 * t.workers) * t.workers
}

func (t together) parts() int {
	fours, twos := t.sizes()
	return t.groups - 3*fours - twos
}

// begin is the first group of part k.
func (t together) begin(k int) int {
	fours, twos := t.sizes()
	return k + 3*min(k, fours) + min(max(k-fours, 0), twos)
}

func (g *grower) parallelism(work int) int {
	if work < parallelWork {
		return 1
	}
	return g.workers
}

// search finds the best split of each leaf. Equal gains go to the lower
// feature, and in a feature to the lower cut. A group is searched when it was prepared.
func (g *grower) search(prepare func(group int), leaves ...*leaf) {
	nf, ng := len(g.features), len(g.groups)
	share(ng, g.parallelism(ng*len(leaves)*searchWork), func(k int) {
		prepare(g.groups[k])
		for which, l := range leaves {
			if l.total.n >= 2*int64(g.c.MinRows) {
				g.searchGroup(l, g.groups[k], which*nf)
			}
		}
	})
	for which, l := range leaves {
		l.best = split{}
		if l.total.n < 2*int64(g.c.MinRows) {
			continue
		}
		for f, in := range g.features {
			if in && g.found[which*nf+f].gain > l.best.gain {
				l.best = g.found[which*nf+f]
			}
		}
	}
}

// searchGroup finds the best split of a leaf by each feature of a group; at is where the leaf's
// results begin.
func (g *grower) searchGroup(l *leaf, i, at int) {
	gr := g.binned.groups[i]
	for m, f := range gr.features {
		if !g.features[f] {
			continue
		}
		marg := &l.hists[i]
		if len(gr.features) > 1 {
			marg = &g.margins[at+f]
			marg.clear(g.binned.binners[f].n + 1)
			gr.marginal(marg, &l.hists[i], m)
		}
		q := searcher{c: g.c, u: &g.unit, b: g.binned.binners[f], f: g.data.Features[f], total: l.total, lim: l.lim}
		q.search(marg)
		q.best.feature = f
		g.found[at+f] = q.best
	}
}

func (g *grower) take() []hist {
	if n := len(g.pool); n > 0 {
		h := g.pool[n-1]
		g.pool = g.pool[:n-1]
		return h
	}
	return make([]hist, len(g.binned.groups))
}

func (g *grower) give(h []hist) {
	if h != nil {
		g.pool = append(g.pool, h)
	}
}
