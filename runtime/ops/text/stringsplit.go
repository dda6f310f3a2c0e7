package text

import (
	"strings"
	"unicode"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func stringSplit() *ops.Op {
	return &ops.Op{
		Name: "StringSplit", Since: 20, MinIn: 1, MaxIn: 1, MinOut: 2, MaxOut: 2,
		Attrs: form.Join(form.Int("maxsplit"), form.Str("delimiter")),
		Shape: func(c *ops.ShapeCall) error {
			c.SetType(0, tensor.String)
			form.Like(c, 1, tensor.Int64, 0)
			return nil
		},
		Eval: evalSplit,
	}
}

// evalSplit splits each element at the delimiter, or at runs of white space if there is
// none, at most maxsplit times; shorter lists are filled up with empty strings.
func evalSplit(c *ops.Call) error {
	x, err := stringsOf(c, 0)
	if err != nil {
		return err
	}
	a := c.Node.Attrs
	delimiter, most := a.Str("delimiter", ""), a.Int("maxsplit", -1)
	parts := make([][]string, len(x))
	width := 0
	for i, s := range x {
		parts[i] = split(s, delimiter, most)
		width = max(width, len(parts[i]))
	}
	y, err := c.Output(0, tensor.String, append(c.T(0).Shape.Clone(), width))
	if err != nil {
		return err
	}
	z, err := c.Output(1, tensor.Int64, c.T(0).Shape)
	if err != nil {
		return err
	}
	out, counts := y.Strings(), tensor.Data[int64](z)
	for i, p := range parts {
		copy(out[i*width:], p)
		counts[i] = int64(len(p))
	}
	return nil
}

// split is Python's str.split: most < 0 means no limit.
func split(s, delimiter string, most int64) []string {
	if delimiter != "" {
		if most < 0 || most >= int64(len(s)) {
			return strings.Split(s, delimiter)
		}
		return strings.SplitN(s, delimiter, int(most)+1)
	}
	if most < 0 {
		return strings.Fields(s)
	}
	var out []string
	for s = strings.TrimLeftFunc(s, unicode.IsSpace); s != ""; s = strings.TrimLeftFunc(s, unicode.IsSpace) {
		end := strings.IndexFunc(s, unicode.IsSpace)
		if end < 0 || int64(len(out)) >= most {
			return append(out, s)
		}
		out = append(out, s[:end])
		s = s[end:]
	}
	return out
}
