package table

import (
	"math"
	"strings"
	"testing"

	"github.com/aimass/aimass/api"
)

func TestRead(t *testing.T) {
	text := "\xef\xbb\xbfage;city;note;code;gone\r\n1,5;\"Bern; CH\";\"two\nlines\";007;x\r\n; Oslo ;NA;12;y\r\n"
	tab, err := Read(strings.NewReader(text), Options{Types: map[string]Kind{"code": Categorical, "gone": Ignore}})
	if err != nil {
		t.Fatal(err)
	}
	if tab.Rows != 2 || len(tab.Columns) != 4 || tab.Find("gone") != nil {
		t.Fatalf("%d rows, %d columns", tab.Rows, len(tab.Columns))
	}
	// A comma is no decimal point.
	if c := tab.Find("age"); c.Kind != Categorical || c.Texts[0] != "1,5" || c.Codes[1] != -1 {
		t.Errorf("age: %+v", c)
	}
	if c := tab.Find("city"); c.Texts[0] != "Bern; CH" || c.Texts[1] != "Oslo" {
		t.Errorf("city: %+v", c)
	}
	if c := tab.Find("note"); c.Texts[0] != "two\nlines" || c.Missing() != 1 {
		t.Errorf("note: %+v", c)
	}
	if c := tab.Find("code"); c.Texts[0] != "007" {
		t.Errorf("code: %+v", c)
	}
}

func TestNumbersAndMissing(t *testing.T) {
	tab, err := Read(strings.NewReader("x\n1e3\n-.5\nNA\n+2\n\"\"\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := tab.Find("x")
	if c.Kind != Numeric || c.Missing() != 2 || c.Numbers[0] != 1000 || c.Numbers[1] != -.5 || !math.IsNaN(c.Numbers[2]) || c.Numbers[3] != 2 {
		t.Errorf("%+v", c)
	}
	for _, odd := range []string{"0x10", "1_000", "Inf", "1e999"} {
		tab, err := Read(strings.NewReader("x\n"+odd+"\n"), Options{})
		if err != nil || tab.Find("x").Kind != Categorical {
			t.Errorf("%s counts as a number: %v", odd, err)
		}
	}
	if tab, err := Read(strings.NewReader("x\n1\n-9\n"), Options{Missing: []string{"-9"}}); err != nil || tab.Find("x").Missing() != 1 {
		t.Errorf("a missing text of one's own: %v", err)
	}
}

// FuzzRead: any bytes are a table or an error with a code, and what is read is consistent.
func FuzzRead(f *testing.F) {
	for _, s := range []string{"a,b\n1,x\n", "a;b\n\"q\"\"q\";2\n", "\xef\xbb\xbfa\n", "a\n\"", ",\n", "a,a\n", "a\tb\n1\t\n", "a\r\n\x00\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tab, err := Read(strings.NewReader(text), Options{})
		if err != nil {
			if code := api.CodeOf(err); code != api.CodeTrainingDataUnreadable && code != api.CodeTrainingValueInvalid {
				t.Errorf("%v has the code %s", err, code)
			}
			return
		}
		for _, c := range tab.Columns {
			if len(c.Numbers)+len(c.Codes) != tab.Rows {
				t.Errorf("column %q has %d values of %d", c.Name, len(c.Numbers)+len(c.Codes), tab.Rows)
			}
			for _, k := range c.Codes {
				if int(k) >= len(c.Texts) {
					t.Errorf("column %q: code %d of %d", c.Name, k, len(c.Texts))
				}
			}
		}
	})
}
