package repository

import (
	"context"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/repository/config"
)

// Unload takes all versions of a model out of the served set and waits until the
// requests that use them are done, or for ctx; then they finish on their own. With
// dependents the models that only this one, an ensemble, is made of go too.
func (r *Repository) Unload(ctx context.Context, name string, dependents bool) error {
	if !config.ValidName(name) {
		return api.Errorf(api.CodeModelNameInvalid, "got the model name '%.100s', expected letters, digits and . _ - with no dot in front", name)
	}
	m, err := r.enter(ctx, name, false)
	if err != nil {
		return err
	}
	var steps []string
	if dependents {
		steps = r.stepsOf(name)
	}
	r.mu.Lock()
	m.unloaded, m.override, m.reason = true, nil, "unloaded"
	r.mu.Unlock()
	r.retire(m, func(int64) bool { return true }, "unloaded")
	waits := r.leaving(m)
	r.leave(m)
	if err := wait(ctx, waits); err != nil {
		return err
	}
	for _, step := range steps {
		if err := r.Unload(ctx, step, true); err != nil && api.CodeOf(err) != api.CodeModelNotFound {
			return err
		}
	}
	return nil
}

// leaving lists what closes when each version of a model that is out of the served set
// is used no more.
func (r *Repository) leaving(m *model) []<-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []<-chan struct{}
	for _, s := range m.slots {
		for _, done := range s.leaving {
			out = append(out, done)
		}
	}
	return out
}

func wait(ctx context.Context, waits []<-chan struct{}) error {
	for _, w := range waits {
		select {
		case <-w:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// retireOthers takes out the versions that are not in keep and forgets those that are
// gone already.
func (r *Repository) retireOthers(m *model, keep []int64) {
	other := func(n int64) bool { return !slices.Contains(keep, n) }
	r.retire(m, other, "unloaded")
	r.mu.Lock()
	defer r.mu.Unlock()
	for n, s := range m.slots {
		if other(n) && s.state() == Unavailable {
			delete(m.slots, n)
		}
	}
}

// retire takes versions out of the served set. The turn on m is held.
func (r *Repository) retire(m *model, which func(n int64) bool, reason string) {
	type leaving struct {
		s *slot
		v *Version
	}
	var gone []leaving
	r.mu.Lock()
	for n, s := range m.slots {
		if which(n) && s.serving != nil {
			gone = append(gone, leaving{s, s.retire(reason)})
		} else if which(n) {
			s.reason = reason
		}
	}
	r.mu.Unlock()
	for _, g := range gone {
		r.drain(g.s, g.v)
	}
}

// drain waits in the background until nothing uses a version, and closes it.
func (r *Repository) drain(s *slot, v *Version) {
	r.drains.Go(func() {
		r.listener.Gone(v)
		if err := v.Runtime.Close(); err != nil {
			r.log.Error("closing a model failed", "model", v.Model, "version", v.Number, "error", err.Error())
		}
		r.mu.Lock()
		s.drained(v)
		r.mu.Unlock()
		r.memory.soon()
		r.log.Info("model gone", "model", v.Model, "version", v.Number, "served_s", int64(time.Since(v.LoadedAt).Seconds()))
	})
}

// reclaimer gives memory back to the system after models have come and gone, at most
// once in a while: each time costs a garbage collection.
type reclaimer struct {
	mu      sync.Mutex
	pending bool
}

const reclaimDelay = 250 * time.Millisecond

func (c *reclaimer) soon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending {
		return
	}
	c.pending = true
	time.AfterFunc(reclaimDelay, func() {
		c.mu.Lock()
		c.pending = false
		c.mu.Unlock()
		debug.FreeOSMemory()
	})
}
