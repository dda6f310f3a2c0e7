package repository

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/tensor"
)

// reader is a native model that keeps what it was made from.
type reader struct{ from native.Source }

func (reader) Inputs() []native.Port {
	return []native.Port{native.Tensor("x", tensor.Float32, -1, 2), native.Tensor("y", tensor.Float32, -1, -1)}
}
func (reader) Outputs() []native.Port { return []native.Port{native.Tensor("z", tensor.Float32, -1)} }
func (reader) Rowwise() bool          { return true }
func (reader) Run(context.Context, []tensor.Value, native.Alloc) ([]tensor.Value, error) {
	return nil, errors.New("not run")
}

// TestNativeReadsItsFiles: its version's, and those beside it.
func TestNativeReadsItsFiles(t *testing.T) {
	var made []native.Source
	e := runtime.NewEngine(runtime.Config{Natives: []native.Entry{{Name: "reader", New: func(from native.Source) (native.Model, error) {
		made = append(made, from)
		_, err := from.Read("data.txt")
		return reader{from}, err
	}}}})
	dir := t.TempDir()
	put(t, dir, "m/config.pbtxt", []byte(`backend: "native" parameters { key: "model" value { string_value: "reader" } } input { name: "x" data_type: TYPE_FP32 dims: [2] optional: true }`))
	put(t, dir, "m/3/data.txt", []byte("three"))
	put(t, dir, "other/1/new.txt", []byte("old"))
	put(t, dir, "other/2/new.txt", []byte("new"))
	put(t, dir, "other/whole.txt", []byte("whole"))
	r, err := New(Config{Dir: dir}, e, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	if err := r.Load(t.Context(), "m", nil); err != nil {
		t.Fatal(err)
	}
	f := func(want string, b []byte, err error) {
		t.Helper()
		if string(b) != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("read %q, want %q: %v", b, want, err)
		}
	}
	from := made[0]
	b, err := from.Read("data.txt")
	f("three", b, err)
	b, err = from.Read("absent.txt")
	f("", b, err)
	b, err = from.Beside("other", "new.txt")
	f("new", b, err)
	b, err = from.Beside("other", "whole.txt")
	f("whole", b, err)
	for _, model := range []string{"absent", "..", "../" + "m", ""} {
		b, err = from.Beside(model, "new.txt")
		f("", b, err)
	}
	v := r.Serving("m", 3)
	if v == nil || !v.Config.Inputs[0].Optional || v.Config.Inputs[1].Optional {
		t.Fatalf("optional inputs: %+v", v)
	}
	put(t, dir, "open/config.pbtxt", []byte(`backend: "native" parameters { key: "model" value { string_value: "reader" } } input { name: "y" data_type: TYPE_FP32 dims: [-1] optional: true }`))
	put(t, dir, "open/1/data.txt", nil)
	if err := r.Load(t.Context(), "open", nil); api.CodeOf(err) != api.CodeConfigInvalid || !strings.Contains(api.Message(err), "fixed extents") {
		t.Errorf("an optional input of open extent: %v", err)
	}
}
