package train

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/aimass/aimass/api"
)

func TestPublishOverwritesNothing(t *testing.T) {
	out := t.TempDir()
	base := filepath.Join(out, "m")
	for _, name := range []string{"3", "notes", "12.old"} {
		if err := os.MkdirAll(filepath.Join(base, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(base, "3", "model.onnx"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var got []int
	for i := range 6 {
		wg.Go(func() {
			path, version, err := Publish(Place{Repository: out, Model: "m"}, func(n int) (map[string][]byte, error) {
				return map[string][]byte{"model.onnx": fmt.Append(nil, i), "number": fmt.Append(nil, n)}, nil
			})
			told, _ := os.ReadFile(filepath.Join(path, "number"))
			if err != nil || filepath.Base(path) != fmt.Sprint(version) || string(told) != fmt.Sprint(version) {
				t.Errorf("%s, version %d, the files say %s: %v", path, version, told, err)
			}
			mu.Lock()
			got = append(got, version)
			mu.Unlock()
		})
	}
	wg.Wait()
	slices.Sort(got)
	if want := []int{4, 5, 6, 7, 8, 9}; !slices.Equal(got, want) {
		t.Errorf("versions %v, want %v", got, want)
	}
	if b, _ := os.ReadFile(filepath.Join(base, "3", "model.onnx")); string(b) != "old" {
		t.Error("version 3 was changed")
	}
	_, _, err := Publish(Place{Repository: out, Model: "m"}, func(int) (map[string][]byte, error) { return nil, errors.New("no report") })
	if api.CodeOf(err) != api.CodeTrainingWriteFailed {
		t.Errorf("error %v", err)
	}
	if entries, _ := os.ReadDir(base); len(entries) != 9 {
		t.Errorf("%d entries are left, want 9: %v", len(entries), entries)
	}
}

func TestPublishKeepsTheOperatorsConfig(t *testing.T) {
	out := t.TempDir()
	files := func(int) (map[string][]byte, error) { return map[string][]byte{"f": nil}, nil }
	config := func() string {
		b, _ := os.ReadFile(filepath.Join(out, "m", configName))
		return string(b)
	}
	for _, text := range []string{"first", "second"} {
		if _, _, err := Publish(Place{Repository: out, Model: "m", Config: []byte(text)}, files); err != nil || config() != "first" {
			t.Errorf("after %q the configuration is %q: %v", text, config(), err)
		}
	}
	if entries, _ := os.ReadDir(filepath.Join(out, "m", "1")); len(entries) != 1 {
		t.Errorf("version 1 holds %v", entries)
	}
}
