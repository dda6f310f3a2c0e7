package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGeneratedFilesAreCurrent(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "api"), 0o755); err != nil {
		t.Fatal(err)
	}
	copyFile(t, "../errors.yaml", filepath.Join(dir, "api/errors.yaml"))
	if err := run(filepath.Join(dir, "api"), filepath.Join(dir, "docs")); err != nil {
		t.Fatal(err)
	}
	same(t, filepath.Join(dir, "api/errors_gen.go"), "../errors_gen.go")
	same(t, filepath.Join(dir, "docs/errors.md"), "../../docs/errors.md")
}

func TestBadTablesAreRefused(t *testing.T) {
	const good = "groups:\n- title: a\n  errors:\n  - {code: a_b, http: 400, grpc: INTERNAL, retryable: true, meaning: x., action: y.}\n"
	f := func(old, replacement, want string) {
		t.Helper()
		text := strings.Replace(good, old, replacement, 1)
		path := filepath.Join(t.TempDir(), "errors.yaml")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := readTable(path)
		if want == "" {
			if err != nil {
				t.Errorf("refused a good table: %v", err)
			}
			return
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q for %q: got error %v, want one with %q", replacement, old, err, want)
		}
	}
	f("a_b", "a_b", "")
	f("a_b", "A_b", "snake_case")
	f("http: 400", "http: 200", "HTTP status")
	f("INTERNAL", "ODD", "canonical")
	f(", retryable: true", "", "retryable is missing")
	f("meaning: x.", "meaning: x", "sentences")
	f("title: a", "titel: a", "titel")
	f("retryable: true", "retryable: true, color: red", "color")
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func same(t *testing.T, fresh, committed string) {
	t.Helper()
	a, err := os.ReadFile(fresh)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(committed)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("%s is stale: run make gen", committed)
	}
}
