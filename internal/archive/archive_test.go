package archive

import (
	"archive/tar"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func pack(t *testing.T, headers ...tar.Header) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), "a.tar.zst")
	f, err := os.Create(p)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewWriter(f)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for _, h := range headers {
		body := []byte("x")
		h.Mode, h.Size = 0o644, int64(len(body))
		if h.Typeflag != tar.TypeReg {
			h.Size, body = 0, nil
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	z.Close()
	f.Close()
	return p
}

func TestUnpack(t *testing.T) {
	dir := t.TempDir()
	n, err := UnpackTarZst(pack(t, tar.Header{Name: "a/b/c", Typeflag: tar.TypeReg}, tar.Header{Name: "d", Typeflag: tar.TypeDir}), dir)
	if err != nil || n != 1 {
		t.Fatalf("%d files, %v", n, err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "a/b/c")); err != nil || string(b) != "x" {
		t.Errorf("%q, %v", b, err)
	}
}

func TestUnpackRefuses(t *testing.T) {
	for _, h := range []tar.Header{
		{Name: "../evil", Typeflag: tar.TypeReg},
		{Name: "/evil", Typeflag: tar.TypeReg},
		{Name: "link", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink},
	} {
		if _, err := UnpackTarZst(pack(t, h), t.TempDir()); err == nil {
			t.Errorf("%s was unpacked", h.Name)
		}
	}
}
