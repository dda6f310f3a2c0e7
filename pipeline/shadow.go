package pipeline

import (
	"context"
	"math"
	"sync"
	"sync/atomic"

	"github.com/aimass/aimass/internal/hist"
	"github.com/aimass/aimass/runtime/tensor"
)

// Shadow runs copies of a model's requests on another version and compares the answers.
// Nobody waits for it: it runs one at a time, and what finds its queue full is dropped and
// counted.
//
// Of a version that keeps state, whole sequences are copied from their start on, and the shadow keeps a
// state of its own for each. One of which a request was dropped or has failed there is followed no further:
// what comes of it can't be compared any more.
type Shadow struct {
	to    *Served
	rules Rules
	share *share
	queue chan *copied
	// followed are the sequences that are copied, with the number of their requests that were, under mu, which also
	// keeps these in order.
	mu       sync.Mutex
	followed map[sequenceKey]int
	// working: a goroutine empties the queue.
	working atomic.Bool
	Stats   ShadowStats
}

// ShadowStats counts comparisons. Fields only grow, but for MaxDifference.
type ShadowStats struct {
	// Mirrored were run, Dropped had no room, Failed were refused or failed by the shadow.
	Mirrored, Dropped, Failed atomic.Int64
	// Differing answers are those with a value beyond the tolerance, or another shape.
	Differing atomic.Int64
	// Values compared, and those of them beyond the tolerance.
	Values, ValuesDiffering atomic.Int64
	// Served and Shadow are the times that both took.
	Served, Shadow hist.Histogram

	largest atomic.Uint64 // a float64 that is not negative: its bits order as it does
}

// MaxDifference is the largest absolute difference seen.
func (s *ShadowStats) MaxDifference() float64 { return math.Float64frombits(s.largest.Load()) }

// copied is a request that was answered, with what its version answered.
type copied struct {
	in       []*tensor.Tensor
	out      map[string]*tensor.Tensor
	tenant   string
	extra    []byte
	served   int64 // ns
	observer ShadowObserver
	sequence Sequence
	key      sequenceKey // of the sequence at the shadow
	kept     bool        // it is a request of a sequence
}

// ShadowObserver is told how a mirrored request's comparison ended; err is the shadow's.
type ShadowObserver func(shadow *Served, differing bool, largest float64, err error)

// shadowQueue bounds the requests that wait to be mirrored.
const shadowQueue = 64

func newShadow(to *Served, r Rules) *Shadow {
	return &Shadow{to: to, rules: r, share: newShare(r.ShadowShare), queue: make(chan *copied, shadowQueue), followed: map[sequenceKey]int{}}
}

// follows reports that the shadow is what the rules ask for.
func (s *Shadow) follows(to *Served, r Rules) bool {
	return s.to == to && s.rules.ShadowShare == r.ShadowShare && s.rules.Tolerance == r.Tolerance
}

// Shadow gives the comparisons with a model's shadow, nil if it has none.
func (p *Pipeline) Shadow(name string) *Shadow {
	if m := (*p.table.Load())[name]; m != nil {
		return m.shadow
	}
	return nil
}

// Version is the shadow's.
func (s *Shadow) Version() int64 { return s.to.Version }

// before copies a request's inputs, if it is one to mirror: a model's reshaping changes
// them.
func (s *Shadow) before(v *Served, c *Call) *copied {
	if v.sequences != nil && !s.follow(v.sequences, c) || v.sequences == nil && !s.share.take() {
		return nil
	}
	k := &copied{tenant: c.Tenant, extra: append([]byte(nil), c.Extra...), in: make([]*tensor.Tensor, len(c.In)), observer: c.Mirrored}
	if v.sequences != nil {
		k.sequence, k.key, k.kept = c.Sequence, keyOf(c), true
		k.key.copied = true
	}
	for i := range c.In {
		if c.In[i].DType != tensor.Invalid {
			k.in[i] = c.In[i].Clone()
		}
	}
	return k
}

// after takes a request that was answered by v.
func (s *Shadow) after(v *Served, c *Call, k *copied, took int64) {
	k.out, k.served = map[string]*tensor.Tensor{}, took
	for i, o := range c.Out {
		if t, ok := o.(*tensor.Tensor); ok {
			k.out[v.Outputs[i].Name] = t.Clone()
		}
	}
	if k.kept {
		s.mu.Lock()
		defer s.mu.Unlock()
		if n, there := s.followed[k.key]; !there || c.place != n+1 {
			s.drop(k)
			return
		}
		if s.followed[k.key]++; k.sequence.End {
			delete(s.followed, k.key)
		}
	}
	select {
	case s.queue <- k:
		s.work()
	default:
		s.drop(k)
	}
}

// follow says whether a request of a sequence is one to copy: its share is one of sequences.
func (s *Shadow) follow(q *sequences, c *Call) bool {
	key := keyOf(c)
	key.copied = true
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.Sequence.Start {
		_, there := s.followed[key]
		return there
	}
	if q.holds(c) {
		return false // it will be refused, and the one under way goes on
	}
	if !s.share.take() {
		delete(s.followed, key)
		return false
	}
	if len(s.followed) >= q.spec.Most {
		for k := range s.followed { // those that never ended
			if k.copied = false; !q.has(k) {
				k.copied = true
				delete(s.followed, k)
			}
		}
	}
	s.followed[key] = 0
	return true
}

// drop counts a copy that is not run, and ends the following of its sequence. s.mu is held if it is of one.
func (s *Shadow) drop(k *copied) {
	s.Stats.Dropped.Add(1)
	if k.kept {
		delete(s.followed, k.key)
	}
}

// lost ends what the shadow keeps of a sequence.
func (s *Shadow) lost(k *copied) {
	s.mu.Lock()
	delete(s.followed, k.key)
	s.mu.Unlock()
	s.to.sequences.forget(k.key)
}

// work runs what waits, if nobody does.
func (s *Shadow) work() {
	if !s.working.CompareAndSwap(false, true) {
		return
	}
	go func() {
		for {
			select {
			case k := <-s.queue:
				s.compare(k)
				continue
			default:
			}
			s.working.Store(false)
			// One may have come between the look and the store.
			if len(s.queue) == 0 || !s.working.CompareAndSwap(false, true) {
				return
			}
		}
	}()
}

// lowest is the priority of a mirrored request, 0 where there are no levels.
func (s *Shadow) lowest() int {
	if n := s.to.Spec.Batcher.Levels; n > 1 {
		return n
	}
	return 0
}

// compare runs one request on the shadow.
func (s *Shadow) compare(k *copied) {
	if !s.to.acquire() {
		s.Stats.Dropped.Add(1)
		return
	}
	defer s.to.Done()
	kept := k.kept && s.to.sequences != nil
	if kept && k.sequence.Start {
		s.to.sequences.forget(k.key) // one of this name that never ended
	}
	if kept && !k.sequence.Start && !s.to.sequences.has(k.key) {
		s.lost(k)
		s.Stats.Dropped.Add(1)
		return
	}
	c := &Call{Extra: k.extra, Sequence: k.sequence, copied: true}
	c.Tenant, c.Priority = k.tenant, s.lowest()
	c.In = make([]tensor.Tensor, len(s.to.Inputs))
	err := s.bind(c, k)
	if err == nil {
		err = s.to.Infer(context.Background(), c)
	}
	if err != nil {
		s.Stats.Failed.Add(1)
		if kept {
			s.lost(k)
		}
		k.tell(s.to, false, 0, err)
		return
	}
	defer c.Release()
	s.Stats.Mirrored.Add(1)
	s.Stats.Served.Observe(k.served)
	s.Stats.Shadow.Observe(c.Timing.Queue + c.Timing.Input + c.Timing.Infer + c.Timing.Output)
	differing, largest := s.differences(c, k)
	if differing {
		s.Stats.Differing.Add(1)
	}
	k.tell(s.to, differing, largest, nil)
}

func (k *copied) tell(to *Served, differing bool, largest float64, err error) {
	if k.observer != nil {
		k.observer(to, differing, largest, err)
	}
}

// bind checks the copied inputs as a request's are.
func (s *Shadow) bind(c *Call, k *copied) error {
	for i, t := range k.in {
		if t == nil || i >= len(c.In) || s.to.Inputs[i].Hidden {
			continue
		}
		if err := s.to.CheckInput(i, t.DType, t.Shape); err != nil {
			return err
		}
		c.In[i] = *t
	}
	return nil
}

// differences compares the answers, output by output.
func (s *Shadow) differences(c *Call, k *copied) (differing bool, largest float64) {
	for i, o := range c.Out {
		t, ok := o.(*tensor.Tensor)
		want := k.out[s.to.Outputs[i].Name]
		if !ok || want == nil || s.to.Outputs[i].Hidden {
			continue
		}
		n, beyond, most := Compare(want, t, s.rules.Tolerance)
		s.Stats.Values.Add(int64(n))
		s.Stats.ValuesDiffering.Add(int64(beyond))
		differing, largest = differing || beyond > 0, max(largest, most)
	}
	for bits := math.Float64bits(largest); ; {
		old := s.Stats.largest.Load()
		if bits <= old || s.Stats.largest.CompareAndSwap(old, bits) {
			return differing, largest
		}
	}
}

// floor is the absolute difference below which numbers are equal whatever the tolerance:
// the rounding of float32 near 1.
const floor = 1e-6

// Compare counts the values of two tensors, those that differ by more than the tolerance
// relative to the larger, and gives the largest absolute difference. Tensors of other
// types or shapes differ in every value. NaN equals NaN.
func Compare(a, b *tensor.Tensor, tolerance float64) (values, beyond int, largest float64) {
	values = max(a.Elements(), b.Elements())
	if a.DType != b.DType || !a.Shape.Equal(b.Shape) {
		return values, max(values, 1), 0
	}
	if a.DType == tensor.String {
		for i, x := range a.Strings() {
			if b.Strings()[i] != x {
				beyond++
			}
		}
		return values, beyond, 0
	}
	x, err1 := tensor.Float64s(a)
	y, err2 := tensor.Float64s(b)
	if err1 != nil || err2 != nil {
		if string(a.Bytes()) != string(b.Bytes()) {
			beyond = values
		}
		return values, beyond, 0
	}
	for i := range x {
		d := math.Abs(x[i] - y[i])
		switch {
		case x[i] == y[i] || math.IsNaN(x[i]) && math.IsNaN(y[i]):
			continue
		case math.IsNaN(d) || math.IsInf(d, 0):
			beyond++
			continue
		}
		largest = max(largest, d)
		if d > floor && d > tolerance*max(math.Abs(x[i]), math.Abs(y[i])) {
			beyond++
		}
	}
	return values, beyond, largest
}
