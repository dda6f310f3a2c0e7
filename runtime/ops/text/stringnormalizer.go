package text

import (
	"fmt"
	"strings"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func stringNormalizer() *ops.Op {
	return &ops.Op{
		Name: "StringNormalizer", Since: 10, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(form.Strs("stopwords"), form.Str("locale", "case_change_action"), form.Int("is_case_sensitive")),
		Shape: func(c *ops.ShapeCall) error {
			c.SetType(0, tensor.String)
			if len(c.Node.Attrs.Strs("stopwords")) == 0 && c.In[0].Known && c.In[0].Shape.Elements() > 0 {
				c.Set(0, tensor.String, c.In[0].Shape)
			}
			return nil
		},
		Bind: bindNormalizer, Eval: ops.Bound(bindNormalizer),
	}
}

func caseChange(action string) (func(string) string, error) {
	switch action {
	case "LOWER":
		return strings.ToLower, nil
	case "UPPER":
		return strings.ToUpper, nil
	case "NONE":
		return func(s string) string { return s }, nil
	}
	return nil, fmt.Errorf("case_change_action %q is unknown", action)
}

// bindNormalizer drops the elements that are stop words, in any case of letters unless
// is_case_sensitive, and changes the case of the others. Where nothing is left, the
// output is one empty string. The case rules are Unicode's, whatever the locale.
func bindNormalizer(n *graph.Node) (func(*ops.Call) error, error) {
	change, err := caseChange(n.Attrs.Str("case_change_action", "NONE"))
	if err != nil {
		return nil, err
	}
	fold := strings.ToLower
	if n.Attrs.Int("is_case_sensitive", 0) != 0 {
		fold = func(s string) string { return s }
	}
	stop := map[string]bool{}
	for _, w := range n.Attrs.Strs("stopwords") {
		stop[fold(w)] = true
	}
	return func(c *ops.Call) error {
		x, err := stringsOf(c, 0)
		if err != nil {
			return err
		}
		s := c.T(0).Shape
		if len(s) != 1 && (len(s) != 2 || s[0] != 1) {
			return fmt.Errorf("input 0 is of shape %v, expected [C] or [1,C]", s)
		}
		kept := make([]string, 0, len(x))
		for _, w := range x {
			if len(stop) == 0 || !stop[fold(w)] {
				kept = append(kept, change(w))
			}
		}
		if len(kept) == 0 {
			kept = append(kept, "")
		}
		shape := s.Clone()
		shape[len(shape)-1] = len(kept)
		y, err := c.Output(0, tensor.String, shape)
		if err != nil {
			return err
		}
		copy(y.Strings(), kept)
		return nil
	}, nil
}
