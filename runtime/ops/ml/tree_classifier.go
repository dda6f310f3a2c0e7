package ml

import (
	"fmt"
	"slices"
	"sync"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func treeAttrs(since int, prefix string) []ops.Attr {
	list := form.Join(
		form.Floats("base_values", "nodes_hitrates", "nodes_values", prefix+"_weights"),
		form.Ints("nodes_falsenodeids", "nodes_featureids", "nodes_missing_value_tracks_true", "nodes_nodeids",
			"nodes_treeids", "nodes_truenodeids", prefix+"_ids", prefix+"_nodeids", prefix+"_treeids"),
		form.Strs("nodes_modes"), form.Str("post_transform"))
	if since >= 3 {
		list = append(list, form.Tensors("base_values_as_tensor", "nodes_hitrates_as_tensor", "nodes_values_as_tensor", prefix+"_weights_as_tensor")...)
	}
	return list
}

func treeEnsembleClassifier() []*ops.Op {
	var out []*ops.Op
	for _, since := range []int{1, 3} {
		out = append(out, &ops.Op{
			Name: "TreeEnsembleClassifier", Domain: Domain, Since: since,
			MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 2,
			Attrs: form.Join(treeAttrs(since, "class"), form.Ints("classlabels_int64s"), form.Strs("classlabels_strings")),
			Shape: func(c *ops.ShapeCall) error {
				l := readLabels(c.Node.Attrs, "classlabels_int64s")
				return classShape(l, l.count(), c)
			},
			Bind: bindTreeClassifier, Eval: ops.Bound(bindTreeClassifier),
		})
	}
	return out
}

// Classifier is a bound TreeEnsembleClassifier.
type Classifier[T float32 | float64] struct {
	Ensemble[T]
	labels classLabels
	// binary: two labels, and all weights belong to one class.
	binary, positive bool
}

// NewClassifier reads the attributes of a TreeEnsembleClassifier.
func NewClassifier[T float32 | float64](n *graph.Node) (*Classifier[T], error) {
	a := n.Attrs
	m := &Classifier[T]{labels: readLabels(a, "classlabels_int64s")}
	m.Targets = m.labels.count()
	m.Aggregate = Sum
	if m.Targets == 0 {
		return nil, fmt.Errorf("neither classlabels_strings nor classlabels_int64s is given")
	}
	var err error
	if m.Post, err = parsePost(a.Str("post_transform", "NONE")); err != nil {
		return nil, err
	}
	if m.Base, err = numbers[T](a, "base_values"); err != nil {
		return nil, err
	}
	if len(m.Base) > m.Targets {
		return nil, fmt.Errorf("%d base_values for %d classes", len(m.Base), m.Targets)
	}
	ix, err := treeNodes(a, &m.Ensemble)
	if err != nil {
		return nil, err
	}
	if err := leafWeights(a, "class", ix, &m.Ensemble); err != nil {
		return nil, err
	}
	weights, err := numbers[T](a, "class_weights")
	if err != nil {
		return nil, err
	}
	ids := a.Ints("class_ids")
	one := len(ids) > 0
	m.positive = true
	for i := range ids {
		one = one && ids[i] == ids[0]
		m.positive = m.positive && weights[i] >= 0
	}
	m.binary = m.Targets == 2 && one
	return m, m.check()
}

func bindTreeClassifier(n *graph.Node) (func(*ops.Call) error, error) {
	m, err := NewClassifier[float32](n)
	if err != nil {
		return nil, err
	}
	wide := sync.OnceValues(func() (*Classifier[float64], error) { return NewClassifier[float64](n) })
	double := hasDouble(n.Attrs)
	if double {
		if _, err := wide(); err != nil {
			return nil, err
		}
	}
	return func(c *ops.Call) error {
		if c.T(0).DType != tensor.Float64 && !double {
			x, err := tensor.Float32s(c.T(0))
			if err != nil {
				return err
			}
			return m.run(c, x)
		}
		x, err := tensor.Float64s(c.T(0))
		if err != nil {
			return err
		}
		w, err := wide()
		if err != nil {
			return err
		}
		return w.run(c, x)
	}, nil
}

// hasDouble reports whether a tree's attributes are given in double precision.
func hasDouble(a graph.Attrs) bool {
	for _, name := range []string{"nodes_values_as_tensor", "class_weights_as_tensor", "target_weights_as_tensor"} {
		if t := a.Tensor(name); t != nil && t.DType == tensor.Float64 {
			return true
		}
	}
	return false
}

func (m *Classifier[T]) run(c *ops.Call, x []T) error {
	n, features, err := rows(c.T(0).Shape)
	if err != nil {
		return err
	}
	if features < m.Features {
		return fmt.Errorf("input 0 has %d features, the trees ask for feature %d", features, m.Features-1)
	}
	label, err := m.signed().output(c, 0, n)
	if err != nil {
		return err
	}
	z, err := c.Output(1, tensor.Float32, tensor.Shape{n, m.Targets})
	if err != nil {
		return err
	}
	out := tensor.Data[float32](z)
	s := &scores[T]{make([]T, m.Targets), make([]bool, m.Targets)}
	for i := range n {
		m.gather(x[i*features:(i+1)*features], s)
		label(i, m.row(s, out[i*m.Targets:(i+1)*m.Targets]))
	}
	return nil
}

// signed gives the labels that row's answers count in. Two classes of which both have
// weights are told by the sign of the second's score as 0 and 1, whatever the integer
// labels are.
func (m *Classifier[T]) signed() classLabels {
	switch {
	case m.Targets > 2 || m.binary:
		return m.labels
	case len(m.labels.strs) == 2:
		return m.labels
	}
	return m.labels.zeroOne()
}

// row turns the sums of one row into its scores z and gives the class chosen.
func (m *Classifier[T]) row(s *scores[T], z []float32) int {
	switch {
	case m.Targets == 1:
		return m.rowOne(s, z)
	case m.Targets == 2:
		return m.rowTwo(s, z)
	}
	for i, b := range m.Base {
		s.v[i] += b
		s.has[i] = true
	}
	for i, v := range s.v {
		z[i] = float32(v)
	}
	class := s.greatest()
	m.Post.Apply(z)
	return class
}

// greatest is the first class of the greatest score among those that have one; 0 if none has.
func (s *scores[T]) greatest() int {
	if !slices.Contains(s.has, false) {
		return argmax(s.v)
	}
	best := max(slices.Index(s.has, true), 0)
	for i, v := range s.v {
		if s.has[i] && v > s.v[best] {
			best = i
		}
	}
	return best
}

// rowOne is for a single label: the score stays alone.
func (m *Classifier[T]) rowOne(s *scores[T], z []float32) int {
	if len(m.Base) == 1 {
		s.v[0] += m.Base[0]
	}
	z[0], _, _ = m.Post.pair(float32(s.v[0]), alone)
	return positiveClass(s.v[0] > 0)
}

func positiveClass(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// rowTwo is for two labels. If no tree speaks for the second class, the first's score is
// that of the positive answer, and the other is made of it. A class of which no tree has
// spoken has the score zero, base or not.
func (m *Classifier[T]) rowTwo(s *scores[T], z []float32) int {
	lone := !s.has[1]
	switch len(m.Base) {
	case 2:
		lone = false
		if s.has[1] {
			s.v[1] = m.Base[1] + s.v[0]
			s.v[0] = -s.v[1]
		} else {
			s.v[0] += m.Base[0]
		}
	case 1:
		s.v[0] += m.Base[0]
	}
	if !s.has[0] {
		s.v[0] = 0
	}
	weight := s.v[0]
	if s.has[1] {
		weight = s.v[1]
	}
	how, class := alone, positiveClass(weight > 0)
	if len(m.Base) == 0 {
		how = mirror
	}
	if m.binary {
		how = mirror
		if m.positive {
			how, class = complement, positiveClass(weight > 0.5)
		}
	}
	if lone {
		z[0], z[1], _ = m.Post.pair(float32(s.v[0]), how)
		return class
	}
	z[0], z[1] = float32(s.v[0]), float32(s.v[1])
	m.Post.Apply(z)
	return class
}

// Decide turns the sums of one row, v, which it changes, into its scores z and gives the
// index into Labels of the class chosen. has tells for each class whether any tree has
// spoken for it in this row; it is changed too.
func (m *Classifier[T]) Decide(v []T, has []bool, z []float32) int {
	s := scores[T]{v, has}
	return m.row(&s, z)
}

// Labels are what the classes are called: integers, or strings where there are none.
func (m *Classifier[T]) Labels() ([]int64, []string) {
	l := m.signed()
	return l.ints, l.strs
}

// Binary reports a classifier of two labels all of whose weights belong to one class;
// positive says that none of them is negative.
func (m *Classifier[T]) Binary() (binary, positive bool) { return m.binary, m.positive }
