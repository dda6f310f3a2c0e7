package batcher

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aimass/aimass/runtime/device"
)

// ownNice is this thread's nice value; the system call gives 20 less that.
func ownNice() (int, error) {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	return 20 - n, err
}

// claims is a model that notes how its runs' threads stand to the processor.
type claims struct {
	double
	mu   sync.Mutex
	seen map[int]int // runs by nice value
}

func (c *claims) Run(ctx context.Context, call *device.Call) error {
	nice, err := ownNice()
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.seen[nice]++
	c.mu.Unlock()
	return c.double.Run(ctx, call)
}

// waiting counts the threads that have nothing to run.
func (g *background) waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.idle)
}

// TestLongRunsInTheBackground: a long run is in a thread of lower priority where others wait or have a deadline, and in its caller's
// where all have found room, as a lone one and a short one are; the threads end when they have nothing to do.
func TestLongRunsInTheBackground(t *testing.T) {
	own, err := ownNice()
	if err != nil {
		t.Fatal(err)
	}
	if own == lowest {
		t.Skip("NOT RUN: the test itself runs with the lowest priority")
	}
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			name  string
			took  time.Duration
			calls int // at once
			limit time.Duration
			low   bool
		}{
			{"long, others wait", 5 * time.Millisecond, 8, 0, true},
			{"long, nobody waits", 5 * time.Millisecond, 2, 0, false},
			{"long, with a deadline", 5 * time.Millisecond, 2, time.Minute, true},
			{"long, alone", 5 * time.Millisecond, 1, 0, false},
			{"short", longRun / 4, 8, 0, false},
		} {
			m := &claims{double: double{delay: c.took}, seen: map[int]int{}}
			b := New("m", m, Config{MaxRows: 2}.WithDefaults(1))
			call := func() {
				r := request(1)
				if c.limit > 0 {
					r.Deadline = time.Now().Add(c.limit)
				}
				if err := b.Do(context.Background(), r); err != nil {
					t.Error(err)
					return
				}
				check(t, r, 1)
				r.Release()
			}
			call() // what a run takes is known from here on
			for range 3 {
				var wg sync.WaitGroup
				for range c.calls {
					wg.Go(call)
				}
				wg.Wait()
			}
			if got := m.seen[lowest] > 0; got != c.low {
				t.Errorf("%s: runs by nice value: %v", c.name, m.seen)
			}
			if n := b.background.waiting(); c.low != (n == 1) {
				t.Errorf("%s: %d threads in the background", c.name, n)
			}
			time.Sleep(2 * backgroundIdle)
			if n := b.background.waiting(); n != 0 {
				t.Errorf("%s: %d threads after a pause", c.name, n)
			}
			b.Close()
		}
	})
}
