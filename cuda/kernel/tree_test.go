package kernel

import (
	"fmt"
	"math"
)

// forest is an ensemble that is tried.
type forest struct {
	trees, depth, rows, features, targets int
	aggregate                             TreeAggregate
	dense, base                           bool
}

type grown struct {
	nodes   []TreeNode
	weights []TreeWeight
	roots   []int32
}

func (b *bench) grow(f forest) *grown {
	g := &grown{}
	for range f.trees {
		g.roots = append(g.roots, b.branch(g, f, f.depth))
	}
	return g
}

func (b *bench) branch(g *grown, f forest, depth int) int32 {
	at := int32(len(g.nodes))
	g.nodes = append(g.nodes, TreeNode{})
	if depth == 0 || b.rng.IntN(6) == 0 {
		n := TreeNode{Mode: TreeLeaf, First: int32(len(g.weights)), Count: int32(pick(f.dense, f.targets, b.rng.IntN(11)))}
		for k := range n.Count {
			target := pick(f.dense, k, int32(b.rng.IntN(max(f.targets-1, 1))))
			g.weights = append(g.weights, TreeWeight{target, float32(b.rng.NormFloat64())})
		}
		g.nodes[at] = n
		return at
	}
	n := TreeNode{Feature: int32(b.rng.IntN(f.features)), Mode: TreeMode(b.rng.IntN(6)), MissingTrue: b.rng.IntN(2) == 0,
		Value: float32(math.Round(b.rng.NormFloat64() * 2))}
	n.True = b.branch(g, f, depth-1)
	n.False = b.branch(g, f, depth-1)
	g.nodes[at] = n
	return at
}

func (g *grown) leaf(at int32, row []float32) *TreeNode {
	for {
		n := &g.nodes[at]
		if n.Mode == TreeLeaf {
			return n
		}
		v := row[n.Feature]
		yes := [...]bool{v <= n.Value, v < n.Value, v >= n.Value, v > n.Value, v == n.Value, v != n.Value}[n.Mode]
		if v != v && n.MissingTrue {
			yes = true
		}
		at = pick(yes, n.True, n.False)
	}
}

func (b *bench) forest(f forest) {
	g := b.grow(f)
	ldx := f.features + 2
	x := b.normal(f.rows * ldx)
	for i := range x {
		x[i] = float32(math.Round(float64(x[i]) * 2)) // meets thresholds exactly
		if b.rng.IntN(8) == 0 {
			x[i] = float32(math.NaN())
		}
	}
	nodes, weights, err := PackTrees(g.nodes, g.weights, f.targets)
	b.must(err)
	base := b.normal(f.targets)
	call := Trees{Nodes: put(b, nodes), Weights: put(b, weights), Roots: put(b, g.roots), X: put(b, x), Y: room[float32](b, f.rows*f.targets),
		Rows: f.rows, Trees: f.trees, Targets: f.targets, LDX: int64(ldx), Aggregate: f.aggregate}
	if f.base {
		call.Base = put(b, base)
	}
	call.Scratch = room[byte](b, int(call.Workspace()))
	b.do(AppendTrees(nil, call))
	want := make([]float64, f.rows*f.targets)
	for r := range f.rows {
		met := make([]bool, f.targets)
		row := want[r*f.targets : (r+1)*f.targets]
		for _, root := range g.roots {
			n := g.leaf(root, x[r*ldx:])
			for _, w := range g.weights[n.First : n.First+n.Count] {
				v := float64(w.Value)
				switch {
				case !met[w.Target] || f.aggregate == TreeSum || f.aggregate == TreeAverage:
					row[w.Target] += v
				case f.aggregate == TreeMin:
					row[w.Target] = min(row[w.Target], v)
				default:
					row[w.Target] = max(row[w.Target], v)
				}
				met[w.Target] = true
			}
		}
		for t := range row {
			if f.aggregate == TreeAverage {
				row[t] /= float64(f.trees)
			}
			if f.base {
				row[t] += float64(base[t])
			}
		}
	}
	scale := make([]float64, len(want))
	for i := range scale {
		scale[i] = 1e-3 // sums are float64: nearly nothing
	}
	b.near(fmt.Sprintf("%+v", f), get[float32](b, call.Y, len(want)), want, scale, 1e-6)
}

func treeChecks() []check {
	var all []check
	for _, f := range []forest{
		{trees: 1, depth: 0, rows: 1, features: 1, targets: 1},
		{trees: 129, depth: 4, rows: 1, features: 7, targets: 1, base: true},
		{trees: 7, depth: 6, rows: 129, features: 31, targets: 3, base: true},
		{trees: 33, depth: 3, rows: 31, features: 5, targets: 4, aggregate: TreeAverage, dense: true},
		{trees: 9, depth: 3, rows: 33, features: 5, targets: 3, aggregate: TreeMin},
		{trees: 37, depth: 2, rows: 9, features: 3, targets: 2, aggregate: TreeMax, base: true},
		{trees: 40, depth: 2, rows: 5, features: 3, targets: 2, aggregate: TreeMin, dense: true},
	} {
		all = append(all, check{fmt.Sprintf("trees/%+v", f), false, func(b *bench) { b.forest(f) }})
	}
	return append(all, check{"trees/big", true, func(b *bench) {
		b.forest(forest{trees: 100, depth: 6, rows: 1031, features: 20, targets: 1, base: true})
	}})
}
