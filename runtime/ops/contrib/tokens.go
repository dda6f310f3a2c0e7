package contrib

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// cut appends the tokens of a text, which may be empty ones.
type cut func(dst []string, s string) []string

// cutter makes the function for a Tokenizer's tokenexp or, where that is empty, its separators.
func cutter(exp string, seps []string) (cut, error) {
	if exp == "" {
		return separated(seps)
	}
	re, err := regexp.Compile(exp)
	if err != nil {
		return nil, fmt.Errorf("tokenexp: %w", err)
	}
	if r := runOf(exp); r != nil {
		return r.cut, nil
	}
	return func(dst []string, s string) []string { return append(dst, re.FindAllString(s, -1)...) }, nil
}

// run is the expression of as many characters of a class as there are, at least some, or of a single one: [a-z]+, \w\w+, .
type run struct {
	class  []rune // pairs: from, to
	ascii  [utf8.RuneSelf]bool
	least  int
	single bool
}

// runOf reads an expression as a run, nil if it is none.
func runOf(exp string) *run {
	re, err := syntax.Parse(exp, syntax.Perl)
	if err != nil {
		return nil
	}
	re = re.Simplify()
	r := &run{class: classOf(re), least: 1, single: true}
	if r.class == nil {
		parts := []*syntax.Regexp{re}
		if re.Op == syntax.OpConcat {
			parts = re.Sub
		}
		last := parts[len(parts)-1]
		if last.Op != syntax.OpPlus && last.Op != syntax.OpStar || last.Flags&syntax.NonGreedy != 0 {
			return nil
		}
		r = &run{class: classOf(last.Sub[0]), least: len(parts) - 1}
		if last.Op == syntax.OpPlus {
			r.least++
		}
		for _, p := range parts[:len(parts)-1] {
			if !slices.Equal(classOf(p), r.class) {
				return nil
			}
		}
		if r.class == nil || r.least == 0 {
			return nil
		}
	}
	for c := range rune(utf8.RuneSelf) {
		r.ascii[c] = r.within(c)
	}
	return r
}

// classOf is the characters that an expression of one character takes, nil for any other.
func classOf(re *syntax.Regexp) []rune {
	switch re.Op {
	case syntax.OpCharClass:
		return re.Rune
	case syntax.OpAnyChar:
		return []rune{0, utf8.MaxRune}
	case syntax.OpAnyCharNotNL:
		return []rune{0, '\n' - 1, '\n' + 1, utf8.MaxRune}
	}
	return nil
}

func (r *run) within(c rune) bool {
	for k := 0; k < len(r.class); k += 2 {
		if c >= r.class[k] && c <= r.class[k+1] {
			return true
		}
	}
	return false
}

func (r *run) cut(dst []string, s string) []string {
	from, length := 0, 0
	end := func(to int) {
		if length >= r.least {
			dst = append(dst, s[from:to])
		}
		length = 0
	}
	for i, c := range s {
		in := false
		if c < utf8.RuneSelf {
			in = r.ascii[c]
		} else {
			in = r.within(c)
		}
		switch {
		case !in || r.single:
			end(i)
			if in {
				from, length = i, 1
			}
		case length == 0:
			from = i
			fallthrough
		default:
			length++
		}
	}
	end(len(s))
	return dst
}

// characters cuts between all characters. What is no character becomes U+FFFD, as everywhere in Go.
func characters(dst []string, s string) []string {
	for i := 0; i < len(s); {
		c, n := utf8.DecodeRuneInString(s[i:])
		if c == utf8.RuneError && n == 1 {
			dst = append(dst, string(utf8.RuneError))
		} else {
			dst = append(dst, s[i:i+n])
		}
		i += n
	}
	return dst
}

func separated(seps []string) (cut, error) {
	if len(seps) == 1 && seps[0] == "" {
		return characters, nil
	}
	var list []*regexp.Regexp
	for _, s := range seps {
		re, err := regexp.Compile(s)
		if err != nil {
			return nil, fmt.Errorf("separators: %w", err)
		}
		list = append(list, re)
	}
	if prefix, whole := list[0].LiteralPrefix(); len(list) == 1 && whole && prefix != "" {
		return func(dst []string, s string) []string {
			for {
				before, after, found := strings.Cut(s, prefix)
				dst = append(dst, before)
				if !found {
					return dst
				}
				s = after
			}
		}, nil
	}
	return func(dst []string, s string) []string {
		parts := []string{s}
		for _, re := range list {
			var next []string
			for _, p := range parts {
				next = append(next, re.Split(p, -1)...)
			}
			parts = next
		}
		return append(dst, parts...)
	}, nil
}
