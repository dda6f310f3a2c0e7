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

func bindLinearClassifier(n *graph.Node) (func(*ops.Call) error, error) {
	a := n.Attrs
	l := readLabels(a, "classlabels_ints")
	coef, intercepts := a.Floats("coefficients"), a.Floats("intercepts")
	post, err := parsePost(a.Str("post_transform", "NONE"))
	if err != nil {
		return nil, err
	}
	targets := len(intercepts)
	if targets == 0 {
		targets = l.count()
	}
	switch {
	case targets == 0 || len(coef) == 0 || len(coef)%targets != 0:
		return nil, fmt.Errorf("%d coefficients do not fit %d scores", len(coef), targets)
	case targets > 1 && l.count() < targets:
		return nil, fmt.Errorf("%d labels for %d scores", l.count(), targets)
	}
	features := len(coef) / targets
	return func(c *ops.Call) error {
		x, rows, err := floats32(c, features)
		if err != nil {
			return err
		}
		width, labels := targets, l
		if targets == 1 {
			labels = l.signs()
			if l.count() == 2 {
				width = 2
			}
		}
		label, err := labels.output(c, 0, rows)
		if err != nil {
			return err
		}
		t, err := c.Output(1, tensor.Float32, tensor.Shape{rows, width})
		if err != nil {
			return err
		}
		out := tensor.Data[float32](t)
		for i := range rows {
			z := out[i*width : (i+1)*width]
			linear(z[:targets], x[i*features:(i+1)*features], coef, intercepts)
			if targets > 1 {
				label(i, argmax(z))
				post.apply(z)
				continue
			}
			label(i, positiveClass(z[0] > 0))
			if width == 2 {
				z[0], z[1], _ = post.pair(z[0], complement)
			} else {
				z[0], _, _ = post.pair(z[0], alone)
			}
		}
		return nil
	}, nil
}

// linear computes one row of x·coefᵀ + intercepts, summing in float64.
func linear(z, x, coef, intercepts []float32) {
	for k := range z {
		var s float64
		row := coef[k*len(x) : (k+1)*len(x)]
		for j, v := range x {
			s += float64(v) * float64(row[j])
		}
		if k < len(intercepts) {
			s += float64(intercepts[k])
		}
		z[k] = float32(s)
	}
}

// argmax is the first index of the greatest value.
func argmax(z []float32) int {
	best := 0
	for i, v := range z {
		if v > z[best] {
			best = i
		}
	}
	return best
}
