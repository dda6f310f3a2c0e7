package lower

import (
	"fmt"
	"math"
	"slices"

	"github.com/aimass/aimass/kernels/tree"
	"github.com/aimass/aimass/runtime/ops/ml"
	"github.com/aimass/aimass/runtime/tensor"
)

// forest is an ensemble compiled for the kernel. Targets of which no tree ever speaks
// have no column in the kernel's result.
type forest struct {
	kernel  *tree.Ensemble // nil if the kernel can't have it
	targets int
	columns []int // target → column, −1 for none
	has     []bool
	class   *ml.Classifier[float32]
	sums    *ml.Ensemble[float32]
	narrow  func(dst []float32, x []float64) // how features of float64 are rounded; nil: they can't be
}

// compileForest builds the kernel's form. It gives no kernel where a target is spoken of
// in some rows alone, for the operators tell that apart from a sum of zero.
func compileForest(e *ml.Ensemble[float32], features int) *forest {
	fo := &forest{targets: e.Targets, columns: make([]int, e.Targets), has: make([]bool, e.Targets), sums: e}
	always, ever := e.Spoken()
	used := 0
	for t := range e.Targets {
		fo.columns[t] = -1
		if ever[t] {
			if !always[t] {
				return fo
			}
			fo.columns[t], fo.has[t] = used, true
			used++
		}
	}
	if used == 0 || features < e.Features {
		return fo
	}
	f := &tree.Forest{Roots: e.Roots, Targets: used, Features: e.Features}
	f.Aggregate = map[ml.Aggregate]tree.Aggregate{ml.Sum: tree.Sum, ml.Average: tree.Average, ml.Min: tree.Min, ml.Max: tree.Max}[e.Aggregate]
	f.Nodes, f.Members = forestNodes(e)
	for _, w := range e.Weights {
		f.Weights = append(f.Weights, tree.Weight{Target: int32(fo.columns[w.Target]), Value: w.Value})
	}
	if k, err := tree.New(f); err == nil {
		fo.kernel, fo.narrow = k, roundedFor(f.Nodes)
	}
	return fo
}

// roundedFor is how features of float64 become float32 so that each comparison with a threshold, which is a
// float32, comes out as it would in float64: up where all ask whether a feature is at most, or more, down where
// all ask whether it is less, or at least.
func roundedFor(nodes []tree.Node) func(dst []float32, x []float64) {
	up, down := true, true
	for _, n := range nodes {
		switch n.Mode {
		case tree.LEQ, tree.GT:
			down = false
		case tree.LT, tree.GTE:
			up = false
		case tree.EQ, tree.NEQ, tree.Member:
			return nil
		}
	}
	toward := float32(math.Inf(1))
	switch {
	case up:
	case down:
		toward = -toward
	default:
		return nil
	}
	return func(dst []float32, x []float64) {
		for i, v := range x {
			y := float32(v)
			if up && float64(y) < v || !up && float64(y) > v {
				y = math.Nextafter32(y, toward)
			}
			dst[i] = y
		}
	}
}

var treeModes = map[ml.Mode]tree.Mode{ml.LEQ: tree.LEQ, ml.LT: tree.LT, ml.GTE: tree.GTE, ml.GT: tree.GT, ml.EQ: tree.EQ, ml.NEQ: tree.NEQ,
	ml.Member: tree.Member, ml.Leaf: tree.Leaf}

// forestNodes gives an ensemble's nodes and their members. A chain of equalities of one
// feature that lead to one node, as LightGBM's converter writes sets, becomes a test for
// membership: else that node would belong to several branches, which is no tree.
func forestNodes(e *ml.Ensemble[float32]) ([]tree.Node, []float32) {
	parents := make([]int32, len(e.Nodes))
	nodes := make([]tree.Node, len(e.Nodes))
	for i, n := range e.Nodes {
		if n.Mode != ml.Leaf {
			parents[n.True]++
			parents[n.False]++
		}
		nodes[i] = tree.Node{Feature: n.Feature, Mode: treeModes[n.Mode], MissingTrue: n.MissingTrue, Value: n.Threshold, True: n.True, False: n.False, First: n.First, Count: n.Count}
	}
	for _, r := range e.Roots {
		parents[r]++
	}
	members := slices.Clip(e.Members)
	isSet := func(n *tree.Node) bool { return n.Mode == tree.EQ || n.Mode == tree.Member }
	for i := range nodes {
		n := &nodes[i]
		if !isSet(n) {
			continue
		}
		values := setOf(n, members)
		for {
			next := &nodes[n.False]
			if !isSet(next) || parents[n.False] > 1 || next.Feature != n.Feature || next.True != n.True {
				break
			}
			values = append(values, setOf(next, members)...)
			n.MissingTrue = n.MissingTrue || next.MissingTrue
			parents[next.True]--
			n.False, *next = next.False, tree.Node{Mode: tree.Leaf}
		}
		if len(values) > int(max(n.Count, 1)) {
			n.Mode, n.First, n.Count = tree.Member, int32(len(members)), int32(len(values))
			members = append(members, values...)
		}
	}
	return nodes, members
}

// setOf gives a copy of the values for which a node goes to True.
func setOf(n *tree.Node, members []float32) []float32 {
	if n.Mode == tree.EQ {
		return []float32{n.Value}
	}
	return slices.Clone(members[n.First : n.First+n.Count])
}

// lowerTrees takes ensembles of trees over float32 features, and over float64 ones where those can be rounded.
func lowerTrees(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	x := n.In[0]
	wide := f.f64(x)
	if !wide && !f.f32(x) || f.shape(x).Elements() == 0 || len(f.shape(x)) > 2 || len(f.shape(x)) == 0 {
		return nil, false
	}
	for _, name := range []string{"nodes_values_as_tensor", "class_weights_as_tensor", "target_weights_as_tensor", "leaf_weights", "base_values_as_tensor"} {
		if t := n.Attrs.Tensor(name); t != nil && t.DType != tensor.Float32 {
			return nil, false
		}
	}
	s := f.shape(x)
	features := s[len(s)-1]
	rows := s.Elements() / features
	fo := f.pl.Packed.get(nil, fmt.Sprintf("trees %d %p", features, n.Node), func(*tensor.Tensor) (any, int64) {
		fo := readForest(n, features)
		if fo == nil || fo.kernel == nil {
			return (*forest)(nil), 0
		}
		return fo, int64(fo.kernel.Bytes())
	}).(*forest)
	if fo == nil || wide && fo.narrow == nil {
		return nil, false
	}
	from := x
	if wide {
		x = f.scratch(tensor.Float32, rows*features)
	}
	predict := f.regress
	if fo.class != nil {
		predict = f.classify
	}
	g, ok := predict(fo, i, x, rows, features)
	if !ok {
		return nil, false
	}
	g.cost = rows * (features + len(fo.sums.Roots)*treeStep)
	if !wide {
		return g, true
	}
	narrow, run := fo.narrow, g.run
	g.reads, g.writes = []int{from}, append(g.writes, x)
	g.run = func(e *Env) error {
		narrow(e.f32(x), e.f64(from))
		return run(e)
	}
	return g, true
}

// readForest reads the node's attributes; nil where they contradict each other.
func readForest(n *Node, features int) *forest {
	switch n.Node.Op {
	case "TreeEnsembleClassifier":
		c, err := ml.NewClassifier[float32](n.Node)
		if err != nil {
			return nil
		}
		fo := compileForest(&c.Ensemble, features)
		fo.class = c
		return fo
	case "TreeEnsembleRegressor":
		if e, err := ml.NewRegressor[float32](n.Node); err == nil {
			return compileForest(e, features)
		}
	case "TreeEnsemble":
		if e, err := ml.NewTreeEnsemble[float32](n.Node); err == nil {
			return compileForest(e, features)
		}
	}
	return nil
}

func (f *fuser) classify(fo *forest, i, x, rows, features int) (*group, bool) {
	n := f.node(i)
	label, z := n.Out[0], -1
	if len(n.Out) > 1 {
		z = n.Out[1]
	}
	ints, strs := fo.class.Labels()
	names, ok := f.labels(label, rows, ints, strs)
	if !ok || z >= 0 && !f.f32(z) {
		return nil, false
	}
	writes := []int{label, z}
	if z < 0 {
		z = f.scratch(tensor.Float32, rows*fo.targets)
		writes = []int{label, z}
	}
	used := fo.kernel.Targets()
	sums := f.scratch(tensor.Float32, rows*used)
	run := func(e *Env) error {
		y, out := e.f32(sums), e.f32(z)
		fo.kernel.Predict(y, e.f32(x), rows, features, e.Threads)
		v, has := e.rowState(fo.targets)
		copy(has, fo.has)
		li, ls := names.begin(e)
		for r := range rows {
			if used == fo.targets { // all classes have trees, in order
				v = y[r*used : (r+1)*used]
			} else {
				fo.row(v, has, y[r*used:(r+1)*used])
			}
			class := fo.class.Decide(v, has, out[r*fo.targets:(r+1)*fo.targets])
			names.put(li, ls, r, class)
		}
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{x}, writes: append(writes, sums), run: run}, true
}

// row spreads the kernel's columns over the targets.
func (fo *forest) row(v []float32, has []bool, y []float32) {
	copy(has, fo.has)
	for t, c := range fo.columns {
		if c < 0 {
			v[t] = 0
		} else {
			v[t] = y[c]
		}
	}
}

func (f *fuser) regress(fo *forest, i, x, rows, features int) (*group, bool) {
	out := f.node(i).Out[0]
	if !f.f32(out) {
		return nil, false
	}
	used := fo.kernel.Targets()
	if used == fo.targets && fo.sums.Plain() {
		run := func(e *Env) error {
			fo.kernel.Predict(e.f32(out), e.f32(x), rows, features, e.Threads)
			return nil
		}
		return &group{nodes: []int{i}, reads: []int{x}, writes: []int{out}, run: run}, true
	}
	sums := f.scratch(tensor.Float32, rows*used)
	run := func(e *Env) error {
		y, dst := e.f32(sums), e.f32(out)
		fo.kernel.Predict(y, e.f32(x), rows, features, e.Threads)
		_, has := e.rowState(fo.targets)
		for r := range rows {
			v := dst[r*fo.targets : (r+1)*fo.targets]
			fo.row(v, has, y[r*used:(r+1)*used])
			fo.sums.Finish(v, has)
		}
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{x}, writes: []int{out, sums}, run: run}, true
}

// rowState gives memory for one row of n targets.
func (e *Env) rowState(n int) ([]float32, []bool) {
	if len(e.row) < n {
		e.row, e.has = make([]float32, n), make([]bool, n)
	}
	return e.row[:n], e.has[:n]
}
