package repository

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestLooks walks the watcher through changes, look by look.
func TestLooks(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a/1/model.onnx", addModel(t, 1))
	r, s := open(t, dir, nil)
	w := &watcher{r: r, seen: map[string]string{}, busy: map[string]bool{}}
	look := func() {
		t.Helper()
		w.look(t.Context())
		w.work.Wait()
	}
	if err := r.LoadAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := r.Serving("a", 1)
	for range 3 {
		look()
	}
	if r.Serving("a", 1) != first {
		t.Error("an unchanged model was loaded again")
	}
	stamp := time.Now()
	touch := func(name string) {
		stamp = stamp.Add(time.Second)
		if err := os.Chtimes(filepath.Join(dir, name), stamp, stamp); err != nil {
			t.Fatal(err)
		}
	}
	change := func(name string, b []byte) { put(t, dir, name, b); touch(name) }

	change("a/2/model.onnx", addModel(t, 2)[:20]) // a copy in progress
	look()
	change("a/2/model.onnx", addModel(t, 2))
	look()
	wantIndex(t, r, "a/1 READY;")
	look()
	if s.answer(t, "a/2") != 3 || s.answer(t, "a/1") != 0 {
		t.Errorf("a new version: %s", index(r))
	}
	change("b/1/model.onnx", addModel(t, 5))
	look()
	look()
	if s.answer(t, "b/1") != 6 {
		t.Errorf("a new model: %s", index(r))
	}
	change("b/config.pbtxt", []byte("max_batch_size: 7"))
	look()
	look()
	if v := r.Serving("b", 1); v == nil || v.Config.MaxBatch != 7 {
		t.Errorf("a new configuration: %s", index(r))
	}
	change("b/1/model.onnx", []byte("damaged"))
	look()
	look()
	b := func() IndexEntry { // the last; a/1 is listed before it until nothing uses it any more
		entries := r.Index()
		return entries[len(entries)-1]
	}
	broken := b()
	if s.answer(t, "b/1") != 6 || broken.Name != "b" || broken.Reason == "" {
		t.Errorf("a damaged file: %+v", r.Index())
	}
	look()
	if b() != broken {
		t.Error("a failed load was tried again without a change")
	}

	if err := r.Unload(t.Context(), "a", false); err != nil {
		t.Fatal(err)
	}
	change("a/3/model.onnx", addModel(t, 3))
	for range 3 {
		look()
	}
	if st, _ := r.State("a", 0); st != Unavailable {
		t.Errorf("a model that was unloaded came back: %s", index(r))
	}
	if err := r.Load(t.Context(), "a", nil); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	look()
	if s.answer(t, "b/1") != 6 {
		t.Error("a model left at the first look")
	}
	look()
	if st, _ := r.State("b", 0); st != Unknown || s.answer(t, "b/1") != 0 {
		t.Errorf("a removed model: %s", index(r))
	}
	o := &Override{Config: []byte("{}"), Files: map[string][]byte{"1/model.onnx": addModel(t, 9)}}
	if err := r.Load(t.Context(), "c", o); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		look()
	}
	if s.answer(t, "c/1") != 10 {
		t.Errorf("a model of given files: %s", index(r))
	}
}

// TestWatch runs the real loop.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	r, s := open(t, dir, func(c *Config) { c.Poll = 10 * time.Millisecond })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { r.Watch(ctx); close(done) }()
	put(t, dir, "a/1/model.onnx", addModel(t, 1))
	for end := time.Now().Add(10 * time.Second); s.answer(t, "a/1") != 2; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the model was not found")
		}
	}
	cancel()
	<-done
	off, _ := open(t, dir, nil)
	off.Watch(t.Context()) // returns at once
}
