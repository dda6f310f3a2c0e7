//go:build unix

package onnx

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestExternalData(t *testing.T) {
	dir := t.TempDir()
	inside := filepath.Join(dir, "models")
	if err := os.Mkdir(inside, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"secret": make([]byte, 64), "models/w.bin": make([]byte, 64)} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"out.bin": "../secret", "abs.bin": filepath.Join(dir, "secret"), "fine.bin": "w.bin", "up": ".."} {
		if err := os.Symlink(to, filepath.Join(inside, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(inside, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(want string, entries ...string) {
		t.Helper()
		w := join(number(1, 4), number(2, 1), text(8, "w"), number(14, 1))
		for i := 0; i < len(entries); i += 2 {
			w = append(w, bytesField(13, text(1, entries[i]), text(2, entries[i+1]))...)
		}
		g := join(bytesField(1, nodeOf("Relu", []string{"w"}, []string{"y"})), portOf(12, "y", rank1()), bytesField(5, w))
		p := filepath.Join(inside, "m.onnx")
		if err := os.WriteFile(p, modelOf(g), 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := Open(p)
		switch {
		case err == nil:
			m.Close()
			if want != "" {
				t.Errorf("%q: it was taken, want %q", entries, want)
			}
		case want == "" || !strings.Contains(err.Error(), want):
			t.Errorf("%q: %v, want %q", entries, err, want)
		case strings.Contains(err.Error(), dir):
			t.Errorf("%q: the error tells where the file lies: %v", entries, err)
		}
	}
	f("", "location", "w.bin")
	f("", "location", "fine.bin", "offset", "48", "length", "16")
	f("bytes 52 to 68", "location", "w.bin", "offset", "52")
	f("length 12", "location", "w.bin", "length", "12")
	f("no size", "location", "w.bin", "offset", "-4")
	f("no size", "location", "w.bin", "offset", "99999999999999999999999")
	f("no size", "location", "w.bin", "offset", fmt.Sprint(math.MaxInt64))
	f("bytes", "location", "w.bin", "offset", fmt.Sprint(math.MaxInt64/2-1))
	f("without a location")
	f("outside", "location", "../secret")
	f("outside", "location", "/etc/passwd")
	f("outside", "location", `..\secret`)
	f("outside", "location", "out.bin")
	f("outside", "location", "abs.bin")
	f("outside", "location", "up/secret")
	f("no such file", "location", "absent.bin")
	f("regular file", "location", "pipe")
	f("regular file", "location", ".")
	f("outside", "location", "w.bin\x00")
}
