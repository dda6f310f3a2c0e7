package cache

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/runtime/tensor"
)

// Config sets the cache up.
type Config struct {
	// MaxBytes bounds the memory of entries, keys included. Default 256 MiB. Whether a model takes
	// part at all is said by its own config (response_cache).
	MaxBytes int64
	// Second is a tier that replicas share.
	Second SecondConfig
}

// WithDefaults fills the fields that are zero.
func (c Config) WithDefaults() Config {
	if c.MaxBytes == 0 {
		c.MaxBytes = 256 << 20
	}
	c.Second = c.Second.WithDefaults()
	return c
}

// LeastBytes is the smallest cache.
const LeastBytes = 1 << 20

// Validate checks a configuration whose defaults are filled.
func (c Config) Validate() error {
	if c.MaxBytes < LeastBytes {
		return fmt.Errorf("cache: MaxBytes is %d, expected at least %d", c.MaxBytes, LeastBytes)
	}
	return c.Second.Validate()
}

// Cache holds predictions of all models.
type Cache struct {
	store   *ristretto.Cache[uint64, *entry]
	buffers sync.Pool
	shards  [64]shard
	gen     atomic.Uint64
	// purges counts calls of Purge. An answer that was computed before one must not be kept after it.
	purges atomic.Uint64
	// doors hold fingerprints of raw keys seen lately.
	doors [1 << 12]atomic.Uint32
	stats Stats
	// second is the second tier, nil if there is none.
	second *second
}

// Stats counts over all models. Of the requests answered from memory, Hits were found by the
// canonical key, Bodies by the body's bytes, Wires by all bytes of the request.
type Stats struct {
	Hits, Bodies, Wires, Misses, Shared, Evictions, Collisions atomic.Int64
}

// AllHits counts the requests answered from memory.
func (s *Stats) AllHits() int64 { return s.Hits.Load() + s.Bodies.Load() + s.Wires.Load() }

// entry is one remembered answer. It never changes.
type entry struct {
	key  key
	out  []tensor.Value
	cost int64
	raw  any // what was kept under a RawKey; then out is empty
}

// New makes a cache.
func New(cfg Config) (*Cache, error) {
	c := &Cache{}
	c.buffers.New = func() any { b := make([]byte, 0, 1024); return &b }
	for i := range c.shards {
		c.shards[i].flights = map[uint64]*flight{}
	}
	var err error
	c.store, err = ristretto.NewCache(&ristretto.Config[uint64, *entry]{
		NumCounters: max(cfg.MaxBytes/256, 1000),
		MaxCost:     cfg.MaxBytes,
		BufferItems: 64,
		OnEvict:     func(*ristretto.Item[*entry]) { c.stats.Evictions.Add(1) },
	})
	if err == nil {
		c.second, err = newSecond(cfg.Second)
	}
	return c, err
}

// SecondStats gives the counters of the second tier, nil if there is none.
func (c *Cache) SecondStats() *SecondStats {
	if c.second == nil {
		return nil
	}
	return &c.second.stats
}

// Stats gives the counters.
func (c *Cache) Stats() *Stats { return &c.stats }

// Generation gives a number that no Scope had before.
func (c *Cache) Generation() uint64 { return c.gen.Add(1) }

// Purge forgets every entry. Answers that are being computed are not kept either.
func (c *Cache) Purge() {
	c.purges.Add(1)
	c.store.Clear()
	if c.second != nil {
		c.second.purge()
	}
}

// Bytes is the memory that entries are known to take.
func (c *Cache) Bytes() int64 { return c.store.MaxCost() - c.store.RemainingCost() }

// Close frees the cache.
func (c *Cache) Close() {
	if c.second != nil {
		c.second.close()
	}
	c.store.Close()
}

// Outcome says how a request was answered.
type Outcome uint8

// The outcomes: it ran, it was remembered, or it shared the run of an equal request.
const (
	Miss Outcome = iota
	Hit
	Shared
)

// Next answers what is not remembered: *batcher.Batcher, or an ensemble of models.
type Next interface {
	Do(ctx context.Context, r *batcher.Request) error
}

// Do answers r from memory, or through b. As with Batcher.Do, a caller that got an answer
// calls r.Release when it has read it.
func (c *Cache) Do(ctx context.Context, s *Scope, b Next, r *batcher.Request) (Outcome, error) {
	buf := c.buffers.Get().(*[]byte)
	k := makeKey(*buf, s, r)
	k.epoch = c.purges.Load()
	defer func() {
		*buf = k.form[:0]
		c.buffers.Put(buf)
	}()
	for {
		if e, ok := c.store.Get(k.hash); ok {
			if e.key.same(&k) {
				c.stats.Hits.Add(1)
				r.Answer(e.out, nil)
				return Hit, nil
			}
			c.stats.Collisions.Add(1)
		}
		f, lead := c.join(&k)
		if lead {
			return c.fill(ctx, f, &k, s, b, r)
		}
		if err := follow(ctx, f, r); err != nil {
			return Miss, err
		}
		if f.err == nil {
			c.stats.Shared.Add(1)
			r.Answer(f.entry.out, nil)
			return Shared, nil
		}
		if !leaderLeft(f.err) {
			return Miss, f.err
		}
	}
}

// follow waits for the end of a flight, at most as long as the request's own caller and deadline let it.
func follow(ctx context.Context, f *flight, r *batcher.Request) error {
	var expired <-chan time.Time
	if !r.Deadline.IsZero() {
		t := time.NewTimer(time.Until(r.Deadline))
		defer t.Stop()
		expired = t.C
	}
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		if ctx.Err() == context.DeadlineExceeded {
			return api.Errorf(api.CodeRequestTimeout, "Request timeout expired")
		}
		return api.Errorf(api.CodeCancelled, "the caller cancelled the request")
	case <-r.Gone():
		return api.Errorf(api.CodeCancelled, "the caller closed the connection")
	case <-expired:
		return api.Errorf(api.CodeRequestTimeout, "Request timeout expired")
	}
}

// leaderLeft reports an error that is the leader's own affair: the others try again.
func leaderLeft(err error) bool {
	switch api.CodeOf(err) {
	case api.CodeCancelled, api.CodeRequestTimeout, api.CodeDeadlineUnmeetable:
		return true
	}
	return false
}

// fill answers the request by the second tier or by b, and publishes its answer.
func (c *Cache) fill(ctx context.Context, f *flight, k *key, s *Scope, b Next, r *batcher.Request) (Outcome, error) {
	finished := false
	defer func() {
		if !finished { // a panic: nobody may wait for ever
			f.err = api.Errorf(api.CodeInternal, "the request that others waited for failed")
			c.finish(f)
		}
	}()
	shared := ""
	if c.second != nil && s.Identity != "" {
		shared = secondKey(s, r)
		if out, ok := c.second.get(ctx, shared); ok {
			r.Answer(out, nil)
			f.entry, finished = remember(k, r), true
			c.store.Set(k.hash, f.entry, f.entry.cost)
			c.finish(f)
			return Hit, nil
		}
	}
	c.stats.Misses.Add(1)
	err := b.Do(ctx, r)
	if err == nil {
		f.entry = remember(k, r)
		c.store.Set(k.hash, f.entry, f.entry.cost)
		if shared != "" && k.epoch == c.purges.Load() {
			c.second.put(shared, f.entry.out)
		}
	}
	f.err, finished = err, true
	c.finish(f)
	return Miss, err
}

// remember copies an answer out of the batch's memory.
func remember(k *key, r *batcher.Request) *entry {
	e := &entry{key: *k, out: make([]tensor.Value, len(r.Out)), cost: 256}
	e.key.form = append([]byte(nil), k.form...)
	e.cost += int64(len(k.form))
	for i, v := range r.Out {
		t, ok := v.(*tensor.Tensor)
		if !ok {
			e.out[i] = v
			continue
		}
		t = t.Clone()
		e.out[i] = t
		e.cost += int64(len(t.Bytes())) + 64
		for _, s := range t.Strings() {
			e.cost += int64(len(s)) + 16
		}
	}
	return e
}
