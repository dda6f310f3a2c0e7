package lint

import (
	"bytes"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	qtpl "github.com/valyala/quicktemplate/parser"
)

// TestTemplatesAreCompiled holds the compiled pages to their templates: go generate in the
// package makes them anew.
func TestTemplatesAreCompiled(t *testing.T) {
	seen := 0
	walk(t, func(rel string, b []byte) {
		if strings.HasSuffix(rel, ".qtpl.go") {
			if _, err := os.Stat(filepath.Join(root(t), strings.TrimSuffix(rel, ".go"))); err != nil {
				t.Errorf("%s: its template is gone: delete it", rel)
			}
		}
		if !strings.HasSuffix(rel, ".qtpl") {
			return
		}
		seen++
		var out bytes.Buffer
		if err := qtpl.ParseNoLineComments(&out, bytes.NewReader(b), rel, filepath.Base(filepath.Dir(rel))); err != nil {
			t.Errorf("%s: %v", rel, err)
			return
		}
		want, err := format.Source(out.Bytes())
		if err != nil {
			t.Errorf("%s: %v", rel, err)
			return
		}
		if have, err := os.ReadFile(filepath.Join(root(t), rel+".go")); err != nil || !bytes.Equal(have, want) {
			t.Errorf("%s.go is not what the template says: go generate ./%s", rel, filepath.Dir(rel))
		}
	})
	if seen < 5 {
		t.Errorf("only %d templates were seen: the walk is broken", seen)
	}
}

// TestNoReflectedMethods keeps out what calls methods by name: with it in the program the
// linker must keep every exported method of every type. (make build looks at the binary,
// too, for what libraries bring.)
func TestNoReflectedMethods(t *testing.T) {
	walk(t, func(rel string, b []byte) {
		if !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") {
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), rel, b, parser.ImportsOnly)
		if err != nil {
			t.Error(err)
			return
		}
		for _, i := range f.Imports {
			if p := i.Path.Value; p == `"text/template"` || p == `"html/template"` {
				t.Errorf("%s imports %s: pages are quicktemplates, see docs/architecture.md", rel, p)
			}
		}
	})
}
