package batcher

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/runtime"
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
	ragged  *runtime.Ragged // nil: rows of one shape run together
	cfg     Config
	epoch   time.Time
	policy  *Policy
	latency Latency

	mu          sync.Mutex // also guards policy
	closed      bool
	drained     chan struct{} // closed when closed and nothing is in flight
	timer       *time.Timer   // of Config.Delay
	pool        []*batch
	taken, late []*Item // scratch of cut
	gathering   int     // calls of gather and lull under way
	// what those are told who are refused now
	fullNow, unmeetableNow refusal
	dated                  int64 // when a request with a deadline came last; 0: none yet

	lag        lag
	background background

	// inflight counts requests from Do until their error or Release.
	inflight atomic.Int64
	closing  atomic.Bool

	stats Stats
}

// Stats counts what the batcher did. Fields only grow, but for Waiting.
type Stats struct {
	Waiting    atomic.Int64
	Rejected   atomic.Int64 // refused because the queue was full
	Unmeetable atomic.Int64 // refused or dropped because the deadline could not be met
	TimedOut   atomic.Int64
	Cancelled  atomic.Int64
	Executions atomic.Int64
	Rows       atomic.Int64
}

// clock is monotonic nanoseconds since the batcher was made.
func (b *Batcher) clock() int64 { return int64(time.Since(b.epoch)) }

// New makes the batcher of a model version; name is used in error texts.
func New(name string, model Runner, cfg Config) *Batcher {
	b := &Batcher{name: name, model: model, cfg: cfg, epoch: time.Now(), drained: make(chan struct{})}
	if m, ok := model.(*runtime.Model); ok && m.Ragged != nil && cfg.MaxRows > 1 {
		b.ragged, cfg.MaxRows, cfg.Preferred = m.Ragged, cfg.MaxRows*rowTokens, cfg.Preferred*rowTokens
	}
	b.policy = NewPolicy(cfg, &b.latency, mix)
	return b
}

// rowTokens is what a row counts of a batch of sequences of different length.
const rowTokens = 32

// Stats gives the counters.
func (b *Batcher) Stats() *Stats { return &b.stats }

// Latency gives the learned run times.
func (b *Batcher) Latency() *Latency { return &b.latency }

// Do runs the request and waits for its outputs. On success the caller must call
// r.Release once it has read them. It returns early when ctx is done, the deadline
// passes or r.Caller goes away; the request is then not run, or its result is dropped. A request that can't make
// its deadline is refused at once.
func (b *Batcher) Do(ctx context.Context, r *Request) error {
	if r.Priority < 0 || r.Priority > b.cfg.Levels && b.cfg.Levels > 1 {
		return api.Errorf(api.CodeParameterInvalid, "priority %d for model '%s': it has levels 1 to %d, and 0 for the default", r.Priority, b.name, b.cfg.Levels)
	}
	r.began = b.clock()
	r.prepare(b.epoch, &b.lag)
	if b.ragged != nil {
		r.prepareRagged(b.ragged.MaxLength)
	}
	others := b.inflight.Add(1) - 1
	b.mu.Lock()
	b.policy.Beside(int(others))
	if err := b.admit(r); err != nil {
		b.mu.Unlock()
		b.done()
		return err
	}
	switch alone := b.policy.Alone(&r.item); {
	case alone && !b.policy.Shares(&r.item):
		bt := b.getBatch()
		bt.add(r)
		b.begin(bt, r.began)
		b.mu.Unlock()
		if b.inline(ctx, r, bt) {
			b.lead(bt, true)
			return b.leave(r)
		}
		go b.lead(bt, false)
	case alone:
		b.enqueue(r)
		b.gather(r)
		b.mu.Unlock()
	default:
		b.enqueue(r)
		if b.gathering == 0 || b.policy.Ends(&r.item) {
			b.next()
		}
		b.mu.Unlock()
	}
	b.wait(ctx, r)
	if r.err == nil && r.due != 0 {
		b.lag.learn(b.clock() - (r.answered - r.Timing.Output))
	}
	return b.leave(r)
}

// enqueue lets a request wait. b.mu is held.
func (b *Batcher) enqueue(r *Request) {
	r.state = queued
	b.policy.Push(&r.item)
	b.stats.Waiting.Store(int64(b.policy.Waiting()))
}

// inline reports whether the caller may run the batch itself: it can't leave early, or
// the run is over before leaving would matter. A run in the background may have to wait for the processor, however short it is.
func (b *Batcher) inline(ctx context.Context, r *Request, bt *batch) bool {
	return ctx.Done() == nil && r.due == 0 || b.policy.Inline(&r.item, bt.rows) && !bt.lowered
}

// admit refuses what can't be queued. b.mu is held.
func (b *Batcher) admit(r *Request) error {
	if r.item.Deadline != 0 {
		b.dated = r.began
	}
	if b.closed {
		return api.Errorf(api.CodeModelUnavailable, "model '%s' is being unloaded", b.name)
	}
	verdict, after := b.policy.Admit(&r.item, r.began)
	switch verdict {
	case Full:
		if victim := b.policy.Evict(&r.item); victim != nil {
			b.refuse(victim, b.full(after))
			return nil
		}
		return b.full(after)
	case Unmeetable:
		return b.unmeetable(after)
	}
	return nil
}

func (b *Batcher) full(after time.Duration) error {
	b.stats.Rejected.Add(1)
	return b.fullNow.at(b.clock(), func() error {
		return api.Errorf(api.CodeQueueFull, "Exceeds maximum queue size: %d requests wait for model '%s'", b.policy.Waiting(), b.name).WithRetryAfter(after)
	})
}

func (b *Batcher) unmeetable(after time.Duration) error {
	b.stats.Unmeetable.Add(1)
	return b.unmeetableNow.at(b.clock(), func() error {
		return api.Errorf(api.CodeDeadlineUnmeetable, "model '%s' can't answer within the request's timeout: %d requests wait", b.name,
			b.policy.Waiting()).WithRetryAfter(after)
	})
}

// refuse answers a request that was taken out of the queue. b.mu is held.
func (b *Batcher) refuse(it *Item, err error) {
	r := it.Owner.(*Request)
	r.err, r.state = err, finished
	r.wake <- sigDone
}

// next starts what is due, or the timer for it. b.mu is held.
func (b *Batcher) next() {
	for b.policy.Waiting() > 0 && b.policy.Free() {
		now := b.clock()
		if due := b.policy.Due(now); due > now {
			if b.timer == nil {
				b.timer = time.AfterFunc(time.Duration(due-now), b.delayOver)
			} else {
				b.timer.Reset(time.Duration(due - now))
			}
			return
		}
		b.handOver(now)
	}
}

func (b *Batcher) delayOver() {
	b.mu.Lock()
	b.next()
	b.mu.Unlock()
}

// handOver cuts a batch and makes its first request lead it. b.mu is held, an instance is
// free and a request waits.
func (b *Batcher) handOver(now int64) {
	b.taken, b.late = b.policy.Cut(now, b.taken[:0], b.late[:0])
	b.stats.Waiting.Store(int64(b.policy.Waiting()))
	for _, it := range b.late {
		b.refuse(it, b.timedOut()) // or will have before it could be answered
	}
	clear(b.late)
	if len(b.taken) == 0 {
		return
	}
	bt := b.getBatch()
	for _, it := range b.taken {
		bt.add(it.Owner.(*Request))
	}
	clear(b.taken)
	b.begin(bt, now)
	bt.members[0].wake <- sigLead
}

// begin books an instance for a batch. b.mu is held.
func (b *Batcher) begin(bt *batch, now int64) {
	lead := &bt.members[0].item
	bt.class, bt.work = lead.Class, lead.Bytes/int64(lead.rows())
	bt.slot, bt.given = b.policy.Begin(lead, bt.rows, now), now
	bt.lowered = b.lowers(bt, now)
	// More threads than cores would wait for each other.
	bt.call.Threads = max(b.cfg.Cores/b.policy.Active(), 1)
}

// wait blocks until r is answered, led, or given up.
func (b *Batcher) wait(ctx context.Context, r *Request) {
	gone := r.Gone()
	var expired <-chan time.Time
	if r.due != 0 {
		t := time.NewTimer(time.Duration(r.due - b.clock()))
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
		case <-gone:
			if b.giveUp(r) {
				b.stats.Cancelled.Add(1)
				r.err = api.Errorf(api.CodeCancelled, "the caller closed the connection")
				return
			}
			gone = nil
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
			b.policy.Remove(&r.item)
			b.stats.Waiting.Store(int64(b.policy.Waiting()))
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
	if b.closed && b.inflight.Load() == 0 && b.policy.Active() == 0 {
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
	b.background.close()
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
