package ptx

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const sources = "../kernels"

// TestFresh fails when a source was changed and its PTX was not compiled again.
func TestFresh(t *testing.T) {
	m := Provenance()
	if m.Compiler == "" {
		t.Error("the manifest names no compiler")
	}
	var names []string
	for _, s := range m.Modules {
		names = append(names, s.Name)
		got, err := Hashes(sources, s.Name+".cu")
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		if !maps.Equal(got, s.Files) {
			t.Errorf("%s.ptx is stale: %s.cu or what it includes has changed; run make cuda-ptx", s.Name, s.Name)
		}
		text, err := Module(s.Name, Baseline)
		if err != nil {
			t.Error(err)
			continue
		}
		if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != s.SHA256 {
			t.Errorf("packed/%s.ptx.zst is not what the manifest says; run make cuda-ptx, or go generate ./cuda/ptx if the texts are right", s.Name)
		}
		if onDisk, err := os.ReadFile(s.Name + ".ptx"); err != nil || !bytes.Equal(onDisk, text) {
			t.Errorf("%s.ptx is not what is packed (%v); run go generate ./cuda/ptx", s.Name, err)
		}
	}
	for pattern, ext := range map[string]string{sources + "/*.cu": ".cu", "*.ptx": ".ptx", "packed/*": ".ptx.zst"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if name := strings.TrimSuffix(filepath.Base(f), ext); !slices.Contains(names, name) {
				t.Errorf("%s is not in the manifest; run make cuda-ptx", f)
			}
		}
	}
}

func TestModule(t *testing.T) {
	if _, err := Module("gemm", 75); !errors.Is(err, ErrTooOld) {
		t.Errorf("a device of 7.5: %v", err)
	}
	if _, err := Module("no such", 90); !errors.Is(err, ErrUnknown) {
		t.Errorf("an unknown module: %v", err)
	}
	a, err := Module("gemm", 120)
	if err != nil {
		t.Fatal(err)
	}
	clear(a)
	if b, _ := Module("gemm", 80); !slices.Contains(Entries(b), "gemm_nn_128") {
		t.Error("gemm lacks gemm_nn_128, or callers share its bytes")
	}
}

// TestText holds what the driver and the double rely on: one entry a kernel, no calls, no local memory.
func TestText(t *testing.T) {
	seen := map[string]string{}
	for _, name := range Modules() {
		b, err := Module(name, Baseline)
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		if !strings.Contains(text, "\n.target sm_80\n") {
			t.Errorf("%s: not for sm_80", name)
		}
		for _, word := range []string{".local ", "call.uni", ".func", "//"} {
			if strings.Contains(text, word) {
				t.Errorf("%s: contains %q", name, word)
			}
		}
		for _, e := range Entries(b) {
			if other, twice := seen[e]; twice {
				t.Errorf("%s is in %s and %s", e, other, name)
			}
			seen[e] = name
		}
	}
}
