// Package batcher puts requests for one model version together into micro-batches and
// hands each its share of the results.
//
// It starts nothing by itself: a request that finds a free instance runs at once, in its own
// goroutine, together with whatever waits that fits. Only where a run takes long enough, those
// go first that have been read already, and where requests have lately been in flight beside
// each other, a lone one waits a little for more: gather.go says why.
// While all instances are busy, requests gather. Whoever finishes a batch cuts the next
// one and passes the instance on to that batch's first request ("flat combining",
// Hendler et al., SPAA 2010), so that at low load there is no hand-off at all and under
// load one wake-up a request. Slow models and requests that may be cancelled run in a
// goroutine of the batch, so that a caller can leave while they run. Where requests wait, have
// deadlines or are refused, a long run is handed to a thread of lower priority, so that they
// are read and answered meanwhile: see background.go.
//
// Sequences of different length run together where the runtime has proved that they may:
// then the policy counts tokens, not rows. Those of a batch that have one length run as rows.
//
// Which of the waiting requests go together is the Policy's business, how they are run
// the Batcher's.
//
// Neighbours: cache calls Do on a miss; runtime.Model runs the batches.
//
// Ownership: a Request's inputs are read until Do returns and not after: a caller that
// gives up is held back until its rows are copied. Outputs are views into the model's
// arena, shared by the batch's members; they hold until Request.Release, which each
// member must call once after a successful Do.
//
// Concurrency: a Batcher may be used from any number of goroutines, a Request by one.
//
// Lock order: Batcher.mu only; nothing is called with it held but the Policy. background.mu is never held beside it.
package batcher
