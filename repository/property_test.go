package repository

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"sync"
	"testing"
	"time"

	_ "github.com/aimass/aimass/internal/rapidseed"
	"pgregory.net/rapid"
)

// expected is what the property test believes of one model.
type expected struct {
	disk    map[int64]float32 // weights of the versions on disk, 0: a bad file
	all     bool              // version_policy all, else the newest
	badConf bool
	serving map[int64]float32
}

// want says which versions the policy serves.
func (x *expected) want() []int64 {
	var v []int64
	for n := range x.disk {
		v = append(v, n)
	}
	slices.Sort(v)
	if !x.all && len(v) > 1 {
		v = v[len(v)-1:]
	}
	return v
}

// load is the specification of Load: each good version is switched to, and only if all
// stand the others leave.
func (x *expected) load() (ok bool) {
	if x.badConf || len(x.disk) == 0 {
		return false
	}
	ok = true
	for _, n := range x.want() {
		if w := x.disk[n]; w != 0 {
			x.serving[n] = w
		} else {
			ok = false
		}
	}
	if ok {
		for n := range x.serving {
			if !slices.Contains(x.want(), n) {
				delete(x.serving, n)
			}
		}
	}
	return ok
}

// TestSequences does random sequences of changes on disk, loads and unloads, while
// requests hold versions, and compares what serves with the specification.
func TestSequences(t *testing.T) {
	top := t.TempDir()
	count := 0
	rapid.Check(t, func(t *rapid.T) {
		count++
		dir := filepath.Join(top, strconv.Itoa(count))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		r, s := openFor(t, dir, func(c *Config) { c.WarmupOff = true })
		r.grace = time.Millisecond
		models := map[string]*expected{}
		for _, name := range []string{"a", "b"} {
			models[name] = &expected{disk: map[int64]float32{}, serving: map[int64]float32{}}
		}
		stamp := time.Now()
		write := func(name string, b []byte) {
			put(t, dir, name, b)
			// The clock of files may stand still between two writes of one size.
			stamp = stamp.Add(time.Second)
			if err := os.Chtimes(filepath.Join(dir, name), stamp, stamp); err != nil {
				t.Fatal(err)
			}
		}
		pick := func(t *rapid.T) (string, *expected) {
			name := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "model")
			return name, models[name]
		}
		type use struct {
			v    *Version
			want float32
			done func()
		}
		var uses []use
		release := func(i int) {
			if got := ask(t, uses[i].v); got != uses[i].want {
				t.Fatalf("a version in use answers %v, it was %v", got, uses[i].want)
			}
			uses[i].done()
			uses = slices.Delete(uses, i, i+1)
		}
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				name, x := pick(t)
				n := int64(rapid.IntRange(1, 3).Draw(t, "version"))
				w := float32(rapid.IntRange(0, 5).Draw(t, "weight"))
				b := []byte("damaged")
				if w != 0 {
					b = addModel(t, w)
				}
				write(fmt.Sprintf("%s/%d/model.onnx", name, n), b)
				x.disk[n] = w
			},
			"remove": func(t *rapid.T) {
				name, x := pick(t)
				n := int64(rapid.IntRange(1, 3).Draw(t, "version"))
				if err := os.RemoveAll(filepath.Join(dir, name, strconv.FormatInt(n, 10))); err != nil {
					t.Fatal(err)
				}
				delete(x.disk, n)
			},
			"configure": func(t *rapid.T) {
				name, x := pick(t)
				x.all, x.badConf = rapid.Bool().Draw(t, "all"), rapid.IntRange(0, 4).Draw(t, "bad") == 0
				text := ""
				if x.all {
					text += "version_policy { all {} }\n"
				}
				if x.badConf {
					text += "input { name: \"nothing\" "
				}
				write(name+"/config.pbtxt", []byte(text))
			},
			"load": func(t *rapid.T) {
				name, x := pick(t)
				ok := x.load()
				if err := r.Load(context.Background(), name, nil); (err == nil) != ok {
					t.Fatalf("load: %v, expected success %v", err, ok)
				}
			},
			"unload": func(t *rapid.T) {
				name, x := pick(t)
				// It waits for versions in use, which nobody releases meanwhile: it is left
				// alone once it has certainly begun.
				ctx, cancel := context.Background(), context.CancelFunc(func() {})
				if slices.ContainsFunc(uses, func(u use) bool { return u.v.Model == name }) {
					ctx, cancel = context.WithTimeout(ctx, 20*time.Millisecond)
				}
				defer cancel()
				_ = r.Unload(ctx, name, false)
				clear(x.serving)
			},
			"use": func(t *rapid.T) {
				name, x := pick(t)
				for n, w := range x.serving {
					v, done := s.use(fmt.Sprintf("%s/%d", name, n))
					uses = append(uses, use{v, 1 + w, done})
				}
			},
			"release": func(t *rapid.T) {
				if len(uses) == 0 {
					t.Skip("nothing in use")
				}
				release(rapid.IntRange(0, len(uses)-1).Draw(t, "use"))
			},
			"": func(t *rapid.T) {
				for name, x := range models {
					for n := int64(1); n <= 3; n++ {
						v := r.Serving(name, n)
						if w, ok := x.serving[n]; ok != (v != nil) || ok && ask(t, v) != 1+w {
							t.Fatalf("%s/%d: serving %v, expected weight %v, %v", name, n, v, w, ok)
						}
						if st, _ := r.State(name, n); (st == Ready) != (v != nil) {
							t.Fatalf("%s/%d is %v and serving %v", name, n, st, v)
						}
					}
				}
				for _, u := range uses {
					if got := ask(t, u.v); got != u.want {
						t.Fatalf("a version in use answers %v, it was %v", got, u.want)
					}
				}
			},
		})
		for len(uses) > 0 {
			release(0)
		}
		s.close(t, r)
	})
}

// TestConcurrent loads, unloads and asks from many goroutines: the listener's order is
// checked by its own, and at the end the repository says what the listener holds.
func TestConcurrent(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b", "c"} {
		put(t, dir, name+"/1/model.onnx", addModel(t, 1))
		put(t, dir, name+"/2/model.onnx", addModel(t, 1))
	}
	r, s := open(t, dir, func(c *Config) { c.LoadParallel = 2; c.WarmupOff = true })
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for k := range 25 {
				name := []string{"a", "b", "c"}[(g+k)%3]
				switch (g * k) % 4 {
				case 0:
					_ = r.Unload(t.Context(), name, false)
				case 1:
					o := &Override{Config: []byte(`{"version_policy":{"all":{}}}`)}
					if err := r.Load(t.Context(), name, o); err != nil {
						t.Error(err)
					}
				default:
					if err := r.Load(t.Context(), name, nil); err != nil {
						t.Error(err)
					}
				}
				if v, done := s.use(name + "/2"); v != nil {
					if got := ask(t, v); got != 2 {
						t.Errorf("answer %v", got)
					}
					done()
				}
				_ = r.Index()
			}
		})
	}
	wg.Wait()
	for _, name := range []string{"a", "b", "c"} {
		if err := r.Load(t.Context(), name, nil); err != nil {
			t.Error(err)
		}
	}
	var ready, held []string
	for _, e := range r.Index() {
		if e.State == Ready {
			ready = append(ready, fmt.Sprintf("%s/%d", e.Name, e.Version))
		}
	}
	s.mu.Lock()
	for name := range s.byName {
		held = append(held, name)
	}
	s.mu.Unlock()
	sort.Strings(held)
	if !slices.Equal(ready, held) || !slices.Equal(ready, []string{"a/2", "b/2", "c/2"}) {
		t.Errorf("ready %v, held %v", ready, held)
	}
}

// TestSwitchLeavesNoGap replaces a version again and again while others use it: somebody
// always serves, each answer is that of one whole version, and none goes back in time.
func TestSwitchLeavesNoGap(t *testing.T) {
	dir := t.TempDir()
	r, s := open(t, dir, func(c *Config) { c.WarmupRows = 1 })
	file := filepath.Join(dir, "m/1/model.onnx")
	replace := func(k int) {
		put(t, dir, "m/1/model.onnx.new", addModel(t, float32(k)))
		stamp := time.Unix(int64(1e9+k), 0)
		if err := os.Chtimes(file+".new", stamp, stamp); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
		if err := r.Load(t.Context(), "m", nil); err != nil {
			t.Fatal(err)
		}
	}
	replace(1)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for last := float32(2); ; {
				select {
				case <-stop:
					return
				default:
				}
				v, done := s.use("m/1")
				if v == nil {
					t.Error("nobody serves")
					return
				}
				got := ask(t, v)
				done()
				if got < last || got != float32(int(got)) {
					t.Errorf("answer %v after %v", got, last)
					return
				}
				last = got
			}
		})
	}
	for k := 2; k <= 40; k++ {
		replace(k)
	}
	close(stop)
	wg.Wait()
	if got := s.answer(t, "m/1"); got != 41 {
		t.Errorf("in the end %v", got)
	}
}
