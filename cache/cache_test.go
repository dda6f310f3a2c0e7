package cache

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/tensor"
)

// sum answers the sum of its input's bytes, and counts its runs.
type sum struct {
	runs atomic.Int64
	gate chan struct{}
}

func (m *sum) Run(_ context.Context, c *device.Call) error {
	m.runs.Add(1)
	if m.gate != nil {
		<-m.gate
	}
	n := int64(0)
	for _, b := range c.In[0].(*tensor.Tensor).Bytes() {
		n += int64(b)
	}
	c.Out = append(c.Out[:0], tensor.FromSlice([]int64{n}, 1))
	return nil
}

func setup(t *testing.T) (*Cache, *sum, *batcher.Batcher) {
	c, err := New(Config{}.WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	m := &sum{}
	b := batcher.New("m", m, batcher.Config{}.WithDefaults(2))
	t.Cleanup(func() { b.Close(); c.Close() })
	return c, m, b
}

func ask(t *testing.T, c *Cache, b *batcher.Batcher, s Scope, in *tensor.Tensor) (Outcome, int64) {
	t.Helper()
	r := &batcher.Request{In: []tensor.Tensor{*in}}
	o, err := c.Do(context.Background(), &s, b, r)
	if err != nil {
		t.Fatal(err)
	}
	n := tensor.Data[int64](r.Out[0].(*tensor.Tensor))[0]
	r.Release()
	c.store.Wait()
	return o, n
}

func TestHitsOnlyEqualRequests(t *testing.T) {
	c, m, b := setup(t)
	bytes := make([]byte, 64)
	bytes[3] = 7
	mk := func(d tensor.DType, s ...int) *tensor.Tensor {
		x, err := tensor.FromBytes(d, s, bytes)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	base := Scope{Generation: 1}
	variants := []struct {
		s Scope
		x *tensor.Tensor
	}{
		{base, mk(tensor.Float32, 2, 8)},
		{base, mk(tensor.Float32, 4, 4)},
		{base, mk(tensor.Int32, 2, 8)},
		{Scope{Generation: 2}, mk(tensor.Float32, 2, 8)},
		{Scope{Generation: 1, Tenant: "a"}, mk(tensor.Float32, 2, 8)},
		{Scope{Generation: 1, Extra: []byte("a")}, mk(tensor.Float32, 2, 8)},
	}
	for i, v := range variants {
		if o, _ := ask(t, c, b, v.s, v.x); o != Miss {
			t.Errorf("variant %d was answered by another's entry", i)
		}
	}
	for i, v := range variants {
		if o, n := ask(t, c, b, v.s, v.x); o != Hit || n != 7 {
			t.Errorf("variant %d: outcome %d, answer %d", i, o, n)
		}
	}
	if n := m.runs.Load(); n != int64(len(variants)) {
		t.Errorf("%d runs", n)
	}
}

func TestLargeInputs(t *testing.T) {
	c, _, b := setup(t)
	x := tensor.New(tensor.Uint8, tensor.Shape{1 << 18})
	ask(t, c, b, Scope{}, x)
	if o, n := ask(t, c, b, Scope{}, x); o != Hit || n != 0 {
		t.Errorf("outcome %d, answer %d", o, n)
	}
	y := x.Clone()
	y.Bytes()[200000] = 1
	if o, n := ask(t, c, b, Scope{}, y); o != Miss || n != 1 {
		t.Errorf("outcome %d, answer %d", o, n)
	}
}

func TestCollisionDoesNotAnswer(t *testing.T) {
	c, _, b := setup(t)
	x := tensor.FromSlice([]uint8{1}, 1)
	s := Scope{Generation: 9}
	k := makeKey(nil, &s, &batcher.Request{In: []tensor.Tensor{*x}})
	wrong := &entry{key: k, out: []tensor.Value{tensor.FromSlice([]int64{99}, 1)}, cost: 1}
	wrong.key.form = []byte("another request of the same hash")
	c.store.Set(k.hash, wrong, 1)
	c.store.Wait()
	if o, n := ask(t, c, b, s, x); o != Miss || n != 1 {
		t.Errorf("outcome %d, answer %d", o, n)
	}
}

func TestSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m, b := setup(t)
		m.gate = make(chan struct{})
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				r := &batcher.Request{In: []tensor.Tensor{*tensor.FromSlice([]uint8{5}, 1)}}
				if _, err := c.Do(context.Background(), &Scope{}, b, r); err != nil {
					t.Error(err)
				} else if n := tensor.Data[int64](r.Out[0].(*tensor.Tensor))[0]; n != 5 {
					t.Errorf("got %d", n)
				}
				r.Release()
			})
		}
		synctest.Wait() // one runs, the others wait for it
		close(m.gate)
		wg.Wait()
		if n := m.runs.Load(); n != 1 {
			t.Errorf("%d runs of 20 equal requests", n)
		}
	})
}

func TestFollowersTakeOverFromALeaderThatLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, m, b := setup(t)
		m.gate = make(chan struct{})
		ctx, cancel := context.WithCancel(context.Background())
		first := make(chan error, 1)
		go func() {
			r := &batcher.Request{In: []tensor.Tensor{*tensor.FromSlice([]uint8{5}, 1)}}
			_, err := c.Do(ctx, &Scope{}, b, r)
			first <- err
		}()
		synctest.Wait() // it runs
		second := make(chan error, 1)
		go func() {
			r := &batcher.Request{In: []tensor.Tensor{*tensor.FromSlice([]uint8{5}, 1)}}
			_, err := c.Do(context.Background(), &Scope{}, b, r)
			r.Release()
			second <- err
		}()
		synctest.Wait() // the second waits for the first
		cancel()
		if err := <-first; err == nil {
			t.Error("the cancelled leader got an answer")
		}
		close(m.gate)
		if err := <-second; err != nil {
			t.Errorf("the follower failed: %v", err)
		}
	})
}

// TestFollowersKeepTheirDeadlines: a request that waits for an equal one's run is answered when its own time is over.
func TestFollowersKeepTheirDeadlines(t *testing.T) {
	c, m, b := setup(t)
	m.gate = make(chan struct{})
	first := make(chan error, 1)
	ask := func(ctx context.Context, deadline time.Time) error {
		r := &batcher.Request{In: []tensor.Tensor{*tensor.FromSlice([]uint8{5}, 1)}, Deadline: deadline}
		_, err := c.Do(ctx, &Scope{}, b, r)
		r.Release()
		return err
	}
	go func() { first <- ask(context.Background(), time.Time{}) }()
	for m.runs.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	for name, wait := range map[string]func() error{
		"deadline": func() error { return ask(context.Background(), time.Now().Add(20*time.Millisecond)) },
		"context":  func() error { return ask(ctx, time.Time{}) },
	} {
		done := make(chan error, 1)
		go func() { done <- wait() }()
		select {
		case err := <-done:
			if api.CodeOf(err) != api.CodeRequestTimeout {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("%s: no answer", name)
		}
	}
	close(m.gate)
	if err := <-first; err != nil {
		t.Errorf("the leader: %v", err)
	}
}

func BenchmarkHit(bench *testing.B) {
	c, _ := New(Config{}.WithDefaults())
	b := batcher.New("m", &sum{}, batcher.Config{}.WithDefaults(2))
	r := &batcher.Request{In: []tensor.Tensor{*tensor.New(tensor.Float32, tensor.Shape{1, 32})}}
	s := &Scope{Generation: 1}
	c.Do(context.Background(), s, b, r)
	c.store.Wait()
	bench.ReportAllocs()
	for bench.Loop() {
		if o, err := c.Do(context.Background(), s, b, r); err != nil || o != Hit {
			bench.Fatal(o, err)
		}
	}
}
