package contrib

import (
	"fmt"
	"regexp"
	"unicode/utf8"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func tokenizer() *ops.Op {
	return &ops.Op{
		Name: "Tokenizer", Domain: Domain, Since: 1, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1,
		Attrs: form.Join(form.Required(form.Join(form.Int("mark", "mincharnum"), form.Str("pad_value"))), form.Strs("separators"), form.Str("tokenexp")),
		Shape: typed,
		Bind:  bindTokenizer, Eval: ops.Bound(bindTokenizer),
	}
}

// Marks around each text where mark is set, as ONNX Runtime writes them.
const (
	startMark = "\x02"
	endMark   = "\x03"
)

// bindTokenizer cuts each text into tokens: the matches of tokenexp, or what lies between
// separators (regular expressions, used one after the other; an empty one cuts between
// all characters). Tokens of fewer than mincharnum characters are dropped, and shorter
// lists are filled up with pad_value. The input is [C] or [N,C], the output has one axis
// more.
func bindTokenizer(n *graph.Node) (func(*ops.Call) error, error) {
	a := n.Attrs
	least := int(a.Int("mincharnum", 1))
	exp, seps := a.Str("tokenexp", ""), a.Strs("separators")
	if least < 1 || (exp == "") == (len(seps) == 0) {
		return nil, fmt.Errorf("mincharnum is %d, with %d separators and tokenexp %q: expected one way to cut", least, len(seps), exp)
	}
	var cut func(string) []string
	if exp != "" {
		re, err := regexp.Compile(exp)
		if err != nil {
			return nil, fmt.Errorf("tokenexp: %w", err)
		}
		cut = func(s string) []string { return re.FindAllString(s, -1) }
	} else {
		var err error
		if cut, err = separated(seps); err != nil {
			return nil, err
		}
	}
	mark, pad := a.Int("mark", 0) != 0, a.Str("pad_value", "")
	return func(c *ops.Call) error {
		x := c.T(0)
		if x.DType != tensor.String || x.Rank() < 1 || x.Rank() > 2 {
			return fmt.Errorf("input 0 is %v, expected strings [C] or [N,C]", x)
		}
		rows := make([][]string, x.Elements())
		width := 0
		for i, s := range x.Strings() {
			if mark {
				rows[i] = append(rows[i], startMark)
			}
			for _, t := range cut(s) {
				if utf8.RuneCountInString(t) >= least {
					rows[i] = append(rows[i], t)
				}
			}
			if mark {
				rows[i] = append(rows[i], endMark)
			}
			width = max(width, len(rows[i]))
		}
		y, err := c.Output(0, tensor.String, append(x.Shape.Clone(), width))
		if err != nil {
			return err
		}
		out := y.Strings()
		for i, r := range rows {
			for k := range width {
				if k < len(r) {
					out[i*width+k] = r[k]
				} else {
					out[i*width+k] = pad
				}
			}
		}
		return nil
	}, nil
}

func separated(seps []string) (func(string) []string, error) {
	if len(seps) == 1 && seps[0] == "" {
		return func(s string) []string {
			var out []string
			for _, r := range s {
				out = append(out, string(r))
			}
			return out
		}, nil
	}
	var list []*regexp.Regexp
	for _, s := range seps {
		re, err := regexp.Compile(s)
		if err != nil {
			return nil, fmt.Errorf("separators: %w", err)
		}
		list = append(list, re)
	}
	return func(s string) []string {
		parts := []string{s}
		for _, re := range list {
			var next []string
			for _, p := range parts {
				next = append(next, re.Split(p, -1)...)
			}
			parts = next
		}
		return parts
	}, nil
}
