package gbdt

import (
	"context"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
)

// bruteForce finds the best squared-error split of the rows by trying every
// threshold of every numeric feature, with the missing on either side, and
// every subset of the categories, and returns its gain.
func bruteForce(d *Dataset, resid []float64, rows []int, minRows int) float64 {
	sum := func(in func(r int) bool) (s float64, n int) {
		for _, r := range rows {
			if in(r) {
				s += resid[r]
				n++
			}
		}
		return
	}
	all, n := sum(func(int) bool { return true })
	best := 0.0
	try := func(in func(r int) bool) {
		s, k := sum(in)
		if k < minRows || n-k < minRows {
			return
		}
		best = max(best, s*s/float64(k)+(all-s)*(all-s)/float64(n-k)-all*all/float64(n))
	}
	for f, feat := range d.Features {
		col := d.Columns[f]
		if feat.Categorical() {
			for set := range 1 << feat.Categories {
				try(func(r int) bool { return col[r] >= 0 && set>>int(col[r])&1 == 1 })
			}
			continue
		}
		for _, r := range rows {
			for _, missing := range []bool{false, true} {
				cut := col[r]
				if cut != cut {
					cut = float32(math.Inf(1))
				}
				try(func(q int) bool { return col[q] <= cut || missing && col[q] != col[q] })
			}
		}
	}
	return best
}

func TestSplitsGainWhatExhaustiveSearchGains(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 7))
		d := &Dataset{Features: []Feature{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "k", Categories: 6}}}
		d.Columns = make([][]float32, 4)
		for range 40 + rng.IntN(40) {
			b := float32(rng.IntN(5))
			if rng.IntN(3) == 0 {
				b = nan
			}
			for f, v := range []float32{float32(rng.NormFloat64()), b, float32(rng.IntN(2)), float32(rng.IntN(6))} {
				d.Columns[f] = append(d.Columns[f], v)
			}
			d.Labels = append(d.Labels, rng.NormFloat64()+float64(d.Columns[0][len(d.Labels)]))
		}
		c := config()
		c.Objective, c.L2, c.CategoryL2, c.CategorySmoothing, c.CategoryMinRows = Regression, 0, 0, 0, 1
		c.Rounds, c.Leaves, c.MinRows, c.MinHessian, c.LearningRate = 1, 6, 3, 0, 1
		checkAgainstBruteForce(t, d, train(t, c, d, nil), c.MinRows)
	}
}

// checkAgainstBruteForce follows the rows down the one tree of m: each inner
// node's gain must be the best possible of its rows, each leaf's value their
// mean.
func checkAgainstBruteForce(t *testing.T, d *Dataset, m *Model, minRows int) {
	t.Helper()
	resid := make([]float64, d.Rows())
	at := make(map[int32][]int)
	for r, y := range d.Labels {
		resid[r] = y - m.Base[0]
		at[0] = append(at[0], r)
	}
	for i, n := range m.Trees[0].Nodes {
		rows := at[int32(i)]
		if len(rows) != int(n.Rows) {
			t.Fatalf("node %d says %d rows, gets %d", i, n.Rows, len(rows))
		}
		if n.Feature < 0 {
			var mean float64
			for _, r := range rows {
				mean += resid[r] / float64(len(rows))
			}
			if math.Abs(mean-float64(n.Value)) > 1e-5 {
				t.Errorf("leaf %d is worth %v, its rows' mean is %v", i, n.Value, mean)
			}
			continue
		}
		if want := bruteForce(d, resid, rows, minRows); math.Abs(want-float64(n.Gain)) > 1e-4*(1+want) {
			t.Errorf("node %d gains %v by feature %d, the best is %v", i, n.Gain, n.Feature, want)
		}
		for _, r := range rows {
			if n.left(d.Columns[n.Feature][r]) {
				at[n.Left] = append(at[n.Left], r)
			} else {
				at[n.Right] = append(at[n.Right], r)
			}
		}
	}
}

func TestBestLeafIsSplitFirst(t *testing.T) {
	d := table(11, 500)
	c := config()
	c.Objective, c.Rounds = Regression, 1
	nodes := train(t, c, d, nil).Trees[0].Nodes
	// Children get their numbers when their parent is split, so the order of
	// Left is the order of the splits.
	open := map[int32]float32{0: nodes[0].Gain}
	for left := int32(1); int(left) < len(nodes); left += 2 {
		var split int32 = -1
		for i := range open {
			if nodes[i].Left == left {
				split = i
			}
		}
		if split < 0 {
			t.Fatalf("nodes %d and %d have no open parent", left, left+1)
		}
		for i, gain := range open {
			if gain > open[split] {
				t.Errorf("node %d (gain %v) was split before node %d (gain %v)", split, open[split], i, gain)
			}
		}
		delete(open, split)
		open[left], open[left+1] = nodes[left].Gain, nodes[left+1].Gain
	}
}

func TestBinsKeepTheOrderAndTheirShare(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	col := make([]float32, 10000)
	for i := range col {
		switch rng.IntN(3) {
		case 0:
			col[i] = 4
		case 1:
			col[i] = float32(rng.NormFloat64())
		default:
			col[i] = float32(rng.ExpFloat64() * 1e6)
		}
	}
	b := newBinner(Feature{}, col, 50, 1)
	if b.n < 45 || b.n > 50 {
		t.Fatalf("%d bins of at most 50", b.n)
	}
	count := make([]int, b.n)
	for _, v := range col {
		k := int(b.find(v))
		count[k]++
		if v > b.upper[k] || k > 0 && v <= b.upper[k-1] {
			t.Fatalf("%v is in bin %d, which ends at %v", v, k, b.upper[k])
		}
	}
	for k, n := range count {
		if n == 0 || n > 400 && k != int(b.find(4)) {
			t.Errorf("bin %d holds %d of %d rows", k, n, len(col))
		}
	}
}

func TestThresholdsBetweenNeighbouringFloats(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, lo := range []float32{0, 1, -1, 1e-45, math.MaxFloat32, -math.MaxFloat32, 16777216} {
		hi := math.Nextafter32(lo, inf)
		if got := between(lo, hi); got != lo {
			t.Errorf("between(%v, %v) = %v", lo, hi, got)
		}
	}
	for _, p := range [][2]float32{{-inf, 0}, {0, inf}, {-inf, inf}, {-math.MaxFloat32, math.MaxFloat32}, {1, 2}} {
		if got := between(p[0], p[1]); !(got >= p[0] && got < p[1]) {
			t.Errorf("between(%v, %v) = %v", p[0], p[1], got)
		}
	}
}

func TestJointBinsGiveBackEachFeature(t *testing.T) {
	d := table(12, 2000)
	for i := range 6 {
		d.Features = append(d.Features, Feature{Name: string(rune('p' + i))})
		col := make([]float32, d.Rows())
		for r := range col {
			col[r] = float32((r >> i) & 1)
		}
		d.Columns = append(d.Columns, col)
	}
	c := config()
	b := newBinned(d, &c)
	if len(b.groups) >= len(d.Features)-5 {
		t.Errorf("%d features took %d groups: the narrow ones were not packed", len(d.Features), len(b.groups))
	}
	for f := range d.Features {
		g := b.groups[b.place[f].group]
		for r, v := range d.Columns[f] {
			if got, want := g.margin[b.place[f].member][g.column[r]], b.binners[f].find(v); got != want {
				t.Fatalf("feature %d row %d: bin %d by the joint byte, %d by itself", f, r, got, want)
			}
		}
	}
}

func TestUnknownCategoriesGoRight(t *testing.T) {
	n := Node{Set: []uint64{1 << 3}}
	for _, x := range []float32{-1, nan, 64, 1e9, 2, float32(math.Inf(1)), float32(math.Inf(-1))} {
		if n.left(x) {
			t.Errorf("category %v is taken for 3", x)
		}
	}
	if !n.left(3) {
		t.Error("category 3 is not found")
	}
}

func TestManyCategories(t *testing.T) {
	const k = 1000
	rng := rand.New(rand.NewPCG(5, 5))
	d := &Dataset{Features: []Feature{{Name: "k", Categories: k}}, Columns: make([][]float32, 1)}
	for range 40000 {
		code := int(float64(k) * rng.Float64() * rng.Float64())
		d.Columns[0] = append(d.Columns[0], float32(code))
		d.Labels = append(d.Labels, float64(bits.OnesCount(uint(code))&1)+0.1*rng.NormFloat64())
	}
	c := config()
	c.Objective = Regression
	m, err := Train(context.Background(), c, d, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	obj := squaredLoss{}
	base, got := meanLoss(obj, fill(m.Base, d.Rows()), d.Labels, nil, 1), meanLoss(obj, m.Scores(d.Columns), d.Labels, nil, 1)
	if got > 0.6*base {
		t.Errorf("loss %v of %v: the 255 most frequent categories should tell more", got, base)
	}
}

// TestSmallSetsAreTriedAtBothEnds lets a split name one category only: the one
// that stands out may have the lowest labels or the highest.
func TestSmallSetsAreTriedAtBothEnds(t *testing.T) {
	for _, sign := range []float64{1, -1} {
		d := &Dataset{Features: []Feature{{Name: "k", Categories: 5}}, Columns: make([][]float32, 1)}
		for r := range 100 {
			code := r % 5
			d.Columns[0] = append(d.Columns[0], float32(code))
			y := 0.1 * float64(code)
			if code == 2 {
				y = sign * 10
			}
			d.Labels = append(d.Labels, y)
		}
		c := config()
		c.Objective, c.Rounds, c.Leaves, c.CategoryMax = Regression, 1, 2, 1
		n := train(t, c, d, nil).Trees[0].Nodes[0]
		if len(n.Set) != 1 || n.Set[0] != 1<<2 {
			t.Errorf("sign %v: the split names %b", sign, n.Set)
		}
	}
}

// TestRareCategoriesGoWithTheUnknown has a category of two rows whose labels
// are extreme.
func TestRareCategoriesGoWithTheUnknown(t *testing.T) {
	d := &Dataset{Features: []Feature{{Name: "k", Categories: 3}}, Columns: [][]float32{{2, 2}}, Labels: []float64{99, 99}}
	for r := range 100 {
		d.Columns[0] = append(d.Columns[0], float32(r%2))
		d.Labels = append(d.Labels, float64(r%2))
	}
	c := config()
	c.Objective, c.MinRows, c.CategoryMinRows = Regression, 1, 3
	for _, tree := range train(t, c, d, nil).Trees {
		for _, n := range tree.Nodes {
			if n.Set != nil && n.left(2) {
				t.Fatalf("a category of 2 rows is named in %b", n.Set)
			}
		}
	}
}

// TestGroupsTogether: parts follow one another, have sizes that there are kernels for, and differ by one group at most
// between workers that take them in turn.
func TestGroupsTogether(t *testing.T) {
	for groups := 1; groups < 70; groups++ {
		for workers := 1; workers < 10; workers++ {
			at, load := together{groups, workers}, make([]int, workers)
			for k := range at.parts() {
				n := at.begin(k+1) - at.begin(k)
				if n != 4 && n != 2 && n != 1 {
					t.Fatalf("%d groups, %d workers: part %d has %d", groups, workers, k, n)
				}
				load[k%workers] += n
			}
			if at.begin(0) != 0 || at.begin(at.parts()) != groups || slices.Max(load)-slices.Min(load) > 1 && workers > 1 {
				t.Errorf("%d groups, %d workers: %d parts, %v", groups, workers, at.parts(), load)
			}
		}
	}
}
