package batcher

import (
	"math"
	goruntime "runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Threads that want the same core alternate by time slices of several milliseconds. So long would a request that can be refused
// in microseconds wait in its socket while a batch runs on its core, and one whose deadline passes would hear of it as late. So a
// long batch runs in a thread of low scheduling weight, which the threads that read and answer requests preempt at once. The
// hand-over costs what two wake-ups do, and a run that is often preempted takes longer, so runs stay in their callers' threads where
// they are short, or where nobody waits, has a deadline or is refused.

const (
	// longRun is the least run, in nanoseconds, that is worth a hand-over.
	longRun = 200e3
	// backgroundIdle is how long a thread waits for its next run before it ends.
	backgroundIdle = 2 * time.Second
)

// background has threads of low priority for the runs of one batcher: as many as ever ran at once lately.
type background struct {
	// least is the fewest nanoseconds that a byte of input took lately, as the bits of a float64. What runs take on
	// average won't do: short runs that are interrupted look long, and would be interrupted the more for it.
	least atomic.Uint64

	mu   sync.Mutex
	idle []*runThread // the last that ran stands last
}

// forget is by how much least rises with each run, so that a run that did nothing is forgotten.
const forget = 1.002

// saw learns from a run.
func (g *background) saw(bt *batch, ns int64) {
	t, least := float64(ns)/bt.bytes(), math.Float64frombits(g.least.Load())
	if least != 0 {
		t = min(t, least*forget)
	}
	g.least.Store(math.Float64bits(t))
}

// worth says whether the processor alone is busy with a batch for longRun.
func (g *background) worth(bt *batch) bool {
	return math.Float64frombits(g.least.Load())*bt.bytes() >= longRun
}

// bytes is the size of the batch's inputs.
func (bt *batch) bytes() float64 { return float64(max(bt.work, 1)) * float64(max(bt.rows, 1)) }

// runThread is a goroutine with a thread of its own.
type runThread struct {
	in  chan *batch
	out chan error
}

// run runs a batch, in the background where that is worth it.
func (b *Batcher) run(bt *batch) error {
	if bt.lowered {
		return b.background.run(bt)
	}
	return bt.run()
}

// lowers says whether a batch that begins should run in the background. b.mu is held.
func (b *Batcher) lowers(bt *batch, now int64) bool {
	return lowersThreads && b.background.worth(bt) && (b.policy.Waiting() > 0 || b.crowded(now) || b.dated > 0 && now-b.dated < datedFor)
}

// datedFor is how long after a request with a deadline more are expected.
const datedFor = int64(time.Second)

func (g *background) run(bt *batch) error {
	g.mu.Lock()
	var t *runThread
	if n := len(g.idle); n > 0 {
		t = g.idle[n-1]
		g.idle = g.idle[:n-1]
	} else {
		t = &runThread{in: make(chan *batch, 1), out: make(chan error, 1)}
		go g.serve(t)
	}
	g.mu.Unlock()
	t.in <- bt
	err := <-t.out
	g.mu.Lock()
	g.idle = append(g.idle, t)
	g.mu.Unlock()
	return err
}

// serve runs what t is given until nothing has come for a while. The thread ends with the goroutine: its priority can't be raised again.
func (g *background) serve(t *runThread) {
	goruntime.LockOSThread()
	lowerThread()
	idle := time.NewTimer(backgroundIdle)
	defer idle.Stop()
	for {
		select {
		case bt, open := <-t.in:
			if !open {
				return
			}
			t.out <- bt.run()
			idle.Reset(backgroundIdle)
		case <-idle.C:
			if g.retire(t) {
				return
			}
			idle.Reset(backgroundIdle)
		}
	}
}

// retire takes an idle thread out; false says that it is being given a run.
func (g *background) retire(t *runThread) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.idle, t)
	if i < 0 {
		return false
	}
	g.idle = slices.Delete(g.idle, i, i+1)
	return true
}

// close ends the threads; nothing runs any more.
func (g *background) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range g.idle {
		close(t.in)
	}
	g.idle = nil
}
