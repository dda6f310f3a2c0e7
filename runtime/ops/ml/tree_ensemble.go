package ml

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func treeEnsemble() []*ops.Op {
	return []*ops.Op{{
		Name: "TreeEnsemble", Domain: Domain, Since: 5,
		MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(
			form.Int("aggregate_function", "n_targets", "post_transform"),
			form.Ints("nodes_missing_value_tracks_true"), form.Tensors("membership_values", "nodes_hitrates"),
			form.Required(form.Ints("leaf_targetids", "nodes_falseleafs", "nodes_falsenodeids", "nodes_featureids",
				"nodes_trueleafs", "nodes_truenodeids", "tree_roots")),
			form.Required(form.Tensors("leaf_weights", "nodes_modes", "nodes_splits"))),
		Shape: func(c *ops.ShapeCall) error {
			if err := rowShape(int(c.Node.Attrs.Int("n_targets", 1)), c); err != nil {
				return err
			}
			c.Out[0].DType = c.In[0].DType
			return nil
		},
		Bind: bindTreeEnsemble, Eval: ops.Bound(bindTreeEnsemble),
	}}
}

func bindTreeEnsemble(n *graph.Node) (func(*ops.Call) error, error) {
	w := n.Attrs.Tensor("leaf_weights")
	if w == nil {
		return nil, fmt.Errorf("attribute leaf_weights is missing")
	}
	if w.DType == tensor.Float64 {
		e, err := NewTreeEnsemble[float64](n)
		if err != nil {
			return nil, err
		}
		return func(c *ops.Call) error {
			x, err := tensor.Float64s(c.T(0))
			if err != nil {
				return err
			}
			return regress(e, c, x, c.T(0).DType)
		}, nil
	}
	e, err := NewTreeEnsemble[float32](n)
	if err != nil {
		return nil, err
	}
	return func(c *ops.Call) error {
		x, err := tensor.Float32s(c.T(0))
		if err != nil {
			return err
		}
		return regress(e, c, x, c.T(0).DType)
	}, nil
}

// NewTreeEnsemble reads the attributes of a TreeEnsemble. Leaf i becomes node
// len(nodes_splits) + i of the result.
func NewTreeEnsemble[T float32 | float64](n *graph.Node) (*Ensemble[T], error) {
	a := n.Attrs
	t, agg, post := a.Int("n_targets", 1), a.Int("aggregate_function", 1), a.Int("post_transform", 0)
	if t < 1 || t > maxTargets {
		return nil, fmt.Errorf("n_targets is %d, expected 1 to %d", t, maxTargets)
	}
	if agg < 0 || agg > int64(Max) || post < 0 || post > int64(Probit) {
		return nil, fmt.Errorf("aggregate_function %d or post_transform %d is unknown", agg, post)
	}
	e := &Ensemble[T]{Targets: int(t), Aggregate: Aggregate(agg), Post: Post(post)}
	if err := e.innerNodes(a); err != nil {
		return nil, err
	}
	if err := e.leaves(a); err != nil {
		return nil, err
	}
	for _, r := range a.Ints("tree_roots") {
		if r < 0 || r >= int64(len(e.Nodes)) {
			return nil, fmt.Errorf("tree_roots: %d is outside of %d nodes", r, len(e.Nodes))
		}
		e.Roots = append(e.Roots, int32(r))
	}
	return e, e.check()
}

func (e *Ensemble[T]) innerNodes(a graph.Attrs) error {
	feature, missing := a.Ints("nodes_featureids"), a.Ints("nodes_missing_value_tracks_true")
	yes, no, yesLeaf, noLeaf := a.Ints("nodes_truenodeids"), a.Ints("nodes_falsenodeids"), a.Ints("nodes_trueleafs"), a.Ints("nodes_falseleafs")
	mt, st := a.Tensor("nodes_modes"), a.Tensor("nodes_splits")
	if mt == nil || mt.DType != tensor.Uint8 || st == nil {
		return fmt.Errorf("nodes_modes is %v and nodes_splits %v, expected uint8 and floats", mt, st)
	}
	modes := tensor.Data[uint8](mt)
	splits, err := reals[T](st)
	if err != nil {
		return fmt.Errorf("nodes_splits: %w", err)
	}
	if err := lengths([]string{"nodes_splits", "nodes_modes", "nodes_featureids", "nodes_truenodeids", "nodes_falsenodeids", "nodes_trueleafs", "nodes_falseleafs"},
		[]int{len(splits), len(modes), len(feature), len(yes), len(no), len(yesLeaf), len(noLeaf)}); err != nil {
		return err
	}
	leaves := len(a.Ints("leaf_targetids"))
	inner := len(splits)
	if inner+leaves >= math.MaxInt32 {
		return fmt.Errorf("%d nodes and %d leaves are given", inner, leaves)
	}
	sets, err := memberSets[T](a)
	if err != nil {
		return err
	}
	child := func(id, leaf int64) (int32, error) {
		n, base := inner, 0
		if leaf != 0 {
			n, base = leaves, inner
		}
		if id < 0 || id >= int64(n) {
			return 0, fmt.Errorf("a node's child %d is outside of %d", id, n)
		}
		return int32(base + int(id)), nil
	}
	e.Nodes = make([]TreeNode[T], inner, inner+leaves)
	for i := range e.Nodes {
		if modes[i] > uint8(Member) {
			return fmt.Errorf("nodes_modes: %d is unknown", modes[i])
		}
		if feature[i] < 0 || feature[i] >= math.MaxInt32 {
			return fmt.Errorf("nodes_featureids: %d is out of range", feature[i])
		}
		n := TreeNode[T]{Threshold: splits[i], Mode: Mode(modes[i]), Feature: int32(feature[i]), MissingTrue: i < len(missing) && missing[i] != 0}
		if n.True, err = child(yes[i], yesLeaf[i]); err != nil {
			return err
		}
		if n.False, err = child(no[i], noLeaf[i]); err != nil {
			return err
		}
		if n.Mode == Member {
			if len(sets) == 0 {
				return fmt.Errorf("membership_values has fewer sets than there are BRANCH_MEMBER nodes")
			}
			n.First, n.Count = int32(len(e.Members)), int32(len(sets[0]))
			e.Members = append(e.Members, sets[0]...)
			sets = sets[1:]
		}
		e.Nodes[i] = n
	}
	return nil
}

// memberSets cuts membership_values at its NaNs.
func memberSets[T float32 | float64](a graph.Attrs) ([][]T, error) {
	t := a.Tensor("membership_values")
	if t == nil {
		return nil, nil
	}
	v, err := reals[T](t)
	if err != nil {
		return nil, fmt.Errorf("membership_values: %w", err)
	}
	var sets [][]T
	from := 0
	for i, x := range v {
		if x != x {
			sets = append(sets, v[from:i])
			from = i + 1
		}
	}
	if from < len(v) {
		sets = append(sets, v[from:])
	}
	return sets, nil
}

func (e *Ensemble[T]) leaves(a graph.Attrs) error {
	targets := a.Ints("leaf_targetids")
	weights, err := reals[T](a.Tensor("leaf_weights"))
	if err != nil {
		return fmt.Errorf("leaf_weights: %w", err)
	}
	if err := lengths([]string{"leaf_targetids", "leaf_weights"}, []int{len(targets), len(weights)}); err != nil {
		return err
	}
	e.Weights = make([]Weight[T], len(targets))
	for i, t := range targets {
		if t < 0 || t >= int64(e.Targets) {
			return fmt.Errorf("leaf_targetids: %d is outside of 0 to %d", t, e.Targets-1)
		}
		e.Weights[i] = Weight[T]{int32(t), weights[i]}
		e.Nodes = append(e.Nodes, TreeNode[T]{Mode: Leaf, First: int32(i), Count: 1})
	}
	return nil
}
