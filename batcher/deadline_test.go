package batcher

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aimass/aimass/api"
)

// learned makes a batcher that knows its model: a run takes d's delay.
func learned(d *double, cfg Config) *Batcher {
	b := New("m", d, cfg.WithDefaults(1))
	r := request(1)
	r.began = b.clock()
	r.prepare(b.epoch, &lag{})
	for range settled {
		b.latency.Observe(r.item.Class, r.item.Bytes, 1, int64(d.delay))
	}
	return b
}

func TestUnmeetableIsRefusedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &double{delay: 100 * time.Millisecond}
		b := learned(d, Config{Instances: 1})
		done := make(chan struct{})
		go func() { r := request(1); b.Do(context.Background(), r); r.Release(); close(done) }()
		synctest.Wait()
		r := request(2)
		began := time.Now()
		r.Deadline = began.Add(150 * time.Millisecond) // the answer would come after 200 ms
		err := b.Do(context.Background(), r)
		if api.CodeOf(err) != api.CodeDeadlineUnmeetable || time.Since(began) > 0 {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		if after := api.RetryAfter(err); after < 40*time.Millisecond || after > 60*time.Millisecond {
			t.Errorf("retry after %v, want some 50 ms", after)
		}
		r = request(3)
		r.Deadline = time.Now().Add(250 * time.Millisecond)
		if err := b.Do(context.Background(), r); err != nil {
			t.Errorf("one that makes it: %v", err)
		}
		check(t, r, 3)
		r.Release()
		<-done
		b.Close()
		if n := d.runs.Load(); n != 2 {
			t.Errorf("%d runs", n)
		}
		if b.stats.Unmeetable.Load() != 1 {
			t.Error("not counted")
		}
	})
}

// TestLateIsNeverRun: the model becomes slower than it was known to be.
func TestLateIsNeverRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &double{delay: 10 * time.Millisecond}
		b := learned(d, Config{Instances: 1, MaxRows: 1})
		d.delay = time.Second
		var wg sync.WaitGroup
		var late atomic.Int64
		wg.Go(func() { r := request(1); b.Do(context.Background(), r); r.Release() })
		synctest.Wait()
		for range 3 {
			wg.Go(func() {
				r := request(2)
				began := time.Now()
				r.Deadline = began.Add(100 * time.Millisecond)
				if err := b.Do(context.Background(), r); api.CodeOf(err) == api.CodeRequestTimeout && time.Since(began) == 100*time.Millisecond {
					late.Add(1)
				} else {
					t.Errorf("%v after %v", err, time.Since(began))
				}
			})
		}
		wg.Wait()
		b.Close()
		if late.Load() != 3 || d.runs.Load() != 1 {
			t.Errorf("%d timed out at their deadline, %d runs", late.Load(), d.runs.Load())
		}
	})
}

func TestDelayGathersAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &double{delay: time.Millisecond}
		b := New("m", d, Config{Instances: 1, Delay: 20 * time.Millisecond, Preferred: 4}.WithDefaults(1))
		ask := func(n int) time.Duration {
			var wg sync.WaitGroup
			began := time.Now()
			for i := range n {
				wg.Go(func() {
					r := request(float32(i))
					if err := b.Do(context.Background(), r); err != nil {
						t.Error(err)
						return
					}
					check(t, r, float32(i))
					r.Release()
				})
			}
			wg.Wait()
			return time.Since(began)
		}
		if took := ask(3); took != 21*time.Millisecond || d.runs.Load() != 1 {
			t.Errorf("3 requests took %v in %d runs", took, d.runs.Load())
		}
		if took := ask(4); took != time.Millisecond || d.runs.Load() != 2 {
			t.Errorf("4 requests took %v in %d runs: they are enough", took, d.runs.Load()-1)
		}
		b.Close()
	})
}

func TestPrioritiesGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &double{delay: 10 * time.Millisecond}
		b := New("m", d, Config{Instances: 1, MaxRows: 1, Levels: 2}.WithDefaults(1))
		var mu sync.Mutex
		var order []int
		var wg sync.WaitGroup
		ask := func(level int) {
			wg.Go(func() {
				r := request(1)
				r.Priority = level
				if err := b.Do(context.Background(), r); err != nil {
					t.Error(err)
				}
				mu.Lock()
				order = append(order, level)
				mu.Unlock()
				r.Release()
			})
			synctest.Wait()
		}
		for _, level := range []int{2, 2, 2, 1, 1} {
			ask(level)
		}
		wg.Wait()
		want := []int{2, 1, 1, 2, 2}
		for i := range want {
			if order[i] != want[i] {
				t.Fatalf("order %v, want %v", order, want)
			}
		}
		r := request(1)
		r.Priority = 3
		if err := b.Do(context.Background(), r); api.CodeOf(err) != api.CodeParameterInvalid {
			t.Errorf("priority 3 of 2: %v", err)
		}
		b.Close()
	})
}

func TestFullQueueMakesRoomForTheQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &double{delay: 10 * time.Millisecond}
		b := New("m", d, Config{Instances: 1, MaxRows: 1, MaxQueue: 4}.WithDefaults(1))
		var wg sync.WaitGroup
		var refused atomic.Int64
		ask := func(tenant string) {
			wg.Go(func() {
				r := request(1)
				r.Tenant = tenant
				switch err := b.Do(context.Background(), r); {
				case api.CodeOf(err) == api.CodeQueueFull && err != nil && tenant == "greedy":
					refused.Add(1)
				case err != nil:
					t.Errorf("%s: %v", tenant, err)
				}
				r.Release()
			})
			synctest.Wait()
		}
		for range 5 {
			ask("greedy")
		}
		ask("quiet")
		wg.Wait()
		b.Close()
		if refused.Load() != 1 || d.runs.Load() != 5 {
			t.Errorf("%d refused, %d runs", refused.Load(), d.runs.Load())
		}
	})
}
