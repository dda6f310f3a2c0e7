package assign

import (
	"cmp"
	"context"
	"math"
	"slices"
)

// Reason says why a request got what it got.
type Reason int32

// The reasons. From 10 on the request is queued.
const (
	// ReasonPlaced: no prior doctor, the cheapest seat in the whole plan.
	ReasonPlaced Reason = 0
	// ReasonPriorKept: with the prior doctor.
	ReasonPriorKept Reason = 1
	// ReasonOpenKept: the appointment the patient already had.
	ReasonOpenKept Reason = 2
	// ReasonPriorAway: the prior doctor can't see the request or has no free slot.
	ReasonPriorAway Reason = 3
	// ReasonPriorFull: the prior doctor's slots serve the whole plan better with
	// others.
	ReasonPriorFull Reason = 4
	// ReasonNoDoctor: queued, no doctor can see the request.
	ReasonNoDoctor Reason = 10
	// ReasonNoSlot: queued, the doctors who can see it have no free slot.
	ReasonNoSlot Reason = 11
	// ReasonAllTaken: queued, the free slots went to patients who keep their doctor
	// and to requests of higher or equal urgency.
	ReasonAllTaken Reason = 12
)

// String gives the reason in words.
func (r Reason) String() string {
	switch r {
	case ReasonPlaced:
		return "placed"
	case ReasonPriorKept:
		return "placed with the prior doctor"
	case ReasonOpenKept:
		return "keeps the open appointment"
	case ReasonPriorAway:
		return "placed with another doctor: the prior doctor is not available"
	case ReasonPriorFull:
		return "placed with another doctor: the prior doctor's slots are taken"
	case ReasonNoDoctor:
		return "queued: no doctor can see this request"
	case ReasonNoSlot:
		return "queued: the doctors who can see this request have no free slot"
	case ReasonAllTaken:
		return "queued: all slots are taken"
	}
	return "unknown"
}

// Plan is a solution.
type Plan struct {
	// Seat of each request; Doctor and Slot are −1 if it is queued.
	Seat []Seat
	// Queue is the request's place in the queue, 1 first, 0 if placed. The queue
	// goes by urgency, then by index.
	Queue  []int
	Reason []Reason
	// Load is the number of requests of each doctor.
	Load []int
	// Cost = SeatCost + SpreadCost of the placed requests; open appointments count
	// in the spread only.
	Cost, SeatCost, SpreadCost int64
	// Continuity kept and asked: requests that got, and that have, a prior doctor.
	Kept, Asked int
}

// Solve returns a plan that places as many requests as can be, those first who can
// keep their prior doctor, then the urgent, and of all such plans one of least cost. Errors are [appointment.Error] for
// bad input, else the context's.
func Solve(ctx context.Context, p *Problem) (*Plan, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	f, err := optimise(ctx, p)
	if err != nil {
		return nil, err
	}
	return read(p, f), nil
}

// optimise returns an optimal flow. Large problems are solved on a few arcs of
// each request first; then requests that have an arc of negative reduced cost get
// it and are placed again, until there are none. At the end the potentials prove
// the flow optimal on all arcs.
func optimise(ctx context.Context, p *Problem) (*flow, error) {
	f := build(p)
	f.chooseArcs(p)
	first := byUrgency(p) // whom none that comes after can displace from all seats
	slices.SortStableFunc(first, func(a, b int) int { return cmp.Compare(f.queueCost[b], f.queueCost[a]) })
	for count, i := range first {
		if count%64 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !p.hasOpen(i) {
			f.place(i)
		}
	}
	for again := true; again; {
		again = false
		for i := range p.Requests {
			if p.hasOpen(i) || f.addArcs(p, i) == 0 {
				continue
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			again = true
			f.replace(i)
		}
	}
	return f, nil
}

// byUrgency returns the requests, urgent first, ties by index.
func byUrgency(p *Problem) []int {
	order := make([]int, p.Requests)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p.Urgency[b], p.Urgency[a]) })
	return order
}

// free says whether requests may be put on doctor d's slot s.
func (p *Problem) free(d, s int) bool { return p.Free == nil || p.Free[d*p.Slots+s] }

// build makes the network with all costs and the open appointments in place.
func build(p *Problem) *flow {
	f := &flow{
		requests: p.Requests, doctors: p.Doctors, slots: p.Slots, split: p.halfSplit(),
		halfStep: int64(p.Costs.HalfDayStep), docStep: int64(p.Costs.DoctorStep),
	}
	f.init()
	for d := range p.Doctors {
		for s := range p.Slots {
			if !p.free(d, s) {
				f.requestAt[d*p.Slots+s] = closed
			}
		}
	}
	for i := range p.Requests {
		if p.hasOpen(i) {
			seat := p.Open[i]
			f.requestAt[seat.Doctor*p.Slots+seat.Slot] = closed
			f.halfLoad[f.halfOf(seat.Doctor, seat.Slot)]++
			f.docLoad[seat.Doctor]++
		}
	}
	f.fixedHalf, f.fixedLoad = slices.Clone(f.halfLoad), slices.Clone(f.docLoad)
	dearest := f.fillCosts(p)
	f.fillQueueCosts(p, dearest)
	return f
}

// fillCosts lists each request's open arcs and returns the largest size of a
// cost.
func (f *flow) fillCosts(p *Problem) int64 {
	dearest := int64(1)
	f.doctorsOf, f.cost = make([][]int32, p.Requests), make([][]int32, p.Requests)
	openSeats := make([]bool, p.Doctors)
	for j, r := range f.requestAt {
		openSeats[j/p.Slots] = openSeats[j/p.Slots] || r == -1
	}
	for i := range p.Requests {
		if p.hasOpen(i) {
			continue
		}
		for d := range p.Doctors {
			if p.Eligible[i*p.Doctors+d] && openSeats[d] {
				f.doctorsOf[i] = append(f.doctorsOf[i], int32(d))
			}
		}
		f.cost[i] = make([]int32, 0, len(f.doctorsOf[i])*p.Slots)
		for _, d := range f.doctorsOf[i] {
			for s := range p.Slots {
				c := int64(noArc)
				if f.requestAt[int(d)*p.Slots+s] != closed {
					c = p.cost(i, int(d), s)
					dearest = max(dearest, c, -c)
				}
				f.cost[i] = append(f.cost[i], int32(min(c, noArc)))
			}
		}
	}
	return dearest
}

// urgencySteps is the resolution of an urgency in the order of placing.
const urgencySteps = 1000

// fillQueueCosts prices the queue so that no saving elsewhere is worth a place in
// it, a step of urgency is worth more than any saving, and a patient who can keep
// their doctor is worth more than any urgency.
func (f *flow) fillQueueCosts(p *Problem, dearest int64) {
	seats := int64(p.Doctors * p.Slots)
	spread := (f.halfStep + f.docStep) * int64(p.Slots+1)
	step := 2*(min(seats, int64(p.Requests))+1)*(dearest+spread) + 1
	f.queueCost = make([]int64, p.Requests)
	most := int64(0)
	for i := range f.queueCost {
		rank := 1 + int64(math.Round(p.Urgency[i]*urgencySteps))
		f.queueCost[i], most = step*rank, max(most, step*rank)
	}
	for i, keeps := range f.keepers(p) {
		if keeps {
			f.queueCost[i] += most
		}
	}
}

// keepers marks the requests that can keep their prior doctor: as many of each doctor's
// patients as the doctor has open seats, the urgent first.
func (f *flow) keepers(p *Problem) []bool {
	open := make([]int, p.Doctors)
	for j, r := range f.requestAt {
		if r == -1 {
			open[j/p.Slots]++
		}
	}
	keeps := make([]bool, p.Requests)
	for _, i := range byUrgency(p) {
		if d := p.Prior[i]; d >= 0 && !p.hasOpen(i) && p.Eligible[i*p.Doctors+d] && open[d] > 0 {
			open[d]--
			keeps[i] = true
		}
	}
	return keeps
}

// read turns the flow into a plan.
func read(p *Problem, f *flow) *Plan {
	out := &Plan{Seat: make([]Seat, p.Requests), Queue: make([]int, p.Requests), Reason: make([]Reason, p.Requests), Load: make([]int, p.Doctors)}
	place := 0
	for _, i := range byUrgency(p) {
		out.Seat[i] = none
		if p.hasOpen(i) {
			out.Seat[i] = p.Open[i]
		} else if j := int(f.seatOf[i]); j >= 0 {
			out.Seat[i] = Seat{j / p.Slots, j % p.Slots}
			out.SeatCost += p.cost(i, out.Seat[i].Doctor, out.Seat[i].Slot)
		} else {
			place++
			out.Queue[i] = place
		}
		out.Reason[i] = p.reason(f, i, out.Seat[i])
		if p.Prior[i] >= 0 {
			out.Asked++
			if out.Seat[i].Doctor == p.Prior[i] {
				out.Kept++
			}
		}
	}
	for d := range out.Load {
		out.Load[d] = int(f.docLoad[d])
		out.SpreadCost += steps(f.docStep, f.docLoad[d]) + steps(f.halfStep, f.halfLoad[2*d]) + steps(f.halfStep, f.halfLoad[2*d+1])
	}
	out.Cost = out.SeatCost + out.SpreadCost
	return out
}

// steps is 0 + 1 + … + (n−1) steps.
func steps(step int64, n int32) int64 { return step * int64(n) * int64(n-1) / 2 }

func (p *Problem) reason(f *flow, i int, got Seat) Reason {
	prior := p.Prior[i]
	switch {
	case p.hasOpen(i):
		return ReasonOpenKept
	case got == none && !slices.Contains(p.Eligible[i*p.Doctors:(i+1)*p.Doctors], true):
		return ReasonNoDoctor
	case got == none && len(f.doctorsOf[i]) == 0:
		return ReasonNoSlot
	case got == none:
		return ReasonAllTaken
	case prior < 0:
		return ReasonPlaced
	case got.Doctor == prior:
		return ReasonPriorKept
	case !slices.Contains(f.doctorsOf[i], int32(prior)):
		return ReasonPriorAway
	}
	return ReasonPriorFull
}
