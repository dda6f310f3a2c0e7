package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aimass/aimass/internal/seal"
	"github.com/aimass/aimass/repository"
)

// Keys from the first to their rotation, and a signed version, by the commands alone.
func TestKeysCommands(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must := func(args ...string) string {
		t.Helper()
		out, err := run(append([]string{"keys"}, args...)...)
		if err != nil {
			t.Fatalf("keys %s: %v", strings.Join(args, " "), err)
		}
		return out
	}
	bad := func(want string, args ...string) {
		t.Helper()
		if _, err := run(append([]string{"keys"}, args...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("keys %s: got %v, want %q in it", strings.Join(args, " "), err, want)
		}
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(at(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("m/1/model.onnx", "the weights")
	must("new", at("keys"), "k1")
	bad("already", "new", at("keys"), "k1")
	bad("without spaces", "new", at("keys"), "k 2")
	must("seal", "--keys", "file:"+at("keys"), at("m/1/model.onnx"))
	if _, err := os.Stat(at("m/1/model.onnx")); err == nil {
		t.Error("the plain file is still there")
	}
	bad("sealed already", "seal", "--keys", "file:"+at("keys"), at("m/1/model.onnx.sealed"))
	must("new", at("keys"), "k2")
	if out := must("rewrap", "--keys", "file:"+at("keys"), at("m")); !strings.Contains(out, "1 of 1 sealed files moved to key k2") {
		t.Errorf("got %q", out)
	}
	b, err := os.ReadFile(at("m/1/model.onnx.sealed"))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.LoadKeyring("file:" + at("keys"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ring.Open(b); err != nil || string(got) != "the weights" {
		t.Errorf("got %q, %v", got, err)
	}

	must("signer", at("signer"))
	bad("exists", "signer", at("signer"))
	must("sign", "--signer", at("signer"), at("m/1"))
	c := repository.Config{}
	s := settings{ModelKeys: "file:" + at("keys"), TrustedSigners: at("signer.pub")}
	if err := s.trust(&c); err != nil || len(c.Trusted) != 1 || len(c.Keys.IDs()) != 2 {
		t.Fatalf("%d signers, keys %v, %v", len(c.Trusted), c.Keys.IDs(), err)
	}
	if err := seal.Verify(os.DirFS(at("m/1")), c.Trusted); err != nil {
		t.Error(err)
	}
	s.TrustedSigners = at("keys")
	if err := s.trust(&c); err == nil || !strings.Contains(err.Error(), "public key") {
		t.Errorf("a file of other keys: %v", err)
	}
}
