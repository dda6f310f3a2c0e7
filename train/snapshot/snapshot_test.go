package snapshot

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/aimass/aimass/api"
)

const text = "age,city\n30,Oslo\n40,Rome\n,Oslo\n"

func TestStoredOnceAndDescribed(t *testing.T) {
	s := Open(filepath.Join(t.TempDir(), "s"))
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if _, err := s.Add("n", Table, strings.NewReader(text), 1<<20); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	list := s.List()
	if len(list) != 1 {
		t.Fatalf("%d snapshots", len(list))
	}
	snap := list[0]
	if b, err := os.ReadFile(s.Path(snap.ID)); err != nil || string(b) != text {
		t.Errorf("%q %v", b, err)
	}
	age, city := snap.Columns[0], snap.Columns[1]
	if snap.Rows != 3 || age.Kind != "numeric" || age.Statistics.Max != 40 || age.Statistics.Missing < .33 || city.Distinct != 2 || city.Categories[0] != "Oslo" {
		t.Errorf("%+v", snap)
	}
	if err := s.Remove(snap.ID); err != nil {
		t.Error(err)
	}
	if _, err := s.Get(snap.ID); api.CodeOf(err) != api.CodeSnapshotNotFound {
		t.Errorf("removed: %v", err)
	}
}

func TestNothingHalfIsKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "s")
	s := Open(dir)
	f := func(want api.Code, r io.Reader, limit int64) {
		t.Helper()
		if _, err := s.Add("n", Table, r, limit); api.CodeOf(err) != want {
			t.Errorf("%v, want %s", err, want)
		}
		if entries, _ := os.ReadDir(dir); len(entries) != 0 {
			t.Errorf("%v is left", entries)
		}
	}
	f(api.CodeBodyTooLarge, strings.NewReader(text), 10)
	f(api.CodeMalformedRequest, io.MultiReader(strings.NewReader(text), iotest.ErrReader(errors.New("broken"))), 1<<20)
	f(api.CodeTrainingDataUnreadable, strings.NewReader("a,a\n"), 1<<20)
	f(api.CodeTrainingDataUnreadable, strings.NewReader(""), 1<<20)
	for _, id := range []string{"", "..", "../../etc", strings.Repeat("g", 64)} {
		if _, err := s.Get(id); api.CodeOf(err) != api.CodeSnapshotNotFound {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// TestRequests: lines of requests are a kind of their own.
func TestRequests(t *testing.T) {
	s := Open(filepath.Join(t.TempDir(), "s"))
	lines := `{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}` + "\n"
	snap, err := s.Add("n", Requests, strings.NewReader(lines+lines), 1<<20)
	if err != nil || snap.Kind != Requests || snap.Rows != 2 || snap.Bytes != int64(2*len(lines)) {
		t.Fatalf("%+v %v", snap, err)
	}
	if b, err := os.ReadFile(s.Path(snap.ID)); err != nil || string(b) != lines+lines {
		t.Errorf("%q %v", b, err)
	}
	for _, bad := range []string{"", "a,b\n1,2\n", lines + "{}\n"} {
		if _, err := s.Add("n", Requests, strings.NewReader(bad), 1<<20); api.CodeOf(err) != api.CodeTrainingDataUnreadable {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
