package sim

import (
	"container/heap"
	"math"
	"math/rand/v2"
)

// Model is the run time of a batch in nanoseconds, by its rows.
type Model func(rows int) int64

// Affine is a model that takes first for one row and each for every further one.
func Affine(first, each float64) Model {
	return func(rows int) int64 { return int64(first + each*float64(max(rows, 1)-1)) }
}

// Machine is what a trace runs on.
type Machine struct {
	Workers int
	MaxRows int
	// Models by their number in the trace; a trace with more takes them in turn.
	Models []Model
	// Noise is the standard deviation of the logarithm of a run time.
	Noise float64
	Seed  uint64
}

func (m *Machine) model(k int) Model { return m.Models[k%len(m.Models)] }

// Queue is a scheduler of one model. Times are virtual nanoseconds.
type Queue interface {
	// Offer brings a request; false refuses it.
	Offer(j *Job, now int64) bool
	// Due is when something should be cut if a worker is free; false if nothing waits.
	Due(now int64) (int64, bool)
	// Urgency orders the queues of several models that are due: the smaller the sooner.
	Urgency(now int64) int64
	// Cut takes a batch out; what it leaves out for good it must mark as dropped.
	Cut(now int64, batch []*Job) []*Job
	// Done tells of a run.
	Done(batch []*Job, began, ended int64)
}

// Job is a request in a simulation.
type Job struct {
	Arrival
	Index   int
	Ended   int64 // 0 if it never ran
	Refused bool  // when it came
	Dropped bool  // later
	Batch   int   // rows of the batch it ran in
	item    any
}

// Good reports an answer within the deadline.
func (j *Job) Good() bool { return j.Ended != 0 && (j.Deadline == 0 || j.Ended <= j.Deadline) }

// event is a thing that happens: a batch ends, or a queue becomes due.
type event struct {
	at    int64
	seq   int
	batch []*Job // nil for a wake-up
	began int64
	queue Queue
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, k int) bool {
	return e[i].at < e[k].at || e[i].at == e[k].at && e[i].seq < e[k].seq
}
func (e events) Swap(i, k int) { e[i], e[k] = e[k], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

// run is the state of one simulation.
type run struct {
	m      *Machine
	now    int64
	free   int
	queues []Queue
	// open are the queues that may have something waiting.
	open   []int
	isOpen []bool
	events events
	seq    int
	woken  map[int]int64 // the wake-up that is set for a queue
	rng    *rand.Rand
	spare  [][]*Job
}

// Run plays a trace with one queue a model and gives every request's fate.
func Run(m *Machine, t Trace, queue func(model int) Queue) []Job {
	r := &run{m: m, free: m.Workers, woken: map[int]int64{}, rng: rand.New(rand.NewPCG(m.Seed, 7))}
	jobs := make([]Job, len(t))
	for i := 0; i < len(t) || len(r.events) > 0; {
		if i < len(t) && (len(r.events) == 0 || t[i].At < r.events[0].at) {
			r.now = t[i].At
			jobs[i] = Job{Arrival: t[i], Index: i}
			for len(r.queues) <= t[i].Model {
				r.queues, r.isOpen = append(r.queues, nil), append(r.isOpen, false)
			}
			q := r.queues[t[i].Model]
			if q == nil {
				q = queue(t[i].Model)
				r.queues[t[i].Model] = q
			}
			if !q.Offer(&jobs[i], r.now) {
				jobs[i].Refused = true
			} else if !r.isOpen[t[i].Model] {
				r.isOpen[t[i].Model] = true
				r.open = append(r.open, t[i].Model)
			}
			i++
		} else {
			e := heap.Pop(&r.events).(event)
			r.now = e.at
			if e.batch != nil {
				r.end(&e)
			}
		}
		r.dispatch()
	}
	return jobs
}

func (r *run) end(e *event) {
	r.free++
	for _, j := range e.batch {
		j.Ended = r.now
	}
	e.queue.Done(e.batch, e.began, r.now)
	r.spare = append(r.spare, e.batch[:0])
}

// dispatch gives free workers to the queues that are due, the most urgent first.
func (r *run) dispatch() {
	for r.free > 0 && len(r.open) > 0 {
		best := -1
		urgency := int64(math.MaxInt64)
		for i := 0; i < len(r.open); i++ {
			k := r.open[i]
			due, waits := r.queues[k].Due(r.now)
			if !waits {
				r.isOpen[k] = false
				r.open[i] = r.open[len(r.open)-1]
				r.open = r.open[:len(r.open)-1]
				i--
				continue
			}
			if due > r.now {
				r.wake(k, due)
				continue
			}
			if u := r.queues[k].Urgency(r.now); best < 0 || u < urgency {
				best, urgency = k, u
			}
		}
		if best < 0 {
			return
		}
		r.start(r.queues[best])
	}
}

func (r *run) wake(k int, due int64) {
	if old, set := r.woken[k]; set && old > r.now && old <= due {
		return
	}
	r.woken[k] = due
	r.push(event{at: due})
}

func (r *run) push(e event) {
	r.seq++
	e.seq = r.seq
	heap.Push(&r.events, e)
}

func (r *run) start(q Queue) {
	var batch []*Job
	if n := len(r.spare); n > 0 {
		batch, r.spare = r.spare[n-1], r.spare[:n-1]
	}
	batch = q.Cut(r.now, batch)
	if len(batch) == 0 {
		return
	}
	rows := 0
	for _, j := range batch {
		rows += max(j.Rows, 1)
	}
	for _, j := range batch {
		j.Batch = rows
	}
	t := r.m.model(batch[0].Model)(rows)
	if r.m.Noise > 0 {
		t = int64(float64(t) * math.Exp(r.rng.NormFloat64()*r.m.Noise))
	}
	r.free--
	r.push(event{at: r.now + max(t, 1), batch: batch, began: r.now, queue: q})
}
