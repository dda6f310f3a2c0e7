package cache

import "sync"

// flight is a run that equal requests wait for.
type flight struct {
	key   key
	done  chan struct{}
	entry *entry
	err   error
	next  *flight // another key of the same hash
}

// shard holds the flights of a part of the hashes.
type shard struct {
	mu      sync.Mutex
	flights map[uint64]*flight
}

func (c *Cache) shard(hash uint64) *shard { return &c.shards[hash%uint64(len(c.shards))] }

// join finds the flight of an equal request, or begins one that the caller must finish.
func (c *Cache) join(k *key) (f *flight, lead bool) {
	s := c.shard(k.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.flights[k.hash]
	for f := first; f != nil; f = f.next {
		if f.key.same(k) {
			return f, false
		}
	}
	f = &flight{key: *k, done: make(chan struct{}), next: first}
	f.key.form = append([]byte(nil), k.form...)
	s.flights[k.hash] = f
	return f, true
}

// finish ends a flight and wakes those who wait.
func (c *Cache) finish(f *flight) {
	s := c.shard(f.key.hash)
	s.mu.Lock()
	if first := s.flights[f.key.hash]; first == f {
		if f.next == nil {
			delete(s.flights, f.key.hash)
		} else {
			s.flights[f.key.hash] = f.next
		}
	} else {
		for g := first; g != nil; g = g.next {
			if g.next == f {
				g.next = f.next
				break
			}
		}
	}
	s.mu.Unlock()
	close(f.done)
}
