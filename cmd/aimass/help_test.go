package main

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "rewrite golden files")

// run runs the program in process.
func run(args ...string) (out string, err error) {
	root := newRoot()
	var o bytes.Buffer
	root.SetArgs(args)
	root.SetOut(&o)
	root.SetErr(&o)
	err = root.Execute()
	return o.String(), err
}

// golden compares with a file, or with -update writes it.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs: `go test ./cmd/aimass -update` accepts what is now\n%s", path, got)
	}
}

// TestHelp holds the help of every command, and with it the tree of commands and flags, which other tools rely on.
func TestHelp(t *testing.T) {
	seen := map[string]bool{}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		words := strings.Fields(c.CommandPath())
		out, err := run(append(words[1:], "--help")...)
		if err != nil {
			t.Errorf("%s --help: %v", c.CommandPath(), err)
		}
		name := strings.Join(words, "_") + ".txt"
		seen[name] = true
		golden(t, filepath.Join("testdata", "help", name), out)
		if c.Short == "" || strings.HasSuffix(c.Short, ".") || c.Short[0] < 'A' || c.Short[0] > 'Z' {
			t.Errorf("%s: the short text %q should begin with a capital and end without a full stop", c.CommandPath(), c.Short)
		}
		if !c.HasSubCommands() && c.RunE == nil {
			t.Errorf("%s does nothing, or loses its errors (Run instead of RunE)", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			if sub.Name() != "help" && sub.Name() != "completion" {
				walk(sub)
			}
		}
	}
	walk(newRoot())
	entries, err := os.ReadDir("testdata/help")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !seen[e.Name()] {
			t.Errorf("testdata/help/%s is of a command that does not exist", e.Name())
		}
	}
}

// TestMistakes: what is typed wrong is named, in one line, without the usage text.
func TestMistakes(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		out, err := run(args...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
		if out != "" {
			t.Errorf("%v printed\n%s", args, out)
		}
	}
	f(`unknown command "sevre"`, "sevre")
	f("unknown flag: --frobnicate", "inspect", "--frobnicate")
	f("accepts 1 arg(s)", "inspect")
	f("expected an ONNX file or a folder", "inspect", filepath.Join(t.TempDir(), "absent"))
	f("holds no models", "inspect", t.TempDir())
	f("expected name=1x128", "inspect", "x", "--shape", "abc")
	f("no operator's name contains qwerty", "ops", "qwerty")
	f("exclude each other", "ops", "--json", "--markdown")
	f("start one with `aimass serve`", "models", "list", "--server", "http://127.0.0.1:1")
	f("expected a URL such as", "models", "list", "--server", "ftp://x")
	f("--token-file", "models", "list", "--token-file", filepath.Join(t.TempDir(), "absent"))
	f("--file needs --config", "models", "load", "m", "--file", "1/model.onnx=x")
	f("expected 1/model.onnx=PATH", "models", "load", "m", "--config", "{}", "--file", "x")
}

func TestVersion(t *testing.T) {
	out, err := run("--version")
	if err != nil || !strings.HasPrefix(out, "aimass version "+version) || !strings.Contains(out, "isa ") {
		t.Errorf("%q, %v", out, err)
	}
}

// TestRefusals holds that a value which no room takes is refused by the name of its flag, before anything is opened.
func TestRefusals(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(t.TempDir(), "text.onnx")
	if err := os.WriteFile(text, []byte("# A page of text\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, want string }{
		{"serve", "no models: give --models DIR"},
		{"serve --models " + file, "--models " + file + " is no folder: expected <model>/<version>/model.onnx in it"},
		{"serve --models . --threads -3", "--threads is -3: expected at least 0"},
		{"serve --models . --cache-bytes 1000", "--cache-bytes is 1000: expected at least 1048576 (1 MiB), or 0 for no cache"},
		{"serve --models . --max-queue 0", "--max-queue is 0: expected at least 1"},
		{"serve --models . --grace -1s", "--grace is -1s: expected no negative time"},
		{"serve --models . --otlp-ratio NaN", "--otlp-ratio is NaN: expected 0 to 1"},
		{"serve --models . --train-data " + file, "--train-data " + file + " is no folder"},
		{"serve --modls .", "unknown flag: --modls (aimass serve --help lists the flags)"},
		{"serve --models . --http 8000", "--http 8000: expected [host]:port, such as 127.0.0.1:8000, or off"},
		{"serve --models . --http 127.0.0.1:99999", "--http 127.0.0.1:99999: expected [host]:port"},
		{"models load", "usage: aimass models load MODEL"},
		{"models lst", `aimass models has no command "lst", expected one of alias, `},
		{"train gbdtt --data x", `aimass train has no command "gbdtt", expected one of command, gbdt, `},
		{"inspect " + text, text + ": model: malformed protobuf (no ONNX file, or truncated or damaged)"},
		{"bench model " + text, text + ": model: malformed protobuf (no ONNX file, or truncated or damaged)"},
		{"compress " + text + " --out " + file + ".d", text + ": model: malformed protobuf (no ONNX file, or truncated or damaged)"},
		{"health --http 127.0.0.1:1", "no server answers at http://127.0.0.1:1"},
		{"bench load http://127.0.0.1:1 --model m", "no server answers at http://127.0.0.1:1"},
	} {
		if _, err := run(strings.Fields(c.args)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("aimass %s: %v, want %q", c.args, err, c.want)
		}
	}
}
