package ml

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
)

var modeNames = map[string]Mode{
	"BRANCH_LEQ": LEQ, "BRANCH_LT": LT, "BRANCH_GTE": GTE, "BRANCH_GT": GT,
	"BRANCH_EQ": EQ, "BRANCH_NEQ": NEQ, "LEAF": Leaf,
}

// nodeIndex finds a node by the numbers of its tree and of the node within it. Writers
// number nodes 0, 1, 2, … within a tree that lies in one piece; other orders take a map.
type nodeIndex struct {
	tree, node []int64
	start      map[int64]int32
	any        map[[2]int64]int32
}

func newNodeIndex(tree, node []int64) (*nodeIndex, error) {
	ix := &nodeIndex{tree: tree, node: node, start: map[int64]int32{}}
	dense := true
	for i := range tree {
		if i == 0 || tree[i] != tree[i-1] {
			if _, twice := ix.start[tree[i]]; twice {
				dense = false
			} else {
				ix.start[tree[i]] = int32(i)
			}
		}
		if node[i] != int64(i)-int64(ix.start[tree[i]]) {
			dense = false
		}
	}
	if dense {
		return ix, nil
	}
	ix.any = make(map[[2]int64]int32, len(tree))
	for i := range tree {
		k := [2]int64{tree[i], node[i]}
		if _, twice := ix.any[k]; twice {
			return nil, fmt.Errorf("node %d of tree %d is given twice", node[i], tree[i])
		}
		ix.any[k] = int32(i)
	}
	return ix, nil
}

func (ix *nodeIndex) find(tree, node int64) (int32, error) {
	if ix.any != nil {
		if i, ok := ix.any[[2]int64{tree, node}]; ok {
			return i, nil
		}
	} else if s, ok := ix.start[tree]; ok && node >= 0 && node < int64(len(ix.tree))-int64(s) {
		if i := int64(s) + node; ix.tree[i] == tree {
			return int32(i), nil
		}
	}
	return 0, fmt.Errorf("node %d of tree %d does not exist", node, tree)
}

// lengths checks that lists which run in parallel are equally long.
func lengths(names []string, got []int) error {
	for i := range got {
		if got[i] != got[0] {
			return fmt.Errorf("%s has %d entries, %s has %d", names[i], got[i], names[0], got[0])
		}
	}
	return nil
}

// treeNodes reads the nodes of TreeEnsembleClassifier and TreeEnsembleRegressor.
func treeNodes[T float32 | float64](a graph.Attrs, e *Ensemble[T]) (*nodeIndex, error) {
	values, err := numbers[T](a, "nodes_values")
	if err != nil {
		return nil, err
	}
	modes, missing := a.Strs("nodes_modes"), a.Ints("nodes_missing_value_tracks_true")
	tree, node := a.Ints("nodes_treeids"), a.Ints("nodes_nodeids")
	feature, yes, no := a.Ints("nodes_featureids"), a.Ints("nodes_truenodeids"), a.Ints("nodes_falsenodeids")
	if len(tree) == 0 || len(tree) > math.MaxInt32 {
		return nil, fmt.Errorf("%d nodes are given", len(tree))
	}
	if err := lengths([]string{"nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_truenodeids", "nodes_falsenodeids", "nodes_modes", "nodes_values"},
		[]int{len(tree), len(node), len(feature), len(yes), len(no), len(modes), len(values)}); err != nil {
		return nil, err
	}
	ix, err := newNodeIndex(tree, node)
	if err != nil {
		return nil, err
	}
	e.Nodes = make([]TreeNode[T], len(tree))
	seen := make(map[int64]bool, len(ix.start))
	for i := range e.Nodes {
		if !seen[tree[i]] {
			seen[tree[i]] = true
			e.Roots = append(e.Roots, int32(i))
		}
		mode, ok := modeNames[modes[i]]
		if !ok {
			return nil, fmt.Errorf("nodes_modes: %q is unknown", modes[i])
		}
		n := TreeNode[T]{Threshold: values[i], Mode: mode, MissingTrue: i < len(missing) && missing[i] == 1}
		if mode != Leaf {
			if feature[i] < 0 || feature[i] >= math.MaxInt32 {
				return nil, fmt.Errorf("nodes_featureids: %d is out of range", feature[i])
			}
			n.Feature = int32(feature[i])
			if n.True, err = ix.find(tree[i], yes[i]); err != nil {
				return nil, fmt.Errorf("nodes_truenodeids: %w", err)
			}
			if n.False, err = ix.find(tree[i], no[i]); err != nil {
				return nil, fmt.Errorf("nodes_falsenodeids: %w", err)
			}
		}
		e.Nodes[i] = n
	}
	return ix, nil
}

// leafWeights reads the weights of the leaves, whose attributes begin with prefix
// ("class" or "target"). Weights on inner nodes, which old converters write, count for
// nothing.
func leafWeights[T float32 | float64](a graph.Attrs, prefix string, ix *nodeIndex, e *Ensemble[T]) error {
	tree, node, ids := a.Ints(prefix+"_treeids"), a.Ints(prefix+"_nodeids"), a.Ints(prefix+"_ids")
	values, err := numbers[T](a, prefix+"_weights")
	if err != nil {
		return err
	}
	if err := lengths([]string{prefix + "_treeids", prefix + "_nodeids", prefix + "_ids", prefix + "_weights"},
		[]int{len(tree), len(node), len(ids), len(values)}); err != nil {
		return err
	}
	at := make([]int32, len(ids))
	for i := range ids {
		if at[i], err = ix.find(tree[i], node[i]); err != nil {
			return fmt.Errorf("%s_nodeids: %w", prefix, err)
		}
		if ids[i] < 0 || ids[i] >= int64(e.Targets) {
			return fmt.Errorf("%s_ids: %d is outside of 0 to %d", prefix, ids[i], e.Targets-1)
		}
		// Of several weights that a leaf has for the only target, ONNX Runtime takes the first: the exporter of
		// scikit-learn's decision paths writes a leaf's number once for each class and means one.
		if n := &e.Nodes[at[i]]; n.Mode != Leaf || e.Targets == 1 && n.Count == 1 {
			at[i] = -1
		} else {
			n.Count++
		}
	}
	total := int32(0)
	for i := range e.Nodes {
		n := &e.Nodes[i]
		n.First = total
		total += n.Count
		n.Count = 0
	}
	e.Weights = make([]Weight[T], total)
	for i := range ids {
		if at[i] >= 0 {
			n := &e.Nodes[at[i]]
			e.Weights[n.First+n.Count] = Weight[T]{int32(ids[i]), values[i]}
			n.Count++
		}
	}
	return nil
}
