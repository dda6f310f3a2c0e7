package tabular

import (
	"strings"
	"testing"
)

// TestAlmostNumbers tells numbers that were read as text from identifiers.
func TestAlmostNumbers(t *testing.T) {
	for _, c := range []struct {
		texts []string
		want  string
	}{
		{[]string{"P01", "P02", "17", "P04"}, ""},
		{[]string{"1,5", "2,25", "3"}, "decimal comma"},
		{[]string{"1.5", "2.25", "above 90", "4"}, `"above 90" is not one`},
		{[]string{"1.5", "2.25", "inf"}, `"inf" is not one`},
		{nil, ""},
	} {
		got := almostNumbers(c.texts)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%q: %q, expected %q in it", c.texts, got, c.want)
		}
	}
}
