package pipeline

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/cache"
	"github.com/aimass/aimass/repository"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/tensor"
)

// crowded is a shop with room for some of its models.
func crowded(t *testing.T, models, room int) *shop {
	t.Helper()
	c, err := cache.New(cache.Config{}.WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{dir: t.TempDir(), pipe: New(c)}
	for i := range models {
		s.pairwise(t, fmt.Sprint("m", i), "Add", float32(i))
	}
	const each = 128<<10 + 4 // what a version counts besides its one weight
	if s.repo, err = repository.New(repository.Config{Dir: s.dir, MaxBytes: int64(room) * each}, runtime.NewEngine(runtime.Config{}), nil); err != nil {
		t.Fatal(err)
	}
	s.repo.SetListener(NewListener(s.pipe, batcher.Config{}, 2, nil))
	s.pipe.OnDemand(func(name string) error { return s.repo.Demand(context.Background(), name) })
	t.Cleanup(func() {
		if err := s.repo.Close(context.Background()); err != nil {
			t.Error(err)
		}
		c.Close()
	})
	if err := s.repo.LoadAll(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *shop) serving() (n int) {
	s.pipe.Each(func(*Served) { n++ })
	return n
}

func (s *shop) add(t *testing.T, i int) {
	t.Helper()
	out, err := s.pipe.Predict(context.Background(), fmt.Sprint("m", i), []native.Named{{Name: "x", Tensor: tensor.FromSlice([]float32{1, 2}, 1, 2)}}, "y")
	if err != nil {
		t.Errorf("model %d: %v", i, err)
	} else if got := tensor.Data[float32](out[0]); got[0] != float32(i+1) || got[1] != float32(i+2) {
		t.Errorf("model %d answered %v", i, got)
	}
}

func TestModelsAreLoadedOnDemand(t *testing.T) {
	s := crowded(t, 8, 3)
	if n := s.serving(); n != 0 {
		t.Errorf("%d serve before anybody asked", n)
	}
	for i := range 8 {
		s.add(t, i)
		if n := s.serving(); n > 3 {
			t.Errorf("%d serve, there is room for 3", n)
		}
	}
	if _, err := s.pipe.Resolve([]byte("absent"), nil); api.CodeOf(err) != api.CodeModelNotFound {
		t.Errorf("absent: %v", err)
	}
	if _, err := s.pipe.Resolve([]byte("../m1"), nil); api.CodeOf(err) != api.CodeModelNotFound {
		t.Errorf("a path: %v", err)
	}
	s.put(t, "broken/1/model.onnx", []byte("no model"))
	if _, err := s.pipe.Resolve([]byte("broken"), nil); err == nil {
		t.Error("a broken model serves")
	}
	s.add(t, 0)
	if err := s.repo.Unload(context.Background(), "m0", false); err != nil {
		t.Fatal(err)
	}
	if v, err := s.pipe.Resolve([]byte("m0"), nil); err == nil {
		v.Done()
		t.Error("what a caller unloaded came back by itself")
	}
}

// TestNoRequestFailsWhileModelsComeAndGo: many more models than there is room for, asked for by
// many at once.
func TestNoRequestFailsWhileModelsComeAndGo(t *testing.T) {
	const models, room = 60, 12
	s := crowded(t, models, room)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			zipf := rand.NewZipf(rand.New(rand.NewPCG(uint64(g), 1)), 1.1, 1, models-1)
			for range 150 {
				s.add(t, int(zipf.Uint64()))
			}
		})
	}
	wg.Wait()
	// One beyond the bound may just have been loaded by each who asks.
	if n := s.serving(); n > room+8 {
		t.Errorf("%d serve, there is room for %d", n, room)
	}
}
