package tree

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

// options shape a random forest.
type options struct {
	trees, depth, features, targets, perLeaf int
	modes                                    []Mode
	skew                                     float64 // chance that a branch ends early
	aggregate                                Aggregate
	base                                     bool
	own                                      bool // a tree speaks of one target
	special                                  bool // infinities and NaN to compare with
}

func randomForest(o options, seed uint64) *Forest {
	r := rand.New(rand.NewPCG(seed, 3))
	f := &Forest{Targets: o.targets, Features: o.features, Aggregate: o.aggregate}
	target := func(k int) int32 {
		if o.own {
			return int32(len(f.Roots) % o.targets)
		}
		return int32((k + r.IntN(o.targets)) % o.targets)
	}
	var grow func(depth int) int32
	grow = func(depth int) int32 {
		i := int32(len(f.Nodes))
		f.Nodes = append(f.Nodes, Node{})
		if depth == 0 || r.Float64() < o.skew {
			f.Nodes[i] = Node{Mode: Leaf, First: int32(len(f.Weights)), Count: int32(o.perLeaf)}
			for k := range o.perLeaf {
				f.Weights = append(f.Weights, Weight{Target: target(k), Value: float32(r.NormFloat64())})
			}
			return i
		}
		n := Node{Feature: int32(r.IntN(o.features)), Mode: o.modes[r.IntN(len(o.modes))], MissingTrue: r.IntN(2) == 0,
			Value: float32(math.Round(r.NormFloat64()*4) / 4)}
		if o.special && r.IntN(4) == 0 {
			n.Value = []float32{float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), math.MaxFloat32, float32(math.Copysign(0, -1))}[r.IntN(5)]
		}
		if n.Mode == Member {
			n.First, n.Count = int32(len(f.Members)), int32(r.IntN(6))
			for range n.Count {
				f.Members = append(f.Members, float32(math.Round(r.NormFloat64()*4)/4))
			}
			if o.special && n.Count > 0 {
				f.Members[n.First] = []float32{float32(math.Inf(1)), float32(math.NaN()), float32(math.Copysign(0, -1))}[r.IntN(3)]
			}
		}
		n.True = grow(depth - 1)
		n.False = grow(depth - 1)
		f.Nodes[i] = n
		return i
	}
	for range o.trees {
		f.Roots = append(f.Roots, grow(o.depth))
	}
	if o.base {
		for range o.targets {
			f.Base = append(f.Base, float32(r.NormFloat64()))
		}
	}
	return f
}

// rowsFor rounds values so that they often equal a threshold, and mixes in
// specials.
func rowsFor(t *testing.T, rows, features int, special bool) []float32 {
	x := kt.Random(t, rows*features, 9)
	sp := kt.Specials()
	for i := range x {
		x[i] = float32(math.Round(float64(x[i])*4) / 4)
		if special && i%7 == 0 {
			x[i] = sp[i/7%len(sp)]
		}
	}
	return x
}

func TestForests(t *testing.T) {
	all := []Mode{LEQ, LT, GTE, GT, EQ, NEQ, Member}
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for i, o := range []options{
			{trees: 1, depth: 0, features: 1, targets: 1, perLeaf: 1, modes: all[:1]},
			{trees: 200, depth: 6, features: 20, targets: 1, perLeaf: 1, modes: all[:1], base: true},
			{trees: 9, depth: 9, features: 5, targets: 1, perLeaf: 1, modes: all[:4], skew: 0.2},
			{trees: 30, depth: 12, features: 7, targets: 3, perLeaf: 1, modes: all[1:3], skew: 0.35, base: true},
			{trees: 30, depth: 7, features: 40, targets: 3, perLeaf: 1, modes: all[:1], skew: 0.1, own: true, base: true},
			{trees: 9, depth: 4, features: 1, targets: 2, perLeaf: 1, modes: all[:4], own: true, aggregate: Average},
			{trees: 17, depth: 5, features: 4, targets: 3, perLeaf: 3, modes: all[2:4], aggregate: Average},
			{trees: 8, depth: 4, features: 4, targets: 2, perLeaf: 2, modes: all, skew: 0.1},
			{trees: 40, depth: 9, features: 9, targets: 1, perLeaf: 1, modes: all, skew: 0.1, special: true},
			{trees: 40, depth: 7, features: 2, targets: 3, perLeaf: 1, modes: all[:4], own: true, special: true},
			{trees: 20, depth: 8, features: 300, targets: 2, perLeaf: 2, modes: all[4:], skew: 0.1, special: true, base: true},
			{trees: 8, depth: 4, features: 4, targets: 2, perLeaf: 1, modes: all[:2], aggregate: Max},
			{trees: 8, depth: 4, features: 4, targets: 1, perLeaf: 1, modes: all[:2], aggregate: Min},
			{trees: 3, depth: 3, features: 2, targets: 1, perLeaf: 0, modes: all[:1]},
			{trees: 0, depth: 3, features: 2, targets: 2, perLeaf: 0, modes: all[:1], base: true},
		} {
			f := randomForest(o, uint64(i))
			fast, err := build(level, f)
			if err != nil {
				t.Fatal(err)
			}
			slow, err := build(isa.Generic, f)
			if err != nil {
				t.Fatal(err)
			}
			if level != isa.Generic && o.aggregate <= Average && fast.native == nil {
				t.Fatalf("forest %d has no fast form", i)
			}
			for _, rows := range []int{0, 1, 3, 64, 65, 300} {
				for _, special := range []bool{false, true} {
					x := rowsFor(t, rows, o.features, special)
					got, want := kt.Guarded(t, rows*o.targets), make([]float32, rows*o.targets)
					fast.Predict(got, x, rows, o.features, 2)
					slow.Predict(want, x, rows, o.features, 1)
					if !slices.Equal(got, want) {
						t.Fatalf("%v: forest %d, %d rows, specials %v: got %v, want %v", level, i, rows, special, got, want)
					}
				}
			}
		}
	})
}

func TestCheck(t *testing.T) {
	leaf := Node{Mode: Leaf}
	bad := func(why string, f Forest) {
		t.Helper()
		if _, err := New(&f); err == nil {
			t.Fatalf("%s: taken", why)
		}
	}
	bad("no target", Forest{})
	bad("root out of range", Forest{Targets: 1, Roots: []int32{0}})
	bad("cycle", Forest{Targets: 1, Features: 1, Roots: []int32{0}, Nodes: []Node{{True: 0, False: 1}, leaf}})
	bad("shared branch", Forest{Targets: 1, Features: 1, Roots: []int32{0}, Nodes: []Node{{True: 1, False: 1}, leaf}})
	bad("feature", Forest{Targets: 1, Features: 1, Roots: []int32{0}, Nodes: []Node{{Feature: 1, True: 1, False: 2}, leaf, leaf}})
	bad("weights", Forest{Targets: 1, Nodes: []Node{{Mode: Leaf, First: 0, Count: 1}}})
	bad("members", Forest{Targets: 1, Features: 1, Roots: []int32{0}, Members: []float32{1}, Nodes: []Node{{Mode: Member, First: 1, Count: 1, True: 1, False: 2}, leaf, leaf}})
	bad("target", Forest{Targets: 1, Weights: []Weight{{Target: 1}}})
	bad("base", Forest{Targets: 2, Base: []float32{1}})
	if _, err := New(&Forest{Targets: 1, Features: 1, Roots: []int32{0}, Nodes: []Node{{True: 1, False: 2}, leaf, leaf}}); err != nil {
		t.Fatal(err)
	}
}
