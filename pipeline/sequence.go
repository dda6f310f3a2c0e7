package pipeline

import (
	"context"
	"encoding/binary"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/repository/config"
	"github.com/aimass/aimass/runtime/tensor"
)

// Sequence is a request's place in a sequence of requests to a model that keeps state.
type Sequence struct {
	// Text or Number is the sequence's id; neither, that is "" and 0, means that there is none.
	Text       string
	Number     uint64
	Start, End bool
}

func (s *Sequence) none() bool { return s.Text == "" && s.Number == 0 }

func (s *Sequence) String() string {
	if s.Text != "" {
		return "'" + s.Text + "'"
	}
	return strconv.FormatUint(s.Number, 10)
}

// sequences keeps the state of a version's sequences. Requests of one sequence are answered one
// after the other, in the order in which they came; those of several run side by side and share
// batches as any requests do.
//
// A sequence is live from its first request on until its last has been answered, or until it
// has been silent for the configured time.
type sequences struct {
	spec *config.Sequence
	mu   sync.Mutex
	live map[sequenceKey]*sequence
}

// sequenceKey names a sequence; those of one tenant are none of another's business, and the copies that
// a shadow gets none of those who ask its version.
type sequenceKey struct {
	tenant, text string
	number       uint64
	copied       bool
}

type sequence struct {
	key   sequenceKey
	turn  chan struct{} // holds one token; who runs has taken it
	users int           // requests that run or wait; under sequences.mu
	over  bool          // no request may use it any more; under sequences.mu
	idle  *time.Timer
	// By the holder of the turn: the state, and the requests that were answered.
	state    []*tensor.Tensor
	answered int
}

func newSequences(spec *config.Sequence) *sequences {
	return &sequences{spec: spec, live: map[sequenceKey]*sequence{}}
}

// KeepsState reports whether the version's answers rest on the requests before, of the same sequence.
func (v *Served) KeepsState() bool { return v.sequences != nil }

// LiveSequences is the number of sequences whose state is kept.
func (v *Served) LiveSequences() int {
	q := v.sequences
	if q == nil {
		return 0
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.live)
}

// Elsewhere finds the version of v's model on which the sequence of a request is under way, where
// that isn't v: while versions share the requests, or another one was promoted, those that name none
// stay with the one that holds the state. The caller calls Done on it. nil: there is none, or it takes
// other tensors.
func (p *Pipeline) Elsewhere(v *Served, c *Call) *Served {
	if v.sequences == nil || v.sequences.holds(c) {
		return nil
	}
	for _, o := range p.Versions([]byte(v.Model)) {
		if o != v && o.sequences != nil && o.sequences.holds(c) && samePorts(o.Inputs, v.Inputs) && samePorts(o.Outputs, v.Outputs) && o.acquire() {
			return o
		}
	}
	return nil
}

// holds reports whether the request's sequence is live.
func (q *sequences) holds(c *Call) bool { return q.has(keyOf(c)) }

func (q *sequences) has(key sequenceKey) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.live[key] != nil
}

// forget ends a sequence that none of its requests is under way of.
func (q *sequences) forget(key sequenceKey) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s := q.live[key]; s != nil {
		q.end(s)
	}
}

func keyOf(c *Call) sequenceKey {
	return sequenceKey{c.Tenant, c.Sequence.Text, c.Sequence.Number, c.copied}
}

// samePorts reports whether a request for one list fits the other.
func samePorts(a, b []Port) bool {
	return slices.EqualFunc(a, b, func(x, y Port) bool {
		return x.Name == y.Name && x.DType == y.DType && x.Hidden == y.Hidden && x.Optional == y.Optional && slices.Equal(x.Shape, y.Shape)
	})
}

// inferSequence answers one request of a sequence; rows have been checked.
func (v *Served) inferSequence(ctx context.Context, c *Call) error {
	q := v.sequences
	s, err := q.enter(ctx, v, c)
	if err != nil {
		return err
	}
	v.fillSequence(c, s)
	if err = v.next.Do(ctx, &c.Request); err == nil {
		if err = q.keep(v, s, c); err != nil {
			c.Release()
		} else {
			s.answered++
			c.place = s.answered
		}
	}
	q.leave(s, c.Sequence.Start && err != nil || c.Sequence.End && err == nil)
	return err
}

// enter finds or begins the request's sequence and waits for its turn.
func (q *sequences) enter(ctx context.Context, v *Served, c *Call) (*sequence, error) {
	if c.Sequence.none() {
		return nil, api.Errorf(api.CodeSequenceInvalid, "inference request to model '%s' must specify a non-zero or non-empty correlation ID: it keeps state between requests", v.Model)
	}
	if c.Rows > 1 {
		return nil, api.Errorf(api.CodeSequenceInvalid, "inference request to model '%s' has %d rows, a request of a sequence has one", v.Model, c.Rows)
	}
	key := keyOf(c)
	q.mu.Lock()
	s := q.live[key]
	switch {
	case c.Sequence.Start && s != nil:
		q.mu.Unlock()
		return nil, api.Errorf(api.CodeSequenceInvalid, "sequence %v of model '%s' is under way: end it, or let it be idle for %v, before it is started again", &c.Sequence, v.Model, q.spec.Idle)
	case c.Sequence.Start && len(q.live) >= q.spec.Most:
		q.mu.Unlock()
		return nil, api.Errorf(api.CodeSequenceLimit, "model '%s' keeps the state of %d sequences, the most that it may", v.Model, q.spec.Most).WithRetryAfter(q.spec.Idle)
	case c.Sequence.Start:
		s = &sequence{key: key, turn: make(chan struct{}, 1)}
		s.turn <- struct{}{}
		s.idle = time.AfterFunc(q.spec.Idle, func() { q.expire(s) })
		q.live[key] = s
	case s == nil:
		q.mu.Unlock()
		return nil, notStarted(v, c)
	}
	s.users++
	s.idle.Stop()
	q.mu.Unlock()

	var expired <-chan time.Time
	if !c.Deadline.IsZero() {
		t := time.NewTimer(time.Until(c.Deadline))
		defer t.Stop()
		expired = t.C
	}
	var err error
	select {
	case <-s.turn:
		q.mu.Lock()
		over := s.over
		q.mu.Unlock()
		if !over {
			return s, nil
		}
		s.turn <- struct{}{}
		err = notStarted(v, c)
	case <-ctx.Done():
		err = api.Errorf(api.CodeCancelled, "the caller cancelled the request")
		if ctx.Err() == context.DeadlineExceeded {
			err = api.Errorf(api.CodeRequestTimeout, "Request timeout expired")
		}
	case <-c.Gone():
		err = api.Errorf(api.CodeCancelled, "the caller closed the connection")
	case <-expired:
		err = api.Errorf(api.CodeRequestTimeout, "Request timeout expired")
	}
	if c.Sequence.Start {
		q.mu.Lock()
		q.end(s) // it never began
		q.mu.Unlock()
	}
	q.unuse(s)
	return nil, err
}

func notStarted(v *Served, c *Call) error {
	return api.Errorf(api.CodeSequenceNotStarted, "inference request for sequence %v to model '%s' must specify the START flag on the first request of the sequence: it was never started, has ended, or was idle for %v",
		&c.Sequence, v.Model, v.sequences.spec.Idle)
}

// leave gives the turn to the next request of the sequence, or ends it.
func (q *sequences) leave(s *sequence, over bool) {
	if over {
		q.mu.Lock()
		q.end(s)
		q.mu.Unlock()
	}
	s.turn <- struct{}{}
	q.unuse(s)
}

// unuse counts a request out; the last one starts the idle time.
func (q *sequences) unuse(s *sequence) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s.users--; s.users == 0 && !s.over {
		s.idle.Reset(q.spec.Idle)
	}
}

// expire ends a sequence that has been silent; one that was used just now stays.
func (q *sequences) expire(s *sequence) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s.users == 0 && !s.over {
		q.end(s)
	}
}

// end forgets a sequence. q.mu is held.
func (q *sequences) end(s *sequence) {
	if !s.over {
		s.over = true
		delete(q.live, s.key)
		s.idle.Stop()
	}
}

// close stops the timers, when no request can come any more.
func (q *sequences) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.live {
		q.end(s)
	}
}

// keep copies the state out of the answer.
func (q *sequences) keep(v *Served, s *sequence, c *Call) error {
	if s.state == nil {
		s.state = make([]*tensor.Tensor, len(q.spec.States))
	}
	next := make([]*tensor.Tensor, len(q.spec.States))
	for i, st := range q.spec.States {
		t, ok := c.Out[st.Output].(*tensor.Tensor)
		if !ok || t.DType != st.Initial.DType {
			return api.Errorf(api.CodeExecutionFailed, "model '%s' gave no state as '%s'", v.Model, v.Outputs[st.Output].Name)
		}
		next[i] = t
	}
	for i, t := range next {
		if old := s.state[i]; old != nil && old.Shape.Equal(t.Shape) {
			copy(old.Bytes(), t.Bytes())
		} else {
			s.state[i] = t.Clone()
		}
	}
	return nil
}

// fillSequence gives the model its state and tells it where in the sequence the request is.
func (v *Served) fillSequence(c *Call, s *sequence) {
	for len(c.In) < len(v.Inputs) {
		c.In = append(c.In, tensor.Tensor{})
	}
	q := v.sequences.spec
	for i, st := range q.States {
		t := st.Initial
		if s.state != nil {
			t = s.state[i]
		}
		c.In[st.Input] = *t
	}
	for _, ctl := range q.Controls {
		value := ctl.False
		switch {
		case ctl.Kind == config.ControlID:
			c.In[ctl.Input] = *idTensor(&ctl, &c.Sequence)
			continue
		case ctl.Kind == config.ControlReady, ctl.Kind == config.ControlStart && c.Sequence.Start, ctl.Kind == config.ControlEnd && c.Sequence.End:
			value = ctl.True
		}
		c.In[ctl.Input].View(ctl.DType, ctl.Shape, value)
	}
}

// idTensor is the sequence's id as the model takes it: of a text as a number, its hash (FNV-1a).
func idTensor(ctl *config.SequenceControl, s *Sequence) *tensor.Tensor {
	if ctl.DType == tensor.String {
		text := s.Text
		if text == "" {
			text = strconv.FormatUint(s.Number, 10)
		}
		return tensor.FromStrings([]string{text}, ctl.Shape...)
	}
	n := s.Number
	if s.Text != "" {
		n = 14695981039346656037
		for _, b := range []byte(s.Text) {
			n = (n ^ uint64(b)) * 1099511628211
		}
	}
	t := tensor.New(ctl.DType, ctl.Shape)
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	copy(t.Bytes(), b[:])
	return t
}
