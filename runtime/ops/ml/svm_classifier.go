package ml

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func svmClassifier() []*ops.Op {
	return []*ops.Op{{
		Name: "SVMClassifier", Domain: Domain, Since: 1,
		MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 2,
		Attrs: form.Join(form.Floats("coefficients", "kernel_params", "prob_a", "prob_b", "rho", "support_vectors"),
			form.Ints("classlabels_ints", "vectors_per_class"), form.Strs("classlabels_strings"),
			form.Str("kernel_type", "post_transform")),
		Shape: func(c *ops.ShapeCall) error {
			m, err := NewSVM(c.Node)
			if err != nil {
				return err
			}
			return classShape(m.labels, m.width, c)
		},
		Bind: bindSVMClassifier, Eval: ops.Bound(bindSVMClassifier),
	}}
}

// SVM is a support vector classifier: one against one over support vectors, or, without
// vectors, one linear score for each class.
type SVM struct {
	labels            classLabels
	kernel            Kernel
	post              Post
	coef, sv, rho     []float32
	probA, probB      []float32
	start             []int // first vector of each class, and the number of vectors at the end
	vectors, features int
	classes, pairs    int
	width             int // of the scores
	positive          bool
}

// NewSVM reads the attributes of an SVMClassifier.
func NewSVM(n *graph.Node) (*SVM, error) {
	a := n.Attrs
	m := &SVM{
		labels: readLabels(a, "classlabels_ints"),
		coef:   a.Floats("coefficients"), sv: a.Floats("support_vectors"), rho: a.Floats("rho"),
		probA: a.Floats("prob_a"), probB: a.Floats("prob_b"),
		start: []int{0}, positive: true,
	}
	var err error
	if m.kernel, err = readKernel(a); err != nil {
		return nil, err
	}
	if m.post, err = parsePost(a.Str("post_transform", "NONE")); err != nil {
		return nil, err
	}
	m.classes = m.labels.count()
	if m.classes == 0 || m.classes > 1<<16 || len(m.coef) == 0 {
		return nil, fmt.Errorf("%d labels and %d coefficients are given", m.classes, len(m.coef))
	}
	m.pairs = m.classes * (m.classes - 1) / 2
	for _, v := range a.Ints("vectors_per_class") {
		if v < 0 || v > int64(len(m.sv)) {
			return nil, fmt.Errorf("vectors_per_class: %d, of %d numbers in support_vectors", v, len(m.sv))
		}
		m.vectors += int(v)
		m.start = append(m.start, m.vectors)
	}
	for _, v := range m.coef {
		m.positive = m.positive && v >= 0
	}
	m.width = m.classes
	if m.vectors == 0 {
		m.features = len(m.coef) / m.classes
		if len(m.coef)%m.classes != 0 || len(m.rho) == 0 {
			return nil, fmt.Errorf("%d coefficients and %d rho do not fit %d classes", len(m.coef), len(m.rho), m.classes)
		}
		return m, nil
	}
	m.features = len(m.sv) / m.vectors
	switch {
	case m.classes < 2 || len(m.start) != m.classes+1:
		return nil, fmt.Errorf("vectors_per_class has %d entries for %d classes", len(m.start)-1, m.classes)
	case len(m.sv)%m.vectors != 0 || len(m.coef) < (m.classes-1)*m.vectors || len(m.rho) < m.pairs:
		return nil, fmt.Errorf("%d numbers in support_vectors, %d coefficients and %d rho do not fit %d vectors of %d classes",
			len(m.sv), len(m.coef), len(m.rho), m.vectors, m.classes)
	case len(m.probA) != len(m.probB) || len(m.probA) > 0 && len(m.probA) < m.pairs:
		return nil, fmt.Errorf("%d prob_a and %d prob_b for %d pairs of classes", len(m.probA), len(m.probB), m.pairs)
	}
	if len(m.probA) == 0 && m.classes > 2 {
		m.width = m.pairs
	}
	return m, nil
}

func bindSVMClassifier(n *graph.Node) (func(*ops.Call) error, error) {
	m, err := NewSVM(n)
	if err != nil {
		return nil, err
	}
	return m.run, nil
}

func (m *SVM) run(c *ops.Call) error {
	x, rows, err := floats32(c, m.features)
	if err != nil {
		return err
	}
	label, err := m.labels.output(c, 0, rows)
	if err != nil {
		return err
	}
	t, err := c.Output(1, tensor.Float32, tensor.Shape{rows, m.width})
	if err != nil {
		return err
	}
	out := tensor.Data[float32](t)
	w := &SVMWork{}
	kernels := make([]float32, m.vectors)
	for i := range rows {
		row, z := x[i*m.features:(i+1)*m.features], out[i*m.width:(i+1)*m.width]
		if m.vectors == 0 {
			label(i, m.linearRow(row, z))
		} else {
			m.kernel.values(kernels, row, m.sv)
			label(i, m.Decide(kernels, z, w))
		}
	}
	return nil
}

// SVMWork is the room that one row takes. The zero value is ready.
type SVMWork struct {
	scores, pairwise []float32
	votes            []int
}

func (w *SVMWork) fit(m *SVM) {
	if len(w.votes) != m.classes {
		*w = SVMWork{scores: make([]float32, m.pairs), votes: make([]int, m.classes), pairwise: make([]float32, m.classes*m.classes)}
	}
}

// Vectors are the support vectors that the model compares a row with; none in a model that has
// one linear score for each class.
func (m *SVM) Vectors() Vectors {
	return Vectors{Kernel: m.kernel, Data: m.sv, Count: m.vectors, Features: m.features}
}

// Width is the number of scores of a row.
func (m *SVM) Width() int { return m.width }

// Labels are what the classes are called: integers, or strings where there are none.
func (m *SVM) Labels() ([]int64, []string) { return m.labels.ints, m.labels.strs }

// linearRow scores one row without support vectors and gives its class.
func (m *SVM) linearRow(x, z []float32) int {
	linear(z, x, m.coef, nil)
	for i := range z {
		z[i] += m.rho[0]
	}
	class := argmax(z)
	if m.classes == 2 {
		top := z[class]
		if m.positive && top >= 0.5 || !m.positive && top > 0 {
			class = 1
		}
	}
	if m.classes == 1 {
		z[0], _, _ = m.post.pair(z[0], alone)
	} else {
		m.post.Apply(z)
	}
	return class
}

// Decide scores one row, whose kernels with all vectors are given, by all pairs of classes; the
// class with the most votes wins.
func (m *SVM) Decide(kernels, z []float32, w *SVMWork) int {
	w.fit(m)
	clear(w.votes)
	at := 0
	for i := range m.classes {
		for j := i + 1; j < m.classes; j++ {
			s := m.dot(j-1, i, kernels) + m.dot(i, j, kernels) + float64(m.rho[at])
			w.scores[at] = float32(s)
			if s > 0 {
				w.votes[i]++
			} else {
				w.votes[j]++
			}
			at++
		}
	}
	class := 0
	for i, v := range w.votes {
		if v > w.votes[class] {
			class = i
		}
	}
	switch {
	case len(m.probA) > 0:
		m.probabilities(z, w)
		m.post.Apply(z)
	case m.classes > 2:
		copy(z, w.scores)
		m.post.Apply(z)
	default:
		how := complement
		if m.post == None {
			how = mirror
		}
		z[0], z[1], _ = m.post.pair(w.scores[0], how)
	}
	return class
}

// dot sums coefficients of one row times the kernels of one class's vectors.
func (m *SVM) dot(row, class int, kernels []float32) float64 {
	from, to := m.start[class], m.start[class+1]
	return dot(m.coef[row*m.vectors:][from:to], kernels[from:to])
}

// probabilities turns the pairs' scores into one probability a class by Platt's sigmoids
// and pairwise coupling.
func (m *SVM) probabilities(z []float32, w *SVMWork) {
	at := 0
	for i := range m.classes {
		for j := i + 1; j < m.classes; j++ {
			p := 1 - logistic(w.scores[at]*m.probA[at]+m.probB[at])
			p = min(max(p, 1e-7), 1-1e-7)
			w.pairwise[i*m.classes+j] = p
			w.pairwise[j*m.classes+i] = 1 - p
			at++
		}
	}
	coupling(m.classes, w.pairwise, z)
}
