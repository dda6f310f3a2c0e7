package gpu

import (
	"fmt"

	"github.com/aimass/aimass/cuda"
	"github.com/aimass/aimass/cuda/kernel"
	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/runtime/ops/ml"
	"github.com/aimass/aimass/runtime/tensor"
)

// forest is the form of an ensemble's sums: one float32 a row and target.
type forest struct {
	e              *ml.Ensemble[float32]
	columns        []int // target → column of the result, −1 if no tree speaks for it
	used           int
	base           []float32 // a column
	rows, features int
	key            string
	from, to       int // trees
}

var treeModes = map[ml.Mode]kernel.TreeMode{ml.LEQ: kernel.TreeLEQ, ml.LT: kernel.TreeLT, ml.GTE: kernel.TreeGTE, ml.GT: kernel.TreeGT, ml.EQ: kernel.TreeEQ,
	ml.NEQ: kernel.TreeNEQ, ml.Leaf: kernel.TreeLeaf}

var treeAggregates = map[ml.Aggregate]kernel.TreeAggregate{ml.Sum: kernel.TreeSum, ml.Average: kernel.TreeAverage, ml.Min: kernel.TreeMin,
	ml.Max: kernel.TreeMax}

// lowerTrees takes ensembles of trees over float32 features, with the transforms of their
// sums that common models use.
func lowerTrees(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	x := n.in[0]
	if !l.F32(x) || len(l.shape(x)) == 0 || len(l.shape(x)) > 2 || l.shape(x).Elements() == 0 {
		return nil, false
	}
	for _, name := range []string{"nodes_values_as_tensor", "class_weights_as_tensor", "target_weights_as_tensor", "leaf_weights", "base_values_as_tensor",
		"nodes_splits"} {
		if t := n.Attrs.Tensor(name); t != nil && t.DType != tensor.Float32 {
			return nil, false
		}
	}
	switch n.Op {
	case "TreeEnsembleClassifier":
		c, err := ml.NewClassifier[float32](n.Node)
		if err != nil {
			return nil, false
		}
		return l.classifier(i, c)
	case "TreeEnsembleRegressor":
		e, err := ml.NewRegressor[float32](n.Node)
		if err != nil {
			return nil, false
		}
		return l.regressor(i, e)
	}
	e, err := ml.NewTreeEnsemble[float32](n.Node)
	if err != nil {
		return nil, false
	}
	return l.regressor(i, e)
}

// forest reads an ensemble. It gives none where a target is spoken of in some rows alone,
// for the operators tell that apart from a sum of zero.
func (l *lowering) forest(n *node, e *ml.Ensemble[float32]) *forest {
	s := l.shape(n.in[0])
	f := &forest{e: e, features: last(s), rows: s.Elements() / last(s), key: "trees " + fmt.Sprintf("%p", n.Node), to: len(e.Roots)}
	if f.features < e.Features {
		return nil
	}
	for _, t := range e.Nodes {
		if _, ok := treeModes[t.Mode]; !ok {
			return nil
		}
	}
	always, ever := e.Spoken()
	for t := range e.Targets {
		switch {
		case !ever[t]:
			f.columns = append(f.columns, -1)
		case !always[t]:
			return nil
		default:
			f.columns = append(f.columns, f.used)
			f.used++
		}
	}
	if f.used == 0 {
		return nil
	}
	return f
}

// pack makes the constants that the kernel reads.
func (f *forest) pack(d *derived) (nodes, weights, roots *tensor.Tensor, err error) {
	list := make([]kernel.TreeNode, len(f.e.Nodes))
	for i, n := range f.e.Nodes {
		list[i] = kernel.TreeNode{Feature: max(n.Feature, 0), Mode: treeModes[n.Mode], MissingTrue: n.MissingTrue, Value: n.Threshold, True: n.True, False: n.False,
			First: n.First, Count: n.Count}
	}
	values := make([]kernel.TreeWeight, len(f.e.Weights))
	for i, w := range f.e.Weights {
		values[i] = kernel.TreeWeight{Target: int32(f.columns[w.Target]), Value: w.Value}
	}
	a, b, err := kernel.PackTrees(list, values, f.used)
	if err != nil {
		return nil, nil, nil, err
	}
	return d.get(f.key+" nodes", func() *tensor.Tensor { return tensor.FromSlice(a, len(a)) }),
		d.get(f.key+" weights", func() *tensor.Tensor { return tensor.FromSlice(b, len(b)) }),
		d.get(f.key+" roots", func() *tensor.Tensor { return tensor.FromSlice(f.e.Roots, len(f.e.Roots)) }), nil
}

// sums is the operation for trees from ≤ t < to on v's slots: out is a new slot.
func (f *forest) sums(v *values, d *derived, x int, nodes []*node, scale bool) (*operation, bool) {
	a, b, r, err := f.pack(d)
	if err != nil {
		return nil, false
	}
	in := []int{x, v.constant(a), v.constant(b), v.constant(r)}
	t := kernel.Trees{Rows: f.rows, Trees: f.to - f.from, Targets: f.used, LDX: int64(f.features), Aggregate: treeAggregates[f.e.Aggregate]}
	if !scale && f.e.Aggregate == ml.Average {
		t.Aggregate = kernel.TreeSum
	}
	base := -1
	if f.base != nil && f.from == 0 {
		base, in = len(in), append(in, v.constant(d.get(f.key+" base", func() *tensor.Tensor { return tensor.FromSlice(f.base, len(f.base)) })))
	}
	first := f.from
	return &operation{kind: "trees", nodes: nodes, in: in, out: []int{v.add(tensor.Float32, f.rows, f.used)}, scratch: t.Workspace(), form: f,
		launch: func(dst []cuda.Launch, in, out []cuda.Ptr, scratch cuda.Ptr) ([]cuda.Launch, error) {
			t := t
			t.X, t.Nodes, t.Weights, t.Roots, t.Y, t.Scratch = in[0], in[1], in[2], in[3]+cuda.Ptr(4*first), out[0], scratch
			if base >= 0 {
				t.Base = in[base]
			}
			return kernel.AppendTrees(dst, t)
		}}, true
}

func (l *lowering) regressor(i int, e *ml.Ensemble[float32]) ([]*operation, bool) {
	n := l.work[i]
	f := l.forest(n, e)
	if f == nil || f.used != e.Targets || !l.F32(n.out[0]) {
		return nil, false
	}
	if len(e.Base) == e.Targets {
		f.base = e.Base
	}
	o, ok := f.sums(l.values, l.derived, n.in[0], l.pick(i), true)
	if !ok {
		return nil, false
	}
	if e.Targets == 1 && e.Post != ml.Probit || e.Post == ml.None {
		o.out[0] = n.out[0]
		return []*operation{o}, true
	}
	post, ok := l.post(e.Post, l.pick(i), o.out[0], n.out[0])
	return append([]*operation{o}, post...), ok
}

// post turns the scores of each row, two or more, into those asked for.
func (l *lowering) post(p ml.Post, nodes []*node, z, out int) ([]*operation, bool) {
	s := l.shape(out)
	switch p {
	case ml.None:
		return []*operation{moving("copy", nodes, z, out, kernel.Move{Size: 4, Dims: s, StridesX: wide(s.Strides()), StridesY: wide(s.Strides())}, 0, 0)}, true
	case ml.Logistic:
		return []*operation{l.unaryNamed("sigmoid", act.Act{}, nodes, z, out)}, true
	case ml.Softmax:
		x := kernel.Softmax{Outer: s[:len(s)-1].Elements(), N: last(s), Inner: 1}
		return []*operation{{kind: "softmax", nodes: nodes, in: []int{z}, out: []int{out}, launch: func(dst []cuda.Launch, in, out []cuda.Ptr,
			_ cuda.Ptr) ([]cuda.Launch, error) {
			x := x
			x.X, x.Y = in[0], out[0]
			return kernel.AppendSoftmax(dst, x)
		}}}, true
	}
	return nil, false
}

// classifier takes classifiers with integer labels: of several classes, or of two with
// all weights in the first, as gradient boosting is exported, or with weights in both.
func (l *lowering) classifier(i int, c *ml.Classifier[float32]) ([]*operation, bool) {
	n := l.work[i]
	label, z := n.out[0], -1
	if len(n.out) > 1 {
		z = n.out[1]
	}
	names, text := c.Labels()
	f := l.forest(n, &c.Ensemble)
	if f == nil || len(text) > 0 || label >= 0 && !l.of(label, tensor.Int64) || z >= 0 && !l.F32(z) {
		return nil, false
	}
	nodes := l.pick(i)
	if z < 0 {
		z = l.add(tensor.Float32, f.rows, c.Targets)
	}
	binary, positive := c.Binary()
	switch {
	case c.Targets == 2 && binary && f.columns[1] < 0 && len(c.Base) <= 1 && c.Post != ml.Probit:
		if len(c.Base) == 1 {
			f.base = c.Base
		}
		return l.lone(n, c, f, positive, names, label, z)
	case c.Targets == 2 && !binary && f.used == 2 && len(c.Base) == 0:
		o, ok := f.sums(l.values, l.derived, n.in[0], nodes, true)
		if !ok {
			return nil, false
		}
		list, ok := l.post(c.Post, nodes, o.out[0], z)
		second := l.add(tensor.Float32, f.rows, 1)
		pick := moving("copy", nodes, o.out[0], second, kernel.Move{Size: 4, Dims: []int{f.rows}, StridesX: []int64{2}, StridesY: []int64{1}}, 1, 0)
		list = append([]*operation{o, pick}, list...)
		return append(list, l.chosen(nodes, second, 0, names, label)...), ok
	case c.Targets > 2 && f.used == c.Targets && (len(c.Base) == 0 || len(c.Base) == c.Targets):
		if len(c.Base) > 0 {
			f.base = c.Base
		}
		o, ok := f.sums(l.values, l.derived, n.in[0], nodes, true)
		if !ok {
			return nil, false
		}
		list, ok := l.post(c.Post, nodes, o.out[0], z)
		list = append([]*operation{o}, list...)
		return append(list, l.best(nodes, o.out[0], f.rows, names, label)...), ok
	}
	return nil, false
}

// lone makes both scores and the label of two classes from one sum a row.
func (l *lowering) lone(n *node, c *ml.Classifier[float32], f *forest, positive bool, names []int64, label, z int) ([]*operation, bool) {
	nodes := []*node{n}
	o, ok := f.sums(l.values, l.derived, n.in[0], nodes, true)
	if !ok {
		return nil, false
	}
	s, rows := o.out[0], f.rows
	list := []*operation{o}
	other, own := l.add(tensor.Float32, rows, 1), s
	threshold := float32(0)
	if positive {
		threshold = 0.5
	}
	switch {
	case c.Post == ml.Logistic:
		minus := l.add(tensor.Float32, rows, 1)
		own = l.add(tensor.Float32, rows, 1)
		list = append(list, l.unaryNamed("neg", act.Act{Func: act.Neg}, nodes, s, minus), l.unaryNamed("sigmoid", act.Act{Func: act.Sigmoid}, nodes, minus, other),
			l.unaryNamed("sigmoid", act.Act{Func: act.Sigmoid}, nodes, s, own))
	case positive:
		list = append(list, l.unaryNamed("affine", act.Act{Func: act.Affine, A: -1, B: 1}, nodes, s, other))
	default:
		list = append(list, l.unaryNamed("neg", act.Act{Func: act.Neg}, nodes, s, other))
	}
	column := kernel.Move{Size: 4, Dims: []int{rows}, StridesX: []int64{1}, StridesY: []int64{2}}
	list = append(list, moving("copy", nodes, other, z, column, 0, 0), moving("copy", nodes, own, z, column, 0, 1))
	return append(list, l.chosen(nodes, s, threshold, names, label)...), true
}

// chosen gives the second label where a row's score is above the threshold, else the first.
func (l *lowering) chosen(nodes []*node, score int, threshold float32, names []int64, label int) []*operation {
	if label < 0 {
		return nil
	}
	rows := l.shape(score)[0]
	bound := l.constant(l.derived.get(fmt.Sprint("threshold ", threshold), func() *tensor.Tensor { return tensor.FromSlice([]float32{threshold}, 1) }))
	pair := l.constant(l.derived.get(fmt.Sprint("labels ", names), func() *tensor.Tensor { return tensor.FromSlice(names, len(names)) }))
	above := l.add(tensor.Bool, rows, 1)
	w := kernel.Where{Size: 8, Dims: []int{rows}, StridesC: []int64{1}, StridesX: []int64{0}, StridesY: []int64{0}}
	return []*operation{l.binary("gt", "f32", nodes, score, bound, above),
		{kind: "where", nodes: nodes, in: []int{above, pair}, out: []int{label}, launch: func(dst []cuda.Launch, in, out []cuda.Ptr, _ cuda.Ptr) ([]cuda.Launch,
			error) {
			w := w
			w.C, w.X, w.Y, w.Z = in[0], in[1]+8, in[1], out[0]
			return kernel.AppendWhere(dst, w)
		}}}
}

// best gives the label of a row's largest score, the first of equals.
func (l *lowering) best(nodes []*node, z, rows int, names []int64, label int) []*operation {
	if label < 0 {
		return nil
	}
	list := l.constant(l.derived.get(fmt.Sprint("labels ", names), func() *tensor.Tensor { return tensor.FromSlice(names, len(names)) }))
	at := l.add(tensor.Int64, rows)
	a := kernel.Arg{Outer: rows, N: len(names), Inner: 1}
	g := kernel.Gather{Size: 8, Outer: 1, Rows: len(names), Count: rows, Width: 1}
	return []*operation{
		{kind: "arg", nodes: nodes, in: []int{z}, out: []int{at}, launch: func(dst []cuda.Launch, in, out []cuda.Ptr, _ cuda.Ptr) ([]cuda.Launch, error) {
			a := a
			a.X, a.Y = in[0], out[0]
			return kernel.AppendArg(dst, a)
		}},
		{kind: "gather", nodes: nodes, in: []int{list, at}, out: []int{label}, launch: func(dst []cuda.Launch, in, out []cuda.Ptr, _ cuda.Ptr) ([]cuda.Launch,
			error) {
			g := g
			g.X, g.Index, g.Y = in[0], in[1], out[0]
			return kernel.AppendGather(dst, g)
		}},
	}
}
