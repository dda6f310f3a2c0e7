package compress

import (
	"math"
	"slices"

	"github.com/aimass/aimass/runtime/graph"
)

// treeSizes counts nodes of trees before and after.
type treeSizes struct{ before, after int }

// trees takes needless splits out of TreeEnsembleClassifier and TreeEnsembleRegressor:
// those whose two sides give the same weights, and those that the splits above have decided.
func (c *Crop) trees(m *graph.Model) treeSizes {
	var s treeSizes
	for _, n := range m.Nodes {
		if n.Domain != "ai.onnx.ml" || n.Op != "TreeEnsembleClassifier" && n.Op != "TreeEnsembleRegressor" {
			continue
		}
		if f, ok := readForest(n); ok {
			s.before += len(f.nodes)
			f.simplify()
			s.after += f.write(n)
		}
	}
	return s
}

// forest is an ensemble's attributes as trees.
type forest struct {
	prefix string // class or target
	nodes  []treeNode
	roots  []int
	ids    []int64 // of each root's tree
}

type treeNode struct {
	feature int64
	value   float32
	mode    string
	missing int64
	yes, no int
	weights []treeWeight
}

type treeWeight struct {
	id     int64
	weight float32
}

// readForest gives ok = false for what it does not know: double tensors, ids out of line.
func readForest(n *graph.Node) (*forest, bool) {
	a := n.Attrs
	f := &forest{prefix: "target"}
	if n.Op == "TreeEnsembleClassifier" {
		f.prefix = "class"
	}
	for _, k := range []string{"nodes_values_as_tensor", "nodes_hitrates_as_tensor", f.prefix + "_weights_as_tensor", "base_values_as_tensor"} {
		if a.Has(k) {
			return nil, false
		}
	}
	list := func(name string) []float32 {
		if x := a[name]; x != nil {
			return x.Floats
		}
		return nil
	}
	trees, ids, features := a.Ints("nodes_treeids"), a.Ints("nodes_nodeids"), a.Ints("nodes_featureids")
	yes, no, missing := a.Ints("nodes_truenodeids"), a.Ints("nodes_falsenodeids"), a.Ints("nodes_missing_value_tracks_true")
	values := list("nodes_values")
	var modes []string
	if x := a["nodes_modes"]; x != nil {
		modes = x.Strings
	}
	count := len(trees)
	for _, k := range []int{len(ids), len(features), len(yes), len(no), len(values), len(modes)} {
		if k != count {
			return nil, false
		}
	}
	type key struct{ tree, node int64 }
	at := map[key]int{}
	for i := range trees {
		at[key{trees[i], ids[i]}] = i
	}
	child := map[int]bool{}
	for i := range trees {
		t := treeNode{feature: features[i], value: values[i], mode: modes[i], yes: -1, no: -1}
		if len(missing) == count {
			t.missing = missing[i]
		}
		if t.mode != "LEAF" {
			y, ok := at[key{trees[i], yes[i]}]
			z, ok2 := at[key{trees[i], no[i]}]
			if !ok || !ok2 || child[y] || child[z] || y == z {
				return nil, false // a node with two parents is no tree
			}
			t.yes, t.no = y, z
			child[y], child[z] = true, true
		}
		f.nodes = append(f.nodes, t)
	}
	for i := range f.nodes {
		if !child[i] {
			f.roots, f.ids = append(f.roots, i), append(f.ids, trees[i])
		}
	}
	wt, wn, wi, ww := a.Ints(f.prefix+"_treeids"), a.Ints(f.prefix+"_nodeids"), a.Ints(f.prefix+"_ids"), list(f.prefix+"_weights")
	if len(wn) != len(wt) || len(wi) != len(wt) || len(ww) != len(wt) || len(f.roots) != countDistinct(trees) {
		return nil, false
	}
	for k := range wt {
		i, ok := at[key{wt[k], wn[k]}]
		if !ok || f.nodes[i].mode != "LEAF" {
			return nil, false
		}
		f.nodes[i].weights = append(f.nodes[i].weights, treeWeight{wi[k], ww[k]})
	}
	return f, true
}

func countDistinct(ids []int64) int {
	s := slices.Clone(ids)
	slices.Sort(s)
	return len(slices.Compact(s))
}

// bounds is what the splits above say of a feature: low < x ≤ high, and whether a missing
// value may have come this way.
type bounds struct {
	low, high float32
	missing   bool
}

func (f *forest) simplify() {
	inf := float32(math.Inf(1))
	var walk func(i int, known map[int64]bounds) int
	walk = func(i int, known map[int64]bounds) int {
		n := &f.nodes[i]
		if n.mode == "LEAF" {
			return i
		}
		b, ok := known[n.feature]
		if !ok {
			b = bounds{-inf, inf, true}
		}
		yes, no := b, b
		if n.mode == "BRANCH_LEQ" {
			// A missing value would decide the other way: the split stays.
			switch {
			case b.high <= n.value && (!b.missing || n.missing != 0):
				return walk(n.yes, known)
			case b.low >= n.value && (!b.missing || n.missing == 0):
				return walk(n.no, known)
			}
			yes.high, yes.missing = min(b.high, n.value), b.missing && n.missing != 0
			no.low, no.missing = max(b.low, n.value), b.missing && n.missing == 0
		}
		down := func(child int, b bounds) int {
			before, had := known[n.feature]
			known[n.feature] = b
			r := walk(child, known)
			if had {
				known[n.feature] = before
			} else {
				delete(known, n.feature)
			}
			return r
		}
		n.yes, n.no = down(n.yes, yes), down(n.no, no)
		y, z := &f.nodes[n.yes], &f.nodes[n.no]
		if y.mode == "LEAF" && z.mode == "LEAF" && slices.Equal(y.weights, z.weights) {
			return n.yes
		}
		return i
	}
	for k, r := range f.roots {
		f.roots[k] = walk(r, map[int64]bounds{})
	}
}

// write puts the trees back into the node's attributes, numbered anew, and gives how many
// nodes there are.
func (f *forest) write(n *graph.Node) int {
	var trees, ids, features, yes, no, missing, wt, wn, wi []int64
	var values, ww []float32
	var modes []string
	for k, root := range f.roots {
		order, place := []int{root}, map[int]int64{root: 0}
		for j := 0; j < len(order); j++ {
			if t := f.nodes[order[j]]; t.mode != "LEAF" {
				for _, c := range []int{t.yes, t.no} {
					place[c] = int64(len(order))
					order = append(order, c)
				}
			}
		}
		for _, i := range order {
			t := f.nodes[i]
			trees, ids, features = append(trees, f.ids[k]), append(ids, place[i]), append(features, t.feature)
			values, modes, missing = append(values, t.value), append(modes, t.mode), append(missing, t.missing)
			if t.mode == "LEAF" {
				yes, no = append(yes, 0), append(no, 0)
			} else {
				yes, no = append(yes, place[t.yes]), append(no, place[t.no])
			}
			for _, w := range t.weights {
				wt, wn, wi, ww = append(wt, f.ids[k]), append(wn, place[i]), append(wi, w.id), append(ww, w.weight)
			}
		}
	}
	ints := func(name string, v []int64) { n.Attrs[name] = &graph.Attr{Kind: graph.AttrInts, Ints: v} }
	nums := func(name string, v []float32) { n.Attrs[name] = &graph.Attr{Kind: graph.AttrFloats, Floats: v} }
	ints("nodes_treeids", trees)
	ints("nodes_nodeids", ids)
	ints("nodes_featureids", features)
	ints("nodes_truenodeids", yes)
	ints("nodes_falsenodeids", no)
	nums("nodes_values", values)
	n.Attrs["nodes_modes"] = &graph.Attr{Kind: graph.AttrStrings, Strings: modes}
	delete(n.Attrs, "nodes_hitrates") // nothing reads them
	if n.Attrs.Has("nodes_missing_value_tracks_true") {
		ints("nodes_missing_value_tracks_true", missing)
	}
	ints(f.prefix+"_treeids", wt)
	ints(f.prefix+"_nodeids", wn)
	ints(f.prefix+"_ids", wi)
	nums(f.prefix+"_weights", ww)
	return len(trees)
}
