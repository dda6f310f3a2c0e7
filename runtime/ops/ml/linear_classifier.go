package ml

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func linearClassifier() []*ops.Op {
	return []*ops.Op{{
		Name: "LinearClassifier", Domain: Domain, Since: 1,
		MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 2,
		Attrs: form.Join(form.Required(form.Floats("coefficients")), form.Floats("intercepts"), form.Ints("classlabels_ints"),
			form.Strs("classlabels_strings"), form.Int("multi_class"), form.Str("post_transform")),
		Shape: func(c *ops.ShapeCall) error {
			l := readLabels(c.Node.Attrs, "classlabels_ints")
			width := len(c.Node.Attrs.Floats("intercepts"))
			if width == 0 || width == 1 && l.count() == 2 {
				width = l.count()
			}
			return classShape(l, width, c)
		},
		Bind: bindLinearClassifier, Eval: ops.Bound(bindLinearClassifier),
	}}
}

// Linear is a bound LinearClassifier.
type Linear struct {
	Coef, Intercepts  []float32 // Targets rows of Features; Targets or none
	Targets, Features int
	Width             int // of the scores of a row
	Post              Post
	labels            classLabels
}

// NewLinear reads the attributes of a LinearClassifier.
func NewLinear(n *graph.Node) (*Linear, error) {
	a := n.Attrs
	l := readLabels(a, "classlabels_ints")
	m := &Linear{Coef: a.Floats("coefficients"), Intercepts: a.Floats("intercepts"), labels: l}
	var err error
	if m.Post, err = parsePost(a.Str("post_transform", "NONE")); err != nil {
		return nil, err
	}
	m.Targets = len(m.Intercepts)
	if m.Targets == 0 {
		m.Targets = l.count()
	}
	switch {
	case m.Targets == 0 || len(m.Coef) == 0 || len(m.Coef)%m.Targets != 0:
		return nil, fmt.Errorf("%d coefficients do not fit %d scores", len(m.Coef), m.Targets)
	case m.Targets > 1 && l.count() < m.Targets:
		return nil, fmt.Errorf("%d labels for %d scores", l.count(), m.Targets)
	}
	m.Features, m.Width = len(m.Coef)/m.Targets, m.Targets
	if m.Targets == 1 {
		m.labels = l.signs()
		if l.count() == 2 {
			m.Width = 2
		}
	}
	return m, nil
}

// Labels are what the classes are called: integers, or strings where there are none.
func (m *Linear) Labels() ([]int64, []string) { return m.labels.ints, m.labels.strs }

// Choose makes a row's sums, which lie at the front of z, its scores up to the transform of
// Transform, and gives the class chosen.
func (m *Linear) Choose(z []float32) int {
	if m.Targets > 1 {
		return argmax(z)
	}
	class := positiveClass(z[0] > 0)
	switch {
	case m.Width == 1:
		z[0], _, _ = m.Post.pair(z[0], alone)
	case m.Post == Logistic:
		z[0], z[1] = -z[0], z[0]
	default:
		z[0], z[1], _ = m.Post.pair(z[0], complement)
	}
	return class
}

// Transform is the function that is left for a row's scores after Choose.
func (m *Linear) Transform() Post {
	if m.Targets > 1 || m.Width == 2 && m.Post == Logistic {
		return m.Post
	}
	return None
}

func bindLinearClassifier(n *graph.Node) (func(*ops.Call) error, error) {
	m, err := NewLinear(n)
	if err != nil {
		return nil, err
	}
	return func(c *ops.Call) error {
		x, rows, err := floats32(c, m.Features)
		if err != nil {
			return err
		}
		label, err := m.labels.output(c, 0, rows)
		if err != nil {
			return err
		}
		t, err := c.Output(1, tensor.Float32, tensor.Shape{rows, m.Width})
		if err != nil {
			return err
		}
		out := tensor.Data[float32](t)
		for i := range rows {
			z := out[i*m.Width : (i+1)*m.Width]
			linear(z[:m.Targets], x[i*m.Features:(i+1)*m.Features], m.Coef, m.Intercepts)
			label(i, m.Choose(z))
			m.Transform().Apply(z)
		}
		return nil
	}, nil
}

// linear computes one row of x·coefᵀ + intercepts, summing in float64.
func linear(z, x, coef, intercepts []float32) {
	for k := range z {
		s := dot(x, coef[k*len(x):(k+1)*len(x)])
		if k < len(intercepts) {
			s += float64(intercepts[k])
		}
		z[k] = float32(s)
	}
}

// argmax is the first index of the greatest value, where a NaN is greater than nothing and nothing greater than it.
// It has no branch on the values: of scores of classes no processor foresees which is greater.
func argmax[T float32 | float64](z []T) int {
	best := 0
	for i, v := range z {
		best ^= (best ^ i) & -positiveClass(v > z[best])
	}
	return best
}
