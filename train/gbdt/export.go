package gbdt

import (
	"fmt"
	"slices"

	"github.com/aimass/aimass/runtime/onnx/build"
)

// MLDomain is the operator domain of the tree ensemble, and MLVersion the
// version of it that AppendONNX writes.
const (
	MLDomain  = "ai.onnx.ml"
	MLVersion = 3
)

// AppendONNX adds the model to a graph and returns the name of its scores,
// FLOAT [N, outputs] as AppendScores gives them. numeric names a FLOAT [N, k]
// value whose columns are the model's numeric features in their order;
// categories names one INT64 [N] value for each categorical feature, in their
// order. Codes that are negative or too large count as unknown.
//
// The trees become one TreeEnsembleRegressor of ai.onnx.ml 3, which compares
// float32 with float32 as training did. That version can't ask for membership
// in a set, so each set that a split names becomes a column, 0 for its members
// and 1 for all else, looked up by code in a constant table (its last row is
// the unknown's) and put beside the numeric columns. Each row is worked on by
// itself.
func (m *Model) AppendONNX(g *build.Graph, numeric string, categories []string) (string, error) {
	x := exporter{m: m, column: make([]int64, len(m.Features))}
	parts := []string{numeric}
	var width int64
	for f, feat := range m.Features {
		if !feat.Categorical() {
			x.column[f] = width
			width++
		}
	}
	n := 0
	for f, feat := range m.Features {
		if !feat.Categorical() {
			continue
		}
		if n == len(categories) {
			return "", fmt.Errorf("gbdt: the model has more categorical features than the %d values named", n)
		}
		sets := x.setsOf(int32(f))
		x.column[f] = width
		width += int64(len(sets))
		if len(sets) > 0 {
			parts = append(parts, lookUp(g, feat, categories[n], sets))
		}
		n++
	}
	if n != len(categories) {
		return "", fmt.Errorf("gbdt: %d values named for %d categorical features", len(categories), n)
	}
	input := numeric
	if len(parts) > 1 {
		input = g.Op("Concat", parts, build.I("axis", 1))
	}
	g.Opsets[MLDomain] = MLVersion
	out := g.Fresh("scores")
	g.Add(build.Node{Domain: MLDomain, Op: "TreeEnsembleRegressor", Inputs: []string{input}, Outputs: []string{out}, Attrs: x.attributes()})
	return out, nil
}

// lookUp adds the columns of the sets of one feature and returns their name.
func lookUp(g *build.Graph, f Feature, code string, sets [][]uint64) string {
	rows := f.Categories + 1
	table := make([]float32, rows*len(sets))
	for c := range rows {
		for s, set := range sets {
			if c == f.Categories || set[c>>6]>>(c&63)&1 == 0 {
				table[c*len(sets)+s] = 1
			}
		}
	}
	low := g.Const(g.Fresh("unknown_below"), []int64{-1})
	high := g.Const(g.Fresh("unknown_above"), []int64{int64(f.Categories)})
	// Gather counts a negative index from the end, so -1 is the unknown's row.
	at := g.Op("Clip", []string{code, low, high})
	t := g.Const(g.Fresh("outside_"+f.Name), table, int64(rows), int64(len(sets)))
	return g.Op("Gather", []string{t, at}, build.I("axis", 0))
}

// exporter collects the attributes of the ensemble.
type exporter struct {
	m *Model
	// column is where a feature's columns begin; sets holds the distinct sets
	// of each categorical feature.
	column []int64
	sets   map[int32][][]uint64
}

// setsOf lists the distinct sets that splits on feature f name, in the order in
// which they come up.
func (x *exporter) setsOf(f int32) [][]uint64 {
	if x.sets == nil {
		x.sets = make(map[int32][][]uint64)
	}
	for _, t := range x.m.Trees {
		for _, n := range t.Nodes {
			if n.Feature == f && x.find(f, n.Set) < 0 {
				x.sets[f] = append(x.sets[f], n.Set)
			}
		}
	}
	return x.sets[f]
}

func (x *exporter) find(f int32, set []uint64) int {
	return slices.IndexFunc(x.sets[f], func(s []uint64) bool { return slices.Equal(s, set) })
}

// attributes lists the trees. The true branch is always the left one.
func (x *exporter) attributes() []build.Attr {
	var tree, node, feature, yes, no, missing, leafTree, leafNode, leafTarget []int64
	var value, weight []float32
	var mode []string
	for t := range x.m.Trees {
		for i, n := range x.m.Trees[t].Nodes {
			tree, node = append(tree, int64(t)), append(node, int64(i))
			if n.Feature < 0 {
				mode = append(mode, "LEAF")
				feature, value, missing = append(feature, 0), append(value, 0), append(missing, 0)
				yes, no = append(yes, 0), append(no, 0)
				leafTree, leafNode = append(leafTree, int64(t)), append(leafNode, int64(i))
				leafTarget = append(leafTarget, int64(t%len(x.m.Base)))
				weight = append(weight, n.Value)
				continue
			}
			mode = append(mode, "BRANCH_LEQ")
			col, threshold, track := x.column[n.Feature], n.Threshold, int64(0)
			if n.Set != nil {
				col, threshold = col+int64(x.find(n.Feature, n.Set)), 0.5
			} else if n.MissingLeft {
				track = 1
			}
			feature, value, missing = append(feature, col), append(value, threshold), append(missing, track)
			yes, no = append(yes, int64(n.Left)), append(no, int64(n.Right))
		}
	}
	base := make([]float32, len(x.m.Base))
	for k, b := range x.m.Base {
		base[k] = float32(b)
	}
	return []build.Attr{
		build.I("n_targets", int64(len(base))), build.S("aggregate_function", "SUM"), build.S("post_transform", "NONE"),
		build.Fs("base_values", base),
		build.Is("nodes_treeids", tree...), build.Is("nodes_nodeids", node...), build.Is("nodes_featureids", feature...),
		build.Ss("nodes_modes", mode...), build.Fs("nodes_values", value),
		build.Is("nodes_truenodeids", yes...), build.Is("nodes_falsenodeids", no...),
		build.Is("nodes_missing_value_tracks_true", missing...),
		build.Is("target_treeids", leafTree...), build.Is("target_nodeids", leafNode...),
		build.Is("target_ids", leafTarget...), build.Fs("target_weights", weight),
	}
}
