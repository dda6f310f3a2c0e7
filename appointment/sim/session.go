package sim

import (
	"container/heap"
	"math"
	"math/rand/v2"
)

// Visit is one booked patient of a session. Minutes count from its planned start.
type Visit struct {
	// Appointment is the booked minute.
	Appointment float64
	// NoShow is the probability of not coming.
	NoShow float64
	// Service draws the patient's service time in minutes.
	Service func(*rand.Rand) float64
}

// Order says who is next when the doctor is free.
type Order int

const (
	// ByArrival sees patients in the order they come.
	ByArrival Order = iota
	// ByAppointment sees, of those present, the one booked first.
	ByAppointment
)

// Session is one doctor's half-day.
type Session struct {
	// Planned length in minutes, for idle time and overtime.
	Planned float64
	Visits  []Visit
	Order   Order
	// Punctuality draws a patient's arrival less the appointment in minutes; nil
	// means punctual.
	Punctuality func(*rand.Rand) float64
	// Late draws how late the doctor begins; nil means on time.
	Late func(*rand.Rand) float64
}

// Seen is what happened to one visit.
type Seen struct {
	Came bool
	// Arrival, Start and End in minutes; 0 if the patient did not come.
	Arrival, Start, End float64
	// Wait is from the later of arrival and appointment to the start.
	Wait float64
}

// Outcome is what happened in one session.
type Outcome struct {
	Seen []Seen
	// Wait is the sum of the waits of those who came.
	Wait float64
	// Overtime is the work after the planned end, Idle what the doctor did not work
	// from 0 to the later of planned end and last end.
	Overtime, Idle float64
}

// event is an arrival or the end of a service (or the doctor's coming).
type event struct {
	at float64
	// visit is the arriving visit, or −1 when the doctor becomes free.
	visit int
}

// events is a queue by time; of equal times arrivals are first, then by number.
type events []event

func (q events) Len() int      { return len(q) }
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q events) Less(i, j int) bool {
	if q[i].at != q[j].at {
		return q[i].at < q[j].at
	}
	if (q[i].visit < 0) != (q[j].visit < 0) {
		return q[i].visit >= 0
	}
	return q[i].visit < q[j].visit
}
func (q *events) Push(x any) { *q = append(*q, x.(event)) }
func (q *events) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// Run plays the session once.
func (s *Session) Run(rng *rand.Rand) Outcome {
	out := Outcome{Seen: make([]Seen, len(s.Visits))}
	queue := make(events, 0, len(s.Visits)+1)
	work := make([]float64, len(s.Visits))
	for i, v := range s.Visits {
		seen := &out.Seen[i]
		seen.Came = rng.Float64() >= v.NoShow
		work[i] = v.Service(rng)
		early := 0.0
		if s.Punctuality != nil {
			early = s.Punctuality(rng)
		}
		if seen.Came {
			seen.Arrival = v.Appointment + early
			queue = append(queue, event{seen.Arrival, i})
		}
	}
	begin := 0.0
	if s.Late != nil {
		begin = math.Max(0, s.Late(rng))
	}
	queue = append(queue, event{begin, -1})
	heap.Init(&queue)
	s.play(&out, &queue, work)
	s.total(&out)
	return out
}

// play handles the events in time.
func (s *Session) play(out *Outcome, queue *events, work []float64) {
	var present []int
	free := false
	for queue.Len() > 0 {
		e := heap.Pop(queue).(event)
		if e.visit >= 0 {
			present = append(present, e.visit)
		} else {
			free = true
		}
		if !free || len(present) == 0 {
			continue
		}
		k := s.next(present)
		i := present[k]
		present = append(present[:k], present[k+1:]...)
		seen := &out.Seen[i]
		seen.Start, seen.End = e.at, e.at+work[i]
		seen.Wait = math.Max(0, e.at-math.Max(seen.Arrival, s.Visits[i].Appointment))
		free = false
		heap.Push(queue, event{seen.End, -1})
	}
}

// next returns whose turn it is among those present, who are in order of arrival.
func (s *Session) next(present []int) int {
	if s.Order == ByArrival {
		return 0
	}
	best := 0
	for k, i := range present {
		if s.Visits[i].Appointment < s.Visits[present[best]].Appointment {
			best = k
		}
	}
	return best
}

func (s *Session) total(out *Outcome) {
	busy, end := 0.0, 0.0
	for _, seen := range out.Seen {
		if seen.Came {
			out.Wait += seen.Wait
			busy += seen.End - seen.Start
			end = math.Max(end, seen.End)
		}
	}
	out.Overtime = math.Max(0, end-s.Planned)
	out.Idle = s.Planned + out.Overtime - busy
}

// FromPMF draws whole minutes from a distribution on 0, 1, 2, …
func FromPMF(pmf []float64) func(*rand.Rand) float64 {
	return func(rng *rand.Rand) float64 {
		u := rng.Float64()
		for k, p := range pmf {
			if u < p {
				return float64(k)
			}
			u -= p
		}
		return float64(len(pmf) - 1)
	}
}

// Lognormal draws minutes with the given mean and coefficient of variation.
func Lognormal(mean, cv float64) func(*rand.Rand) float64 {
	s2 := math.Log(1 + cv*cv)
	mu, s := math.Log(mean)-s2/2, math.Sqrt(s2)
	return func(rng *rand.Rand) float64 { return math.Exp(mu + s*rng.NormFloat64()) }
}

// Normal draws from a normal distribution.
func Normal(mean, sd float64) func(*rand.Rand) float64 {
	return func(rng *rand.Rand) float64 { return mean + sd*rng.NormFloat64() }
}
