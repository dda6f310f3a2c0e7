package repository

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/aimass/aimass/repository/config"
)

// Watch follows the folder until ctx ends: new and changed models are loaded, removed
// ones unloaded. It returns at once if Config.Poll is 0. Models that were unloaded by a
// caller, or run from given files, are left alone until they are loaded again.
func (r *Repository) Watch(ctx context.Context) {
	if r.cfg.Poll == 0 {
		return
	}
	w := &watcher{r: r, seen: map[string]string{}, busy: map[string]bool{}}
	tick := time.NewTicker(r.cfg.Poll)
	defer tick.Stop()
	defer w.work.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.look(ctx)
		}
	}
}

// watcher remembers one look until the next.
type watcher struct {
	r    *Repository
	seen map[string]string // stamps at the last look; of a folder that is gone ""
	work sync.WaitGroup
	mu   sync.Mutex
	busy map[string]bool // models that a look is acting on
}

// look compares the folder with what is loaded and acts on what two looks agree on.
func (w *watcher) look(ctx context.Context) {
	r := w.r
	names, _, err := r.onDisk()
	if err != nil {
		r.log.Warn("the model repository can't be read", "error", err.Error())
		return
	}
	now := map[string]string{}
	for _, name := range names {
		now[name] = r.stampOf(name)
	}
	r.mu.Lock()
	acted := map[string]string{}
	for name, m := range r.models {
		if m.unloaded && now[name] != "" || m.override != nil && len(m.override.Files) > 0 {
			delete(now, name)
			continue
		}
		acted[name] = m.stamp
		if now[name] == "" {
			now[name] = "" // known and gone
		}
	}
	r.mu.Unlock()
	for name, stamp := range now {
		before, known := w.seen[name]
		if have, loaded := acted[name]; loaded && have == stamp || !known || before != stamp {
			continue
		}
		w.act(ctx, name, stamp == "")
	}
	w.seen = now
}

// act loads or drops one model beside the looks to come.
func (w *watcher) act(ctx context.Context, name string, gone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy[name] {
		return
	}
	w.busy[name] = true
	w.work.Go(func() {
		if gone {
			w.r.drop(ctx, name)
		} else {
			w.r.reload(ctx, name)
		}
		w.mu.Lock()
		delete(w.busy, name)
		w.mu.Unlock()
	})
}

// reload loads a changed model with the configuration override that it has, if any.
func (r *Repository) reload(ctx context.Context, name string) {
	m, err := r.enter(ctx, name, true)
	if err != nil {
		return
	}
	defer r.leaveSettled(ctx, m)
	r.mu.Lock()
	skip, override := m.unloaded, m.override
	r.mu.Unlock()
	if skip {
		return
	}
	r.log.Info("model changed", "model", name)
	_ = r.load(ctx, m, override, 0) // the failure is logged and in the index
}

// drop unloads a model whose folder is gone and forgets it.
func (r *Repository) drop(ctx context.Context, name string) {
	m, err := r.enter(ctx, name, false)
	if err != nil {
		return
	}
	if r.folderOf(name).isModel() {
		r.leave(m)
		return
	}
	r.log.Info("model removed", "model", name)
	r.retire(m, func(int64) bool { return true }, "its folder is gone")
	waits := r.leaving(m)
	r.mu.Lock()
	m.stamp, m.reason = "", "its folder is gone"
	r.mu.Unlock()
	r.leave(m)
	if wait(ctx, waits) != nil {
		return
	}
	if m, err = r.enter(ctx, name, false); err != nil {
		return
	}
	back := r.folderOf(name).isModel()
	r.mu.Lock()
	if m.idle() && !back {
		clear(m.slots)
		m.reason = ""
	}
	r.mu.Unlock()
	r.leave(m)
}

// idle reports that no version serves, loads or drains.
func (m *model) idle() bool {
	for _, s := range m.slots {
		if s.state() != Unavailable {
			return false
		}
	}
	return true
}

// wholeStamp changes when anything in a model's folder changes; "" if it isn't there.
func (d diskFolder) wholeStamp() string {
	if !d.exists() {
		return ""
	}
	text, err := os.ReadFile(filepath.Join(string(d), config.FileName))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		text = []byte(err.Error())
	}
	stamp := string(text) + d.stamp(0)
	versions, _ := d.versions("")
	for _, n := range versions {
		stamp += d.stamp(n)
	}
	return stamp
}
