package bundle

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/aimass/aimass/api"
)

// repo writes a model's folder of two versions and returns it.
func repo(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"config.pbtxt": "backend: \"onnxruntime\"", "labels.txt": "a\nb", "warmup/x": "1234", ".hidden": "h",
		"1/model.onnx": "one", "2/model.onnx": strings.Repeat("two ", 50000), "2/data/weights.bin": "w", "2/model_card.json": "{}", "2/.tmp": "h"} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func pack(t testing.TB, s *Source, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := s.Pack(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func unpack(t testing.TB, b []byte, limits Limits) (string, *Manifest, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "in")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	m, err := Unpack(bytes.NewReader(b), int64(len(b)), root, "m", "m/7", limits.WithDefaults())
	return dir, m, err
}

func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			t.Errorf("%s is no plain file", p)
		}
		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(dir, p)
		out[filepath.ToSlash(rel)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRoundTrip(t *testing.T) {
	dir := repo(t)
	s, err := FromRepository(dir, "m", 2)
	b := pack(t, s, err)
	again, err := FromRepository(dir, "m", 2)
	if !bytes.Equal(b, pack(t, again, err)) {
		t.Error("equal files give other bytes")
	}
	out, m, err := unpack(t, b, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	got, from := tree(t, out), tree(t, dir)
	want := map[string]string{"m/config.pbtxt": from["config.pbtxt"], "m/labels.txt": from["labels.txt"], "m/warmup/x": "1234",
		"m/7/model.onnx": from["2/model.onnx"], "m/7/data/weights.bin": "w", "m/7/model_card.json": "{}"}
	if len(got) != len(want) || m.Model != "m" || len(m.Files) != 6 {
		t.Errorf("got %d files, manifest %+v", len(got), m)
	}
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s differs", name)
		}
	}
}

func TestFromPath(t *testing.T) {
	dir := repo(t)
	loose := t.TempDir()
	for _, name := range []string{"model.onnx", "config.pbtxt"} {
		if err := os.WriteFile(filepath.Join(loose, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := func(path string, want ...string) {
		t.Helper()
		s, err := FromPath(path, "m")
		if err != nil {
			t.Fatal(err)
		}
		if len(s.files) != len(want) {
			t.Errorf("%s: %v", path, s.files)
		}
		for _, name := range want {
			if s.files[name] == "" {
				t.Errorf("%s: no %s", path, name)
			}
		}
	}
	f(dir, "model/config.pbtxt", "model/labels.txt", "model/warmup/x", "version/model.onnx", "version/data/weights.bin", "version/model_card.json")
	f(filepath.Join(dir, "1"), "version/model.onnx")
	f(filepath.Join(dir, "2", "model.onnx"), "version/model.onnx")
	f(loose, "version/model.onnx", "model/config.pbtxt")
	if _, err := FromPath(filepath.Join(dir, "none"), "m"); err == nil {
		t.Error("an absent path")
	}
}

// crafted packs entries that Pack would never write.
type crafted struct {
	h    tar.Header
	data string
}

func craft(t testing.TB, entries ...crafted) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for _, e := range entries {
		if e.h.Typeflag == 0 {
			e.h.Typeflag = tar.TypeReg
		}
		e.h.Size = int64(len(e.data))
		if e.h.Typeflag != tar.TypeReg {
			e.h.Size = 0
		}
		if err := w.WriteHeader(&e.h); err != nil {
			t.Fatal(err)
		}
		if e.h.Size > 0 {
			if _, err := io.WriteString(w, e.data); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func entry(name, data string) crafted { return crafted{tar.Header{Name: name, Mode: 0o644}, data} }

func hash(data string) string {
	h := sha256.Sum256([]byte(data))
	return hex.EncodeToString(h[:])
}

func manifest(files ...File) crafted {
	b, _ := json.Marshal(Manifest{Format: Format, Model: "m", Files: files})
	return entry(ManifestName, string(b))
}

func file(path, data string) File { return File{path, int64(len(data)), hash(data)} }

// TestHostile: whatever is wrong has its code, and nothing is written outside.
func TestHostile(t *testing.T) {
	model := file("version/model.onnx", "abc")
	content := entry("version/model.onnx", "abc")
	f := func(what string, code api.Code, b []byte) {
		t.Helper()
		dir, _, err := unpack(t, b, Limits{Unpacked: 1 << 20})
		if api.CodeOf(err) != code || code != "" && (err == nil || !strings.Contains(err.Error(), " ")) {
			t.Errorf("%s: %q %v, want %s", what, api.CodeOf(err), err, code)
		}
		for name := range tree(t, filepath.Dir(dir)) {
			if !strings.HasPrefix(name, "in/m/") {
				t.Errorf("%s: wrote %s", what, name)
			}
		}
	}
	good := craft(t, manifest(model), content)
	f("good", "", good)
	f("empty", api.CodeBundleIncomplete, nil)
	f("no zstd", api.CodeBundleInvalid, []byte("PK\x03\x04 this is a zip of some kind"))
	f("cut", api.CodeBundleIncomplete, good[:len(good)/2])
	f("without manifest", api.CodeBundleInvalid, craft(t, content))
	f("manifest is no JSON", api.CodeBundleInvalid, craft(t, entry(ManifestName, "{"), content))
	f("other format", api.CodeBundleInvalid, craft(t, entry(ManifestName, `{"format":"x"}`), content))
	f("no version", api.CodeBundleIncomplete, craft(t, manifest(file("model/config.pbtxt", "a")), entry("model/config.pbtxt", "a")))
	f("missing file", api.CodeBundleIncomplete, craft(t, manifest(model)))
	f("extra file", api.CodeBundleInvalid, craft(t, manifest(model), content, entry("version/more", "x")))
	f("other order", api.CodeBundleInvalid, craft(t, manifest(model, file("version/z", "z")), entry("version/z", "z"), content))
	f("wrong hash", api.CodeBundleHashMismatch, craft(t, manifest(file("version/model.onnx", "abd")), content))
	f("no hash", api.CodeBundleInvalid, craft(t, manifest(File{Path: "version/model.onnx", Size: 3, SHA256: "abc"}), content))
	f("wrong size", api.CodeBundleInvalid, craft(t, manifest(File{"version/model.onnx", 4, model.SHA256}), content))
	f("negative size", api.CodeBundleTooLarge, craft(t, manifest(File{"version/model.onnx", -4, model.SHA256}), content))
	f("sizes overflow", api.CodeBundleTooLarge, craft(t, manifest(File{"version/a", 1 << 62, model.SHA256}, File{"version/b", 1 << 62, model.SHA256}), content))
	f("too large", api.CodeBundleTooLarge, craft(t, manifest(File{"version/model.onnx", 1<<20 + 1, model.SHA256}), content))
	f("symbolic link", api.CodeBundleInvalid, craft(t, manifest(model), crafted{tar.Header{Typeflag: tar.TypeSymlink, Name: "version/model.onnx", Linkname: "/etc/passwd"}, ""}))
	f("hard link", api.CodeBundleInvalid, craft(t, manifest(model), crafted{tar.Header{Typeflag: tar.TypeLink, Name: "version/model.onnx", Linkname: "../x"}, ""}))
	f("device", api.CodeBundleInvalid, craft(t, manifest(model), crafted{tar.Header{Typeflag: tar.TypeChar, Name: "version/model.onnx"}, ""}))
	f("folder entry", api.CodeBundleInvalid, craft(t, manifest(model), crafted{tar.Header{Typeflag: tar.TypeDir, Name: "version/"}, ""}))
	f("twice", api.CodeBundleInvalid, craft(t, manifest(model, model), content, content))
	f("twice but for capitals", api.CodeBundleInvalid, craft(t, manifest(model, file("version/Model.onnx", "abc")), content, entry("version/Model.onnx", "abc")))
	f("file and folder", api.CodeBundleInvalid, craft(t, manifest(file("version/a", "x"), file("version/a/b", "y")), entry("version/a", "x"), entry("version/a/b", "y")))
	f("folder and file", api.CodeBundleInvalid, craft(t, manifest(file("version/a/b", "y"), file("version/a", "x")), entry("version/a/b", "y"), entry("version/a", "x")))
	f("bytes behind", api.CodeBundleInvalid, append(bytes.Clone(good), compressed(t, []byte("more"))...))
	f("endless zeros behind", api.CodeBundleInvalid, append(bytes.Clone(good), compressed(t, make([]byte, 4<<20))...))
	for _, bad := range []string{"../x", "version/../../x", "version//x", "/etc/passwd", "version/", "version", "other/x", "model/3/model.onnx", "version/.hidden",
		"version/a\\b", "version/C:x", "version/a\x00b", "version/\xff", "version/" + strings.Repeat("a", 256), "version/" + strings.Repeat("a/", 11) + "a", "", "."} {
		f("path "+bad, api.CodeBundlePathInvalid, craft(t, manifest(file(bad, "abc")), entry("x", "abc")))
	}
	f("path in the tar alone", api.CodeBundlePathInvalid, craft(t, manifest(model), entry("../../x", "abc")))
	many := make([]File, maxFiles+1)
	f("many files", api.CodeBundleTooLarge, craft(t, manifest(many...)))
	flipped := bytes.Clone(good)
	for i := range flipped {
		flipped[i] ^= 0x40
		// Some bits of a zstd frame mean nothing.
		if dir, m, err := unpack(t, flipped, Limits{Unpacked: 1 << 20}); err == nil && (len(m.Files) != 1 || m.Files[0] != model || tree(t, dir)["m/7/model.onnx"] != "abc") {
			t.Errorf("byte %d flipped: accepted with other content", i)
		}
		flipped[i] ^= 0x40
	}
}

func compressed(t testing.TB, b []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	return z.EncodeAll(b, nil)
}

// TestBomb: what packs far better than weights do is refused before it is written.
func TestBomb(t *testing.T) {
	zeros := strings.Repeat("\x00", 128<<20)
	b := craft(t, manifest(file("version/model.onnx", zeros)), entry("version/model.onnx", zeros))
	dir, _, err := unpack(t, b, Limits{})
	if api.CodeOf(err) != api.CodeBundleTooLarge || len(tree(t, dir)) > 0 {
		t.Errorf("%d bytes: %v", len(b), err)
	}
}

// FuzzUnpack: no bytes make it panic, write outside, or fail without a code.
func FuzzUnpack(f *testing.F) {
	s, err := FromRepository(repo(f), "m", 1)
	f.Add(pack(f, s, err))
	f.Add(craft(f, manifest(file("version/model.onnx", "abc")), entry("version/model.onnx", "abc")))
	f.Add(craft(f, manifest(file("version/model.onnx", "abc")), entry("../model.onnx", "abc")))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir, m, err := unpack(t, b, Limits{Unpacked: 1 << 20})
		if err != nil {
			if c := api.CodeOf(err); c == api.CodeInternal || c == api.CodeStorageFailed {
				t.Fatal(err)
			}
			return
		}
		got := tree(t, dir)
		if len(got) != len(m.Files) {
			t.Fatalf("%d files of %d", len(got), len(m.Files))
		}
		for name, text := range got {
			if !strings.HasPrefix(name, "m/") || len(text) > 1<<20 {
				t.Fatal(name)
			}
		}
	})
}

// FuzzManifest goes past the compression, which hides the manifest from the fuzzer.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(manifest(file("version/model.onnx", "abc")).data))
	f.Add([]byte(`{"format":"aimass-bundle-1","files":[{"path":"version/../x","size":1,"sha256":""}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse(b, Limits{Unpacked: 1 << 20})
		if err != nil {
			if api.CodeOf(err) == api.CodeInternal {
				t.Fatal(err)
			}
			return
		}
		for _, f := range m.Files {
			if p := filepath.Clean("/base/" + f.Path); !strings.HasPrefix(p, "/base/model/") && !strings.HasPrefix(p, "/base/version/") {
				t.Fatalf("%q leads to %q", f.Path, p)
			}
		}
	})
}
