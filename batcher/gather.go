package batcher

import (
	goruntime "runtime"
	"time"
)

// The batching delay that no one has to configure. A request costs more than its run: it is read, its goroutine is woken, its answer is
// written. Where cores are busy with that, requests that have come wait in sockets and run queues while instances seem free, and whoever
// took a free instance at once would run alone what could have run together, on a core that the others need. So a lone request lets those
// go first who have been read already, and where requests have lately been in flight beside each other, it waits for what comes within a
// few times what a batch costs besides its rows.

// gather lets others join a request that waits alone, and then starts what is due. b.mu is held, but not meanwhile: the request may
// be led or answered in between. A timer ends a pause, not the caller, since the end may make the caller lead.
func (b *Batcher) gather(r *Request) {
	b.gathering++
	if pause := b.policy.Pause(&r.item); pause > 0 {
		time.AfterFunc(pause, b.gathered)
		return
	}
	b.mu.Unlock()
	goruntime.Gosched()
	b.mu.Lock()
	b.gathering--
	b.next()
}

func (b *Batcher) gathered() {
	b.mu.Lock()
	b.gathering--
	b.next()
	b.mu.Unlock()
}

const (
	// besideMemory is the number of requests that Policy.beside is a mean of.
	besideMemory = 16
	// company is the number of requests in flight when another comes from which on it waits for more.
	company = 1
	// worthSharing is the least run of a lone request, in nanoseconds, that is several times what passing through the queue costs.
	worthSharing = 30e3
	// loneMemory is the number of runs that Policy.lone is a mean of.
	loneMemory = 16
	// patient: a lone request waits so many times what a batch costs besides its rows.
	patient = 4
	// longestPause bounds the wait.
	longestPause = 500 * time.Microsecond
)

// Beside tells how many others had not been answered yet when a request came. Where nobody tells, nobody pauses.
func (p *Policy) Beside(others int) {
	if others == 0 {
		p.beside /= 2 // whoever calls alone should soon have no pause
	}
	p.beside += (float64(others) - p.beside) / besideMemory
}

// RanAlone tells how long the run of a lone request took: the latency model has in it, too, how long a batch waited for a
// processor, which sharing would not save but cost.
func (p *Policy) RanAlone(ns int64) {
	t := float64(ns)
	if p.lone > 0 {
		t = p.lone + (min(t, 4*p.lone)-p.lone)/loneMemory
	}
	p.lone = t
}

// Shares reports whether an item that is Alone should gather others: a run is so long that passing through
// the queue is worth it.
func (p *Policy) Shares(it *Item) bool {
	return it.Rows > 0 && it.rows() < p.cfg.MaxRows && p.cfg.Delay == 0 && p.lone > worthSharing
}

// Pause is how long an item should gather others.
func (p *Policy) Pause(it *Item) time.Duration {
	if p.beside < company || it.hurries() {
		return 0
	}
	c := p.curveOf(it)
	if !c.known {
		return 0
	}
	return min(time.Duration(patient*c.base), longestPause)
}

// Ends reports whether an item that was pushed while another gathered ends the pause.
func (p *Policy) Ends(it *Item) bool {
	return p.rows >= p.cfg.MaxRows || it.Rows <= 0 || it.hurries() || p.back.expected > 0 && p.n >= p.back.expected
}

// hurries reports whether the longest pause is more than a small part of the time that an item has.
func (it *Item) hurries() bool {
	return it.Deadline != 0 && it.Deadline-it.Arrived < 8*int64(longestPause)
}
