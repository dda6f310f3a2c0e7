package batcher

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestCallersThatComeBackShareABatch: callers who send again shortly after their answer run together, rather than the first
// of them alone and the others after it; one who calls alone has no pause.
func TestCallersThatComeBackShareABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const callers, rounds, took = 8, 40, 10 * time.Millisecond
		m := &double{delay: took}
		b := New("m", m, Config{}.WithDefaults(1))
		call := func() {
			r := request(1)
			if err := b.Do(context.Background(), r); err != nil {
				t.Error(err)
				return
			}
			check(t, r, 1)
			r.Release()
		}
		call() // what a run takes is known from here on
		started := time.Now()
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				for range rounds {
					time.Sleep(time.Duration(10*i) * time.Microsecond)
					call()
				}
			})
		}
		wg.Wait()
		if n := m.runs.Load(); n > rounds+rounds/4 {
			t.Errorf("%d runs for %d rounds of %d callers", n, rounds, callers)
		}
		// The last that is waited for ends the pause.
		if d := time.Since(started); d > rounds*(took+10*callers*time.Microsecond)+took {
			t.Errorf("%d rounds of %v took %v", rounds, took, d)
		}
		for range 8 {
			call()
		}
		began := time.Now()
		call()
		if d := time.Since(began); d != took {
			t.Errorf("a lone caller waited %v for a run of %v", d, took)
		}
		b.Close()
	})
}

func TestWhoPauses(t *testing.T) {
	p := testPolicy(Config{MaxRows: 8})
	it := &Item{Rows: 1}
	if p.Shares(it) {
		t.Error("gathers though no run was seen")
	}
	p.RanAlone(int64(worthSharing) / 2)
	if p.Shares(it) {
		t.Error("gathers for a run that costs less than the queue")
	}
	for range 64 {
		p.RanAlone(4 * msec)
	}
	if !p.Shares(it) || p.Shares(&Item{}) || p.Shares(&Item{Rows: 8}) {
		t.Error("whoever can have company should gather, and nobody else")
	}
	if d := p.Pause(it); d != 0 {
		t.Errorf("waits %v though nobody ever came beside another", d)
	}
	for range 64 {
		p.Beside(5)
	}
	if d := p.Pause(it); d != longestPause {
		t.Errorf("waits %v: 4 times the 3 ms of a batch without rows, but %v at most", d, longestPause)
	}
	if d := p.Pause(&Item{Rows: 1, Arrived: msec, Deadline: 3 * msec}); d != 0 {
		t.Errorf("waits %v of the 2 ms that it has", d)
	}
	for range 4 {
		p.Beside(0)
	}
	if d := p.Pause(it); d != 0 {
		t.Errorf("waits %v after four calls alone", d)
	}
	p.Push(&Item{Rows: 1})
	for i, c := range []struct {
		it   Item
		ends bool
	}{{Item{Rows: 1}, false}, {Item{}, true}, {Item{Rows: 1, Arrived: msec, Deadline: 3 * msec}, true}, {Item{Rows: 1, Deadline: 900 * msec}, false},
		{Item{Rows: 4}, true}} {
		it := c.it
		p.Push(&it)
		if p.Ends(&it) != c.ends {
			t.Errorf("item %d: ends the pause: %t", i, !c.ends)
		}
	}
}
