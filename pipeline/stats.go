package pipeline

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/aimass/aimass/internal/hist"
)

// Total counts events and the nanoseconds that they took.
type Total struct{ Count, NS atomic.Int64 }

func (t *Total) add(ns int64) {
	t.Count.Add(1)
	t.NS.Add(ns)
}

// Stats of one model version, in the terms of the v2 statistics extension. Fields only
// grow. Success covers answers from the cache too; the compute stages do not.
type Stats struct {
	LastInference                     atomic.Int64 // ms since the epoch
	InferenceCount                    atomic.Int64 // rows, cache hits left out
	ExecutionCount                    atomic.Int64 // batches
	Success, Fail                     Total
	Queue, Input, Infer, Output       Total
	CacheHit, CacheMiss               Total
	Pending                           atomic.Int64
	RequestHist, QueueHist, InferHist hist.Histogram
	mu                                sync.Mutex
	batches                           map[int]*BatchStats
}

// BatchStats of the executions of one batch size.
type BatchStats struct{ Input, Infer, Output Total }

// Batches calls f for each batch size that occurred, in no order.
func (s *Stats) Batches(f func(rows int, b *BatchStats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, b := range s.batches {
		f(n, b)
	}
}

// batch is the entry of one size, made on first use.
func (s *Stats) batch(rows int) *BatchStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.batches[rows]
	if b == nil {
		if s.batches == nil {
			s.batches = map[int]*BatchStats{}
		}
		b = &BatchStats{}
		s.batches[rows] = b
	}
	return b
}

// hit counts one request that was answered from memory.
func (s *Stats) hit(began time.Time) {
	now := time.Now()
	took := int64(now.Sub(began))
	s.Success.add(took)
	s.RequestHist.Observe(took)
	s.LastInference.Store(now.UnixMilli())
	s.CacheHit.add(took)
}

// record counts one answered request that ran.
func (s *Stats) record(rows int, took int64, c *Call) {
	t := &c.Timing
	s.Success.add(took)
	s.RequestHist.Observe(took)
	s.LastInference.Store(time.Now().UnixMilli())
	if c.Outcome != Ran {
		s.CacheHit.add(took)
		return
	}
	s.Queue.add(t.Queue)
	s.Input.add(t.Input)
	s.Infer.add(t.Infer)
	s.Output.add(t.Output)
	s.QueueHist.Observe(t.Queue)
	s.InferHist.Observe(t.Infer)
	s.InferenceCount.Add(int64(max(rows, 1)))
	if t.Lead {
		s.ExecutionCount.Add(1)
		b := s.batch(t.BatchRows)
		b.Input.add(t.Input)
		b.Infer.add(t.Infer)
		b.Output.add(t.Output)
	}
}
