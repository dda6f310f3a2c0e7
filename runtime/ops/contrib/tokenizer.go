package contrib

import (
	"fmt"
	"sync"
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
	cut, err := cutter(exp, seps)
	if err != nil {
		return nil, err
	}
	mark, pad := a.Int("mark", 0) != 0, a.Str("pad_value", "")
	var scratch sync.Pool // of *[]string
	return func(c *ops.Call) error {
		x := c.T(0)
		if x.DType != tensor.String || x.Rank() < 1 || x.Rank() > 2 {
			return fmt.Errorf("input 0 is %v, expected strings [C] or [N,C]", x)
		}
		list, _ := scratch.Get().(*[]string)
		if list == nil {
			list = new([]string)
		}
		tokens, ends, width := *list, make([]int, x.Elements()), 0
		defer func() {
			clear(tokens)
			*list = tokens[:0]
			scratch.Put(list)
		}()
		for i, s := range x.Strings() {
			from := len(tokens)
			if mark {
				tokens = append(tokens, startMark)
			}
			first := len(tokens)
			tokens = cut(tokens, s)
			kept := tokens[:first]
			for _, t := range tokens[first:] {
				if t != "" && (least == 1 || utf8.RuneCountInString(t) >= least) {
					kept = append(kept, t)
				}
			}
			clear(tokens[len(kept):])
			tokens = kept
			if mark {
				tokens = append(tokens, endMark)
			}
			ends[i] = len(tokens)
			width = max(width, len(tokens)-from)
		}
		y, err := c.Output(0, tensor.String, append(x.Shape.Clone(), width))
		if err != nil {
			return err
		}
		out, from := y.Strings(), 0
		for _, to := range ends {
			n := copy(out, tokens[from:to])
			for k := n; k < width; k++ {
				out[k] = pad
			}
			out, from = out[width:], to
		}
		return nil
	}, nil
}
