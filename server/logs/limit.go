package logs

import (
	"sync/atomic"
	"time"

	"github.com/aimass/aimass/api"
)

// refusalsLogged is how many refusals for want of capacity have a line in a second: under
// overload there are thousands, and to log each would take time from those that are answered.
const refusalsLogged = 20

// limiter lets some events of each second through and counts the rest.
type limiter struct {
	second, seen, dropped atomic.Int64
}

// pass reports whether an event may be logged, and how many were not since the last that was.
func (l *limiter) pass(now time.Time) (ok bool, dropped int64) {
	s := now.Unix()
	if old := l.second.Load(); old != s && l.second.CompareAndSwap(old, s) {
		l.seen.Store(0)
	}
	if l.seen.Add(1) > refusalsLogged {
		l.dropped.Add(1)
		return false, 0
	}
	return true, l.dropped.Swap(0)
}

// Crowded reports an error that comes of too much load, of which there may be very many.
func Crowded(err error) bool {
	switch api.CodeOf(err) {
	case api.CodeQueueFull, api.CodeDeadlineUnmeetable, api.CodeRequestTimeout:
		return true
	}
	return false
}

// full reports whether this second's events have been let through.
func (l *limiter) full(now time.Time) bool {
	return l.second.Load() == now.Unix() && l.seen.Load() >= refusalsLogged
}
