package text

import (
	"fmt"
	"regexp"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func regexFullMatch() *ops.Op {
	return &ops.Op{
		Name: "RegexFullMatch", Since: 20, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Str("pattern"),
		Shape: form.SameAs(tensor.Bool),
		Bind:  bindRegex, Eval: ops.Bound(bindRegex),
	}
}

// bindRegex compiles the pattern; Go's syntax is RE2's, as the standard asks.
func bindRegex(n *graph.Node) (func(*ops.Call) error, error) {
	p := n.Attrs.Str("pattern", "")
	if _, err := regexp.Compile(p); err != nil {
		return nil, fmt.Errorf("pattern: %w", err)
	}
	re, err := regexp.Compile(`\A(?:` + p + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("pattern: %w", err)
	}
	return func(c *ops.Call) error {
		x, err := stringsOf(c, 0)
		if err != nil {
			return err
		}
		y, err := c.Output(0, tensor.Bool, c.T(0).Shape)
		if err != nil {
			return err
		}
		out := tensor.Data[bool](y)
		for i, s := range x {
			out[i] = re.MatchString(s)
		}
		return nil
	}, nil
}
