package ml

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// Mode says how a node of a tree compares the feature with its threshold. The order is
// that of TreeEnsemble (ai.onnx.ml 5).
type Mode uint8

// The modes. Member holds if the feature equals one of the node's members.
const (
	LEQ Mode = iota
	LT
	GTE
	GT
	EQ
	NEQ
	Member
	Leaf
)

// TreeNode is one node of an Ensemble. An inner node goes to True if the comparison holds
// (or if the feature is NaN and MissingTrue is set), else to False. A leaf's weights are
// Weights[First : First+Count] of the ensemble; a Member node's members are
// Members[First : First+Count].
type TreeNode[T float32 | float64] struct {
	Threshold    T
	Feature      int32
	True, False  int32
	First, Count int32
	Mode         Mode
	MissingTrue  bool
}

// Weight is what a leaf adds to one target or class.
type Weight[T float32 | float64] struct {
	Target int32
	Value  T
}

// Ensemble is a set of trees that is known to be sound: every index is in range, no path
// comes back to itself. T is the type in which features, thresholds and weights are
// compared and summed.
type Ensemble[T float32 | float64] struct {
	Nodes    []TreeNode[T]
	Roots    []int32
	Weights  []Weight[T]
	Members  []T
	Features int // the least number of features that a row must have
	Targets  int
	// Base is what the scores begin with: empty, one value or one for each target.
	Base      []T
	Aggregate Aggregate
	Post      Post
}

// Aggregate says how the trees' weights come together.
type Aggregate uint8

// The aggregates, in the order of TreeEnsemble (ai.onnx.ml 5).
const (
	Average Aggregate = iota
	Sum
	Min
	Max
)

// Leaf walks one tree for one row and gives the index of the leaf reached.
func (e *Ensemble[T]) Leaf(root int32, x []T) int32 {
	at := root
	for {
		n := &e.Nodes[at]
		if n.Mode == Leaf {
			return at
		}
		v := x[n.Feature]
		var yes bool
		switch n.Mode {
		case LEQ:
			yes = v <= n.Threshold
		case LT:
			yes = v < n.Threshold
		case GTE:
			yes = v >= n.Threshold
		case GT:
			yes = v > n.Threshold
		case EQ:
			yes = v == n.Threshold
		case NEQ:
			yes = v != n.Threshold
		case Member:
			for _, m := range e.Members[n.First : n.First+n.Count] {
				if v == m {
					yes = true
					break
				}
			}
		}
		if yes || n.MissingTrue && v != v {
			at = n.True
		} else {
			at = n.False
		}
	}
}

// scores is the state of one row: a value for each target, and whether any tree has
// spoken for it.
type scores[T float32 | float64] struct {
	v   []T
	has []bool
}

// gather runs all trees for one row.
func (e *Ensemble[T]) gather(x []T, s *scores[T]) {
	clear(s.v)
	clear(s.has)
	for _, root := range e.Roots {
		n := &e.Nodes[e.Leaf(root, x)]
		for _, w := range e.Weights[n.First : n.First+n.Count] {
			switch {
			case e.Aggregate <= Sum:
				s.v[w.Target] += w.Value
			case !s.has[w.Target],
				e.Aggregate == Min && w.Value < s.v[w.Target],
				e.Aggregate == Max && w.Value > s.v[w.Target]:
				s.v[w.Target] = w.Value
			}
			s.has[w.Target] = true
		}
	}
	if e.Aggregate == Average {
		for i := range s.v {
			s.v[i] /= T(len(e.Roots))
		}
	}
}

// finish adds the base values of a regression to the row's scores. Of several targets,
// those of which no tree has spoken stay zero, base or not.
func (e *Ensemble[T]) finish(s *scores[T]) {
	if len(e.Base) != e.Targets {
		return
	}
	for i, b := range e.Base {
		if s.has[i] || e.Targets == 1 {
			s.v[i] += b
		}
	}
}

// check proves what Leaf relies on. Nodes may share children, as LightGBM's converter
// writes for sets, but a path may not return to a node that it has passed.
func (e *Ensemble[T]) check() error {
	const fresh, open, done = 0, 1, 2
	state := make([]uint8, len(e.Nodes))
	var stack []int32
	for _, r := range e.Roots {
		if r < 0 || int(r) >= len(e.Nodes) {
			return fmt.Errorf("root %d is not one of the %d nodes", r, len(e.Nodes))
		}
		stack = append(stack[:0], r)
		for len(stack) > 0 {
			at := stack[len(stack)-1]
			n := &e.Nodes[at]
			if state[at] != fresh || n.Mode == Leaf {
				state[at] = done
				stack = stack[:len(stack)-1]
				continue
			}
			state[at] = open
			if n.Feature < 0 || n.Feature == math.MaxInt32 {
				return fmt.Errorf("node %d asks for feature %d", at, n.Feature)
			}
			e.Features = max(e.Features, int(n.Feature)+1)
			for _, next := range [2]int32{n.True, n.False} {
				if next < 0 || int(next) >= len(e.Nodes) {
					return fmt.Errorf("node %d has the child %d, of %d nodes", at, next, len(e.Nodes))
				}
				switch state[next] {
				case open:
					return fmt.Errorf("nodes %d and %d make a cycle", next, at)
				case fresh:
					stack = append(stack, next)
				}
			}
		}
	}
	for i := range e.Weights {
		if t := e.Weights[i].Target; t < 0 || int(t) >= e.Targets {
			return fmt.Errorf("a leaf adds to target %d, of %d", t, e.Targets)
		}
	}
	return nil
}

// numbers reads an attribute that is a list of floats or, as a tensor, of doubles. Two
// spellings at once are refused.
func numbers[T float32 | float64](a graph.Attrs, name string) ([]T, error) {
	list, as := a.Floats(name), a.Tensor(name+"_as_tensor")
	if as != nil && len(list) > 0 {
		return nil, fmt.Errorf("both %s and %s_as_tensor are given", name, name)
	}
	if as != nil {
		return reals[T](as)
	}
	out := make([]T, len(list))
	for i, v := range list {
		out[i] = T(v)
	}
	return out, nil
}

// reals converts a tensor of any real type.
func reals[T float32 | float64](t *tensor.Tensor) ([]T, error) {
	var z T
	switch any(z).(type) {
	case float32:
		v, err := tensor.Float32s(t)
		return any(v).([]T), err
	default:
		v, err := tensor.Float64s(t)
		return any(v).([]T), err
	}
}

// Finish turns the aggregates of one row into its answer, in place: base values and the
// end transform. has tells for each target whether any tree has spoken for it.
func (e *Ensemble[T]) Finish(v []T, has []bool) {
	e.finish(&scores[T]{v, has})
	e.transform(v)
}

// Plain reports that Finish changes nothing.
func (e *Ensemble[T]) Plain() bool {
	return len(e.Base) != e.Targets && (e.Post == None || e.Targets == 1 && e.Post != Probit)
}

// Spoken tells for each target whether every row hears of it (some tree has it at all
// its leaves) and whether any row may.
func (e *Ensemble[T]) Spoken() (always, ever []bool) {
	always, ever = make([]bool, e.Targets), make([]bool, e.Targets)
	seen := make([]int32, len(e.Nodes))
	var stack []int32
	for r, root := range e.Roots {
		leaves, with := 0, make(map[int32]int)
		stack = append(stack[:0], root)
		for len(stack) > 0 {
			at := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if seen[at] == int32(r+1) {
				continue
			}
			seen[at] = int32(r + 1)
			n := &e.Nodes[at]
			if n.Mode != Leaf {
				stack = append(stack, n.True, n.False)
				continue
			}
			leaves++
			told := map[int32]bool{}
			for _, w := range e.Weights[n.First : n.First+n.Count] {
				if !told[w.Target] {
					told[w.Target] = true
					with[w.Target]++
				}
			}
		}
		for t, k := range with {
			ever[t] = true
			always[t] = always[t] || k == leaves
		}
	}
	return always, ever
}
