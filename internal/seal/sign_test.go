package seal

import (
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"testing/fstest"
)

func TestSignatures(t *testing.T) {
	private, public, err := NewSigner()
	if err != nil {
		t.Fatal(err)
	}
	pub, err := ParsePublic(public)
	if err != nil {
		t.Fatal(err)
	}
	version := func() fstest.MapFS {
		return fstest.MapFS{"model.onnx": {Data: []byte("weights")}, "data/more.bin": {Data: []byte("more")}}
	}
	sig, err := Sign(version(), private)
	if err != nil {
		t.Fatal(err)
	}
	signed := func(change func(fstest.MapFS)) error {
		v := version()
		v[SignatureFile] = &fstest.MapFile{Data: sig}
		change(v)
		return Verify(v, []ed25519.PublicKey{pub})
	}
	if err := signed(func(fstest.MapFS) {}); err != nil {
		t.Errorf("as it was signed: %v", err)
	}
	bad := func(want string, change func(v fstest.MapFS)) {
		t.Helper()
		if err := signed(change); !errors.Is(err, ErrSignature) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	bad("model.onnx was changed", func(v fstest.MapFS) { v["model.onnx"] = &fstest.MapFile{Data: []byte("Weights")} })
	bad("data/more.bin is missing", func(v fstest.MapFS) { delete(v, "data/more.bin") })
	bad("other is not signed", func(v fstest.MapFS) { v["other"] = &fstest.MapFile{} })
	bad("there is no", func(v fstest.MapFS) { delete(v, SignatureFile) })
	bad("malformed", func(v fstest.MapFS) { v[SignatureFile] = &fstest.MapFile{Data: []byte("{")} })
	bad("list of files was changed", func(v fstest.MapFS) {
		v[SignatureFile] = &fstest.MapFile{Data: []byte(strings.Replace(string(sig), "more.bin", "less.bin", 1))}
	})
	stranger, _, err := NewSigner()
	if err != nil {
		t.Fatal(err)
	}
	bad("not among the trusted keys", func(v fstest.MapFS) {
		delete(v, SignatureFile)
		b, err := Sign(v, stranger)
		if err != nil {
			t.Fatal(err)
		}
		v[SignatureFile] = &fstest.MapFile{Data: b}
	})
	if _, err := Sign(fstest.MapFS{}, private); err == nil {
		t.Error("an empty folder can be signed")
	}
	if _, err := Sign(version(), "short"); err == nil {
		t.Error("a short key signs")
	}
}
