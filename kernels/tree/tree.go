// Package tree evaluates ensembles of decision trees over float32 features:
// what ONNX calls TreeEnsemble, and what gradient boosting, random forests and
// isolation forests become.
//
// An Ensemble is built once and read-only afterwards; any number of Predict
// calls may share it. Nothing is kept or allocated by Predict.
// Neighbours: pool, isa. The caller adds base values' post transforms.
package tree

import (
	"errors"
	"fmt"
	"math"
	"unsafe"

	"github.com/aimass/aimass/kernels/isa"
)

// Mode is the test of a node: x Mode Value goes to True.
type Mode uint8

// The tests.
const (
	LEQ Mode = iota
	LT
	GTE
	GT
	EQ
	NEQ
	Member // x is one of the node's members
	Leaf   // no test: the node ends its tree
)

// Node is one node of a forest. True and False are indices into the same
// slice of nodes. A NaN feature fails every test but NEQ, and goes to False
// unless MissingTrue.
type Node struct {
	Feature     int32
	Mode        Mode
	MissingTrue bool
	Value       float32
	True, False int32
	// First and Count are the leaf's weights or the members of Member; Count may be 0.
	First, Count int32
}

// Weight is what a leaf adds to one target.
type Weight struct {
	Target int32
	Value  float32
}

// Aggregate says how the weights of all trees become one value a target.
type Aggregate uint8

// The aggregates. Average divides the sum by the number of trees. A target
// that no tree reached gives 0 (before its base value).
const (
	Sum Aggregate = iota
	Average
	Min
	Max
)

// Forest is the description that New checks and compiles.
type Forest struct {
	Nodes     []Node
	Roots     []int32 // the root node of each tree
	Weights   []Weight
	Members   []float32
	Targets   int
	Features  int // columns of a row
	Aggregate Aggregate
	Base      []float32 // added to each target after aggregation; nil means 0
}

// Ensemble is a compiled forest.
type Ensemble struct {
	f      Forest
	level  isa.Level
	native *native
}

// New checks the forest (indices, cycles, targets) and compiles it.
func New(f *Forest) (*Ensemble, error) { return build(isa.Current().Level, f) }

func build(level isa.Level, f *Forest) (*Ensemble, error) {
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("tree: %w", err)
	}
	e := &Ensemble{f: *f, level: level}
	if level != isa.Generic {
		e.native = compile(level, f)
	}
	return e, nil
}

// Targets is the number of values a row of the result has.
func (e *Ensemble) Targets() int { return e.f.Targets }

// Features is the number of values a row of the input has.
func (e *Ensemble) Features() int { return e.f.Features }

// Bytes is the size of the compiled form.
func (e *Ensemble) Bytes() int {
	n := len(e.f.Nodes)*int(unsafe.Sizeof(Node{})) + 8*len(e.f.Weights)
	if e.native != nil {
		n += e.native.bytes()
	}
	return n
}

// Predict sets rows×Targets values at dst from rows×Features values at x with
// row stride ldx. Sums are taken in float64 in the order of the trees and
// rounded once.
func (e *Ensemble) Predict(dst, x []float32, rows, ldx, threads int) {
	if rows == 0 || e.f.Targets == 0 {
		return
	}
	if ldx < e.f.Features || len(x) < (rows-1)*ldx+e.f.Features || len(dst) < rows*e.f.Targets {
		panic(fmt.Sprintf("BUG: tree: %d rows of %d: x %d, dst %d", rows, e.f.Features, len(x), len(dst)))
	}
	if e.native != nil {
		e.predictNative(dst, x, rows, ldx, threads)
		return
	}
	e.predictGeneric(dst, x, rows, ldx, threads)
}

func (f *Forest) check() error {
	if f.Targets < 1 || f.Features < 0 || f.Aggregate > Max {
		return fmt.Errorf("%d targets, %d features, aggregate %d", f.Targets, f.Features, f.Aggregate)
	}
	if f.Base != nil && len(f.Base) < f.Targets {
		return fmt.Errorf("%d base values of %d", len(f.Base), f.Targets)
	}
	for i, w := range f.Weights {
		if w.Target < 0 || int(w.Target) >= f.Targets {
			return fmt.Errorf("weight %d is for target %d of %d", i, w.Target, f.Targets)
		}
	}
	for i, n := range f.Nodes {
		if err := f.checkNode(&n); err != nil {
			return fmt.Errorf("node %d: %w", i, err)
		}
	}
	if len(f.Nodes) > math.MaxInt32/2 {
		return errors.New("too many nodes")
	}
	return f.checkTrees()
}

func (f *Forest) checkNode(n *Node) error {
	size := int32(len(f.Nodes))
	switch {
	case n.Mode == Leaf:
		if n.Count < 0 || n.First < 0 || int64(n.First)+int64(n.Count) > int64(len(f.Weights)) {
			return errors.New("weights out of range")
		}
	case n.Mode > Leaf:
		return fmt.Errorf("unknown mode %d", n.Mode)
	case n.Mode == Member && (n.Count < 0 || n.First < 0 || int64(n.First)+int64(n.Count) > int64(len(f.Members))):
		return errors.New("members out of range")
	case n.Feature < 0 || int(n.Feature) >= f.Features:
		return fmt.Errorf("feature %d of %d", n.Feature, f.Features)
	case n.True < 0 || n.True >= size || n.False < 0 || n.False >= size:
		return errors.New("a branch leads out of the forest")
	}
	return nil
}

// checkTrees walks every tree once; a node that is met twice would make a
// cycle or a shared branch, and neither is a tree.
func (f *Forest) checkTrees() error {
	seen := make([]bool, len(f.Nodes))
	var stack []int32
	for t, root := range f.Roots {
		if root < 0 || int(root) >= len(f.Nodes) {
			return fmt.Errorf("root %d out of range", root)
		}
		stack = append(stack[:0], root)
		for len(stack) > 0 {
			i := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if seen[i] {
				return fmt.Errorf("tree %d meets node %d twice", t, i)
			}
			seen[i] = true
			if n := &f.Nodes[i]; n.Mode != Leaf {
				stack = append(stack, n.False, n.True)
			}
		}
	}
	return nil
}
