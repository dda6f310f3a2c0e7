package batcher

import "time"

// Callers in a closed loop (they send again when they have their answer) come back shortly after their batch has ended. If one of
// them had come too late for it and is taken at once, all others are too late in their turn, and batches of one and of all others
// alternate. So after the batch of a slow model the instance is held idle for a while, a lull, if fewer wait than were in it, as long as
// those who are missing do come.

// returning is what is known of callers that come back.
type returning struct {
	expected int     // requests that wait once all callers of the last batch are back; 0: nobody waits for them
	pushed   int     // requests that have been queued
	missed   float64 // of those who were waited for, the share that did not come
	skipped  int     // lulls since one was tried
}

const (
	// lullPart is the part of a batch's time that the lull after it may take.
	lullPart = 16
	// leastLull: by less, nothing is gained that timers don't lose.
	leastLull = 100 * time.Microsecond
	// missedMemory is the number of lulls that returning.missed is a mean of.
	missedMemory = 8
	// lullTry: where most don't come back, one lull in so many is made to see whether that still holds.
	lullTry = 16
)

// Lull is how long nothing should be started after a batch of so many requests that took ns.
func (p *Policy) Lull(members int, ns int64) time.Duration {
	l := &p.back
	l.expected = 0
	longest := time.Duration(ns / lullPart)
	if members < 2 || longest < leastLull || p.active > 0 || p.cfg.Delay > 0 || p.beside < company || p.n >= members {
		return 0
	}
	if l.missed > 0.5 {
		if l.skipped++; l.skipped < lullTry {
			return 0
		}
	}
	l.expected = members + p.n
	if p.n == 0 {
		return 0 // whoever comes first gathers
	}
	first := p.head()
	if p.Ends(first) || !p.Shares(first) {
		return 0
	}
	l.skipped = 0
	return min(p.Pause(first), longest)
}

// head is what is served next if nobody is late; something must wait.
func (p *Policy) head() (it *Item) {
	p.scan(func(first *Item) bool {
		it = first
		return false
	})
	return it
}

// Returned tells how many were pushed in a lull for the missing.
func (p *Policy) Returned(came, missing int) {
	p.back.missed += (1 - min(float64(came)/float64(missing), 1) - p.back.missed) / missedMemory
}

// lull waits for callers to come back, and then starts what is due; b.gathering counts it.
func (b *Batcher) lull(pause time.Duration, pushed, missing int) {
	time.Sleep(pause)
	b.mu.Lock()
	b.gathering--
	b.policy.Returned(b.policy.back.pushed-pushed, missing)
	b.next()
	b.mu.Unlock()
}
