package repository

import (
	"context"
	"math"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/repository/config"
)

// On demand, with Config.MaxBytes, a model is loaded when it is first asked for, and those
// least recently used leave to keep what is loaded within the bound. A version that leaves goes
// on answering those who hold it, so no request fails by it.

// modelOverhead is what a version takes besides its weights: graph, plans, queue.
const modelOverhead = 128 << 10

// failedRest is how long a model that could not be loaded is not tried again for a request.
const failedRest = 5 * time.Second

// evictWait is how long a load waits for the memory of a model that makes room for it, which
// requests may hold for longer.
const evictWait = 50 * time.Millisecond

// evicted is the reason of a model that made room.
const evicted = "unloaded to make room: it is loaded when it is asked for"

// LastUser is implemented by a Listener that knows when a version was last used, in
// milliseconds since the epoch, 0 for never.
type LastUser interface{ LastUse(v *Version) int64 }

// Demand loads a model that is asked for and does not serve. It fails for what is not in the
// repository, what a caller has unloaded, and for a while for what could not be loaded.
func (r *Repository) Demand(ctx context.Context, name string) error {
	if !config.ValidName(name) || !r.folderOf(name).isModel() {
		return api.Errorf(api.CodeModelNotFound, "there is no model '%s' in the repository", name)
	}
	r.mu.Lock()
	m := r.models[name]
	refuse := m != nil && (m.unloaded || time.Since(m.failedAt) < failedRest)
	r.mu.Unlock()
	if refuse {
		return api.Errorf(api.CodeModelUnavailable, "model '%s' is unloaded, or failed to load a moment ago", name)
	}
	if err := r.Load(ctx, name, nil); err != nil {
		r.mu.Lock()
		if m := r.models[name]; m != nil {
			m.failedAt = time.Now()
		}
		r.mu.Unlock()
		return err
	}
	r.makeRoom(name)
	return nil
}

// OnDemand reports whether models are loaded when they are asked for.
func (r *Repository) OnDemand() bool { return r.cfg.MaxBytes > 0 }

// makeRoom unloads the models least recently used until the rest is within the bound; keep
// stays, and so do the models of an ensemble that serves.
func (r *Repository) makeRoom(keep string) {
	if !r.OnDemand() {
		return
	}
	for {
		name := r.victim(keep)
		if name == "" || !r.evict(name) {
			return
		}
	}
}

// victim names the model to unload next, "" if there is room or nothing that may go.
func (r *Repository) victim(keep string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	total := int64(0)
	needed := map[string]bool{keep: true}
	for _, m := range r.models {
		for _, s := range m.slots {
			if s.serving == nil {
				continue
			}
			total += s.serving.bytes()
			for i := range s.serving.Config.Steps {
				needed[s.serving.Config.Steps[i].Model] = true
			}
		}
	}
	if total <= r.cfg.MaxBytes {
		return ""
	}
	user, _ := r.listener.(LastUser)
	oldest, name := int64(math.MaxInt64), ""
	for _, m := range r.models {
		used := int64(0)
		for _, s := range m.slots {
			if s.serving != nil {
				used = max(used, s.serving.LoadedAt.UnixMilli())
				if user != nil {
					used = max(used, user.LastUse(s.serving))
				}
			}
		}
		if used > 0 && used < oldest && !needed[m.name] {
			oldest, name = used, m.name
		}
	}
	return name
}

// bytes is what a version is taken to need.
func (v *Version) bytes() int64 {
	owned, mapped := v.Runtime.WeightBytes()
	return owned + mapped + modelOverhead
}

// evict takes a model out unless something else is done with it just now.
func (r *Repository) evict(name string) bool {
	short, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	m, err := r.enter(short, name, false)
	if err != nil {
		return false
	}
	r.retire(m, func(int64) bool { return true }, evicted)
	waits := r.leaving(m)
	r.leave(m)
	moment, stop := context.WithTimeout(context.Background(), evictWait)
	defer stop()
	_ = wait(moment, waits)
	return true
}
