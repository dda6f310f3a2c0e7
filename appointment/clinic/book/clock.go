package book

import (
	"sync"
	"time"

	"github.com/aimass/aimass/appointment"
)

// Clock tells the time and notices when the machine's clock is set: the wall clock then
// goes another way than the monotonic one. For [Settle] after a jump, Now is an error;
// then the new time is taken as right.
type Clock struct {
	read  func() (wall time.Time, mono time.Duration)
	shown func(wall time.Time) time.Time

	mu      sync.Mutex
	offset  time.Duration // of wall against mono, as last accepted
	settled time.Duration // mono from which the time is trusted
	jumped  time.Duration // how far jumps went that were not dealt with yet
	begun   bool
}

const (
	// Tolerance is how far the wall clock may drift from the monotonic one between two
	// readings before it counts as a jump.
	Tolerance = 30 * time.Second
	// Settle is how long the time is not trusted after a jump.
	Settle = time.Minute
)

// NewClock makes the machine's clock.
func NewClock() *Clock {
	start := time.Now()
	return newClock(func() (time.Time, time.Duration) {
		now := time.Now()
		return now.Round(0), now.Sub(start)
	})
}

// NewDemoClock is a clock that says start now and runs so many times faster, for a demo
// whose clinic is open whenever somebody looks.
func NewDemoClock(start time.Time, speed float64) *Clock {
	begin := time.Now()
	c := newClock(func() (time.Time, time.Duration) {
		mono := time.Since(begin)
		return begin.Round(0).Add(mono), mono
	})
	c.shown = func(time.Time) time.Time {
		return start.Add(time.Duration(float64(time.Since(begin)) * speed)).Truncate(time.Millisecond)
	}
	return c
}

func newClock(read func() (time.Time, time.Duration)) *Clock {
	return &Clock{read: read, shown: func(t time.Time) time.Time { return t }}
}

// Now is the time, or [appointment.CodeClockJump] while it can't be trusted.
func (c *Clock) Now() (time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, mono := c.read()
	offset := time.Duration(wall.UnixNano()) - mono
	if !c.begun {
		c.begun, c.offset = true, offset
	}
	if by := offset - c.offset; by > Tolerance || by < -Tolerance {
		c.jumped += by
		c.settled = mono + Settle
	}
	c.offset = offset
	if mono < c.settled {
		return time.Time{}, appointment.Errorf(appointment.CodeClockJump, "clock", "the clock was set; times are trusted again in %s",
			(c.settled - mono).Round(time.Second))
	}
	return c.shown(wall), nil
}

// Look is the time whether it can be trusted or not, for display.
func (c *Clock) Look() time.Time {
	wall, _ := c.read()
	return c.shown(wall)
}

// distrust makes the clock settle, because it stands before a time that was seen before.
func (c *Clock) distrust() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, mono := c.read()
	c.settled = mono + Settle
}

// jump says how far the clock has jumped in all that tookJump was not told of.
func (c *Clock) jump() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.jumped
}

// tookJump says that a jump has been dealt with.
func (c *Clock) tookJump(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jumped -= by
}
