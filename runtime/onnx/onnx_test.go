package onnx

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	f := func(name string, b []byte, want string) {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(p)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q in it", name, err, want)
		}
	}
	f("empty", nil, "no graph")
	f("garbage", []byte("this is not a model at all"), "malformed")
	f("truncated", []byte{0x3a, 0x7f, 0x0a}, "malformed")
}

func TestOpenRefusesBeyond2GiB(t *testing.T) {
	p := filepath.Join(t.TempDir(), "big.onnx")
	f, err := os.Create(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(MaxFile + 1); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := Open(p); err == nil || !strings.Contains(err.Error(), "external data") {
		t.Errorf("got %v, want a hint at external data", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte{0x08, 0x08, 0x3a, 0x00})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Read(b)
		if err == nil {
			if err := m.Check(); err != nil {
				t.Fatalf("a graph that was read is not sound: %v", err)
			}
		}
	})
}
