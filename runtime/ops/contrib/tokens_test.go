package contrib

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

var texts = []string{"", " ", "chest pain", "x-ray,  2mg  BD", "naïve “quote” ﬁ", "a", "ab_c1 d", "é\xffz\xc3", "Ünder_score  ", "---", "a\x00b\nc"}

// TestRuns: expressions that are cut without the machine of regexp give what regexp gives.
func TestRuns(t *testing.T) {
	for exp, fast := range map[string]bool{"[a-zA-Z0-9_]+": true, `\w\w+`: true, `[a-z]{2,}`: true, `[^ ]+`: true, `(?i)[k-s]+`: true, `\pL+`: true, `[a-z][a-z]*`: true, ".": true, "(?s).": true, "[^a-m]": true, ".+": true, "..+": true,
		`[a-z]+?`: false, `[a-z]*`: false, `[a-z][0-9]+`: false, `\b\w+\b`: false, `a+`: false, `([a-z]+)`: false, `[a-z]+ `: false} {
		r := runOf(exp)
		if (r != nil) != fast {
			t.Errorf("%s: a run: %t", exp, r != nil)
		}
		if r == nil {
			continue
		}
		for _, s := range texts {
			if got, want := r.cut(nil, s), regexp.MustCompile(exp).FindAllString(s, -1); !slices.Equal(got, want) {
				t.Errorf("%s in %q: %q, want %q", exp, s, got, want)
			}
		}
	}
}

// TestSeparators: one literal is cut without regexp, characters without copies.
func TestSeparators(t *testing.T) {
	for _, sep := range []string{" ", "-", "  ", "[ ,]", `\.`, ""} {
		f, err := separated([]string{sep})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range texts {
			want := regexp.MustCompile(sep).Split(s, -1)
			if sep == "" {
				want = strings.Split(strings.ToValidUTF8(s, ""), "")
				if strings.ToValidUTF8(s, "") != s {
					continue
				}
			}
			if got := f(nil, s); !slices.Equal(got, want) {
				t.Errorf("%q in %q: %q, want %q", sep, s, got, want)
			}
		}
	}
}
