package repository

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/internal/seal"
	"github.com/klauspost/compress/zstd"
)

func keyring(t *testing.T, ids ...string) *seal.Keyring {
	t.Helper()
	var text strings.Builder
	for _, id := range ids {
		line, err := seal.NewKey(id)
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(line)
	}
	r, err := seal.ParseKeyring(strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func sealed(t *testing.T, r *seal.Keyring, b []byte) []byte {
	t.Helper()
	out, err := r.Seal(b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFormsAtRest(t *testing.T) {
	dir, keys := t.TempDir(), keyring(t, "old", "new")
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, "plain/1/model.onnx", addModel(t, 1))
	put(t, dir, "packed/1/model.onnx.zst", z.EncodeAll(addModel(t, 2), nil))
	put(t, dir, "sealed/1/model.onnx.sealed", sealed(t, keys, addModel(t, 3)))
	put(t, dir, "cut/1/model.onnx.zst", z.EncodeAll(addModel(t, 2), nil)[:40])
	flipped := sealed(t, keys, addModel(t, 4))
	flipped[len(flipped)-1] ^= 1
	put(t, dir, "flipped/1/model.onnx.sealed", flipped)
	put(t, dir, "foreign/1/model.onnx.sealed", sealed(t, keyring(t, "theirs"), addModel(t, 5)))
	r, s := open(t, dir, func(c *Config) { c.Keys = keys })
	f := func(name string, want float32) {
		t.Helper()
		if err := r.Load(t.Context(), name, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := s.answer(t, name+"/1"); got != want {
			t.Errorf("%s answers %v, want %v", name, got, want)
		}
	}
	f("plain", 2)
	f("packed", 3)
	f("sealed", 4)
	bad := func(name string, code api.Code, want string) {
		t.Helper()
		err := r.Load(t.Context(), name, nil)
		if api.CodeOf(err) != code || !strings.Contains(api.Message(err), want) {
			t.Errorf("%s: got %v (%s), want %s and %q in it", name, err, api.CodeOf(err), code, want)
		}
	}
	bad("cut", api.CodeModelInvalid, "does not unpack")
	bad("flipped", api.CodeModelForged, "chunk 1 of 1")
	bad("foreign", api.CodeModelKeyMissing, `"theirs"`)
}

// Weights are packed while later chunks are still decrypted, but nothing is computed and nobody
// served before all are verified.
func TestForgedLate(t *testing.T) {
	model, err := perceptron(1024, 2)
	if err != nil {
		t.Fatal(err)
	}
	dir, keys := t.TempDir(), keyring(t, "k")
	box := sealed(t, keys, model)
	put(t, dir, "whole/1/model.onnx.sealed", box)
	for name, at := range map[string]int{"first": 1000, "middle": len(box) / 2, "last": len(box) - 100} {
		forged := bytes.Clone(box)
		forged[at] ^= 1
		put(t, dir, name+"/1/model.onnx.sealed", forged)
	}
	put(t, dir, "short/1/model.onnx.sealed", box[:len(box)-1])
	for _, off := range []bool{false, true} {
		r, _ := open(t, dir, func(c *Config) { c.Keys, c.WarmupOff = keys, off })
		if err := r.Load(t.Context(), "whole", nil); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"first", "middle", "last", "short"} {
			if err := r.Load(t.Context(), name, nil); api.CodeOf(err) != api.CodeModelForged {
				t.Errorf("%s: got %v (%s), want %s", name, err, api.CodeOf(err), api.CodeModelForged)
			}
			if r.Serving(name, 1) != nil {
				t.Errorf("%s serves", name)
			}
		}
	}
}

// What is unsealed stays in memory: no file of the folder, nor of the temporary one, holds
// the model's bytes.
func TestSealedLeavesNoPlaintext(t *testing.T) {
	dir, keys, model := t.TempDir(), keyring(t, "k"), addModel(t, 7)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	put(t, dir, "m/1/model.onnx.sealed", sealed(t, keys, model))
	r, s := open(t, dir, func(c *Config) { c.Keys = keys })
	if err := r.Load(t.Context(), "m", nil); err != nil || s.answer(t, "m/1") != 8 {
		t.Fatalf("%v", err)
	}
	seen := 0
	for _, top := range []string{dir, tmp} {
		err := filepath.Walk(top, func(p string, st os.FileInfo, err error) error {
			if err != nil || st.IsDir() {
				return err
			}
			seen++
			b, err := os.ReadFile(p)
			if bytes.Contains(b, model[:len(model)/2]) {
				t.Errorf("%s holds the model", p)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen != 1 {
		t.Errorf("there are %d files, want the sealed one alone", seen)
	}
}

func TestOnlySignedVersions(t *testing.T) {
	private, public, err := seal.NewSigner()
	if err != nil {
		t.Fatal(err)
	}
	pub, err := seal.ParsePublic(public)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	put(t, dir, "m/1/model.onnx", addModel(t, 1))
	put(t, dir, "m/2/model.onnx", addModel(t, 2))
	sign := func(version string) {
		t.Helper()
		b, err := seal.Sign(os.DirFS(filepath.Join(dir, version)), private)
		if err != nil {
			t.Fatal(err)
		}
		put(t, dir, version+"/"+seal.SignatureFile, b)
	}
	sign("m/1")
	r, s := open(t, dir, func(c *Config) { c.Trusted = []ed25519.PublicKey{pub} })
	if err := r.Load(t.Context(), "m", nil); api.CodeOf(err) != api.CodeSignatureInvalid {
		t.Errorf("an unsigned version: %v", err)
	}
	sign("m/2")
	if err := r.Load(t.Context(), "m", nil); err != nil || s.answer(t, "m/2") != 3 {
		t.Errorf("a signed version: %v", err)
	}
	put(t, dir, "m/2/model.onnx", addModel(t, 9))
	if err := r.Load(t.Context(), "m", nil); api.CodeOf(err) != api.CodeSignatureInvalid || !strings.Contains(api.Message(err), "model.onnx was changed") {
		t.Errorf("a changed version: %v", err)
	}
	if s.answer(t, "m/2") != 3 {
		t.Error("the version that served before is gone")
	}
	err = r.Load(t.Context(), "m", &Override{Config: []byte(`{}`), Files: map[string][]byte{"3/model.onnx": addModel(t, 5)}})
	if api.CodeOf(err) != api.CodeSignatureInvalid {
		t.Errorf("files that came with the request: %v", err)
	}
}
