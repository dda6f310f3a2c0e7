package sim

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/batcher"
)

// ours drives the server's policy.
type ours struct {
	p           *batcher.Policy
	lat         *batcher.Latency
	taken, late []*batcher.Item
	slots       map[*Job]int
}

// Ours makes queues with the server's policy. Nothing is told to it: it learns the run times
// as it does in the server.
func Ours(cfg batcher.Config) func(int) Queue {
	return func(int) Queue {
		lat := &batcher.Latency{}
		return &ours{p: batcher.NewPolicy(cfg, lat, nil), lat: lat, slots: map[*Job]int{}}
	}
}

func (o *ours) Offer(j *Job, now int64) bool {
	it := &batcher.Item{Rows: j.Rows, Bytes: 100, Arrived: now, Deadline: j.Deadline, Level: j.Level, Tenant: j.Tenant, Owner: j}
	switch v, _ := o.p.Admit(it, now); v {
	case batcher.Full:
		victim := o.p.Evict(it)
		if victim == nil {
			return false
		}
		victim.Owner.(*Job).Dropped = true
	case batcher.Unmeetable:
		return false
	}
	j.item = it
	o.p.Push(it)
	return true
}

func (o *ours) Due(now int64) (int64, bool) {
	if o.p.Waiting() == 0 {
		return 0, false
	}
	if !o.p.Free() {
		return math.MaxInt64, true
	}
	return o.p.Due(now), true
}

func (o *ours) Urgency(now int64) int64 { return o.p.Urgency(now) }

func (o *ours) Cut(now int64, batch []*Job) []*Job {
	o.taken, o.late = o.p.Cut(now, o.taken[:0], o.late[:0])
	for _, it := range o.late {
		it.Owner.(*Job).Dropped = true
	}
	rows := 0
	for _, it := range o.taken {
		batch = append(batch, it.Owner.(*Job))
		rows += max(it.Rows, 1)
	}
	if len(batch) > 0 {
		o.slots[batch[0]] = o.p.Begin(o.taken[0], rows, now)
	}
	return batch
}

func (o *ours) Done(batch []*Job, began, ended int64) {
	o.p.End(o.slots[batch[0]])
	delete(o.slots, batch[0])
	o.lat.Observe(0, 100, batch[0].Batch, ended-began)
}

// fixed is the usual dynamic batcher: first come, first served; a batch goes when max rows
// wait or the oldest has waited delay. What has missed its deadline is dropped when its turn
// comes.
type fixed struct {
	delay  int64
	max    int
	queue  []*Job
	rows   int
	bounds int
}

// Fixed makes queues with a fixed delay in nanoseconds and at most so many rows a batch; a
// max of 1 is no batching. The queue holds at most bound requests.
func Fixed(delay int64, most, bound int) func(int) Queue {
	return func(int) Queue { return &fixed{delay: delay, max: most, bounds: bound} }
}

func (f *fixed) Offer(j *Job, _ int64) bool {
	if len(f.queue) >= f.bounds {
		return false
	}
	f.queue = append(f.queue, j)
	f.rows += max(j.Rows, 1)
	return true
}

func (f *fixed) Due(now int64) (int64, bool) {
	if len(f.queue) == 0 {
		return 0, false
	}
	if f.rows >= f.max {
		return now, true
	}
	return f.queue[0].At + f.delay, true
}

func (f *fixed) Urgency(int64) int64 { return f.queue[0].At }

func (f *fixed) Cut(now int64, batch []*Job) []*Job {
	rows := 0
	for len(f.queue) > 0 {
		j := f.queue[0]
		n := max(j.Rows, 1)
		if j.Deadline != 0 && j.Deadline <= now {
			j.Dropped = true
		} else if rows > 0 && rows+n > f.max {
			break
		} else {
			batch = append(batch, j)
			rows += n
		}
		f.rows -= n
		f.queue = f.queue[1:]
	}
	return batch
}

func (f *fixed) Done([]*Job, int64, int64) {}

func fixedName(d float64, most int) string {
	return fmt.Sprintf("delay %g×, %d", d, most)
}
