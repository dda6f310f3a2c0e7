package jobs

import (
	"time"

	"github.com/aimass/aimass/internal/child"
)

// Traffic tells how many requests the server has begun to answer since it started, and how many
// it is answering now.
type Traffic func() (begun, pending int64)

// A process that is only ever runnable at the lowest priority still costs requests time: the
// kernel counts its core as busy, so it neither looks for a free core for a thread that wakes
// up nor takes a waiting thread over from the other cores when that one falls free. A job
// therefore sleeps for most of the time in which requests come.
const (
	// turn is a job's work and its rest after it.
	turn = 20 * time.Millisecond
	// quiet is how long after the last request jobs run freely.
	quiet = 200 * time.Millisecond
	// look is how often a job that runs freely is looked after.
	look = 5 * time.Millisecond
)

// pace has a child rest for its part of each turn while requests come, until it has ended.
func pace(p *child.Process, traffic Traffic, share float64) {
	work := time.Duration(share * float64(turn))
	t := time.NewTimer(0)
	defer t.Stop()
	ended := func(after time.Duration) bool {
		t.Reset(after)
		select {
		case <-p.Done():
			return true
		case <-t.C:
			return false
		}
	}
	seen, _ := traffic()
	last := time.Now().Add(-quiet)
	for {
		begun, pending := traffic()
		now := time.Now()
		if begun != seen || pending > 0 {
			seen, last = begun, now
		}
		if now.Sub(last) >= quiet {
			// Again and again, since one that was told of both at once may have taken the
			// second first.
			p.Resume()
			if ended(look) {
				return
			}
			continue
		}
		// By the clock, so that jobs beside each other rest together.
		phase := time.Duration(now.UnixNano()) % turn
		if phase >= work {
			p.Pause()
			over := ended(turn - phase)
			p.Resume()
			if phase = 0; over {
				return
			}
		}
		if ended(work - phase) {
			return
		}
	}
}
