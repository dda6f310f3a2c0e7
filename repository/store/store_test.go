package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
)

func want(t *testing.T, err error, code api.Code) {
	t.Helper()
	if api.CodeOf(err) != code {
		t.Errorf("got %q: %v, want %q", api.CodeOf(err), err, code)
	}
}

// TestUpdate: changes of one state by several at once, through Directories of their own as
// processes have, follow one another; a change that fails changes nothing.
func TestUpdate(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 4 {
		d := New(Config{Dir: dir})
		wg.Go(func() {
			for range 25 {
				err := d.Update("m", func(old []byte) ([]byte, error) {
					n, _ := strconv.Atoi(string(old))
					return []byte(strconv.Itoa(n + 1)), nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	d := New(Config{Dir: dir})
	b, stamp, err := d.State("m")
	if err != nil || string(b) != "100" || stamp == "" {
		t.Errorf("%q %q %v", b, stamp, err)
	}
	refused := errors.New("no")
	if err := d.Update("m", func([]byte) ([]byte, error) { return []byte("x"), refused }); !errors.Is(err, refused) {
		t.Error(err)
	}
	if again, same, _ := d.State("m"); string(again) != "100" || same != stamp {
		t.Errorf("%q", again)
	}
	if b, stamp, err := d.State("other"); b != nil || stamp != "" || err != nil {
		t.Error(b, stamp, err)
	}
}

// TestAppend: pieces fit behind one another or are refused, and nobody else's come between.
func TestAppend(t *testing.T) {
	d := New(Config{Dir: t.TempDir(), MaxUpload: 20})
	put := func(p Piece, text string) (Upload, error) { return d.Append("m", 1, p, strings.NewReader(text)) }
	_, err := put(Piece{Offset: 3, Length: 1, Size: 10}, "x")
	want(t, err, api.CodeUploadNotFound)
	if u, err := put(Piece{Length: 3, Size: 10, SHA256: "s"}, "abc"); err != nil || u != (Upload{3, 10, "s"}) {
		t.Error(u, err)
	}
	for _, bad := range []Piece{{Offset: 2, Length: 1, Size: 10}, {Offset: 3, Length: 1, Size: 11}, {Offset: 3, Length: 1, Size: 10, SHA256: "other"}} {
		_, err = put(bad, "d")
		want(t, err, api.CodeUploadOffsetMismatch)
	}
	_, err = put(Piece{Offset: 3, Length: 5, Size: 10}, "de") // the line broke
	want(t, err, api.CodeMalformedRequest)
	if u, err := d.Upload("m", 1); err != nil || u != (Upload{5, 10, "s"}) {
		t.Error(u, err)
	}
	if u, err := put(Piece{Offset: 5, Length: 5, Size: -1}, "fghij"); err != nil || !u.Complete() {
		t.Error(u, err)
	}
	f, err := d.Open("m", 1)
	if err != nil {
		t.Fatal(err)
	}
	_, err = put(Piece{Length: 1, Size: 1}, "x")
	want(t, err, api.CodeUploadOffsetMismatch) // it is open
	b, _ := io.ReadAll(f)
	if f.Close(); string(b) != "abcdefghij" {
		t.Errorf("%q", b)
	}
	_, err = put(Piece{Length: -1, Size: -1}, strings.Repeat("x", 21))
	want(t, err, api.CodeBundleTooLarge)
	_, err = put(Piece{Length: 21, Size: 21}, "")
	want(t, err, api.CodeBundleTooLarge)
	_, err = put(Piece{Length: -1, Size: 2}, "abc")
	want(t, err, api.CodeUploadOffsetMismatch)
	if u, err := put(Piece{Length: 2, Size: -1, Partial: true}, "ab"); err != nil || u.Complete() {
		t.Error(u, err)
	}
	if err := d.Drop("m", 1); err != nil {
		t.Error(err)
	}
	want(t, d.Drop("m", 1), api.CodeUploadNotFound)
}

// TestPacked: a version is packed once for each state of its files, and what is kept is bounded.
func TestPacked(t *testing.T) {
	d := New(Config{Dir: t.TempDir(), PackedBytes: 250})
	packs := 0
	get := func(model string, version int64, stamp string) string {
		t.Helper()
		p, err := d.Packed(model, version, stamp, func(w io.Writer) error {
			packs++
			_, err := fmt.Fprintf(w, "%100s", stamp)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		b, err := io.ReadAll(p)
		if err != nil || int64(len(b)) != p.Size || len(p.SHA256) != 64 {
			t.Errorf("%d bytes of %d: %v", len(b), p.Size, err)
		}
		return strings.TrimSpace(string(b))
	}
	for range 3 {
		if s := get("m", 1, "a"); s != "a" {
			t.Error(s)
		}
	}
	if s := get("m", 1, "b"); s != "b" || packs != 2 {
		t.Error(s, packs)
	}
	get("m", 11, "c") // m@1- is no beginning of m@11-
	get("m", 1, "b")
	get("n", 1, "d") // over the bound: m@11, the least recently used, goes
	if list, _ := filepath.Glob(d.path("bundles", "*")); len(list) != 2 || packs != 4 {
		t.Errorf("%d packs, kept %v", packs, list)
	}
	failed := errors.New("unreadable")
	if _, err := d.Packed("m", 2, "x", func(io.Writer) error { return failed }); api.CodeOf(err) != api.CodeStorageFailed || !errors.Is(err, failed) {
		t.Error(err)
	}
	if left, _ := filepath.Glob(d.path("bundles", ".new*")); len(left) > 0 {
		t.Error(left)
	}
}

// TestClean removes what dead processes left, and nothing that is in use.
func TestClean(t *testing.T) {
	d := New(Config{Dir: t.TempDir()})
	alive, err := d.Stage()
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	dead, err := d.Stage()
	if err != nil {
		t.Fatal(err)
	}
	_ = dead.lock.Close() // as a killed process does
	if _, err := d.Append("m", 1, Piece{Length: 1, Size: 2}, strings.NewReader("a")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Append("old", 1, Piece{Length: 1, Size: 2}, strings.NewReader("a")); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-2 * staleUpload)
	if err := os.Chtimes(d.path("uploads", "old@1", "data"), long, long); err != nil {
		t.Fatal(err)
	}
	d.Clean()
	if !isThere(alive.Dir) || isThere(dead.Dir) || isThere(dead.Dir+lockSuffix) {
		t.Error("the stages")
	}
	if _, err := d.Upload("m", 1); err != nil {
		t.Error(err)
	}
	_, err = d.Upload("old", 1)
	want(t, err, api.CodeUploadNotFound)
}

// TestPublish: whole or not at all, and never over what is there.
func TestPublish(t *testing.T) {
	dir := t.TempDir()
	d := New(Config{Dir: dir})
	publish := func(version int64, beside string) error {
		t.Helper()
		s, err := d.Stage()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		v := fmt.Sprintf("m/%d", version)
		if err := errors.Join(s.Root.MkdirAll(v, 0o755), s.Root.WriteFile(v+"/x", []byte("x"), 0o644), s.Root.WriteFile("m/config", []byte(beside), 0o644)); err != nil {
			t.Fatal(err)
		}
		return d.Publish(s, "m", version)
	}
	want(t, publish(1, "first"), "")
	want(t, publish(2, "second"), "")
	want(t, publish(2, "again"), api.CodeVersionExists)
	if b, err := os.ReadFile(filepath.Join(dir, "m", "config")); err != nil || string(b) != "first" {
		t.Errorf("%q %v", b, err)
	}
	if left, _ := filepath.Glob(d.path("staging", "*")); len(left) > 0 {
		t.Error(left)
	}
}
