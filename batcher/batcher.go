package batcher

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/runtime/device"
)

// Runner is what a batch runs on; *runtime.Model is one.
type Runner interface {
	Run(ctx context.Context, call *device.Call) error
}

// Batcher serves one model version.
type Batcher struct {
	name    string
	model   Runner
	cfg     Config
	policy  *Policy
	latency Latency

	mu         sync.Mutex
	head, tail *Request
	waiting    int
	rows       int
	bytes      int64
	active     int
	closed     bool
	drained    chan struct{} // closed when closed and nothing is in flight
	timer      *time.Timer
	pool       []*batch

	// inflight counts requests from Do until their error or Release.
	inflight atomic.Int64
	closing  atomic.Bool

	stats Stats
}

// Stats counts what the batcher did. Fields only grow, but for Waiting.
type Stats struct {
	Waiting    atomic.Int64
	Rejected   atomic.Int64 // refused because the queue was full
	TimedOut   atomic.Int64
	Cancelled  atomic.Int64
	Executions atomic.Int64
	Rows       atomic.Int64
}

var epoch = time.Now()

// clock is monotonic nanoseconds.
func clock() int64 { return int64(time.Since(epoch)) }

// New makes the batcher of a model version; name is used in error texts.
func New(name string, model Runner, cfg Config) *Batcher {
	b := &Batcher{name: name, model: model, cfg: cfg, drained: make(chan struct{})}
	b.policy = NewPolicy(cfg, &b.latency)
	return b
}

// Stats gives the counters.
func (b *Batcher) Stats() *Stats { return &b.stats }

// Latency gives the learned run times.
func (b *Batcher) Latency() *Latency { return &b.latency }

// Do runs the request and waits for its outputs. On success the caller must call
// r.Release once it has read them. It returns early when ctx is done or the deadline
// passes; the request is then not run, or its result is dropped.
func (b *Batcher) Do(ctx context.Context, r *Request) error {
	r.prepare()
	if r.Deadline.IsZero() && b.cfg.DefaultTimeout > 0 {
		r.Deadline = time.Now().Add(b.cfg.DefaultTimeout)
	}
	r.began = clock()
	b.inflight.Add(1)
	b.mu.Lock()
	if err := b.admit(r); err != nil {
		b.mu.Unlock()
		b.done()
		return err
	}
	if b.head == nil && b.active < b.cfg.Instances && b.policy.Due(r.Rows, 0) {
		bt := b.getBatch()
		bt.add(r)
		b.active++
		b.mu.Unlock()
		if b.inline(ctx, r, bt) {
			b.lead(bt, true)
			return b.leave(r)
		}
		go b.lead(bt, false)
	} else {
		b.enqueue(r)
		b.arm(r)
		b.mu.Unlock()
	}
	b.wait(ctx, r)
	return b.leave(r)
}

// inline reports whether the caller may run the batch itself: it can't leave early, or
// the run is over before leaving would matter.
func (b *Batcher) inline(ctx context.Context, r *Request, bt *batch) bool {
	return ctx.Done() == nil && r.Deadline.IsZero() || b.policy.Inline(bt.rows)
}

// admit refuses what can't be queued. b.mu is held.
func (b *Batcher) admit(r *Request) error {
	switch {
	case b.closed:
		return api.Errorf(api.CodeModelUnavailable, "model '%s' is being unloaded", b.name)
	case b.waiting >= b.cfg.MaxQueue || b.bytes+r.bytes > b.cfg.MaxQueueBytes && b.waiting > 0:
		b.stats.Rejected.Add(1)
		return api.Errorf(api.CodeQueueFull, "Exceeds maximum queue size: %d requests wait for model '%s'", b.waiting, b.name).WithRetryAfter(b.drainTime())
	}
	return nil
}

// drainTime estimates how long the queue takes. b.mu is held.
func (b *Batcher) drainTime() time.Duration {
	rows := max(min(b.rows, b.cfg.MaxRows), 1)
	t, _ := b.latency.Estimate(rows)
	batches := (b.rows + rows - 1) / rows
	return time.Duration(t * int64(batches) / int64(b.cfg.Instances))
}

func (b *Batcher) enqueue(r *Request) {
	r.state = queued
	if b.tail == nil {
		b.head = r
	} else {
		b.tail.next = r
	}
	b.tail = r
	b.count(r, 1)
}

func (b *Batcher) count(r *Request, n int) {
	b.waiting += n
	b.rows += n * max(r.Rows, 1)
	b.bytes += int64(n) * r.bytes
	b.stats.Waiting.Store(int64(b.waiting))
}

// arm starts a batch for which a Delay was due, or the timer that will. b.mu is held.
func (b *Batcher) arm(r *Request) {
	if b.cfg.Delay == 0 || b.active >= b.cfg.Instances {
		return
	}
	if b.policy.Due(b.rows, 0) {
		b.handOver()
		return
	}
	if b.waiting == 1 {
		if b.timer == nil {
			b.timer = time.AfterFunc(b.cfg.Delay, b.delayOver)
		} else {
			b.timer.Reset(b.cfg.Delay)
		}
	}
}

func (b *Batcher) delayOver() {
	b.mu.Lock()
	if b.head != nil && b.active < b.cfg.Instances {
		b.handOver()
	}
	b.mu.Unlock()
}

// handOver takes an instance and makes the first waiting request lead the next batch.
// b.mu is held and a request waits.
func (b *Batcher) handOver() {
	b.active++
	bt := b.cut()
	bt.members[0].wake <- sigLead
}

// cut takes the head and what fits with it out of the queue. b.mu is held.
func (b *Batcher) cut() *batch {
	bt := b.getBatch()
	first := b.head
	var prev *Request
	for r := b.head; r != nil; {
		next := r.next
		if r == first || sameClass(first, r) && b.policy.Take(bt.rows, r.Rows) {
			b.unlink(prev, r)
			bt.add(r)
		} else {
			prev = r
		}
		if bt.rows >= b.cfg.MaxRows || first.Rows == 0 {
			break
		}
		r = next
	}
	return bt
}

func (b *Batcher) unlink(prev, r *Request) {
	if prev == nil {
		b.head = r.next
	} else {
		prev.next = r.next
	}
	if b.tail == r {
		b.tail = prev
	}
	r.next = nil
	b.count(r, -1)
}

// wait blocks until r is answered, led, or given up.
func (b *Batcher) wait(ctx context.Context, r *Request) {
	var expired <-chan time.Time
	if !r.Deadline.IsZero() {
		t := time.NewTimer(time.Until(r.Deadline))
		defer t.Stop()
		expired = t.C
	}
	for {
		select {
		case s := <-r.wake:
			if s == sigDone {
				return
			}
			if b.inline(ctx, r, r.batch) {
				b.lead(r.batch, false)
				<-r.wake // the answer that lead gave to its own caller
				return
			}
			go b.lead(r.batch, false)
		case <-ctx.Done():
			if b.giveUp(r) {
				b.stats.Cancelled.Add(1)
				r.err = api.Errorf(api.CodeCancelled, "the caller cancelled the request")
				if ctx.Err() == context.DeadlineExceeded {
					r.err = b.timedOut()
				}
				return
			}
			ctx = context.WithoutCancel(ctx)
		case <-expired:
			if b.giveUp(r) {
				r.err = b.timedOut()
				return
			}
			expired = nil
		}
	}
}

func (b *Batcher) timedOut() error {
	b.stats.TimedOut.Add(1)
	return api.Errorf(api.CodeRequestTimeout, "Request timeout expired")
}

// giveUp takes r out of the queue, or out of the batch it runs in once its inputs are
// copied. It reports false if r is being answered or has to lead: then wait goes on.
func (b *Batcher) giveUp(r *Request) bool {
	for {
		b.mu.Lock()
		switch r.state {
		case queued:
			var prev *Request
			for q := b.head; q != r; q = q.next {
				prev = q
			}
			b.unlink(prev, r)
			r.state = idle
			b.mu.Unlock()
			return true
		case running:
			if r.batch.copied.Load() {
				r.batch.members[r.index] = nil
				r.batch, r.state = nil, idle
				b.mu.Unlock()
				return true
			}
			if len(r.wake) > 0 { // leads, and nobody has begun to copy
				b.mu.Unlock()
				return false
			}
			b.mu.Unlock()
			time.Sleep(20 * time.Microsecond)
		default:
			b.mu.Unlock()
			return false
		}
	}
}

// leave ends Do. After a success the request counts as in flight until its Release.
func (b *Batcher) leave(r *Request) error {
	if r.err != nil {
		r.Out = r.Out[:0]
		b.done()
	}
	return r.err
}

// done ends a request's use of the model.
func (b *Batcher) done() {
	if b.inflight.Add(-1) == 0 && b.closing.Load() {
		b.mu.Lock()
		b.maybeDrained()
		b.mu.Unlock()
	}
}

// maybeDrained tells Close that nothing is left. b.mu is held.
func (b *Batcher) maybeDrained() {
	if b.closed && b.inflight.Load() == 0 && b.active == 0 {
		select {
		case <-b.drained:
		default:
			close(b.drained)
		}
	}
}

// Close refuses new requests and waits until those in flight have been released.
func (b *Batcher) Close() {
	b.mu.Lock()
	b.closed = true
	b.closing.Store(true)
	b.maybeDrained()
	b.mu.Unlock()
	<-b.drained
}

func (b *Batcher) getBatch() *batch {
	if n := len(b.pool); n > 0 {
		bt := b.pool[n-1]
		b.pool = b.pool[:n-1]
		return bt
	}
	return &batch{b: b}
}

func (b *Batcher) putBatch(bt *batch) {
	bt.reset()
	b.mu.Lock()
	if len(b.pool) < 2*b.cfg.Instances {
		b.pool = append(b.pool, bt)
	}
	b.mu.Unlock()
}
