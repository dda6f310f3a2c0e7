// Package lint holds the rules of the house that a test can check: which package may
// import which, how long files may be, what no file may say. It parses the files itself,
// build tags or not: a test that asked the go command would be served from its cache.
package lint

import (
	"bufio"
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/aimass/aimass"

// layers numbers the rooms; a package imports only packages of a smaller number, and
// packages of its own room. The longest matching prefix counts.
var layers = map[string]int{
	"api": 1, "internal": 1,
	"kernels": 2, "kernels/act": 1, "cuda": 2, "client": 2,
	"runtime/tensor": 3,
	"runtime/graph":  4,
	"runtime/onnx":   5, "runtime/ops": 5,
	"runtime/pass": 6, "runtime/device": 6, "runtime/feed": 6, "runtime/match": 6,
	"runtime/cpu": 7, "runtime/gpu": 7, "runtime/native": 7,
	"runtime":        8,
	"runtime/verify": 9, "runtime/inspect": 9, "repository": 9,
	"compress": 10, "train": 10,
	"appointment": 11, "compress/job": 11,
	"batcher":  12,
	"cache":    13,
	"pipeline": 14,
	"server":   15,
	"bench":    16, "appointment/clinic": 16,
	"cmd": 17,
}

// sameRoom reports packages of one room; kernel families may build on each other and so
// may the small internal packages.
func sameRoom(a, b string) bool {
	return room(a) == room(b) || strings.HasPrefix(a, "kernels/") && strings.HasPrefix(b, "kernels/") || strings.HasPrefix(a, "internal/") &&
		strings.HasPrefix(b, "internal/")
}

func room(pkg string) string {
	best := ""
	for p := range layers {
		if (pkg == p || strings.HasPrefix(pkg, p+"/")) && len(p) > len(best) {
			best = p
		}
	}
	return best
}

// root is the repository's top, found from this file's package.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// walk calls f for every file that is ours: relative path and content.
func walk(t *testing.T, f func(rel string, b []byte)) {
	t.Helper()
	top := root(t)
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(top, p)
		if d.IsDir() {
			switch d.Name() {
			case ".git", "testdata", "build", "vendor", "node_modules":
				return filepath.SkipDir
			}
			return nil
		}
		b, err := os.ReadFile(p)
		if err == nil {
			f(filepath.ToSlash(rel), b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestLayers(t *testing.T) {
	seen := 0
	walk(t, func(rel string, b []byte) {
		if !strings.HasSuffix(rel, ".go") {
			return
		}
		pkg := filepath.ToSlash(filepath.Dir(rel))
		from := room(pkg)
		if from == "" {
			t.Errorf("%s: its room has no layer", rel)
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), rel, b, parser.ImportsOnly)
		if err != nil {
			t.Errorf("%s: %v", rel, err)
			return
		}
		for _, im := range f.Imports {
			path, _ := strconv.Unquote(im.Path.Value)
			if path == "runtime" && im.Name == nil {
				t.Errorf("%s: import Go's runtime as goruntime", rel)
			}
			to, ours := strings.CutPrefix(path, module+"/")
			if !ours {
				continue
			}
			seen++
			if strings.HasSuffix(rel, "_test.go") && room(to) == "runtime/onnx" {
				continue // tests of every room may write small models
			}
			if layers[room(to)] >= layers[from] && !sameRoom(pkg, to) {
				t.Errorf("%s (layer %d) imports %s (layer %d)", rel, layers[from], to, layers[room(to)])
			}
		}
	})
	if seen < 50 {
		t.Errorf("only %d imports of our own were seen: the walk is broken", seen)
	}
}

// TestArchitecture holds the table of rooms in docs/architecture.md to layers and to the folders that there are.
func TestArchitecture(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root(t), "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	row, name := regexp.MustCompile("(?m)^\\| (`.*`) \\| ([0-9]+) \\|"), regexp.MustCompile("`([a-z0-9/]+)(/\\*)?`")
	told := map[string]int{}
	for _, m := range row.FindAllStringSubmatch(string(b), -1) {
		layer, _ := strconv.Atoi(m[2])
		for _, n := range name.FindAllStringSubmatch(m[1], -1) {
			told[n[1]] = layer
			if _, err := os.Stat(filepath.Join(root(t), filepath.FromSlash(n[1]))); err != nil {
				t.Errorf("docs/architecture.md names %s: %v", n[1], err)
			}
		}
	}
	for room, layer := range layers {
		if told[room] != layer {
			t.Errorf("docs/architecture.md has %s in layer %d, it is in %d", room, told[room], layer)
		}
	}
	for room := range told {
		if layers[room] == 0 {
			t.Errorf("docs/architecture.md names the room %s, which has no layer", room)
		}
	}
}

func generated(rel string, b []byte) bool {
	return strings.HasSuffix(rel, "_gen.go") || strings.HasSuffix(rel, ".pb.go") || bytes.Contains(b[:min(len(b), 200)], []byte("DO NOT EDIT"))
}

func TestFileLength(t *testing.T) {
	code := regexp.MustCompile(`\.(go|c|h|s|cu|cpp|js|css)$`)
	walk(t, func(rel string, b []byte) {
		if !code.MatchString(rel) || generated(rel, b) || strings.Contains(rel, "/vendored/") {
			return
		}
		if n := bytes.Count(b, []byte("\n")); n > 1000 {
			t.Errorf("%s has %d lines: split it", rel, n)
		}
	})
}

func TestPackageNames(t *testing.T) {
	walk(t, func(rel string, b []byte) {
		if !strings.HasSuffix(rel, ".go") {
			return
		}
		switch name := filepath.Base(filepath.Dir(rel)); name {
		case "util", "utils", "common", "helper", "helpers", "manager":
			t.Errorf("%s: a package called %s says nothing", rel, name)
		}
	})
}

// TestPackageDocs wants each room's purpose in its package comment.
func TestPackageDocs(t *testing.T) {
	has := map[string]bool{}
	walk(t, func(rel string, b []byte) {
		if !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") {
			return
		}
		dir := filepath.Dir(rel)
		f, err := parser.ParseFile(token.NewFileSet(), rel, b, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Error(err)
			return
		}
		has[dir] = has[dir] || f.Doc != nil || generated(rel, b)
	})
	for dir, ok := range has {
		if !ok {
			t.Errorf("%s: no package comment", dir)
		}
	}
}

func TestWords(t *testing.T) {
	word := regexp.MustCompile(`\b(TODO|FIXME|XXX)\b`)
	walk(t, func(rel string, b []byte) {
		if rel == "internal/lint/lint_test.go" || !strings.HasSuffix(rel, ".go") && !strings.HasSuffix(rel, ".c") && !strings.HasSuffix(rel, ".h") ||
			generated(rel, b) {
			return
		}
		sc := bufio.NewScanner(bytes.NewReader(b))
		sc.Buffer(nil, 1<<20)
		for line := 1; sc.Scan(); line++ {
			if m := word.FindString(sc.Text()); m != "" {
				t.Errorf("%s:%d: %s belongs into an issue", rel, line, m)
			}
		}
	})
}

// TestRapidSeed holds property tests to internal/rapidseed, so that CI draws the same cases every time.
func TestRapidSeed(t *testing.T) {
	walk(t, func(rel string, b []byte) {
		if strings.HasSuffix(rel, "_test.go") && bytes.Contains(b, []byte(`"pgregory.net/rapid"`)) && rel != "internal/lint/lint_test.go" &&
			!bytes.Contains(b, []byte(module+"/internal/rapidseed")) {
			t.Errorf("%s uses rapid: import %s/internal/rapidseed for its effect", rel, module)
		}
	})
}
