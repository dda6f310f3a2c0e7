package batcher

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/tensor"
)

// double is a model y = 2x that can be slow, block, or fail on a value.
type double struct {
	delay   time.Duration
	gate    chan struct{}
	runs    atomic.Int64
	maxRows atomic.Int64
	poison  bool  // overwrite a released output
	bad     error // of a run with a value below 0
}

func (d *double) Run(_ context.Context, c *device.Call) error {
	d.runs.Add(1)
	if d.gate != nil {
		<-d.gate
	}
	time.Sleep(d.delay)
	x := c.In[0].(*tensor.Tensor)
	d.maxRows.Store(max(d.maxRows.Load(), int64(x.Shape[0])))
	y := tensor.New(tensor.Float32, x.Shape.Clone())
	for i, v := range tensor.Data[float32](x) {
		if v < 0 {
			return d.bad
		}
		tensor.Data[float32](y)[i] = 2 * v
	}
	c.Out = append(c.Out[:0], y)
	c.Hold(releaser{y, d.poison})
	return nil
}

type releaser struct {
	t      *tensor.Tensor
	poison bool
}

func (r releaser) Release(*device.Call) {
	if r.poison {
		for i := range tensor.Data[float32](r.t) {
			tensor.Data[float32](r.t)[i] = -1e30
		}
	}
}

func request(vals ...float32) *Request {
	r := &Request{Rows: len(vals)}
	r.In = append(r.In, *tensor.FromSlice(vals, len(vals), 1))
	return r
}

func check(t *testing.T, r *Request, vals ...float32) {
	t.Helper()
	y := r.Out[0].(*tensor.Tensor)
	if y.Shape[0] != len(vals) {
		t.Fatalf("got %d rows, want %d", y.Shape[0], len(vals))
	}
	for i, v := range tensor.Data[float32](y) {
		if v != 2*vals[i] {
			t.Fatalf("row %d: got %v, want %v", i, v, 2*vals[i])
		}
	}
}

func TestAnswersBelongToRequests(t *testing.T) {
	for _, delay := range []time.Duration{0, 200 * time.Microsecond} {
		d := &double{delay: delay, poison: true}
		b := New("m", d, Config{}.WithDefaults(2))
		var wg sync.WaitGroup
		for g := range 32 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				rng := rand.New(rand.NewPCG(uint64(g), 1))
				for range 100 {
					vals := make([]float32, 1+rng.IntN(3))
					for i := range vals {
						vals[i] = rng.Float32()
					}
					ctx, cancel := context.Background(), func() {}
					if rng.IntN(4) == 0 {
						ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(400))*time.Microsecond)
					}
					r := request(append([]float32{}, vals...)...)
					err := b.Do(ctx, r)
					if err == nil {
						check(t, r, vals...)
						r.Release()
					} else if c := api.CodeOf(err); c != api.CodeRequestTimeout && c != api.CodeCancelled {
						t.Errorf("unexpected error %v", err)
					}
					// The caller's memory may be reused at once, also after a give-up.
					for i := range tensor.Data[float32](&r.In[0]) {
						tensor.Data[float32](&r.In[0])[i] = 1e20
					}
					cancel()
				}
			}()
		}
		wg.Wait()
		if delay > 0 && d.maxRows.Load() < 4 {
			t.Errorf("batches had at most %d rows", d.maxRows.Load())
		}
		b.Close()
	}
}

// TestOneBadRequestFailsAlone: of a batch that fails those members fail whose own run does, with the code of a bad
// request where a node refuses what they sent.
func TestOneBadRequestFailsAlone(t *testing.T) {
	for code, bad := range map[api.Code]error{
		api.CodeExecutionFailed: errors.New("a value is negative"),
		api.CodeValueInvalid:    &device.Refusal{Err: errors.New("a value is negative")},
		api.CodeShapeMismatch:   &device.Refusal{Err: errors.New("a value is negative"), Shapes: true},
	} {
		t.Run(string(code), func(t *testing.T) { testBadRequest(t, bad, code) })
	}
}

func testBadRequest(t *testing.T, bad error, code api.Code) {
	d := &double{gate: make(chan struct{}), bad: bad}
	b := New("m", d, Config{Instances: 1}.WithDefaults(1))
	defer b.Close()
	first := make(chan error, 1)
	go func() { r := request(1); err := b.Do(context.Background(), r); r.Release(); first <- err }()
	for d.runs.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			v := float32(i)
			if i == 3 {
				v = -1
			}
			r := request(v)
			if errs[i] = b.Do(context.Background(), r); errs[i] == nil {
				check(t, r, v)
			}
			r.Release()
		}()
	}
	for b.stats.Waiting.Load() < 8 {
		time.Sleep(time.Millisecond)
	}
	close(d.gate)
	wg.Wait()
	if err := <-first; err != nil {
		t.Error(err)
	}
	for i, err := range errs {
		if (err != nil) != (i == 3) {
			t.Errorf("request %d: %v", i, err)
		}
	}
	if api.CodeOf(errs[3]) != code || !strings.Contains(api.Message(errs[3]), "model 'm'") || !strings.Contains(api.Message(errs[3]), "a value is negative") {
		t.Errorf("got code %v: %v", api.CodeOf(errs[3]), errs[3])
	}
}

func TestQueueIsBounded(t *testing.T) {
	d := &double{gate: make(chan struct{})}
	b := New("m", d, Config{Instances: 1, MaxQueue: 3}.WithDefaults(1))
	var wg sync.WaitGroup
	var full atomic.Int64
	for range 10 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r := request(1)
			if err := b.Do(context.Background(), r); api.CodeOf(err) == api.CodeQueueFull {
				full.Add(1)
			} else if err != nil {
				t.Error(err)
			}
			r.Release()
		}()
	}
	for full.Load() < 6 {
		time.Sleep(time.Millisecond)
	}
	close(d.gate)
	wg.Wait()
	b.Close()
	if full.Load() != 6 {
		t.Errorf("%d were refused, want 6: one runs, three wait", full.Load())
	}
}

func TestDeadlineIsAnsweredWhileTheModelIsBusy(t *testing.T) {
	d := &double{gate: make(chan struct{})}
	b := New("m", d, Config{Instances: 1}.WithDefaults(1))
	go func() { r := request(1); b.Do(context.Background(), r); r.Release() }()
	for d.runs.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	r := request(1)
	r.Deadline = time.Now().Add(10 * time.Millisecond)
	if err := b.Do(context.Background(), r); api.CodeOf(err) != api.CodeRequestTimeout {
		t.Errorf("got %v", err)
	}
	close(d.gate)
	b.Close()
	if n := d.runs.Load(); n != 1 {
		t.Errorf("%d runs: the late request was executed", n)
	}
}

func TestOtherShapesDoNotMix(t *testing.T) {
	a, b := request(1), request(1, 2)
	if !sameClass(a, b) {
		t.Error("rows alone must not part requests")
	}
	b.In[0] = *tensor.FromSlice([]float32{1, 2, 3, 4}, 2, 2)
	if sameClass(a, b) {
		t.Error("[1,1] and [2,2] were put together")
	}
	a.Rows = 0
	if sameClass(a, request(1)) {
		t.Error("a request that must run alone was put together")
	}
}

func BenchmarkDo(bench *testing.B) {
	b := New("m", nop{}, Config{}.WithDefaults(2))
	r := request(1)
	bench.ReportAllocs()
	for bench.Loop() {
		if err := b.Do(context.Background(), r); err != nil {
			bench.Fatal(err)
		}
		r.Release()
	}
}

type nop struct{}

var nopOut = tensor.New(tensor.Float32, tensor.Shape{1, 1})

func (nop) Run(_ context.Context, c *device.Call) error {
	c.Out = append(c.Out[:0], nopOut)
	return nil
}
