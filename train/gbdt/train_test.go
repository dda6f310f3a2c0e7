package gbdt

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

var nan = float32(math.NaN())

// table makes random rows: numeric features of different widths, some missing,
// and one categorical feature; the label depends on most of them.
func table(seed uint64, rows int) *Dataset {
	rng := rand.New(rand.NewPCG(seed, 1))
	d := &Dataset{Features: []Feature{{Name: "flag"}, {Name: "few"}, {Name: "wide"}, {Name: "holes"}, {Name: "noise"}, {Name: "kind", Categories: 12}}}
	d.Columns = make([][]float32, len(d.Features))
	effect := rng.Perm(12)
	for range rows {
		flag, few, wide, holes := float32(rng.IntN(2)), float32(rng.IntN(7)), float32(rng.NormFloat64()), float32(rng.IntN(5))
		kind := rng.IntN(13) - 1
		z := 0.5*float64(flag) - 0.2*float64(few) + math.Sin(2*float64(wide)) + 0.3*rng.NormFloat64()
		if rng.IntN(4) == 0 {
			holes = nan
			z += 0.8
		}
		if kind >= 0 {
			z += 0.15 * float64(effect[kind])
		}
		for f, v := range []float32{flag, few, wide, holes, float32(rng.Float64()), float32(kind)} {
			d.Columns[f] = append(d.Columns[f], v)
		}
		d.Labels = append(d.Labels, z)
	}
	return d
}

// classes replaces the labels by k classes of about equal size.
func classes(d *Dataset, k int) *Dataset {
	cuts := make([]float64, k-1)
	for i := range cuts {
		cuts[i] = weightedQuantile(d.Labels, nil, float64(i+1)/float64(k))
	}
	y := make([]float64, len(d.Labels))
	for i, v := range d.Labels {
		for _, c := range cuts {
			if v > c {
				y[i]++
			}
		}
	}
	out := *d
	out.Labels = y
	return &out
}

func config() Config {
	c := DefaultConfig()
	c.Rounds, c.LearningRate, c.MinRows, c.EarlyStop, c.Leaves = 40, 0.2, 5, 0, 15
	return c
}

func train(t *testing.T, c Config, d, v *Dataset) *Model {
	t.Helper()
	m, err := Train(context.Background(), c, d, v, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestEveryObjectiveBeatsItsBase(t *testing.T) {
	d, v := table(1, 3000), table(1, 3000)
	f := func(name string, c Config, d, v *Dataset, share float64) {
		t.Helper()
		m := train(t, c, d, v)
		obj := newObjective(&c)
		base := meanLoss(obj, fill(m.Base, v.Rows()), v.Labels, nil, 1)
		got := meanLoss(obj, m.Scores(v.Columns), v.Labels, nil, 2)
		if !(got < share*base) {
			t.Errorf("%s: loss %v, of the constant %v", name, got, base)
		}
		if last := m.Loss[len(m.Loss)-1]; math.Abs(last-got) > 1e-6*got {
			t.Errorf("%s: the loss followed in training ends at %v, the model's is %v", name, last, got)
		}
	}
	c := config()
	f("binary", c, classes(d, 2), classes(v, 2), 0.7)
	c.Objective, c.Classes = Multiclass, 4
	f("multiclass", c, classes(d, 4), classes(v, 4), 0.7)
	c.Objective = Regression
	f("regression", c, d, v, 0.4)
	c.Objective, c.Quantile = Quantile, 0.8
	f("quantile", c, d, v, 0.7)
}

func TestQuantileCoversItsShare(t *testing.T) {
	d := table(2, 6000)
	for _, q := range []float64{0.1, 0.5, 0.9} {
		c := config()
		c.Objective, c.Quantile, c.MinRows = Quantile, q, 100
		s := train(t, c, d, nil).Scores(d.Columns)[0]
		below := 0
		for i, y := range d.Labels {
			if y <= s[i] {
				below++
			}
		}
		if got := float64(below) / float64(len(s)); math.Abs(got-q) > 0.03 {
			t.Errorf("quantile %v covers %v of the training rows", q, got)
		}
	}
}

func TestSameSeedSameModelOnAnyNumberOfWorkers(t *testing.T) {
	d, v := classes(table(3, 20000), 2), classes(table(4, 2000), 2)
	c := config()
	c.Rounds, c.RowFraction, c.ColumnFraction = 15, 0.7, 0.6
	c.Workers = 1
	one := train(t, c, d, v)
	c.Workers = 5
	if five := train(t, c, d, v); !sameTrees(one, five) {
		t.Error("5 workers grow other trees than 1")
	}
	c.Seed++
	if other := train(t, c, d, v); sameTrees(one, other) {
		t.Error("another seed draws the same rows and columns")
	}
}

func sameTrees(a, b *Model) bool {
	return slices.EqualFunc(a.Trees, b.Trees, func(x, y Tree) bool {
		return slices.EqualFunc(x.Nodes, y.Nodes, func(m, n Node) bool {
			same := slices.Equal(m.Set, n.Set)
			m.Set, n.Set = nil, nil
			return same && m.Feature == n.Feature && m.Threshold == n.Threshold && m.MissingLeft == n.MissingLeft &&
				m.Left == n.Left && m.Right == n.Right && m.Value == n.Value && m.Gain == n.Gain && m.Rows == n.Rows
		})
	})
}

func TestRowsInALeafGoThereByTheTree(t *testing.T) {
	d := classes(table(5, 4000), 2)
	c := config()
	c.Bins = 20
	tr := newTrainer(&c, d, nil)
	tr.obj.gradients(tr.scores, d.Labels, nil, tr.grads, 0, d.Rows())
	rng := rand.New(rand.NewPCG(1, 1))
	tr.sample(rng)
	tree, leaves, err := tr.grower.grow(context.Background(), tr.grads[0], tr.drawn, rng)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for i := range leaves {
		l := &leaves[i]
		for _, r := range tr.grower.rows[l.begin:l.end] {
			seen++
			if n := tree.leaf(func(f int32) float32 { return d.Columns[f][r] }); n != &tree.Nodes[l.node] {
				t.Fatalf("row %d grew in node %d but the thresholds send it elsewhere", r, l.node)
			}
		}
		if got := int(tree.Nodes[l.node].Rows); got != l.end-l.begin || got < c.MinRows {
			t.Errorf("leaf %d says %d rows, has %d, must have %d at least", l.node, got, l.end-l.begin, c.MinRows)
		}
	}
	if seen != d.Rows() || len(leaves) != c.Leaves {
		t.Errorf("%d rows in %d leaves, want %d in %d", seen, len(leaves), d.Rows(), c.Leaves)
	}
}

func TestMonotone(t *testing.T) {
	for _, obj := range []Objective{Binary, Regression, Quantile} {
		d := table(6, 4000)
		// The true effect rises and falls; the constraint must still hold.
		d.Features[2].Monotone, d.Features[1].Monotone = 1, -1
		if obj == Binary {
			d = classes(d, 2)
		}
		c := config()
		c.Objective = obj
		m := train(t, c, d, nil)
		rng := rand.New(rand.NewPCG(9, 9))
		asked := 0
		for _, imp := range m.Importance()[1:3] {
			asked += imp.Splits
		}
		if asked == 0 {
			t.Errorf("%v: the constrained features are never asked", obj)
		}
		for range 300 {
			row := make([]float32, len(d.Features))
			r := rng.IntN(d.Rows())
			for f := range row {
				row[f] = d.Columns[f][r]
			}
			checkRising(t, m, row, 2, +1, func(i int) float32 { return float32(i)/10 - 3 })
			checkRising(t, m, row, 1, -1, func(i int) float32 { return float32(i) / 8 })
		}
	}
}

func checkRising(t *testing.T, m *Model, row []float32, f int, sign float64, at func(i int) float32) {
	t.Helper()
	row = slices.Clone(row)
	last := math.Inf(-1)
	for i := range 60 {
		row[f] = at(i)
		s := sign * m.AppendScores(nil, row)[0]
		if s < last-1e-12 {
			t.Fatalf("%v: feature %d turns at %v: %v after %v", m.Objective, f, row[f], s, last)
		}
		last = s
	}
}

func TestWeightsCountLikeRepeatedRows(t *testing.T) {
	d := classes(table(7, 1500), 2)
	d.Columns[2] = d.Columns[1]
	d.Columns[4] = d.Columns[0]
	double := &Dataset{Features: d.Features, Columns: make([][]float32, len(d.Columns))}
	weighted := *d
	for r, y := range d.Labels {
		times := 1 + int(y)
		for range times {
			for f := range d.Columns {
				double.Columns[f] = append(double.Columns[f], d.Columns[f][r])
			}
			double.Labels = append(double.Labels, y)
		}
		weighted.Weights = append(weighted.Weights, float64(times))
	}
	c := config()
	c.MinRows, c.Rounds, c.CategoryMinRows = 1, 10, 1
	c.MinHessian = 1
	want := train(t, c, double, nil).Scores(d.Columns)[0]
	byRow := train(t, c, &weighted, nil).Scores(d.Columns)[0]
	c.ClassWeights = []float64{1, 2}
	byClass := train(t, c, d, nil).Scores(d.Columns)[0]
	for i := range want {
		if math.Abs(want[i]-byRow[i]) > 1e-5 || math.Abs(want[i]-byClass[i]) > 1e-5 {
			t.Fatalf("row %d: repeated %v, row weights %v, class weights %v", i, want[i], byRow[i], byClass[i])
		}
	}
}

func TestEarlyStopCutsBackToTheBestRound(t *testing.T) {
	d, v := classes(table(8, 400), 2), classes(table(9, 400), 2)
	c := config()
	c.Rounds, c.EarlyStop, c.LearningRate = 500, 7, 0.5
	var told []Progress
	m, err := Train(context.Background(), c, d, v, func(p Progress) { told = append(told, p) })
	if err != nil {
		t.Fatal(err)
	}
	best := slices.Index(m.Loss, slices.Min(m.Loss)) + 1
	if m.Rounds() != best || len(m.Loss) != best+c.EarlyStop {
		t.Errorf("kept %d rounds and stopped after %d; the best was %d", m.Rounds(), len(m.Loss), best)
	}
	last := told[len(told)-1]
	if len(told) != len(m.Loss) || last.BestRound != best || last.Best != m.Loss[best-1] || last.Round != len(told) {
		t.Errorf("last told %+v after %d calls", last, len(told))
	}
}

func TestCancelStopsWithItsCause(t *testing.T) {
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	c := config()
	rounds := 0
	_, err := Train(ctx, c, classes(table(1, 500), 2), nil, func(p Progress) {
		if rounds = p.Round; rounds == 3 {
			cancel(why)
		}
	})
	if !errors.Is(err, why) || rounds != 3 {
		t.Errorf("after %d rounds: %v", rounds, err)
	}
}

func TestWrongInput(t *testing.T) {
	f := func(name string, change func(c *Config, d, v *Dataset)) {
		t.Helper()
		c, d, v := config(), classes(table(1, 50), 2), classes(table(2, 50), 2)
		change(&c, d, v)
		if _, err := Train(context.Background(), c, d, v, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	f("no rows", func(_ *Config, d, _ *Dataset) { d.Labels = nil })
	f("ragged", func(_ *Config, d, _ *Dataset) { d.Columns[1] = d.Columns[1][1:] })
	f("no columns", func(_ *Config, d, _ *Dataset) { d.Columns, d.Features = nil, nil })
	f("class 2 of binary", func(_ *Config, d, _ *Dataset) { d.Labels[3] = 2 })
	f("NaN label", func(c *Config, d, _ *Dataset) { c.Objective = Regression; d.Labels[3] = math.NaN() })
	f("weight 0", func(_ *Config, d, _ *Dataset) { d.Weights = make([]float64, 50) })
	f("weights short", func(_ *Config, d, _ *Dataset) { d.Weights = []float64{1} })
	f("other schema", func(_ *Config, _, v *Dataset) { v.Features = slices.Clone(v.Features); v.Features[0].Name = "x" })
	f("monotone category", func(_ *Config, d, v *Dataset) { d.Features[5].Monotone = 1 })
	f("rounds 0", func(c *Config, _, _ *Dataset) { c.Rounds = 0 })
	f("bins 256", func(c *Config, _, _ *Dataset) { c.Bins = 256 })
	f("rate NaN", func(c *Config, _, _ *Dataset) { c.LearningRate = math.NaN() })
	f("L2 Inf", func(c *Config, _, _ *Dataset) { c.L2 = math.Inf(1) })
	f("one class", func(c *Config, _, _ *Dataset) { c.Objective, c.Classes = Multiclass, 1 })
	f("quantile 1", func(c *Config, _, _ *Dataset) { c.Objective, c.Quantile = Quantile, 1 })
	f("class weights of regression", func(c *Config, _, _ *Dataset) { c.Objective, c.ClassWeights = Regression, []float64{1, 2} })
	f("three class weights", func(c *Config, _, _ *Dataset) { c.ClassWeights = []float64{1, 2, 3} })
}
