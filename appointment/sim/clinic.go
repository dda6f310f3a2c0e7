package sim

import (
	"math"
	"math/rand/v2"
)

// VisitType is a kind of visit.
type VisitType struct {
	Name string
	// Share of all visits; shares sum to 1.
	Share float64
	// Mean in minutes and coefficient of variation of the lognormal service time.
	Mean, CV float64
}

// The default visit types, by index.
const (
	TypeNew = iota
	TypeFollowUp
	TypeComplex
)

// Clinic describes the half-days that [Clinic.HalfDay] draws.
type Clinic struct {
	// Doctors is their number; each has a fixed factor on service times, with
	// normal logarithm of standard deviation DoctorSD.
	Doctors  int
	DoctorSD float64
	// Patients of a half-day: uniform from MinPatients to MaxPatients.
	MinPatients, MaxPatients int
	// Intervals between appointments in minutes, equally likely.
	Intervals []int
	Types     []VisitType
	// NoShow are equally likely probabilities of not coming.
	NoShow []float64
	// A patient arrives at appointment + N(ArrivalMean, ArrivalSD), the doctor
	// begins at max(0, N(LateMean, LateSD)).
	ArrivalMean, ArrivalSD float64
	LateMean, LateSD       float64
	// Seed decides the doctors' factors.
	Seed uint64
}

// DefaultClinic is the clinic of the reference: 12 doctors, 10 to 20 patients a
// half-day.
func DefaultClinic() Clinic {
	return Clinic{
		Doctors: 12, DoctorSD: .15, MinPatients: 10, MaxPatients: 20, Intervals: []int{10, 12, 15},
		Types: []VisitType{
			{"new", .38, 15.2, .455},
			{"follow-up", .55, 12.2, .44},
			{"complex", .07, 25, .5},
		},
		NoShow:      []float64{.05, .05, .22, .24, .26, .31, .34, .45},
		ArrivalMean: -5, ArrivalSD: 8, LateMean: 3, LateSD: 5, Seed: 1,
	}
}

// DoctorFactor returns the factor of doctor d on service times.
func (c *Clinic) DoctorFactor(d int) float64 {
	rng := rand.New(rand.NewPCG(c.Seed, uint64(d)+1))
	return math.Exp(c.DoctorSD * rng.NormFloat64())
}

// HalfDay is a drawn half-day and what happened.
type HalfDay struct {
	Doctor, Interval int
	// Type and NoShow of each patient; patient i is booked at i·Interval.
	Type    []int
	NoShow  []float64
	Outcome Outcome
}

// HalfDay draws a half-day with equal intervals and plays it.
func (c *Clinic) HalfDay(rng *rand.Rand) HalfDay {
	h := HalfDay{Doctor: rng.IntN(c.Doctors), Interval: c.Intervals[rng.IntN(len(c.Intervals))]}
	n := c.MinPatients + rng.IntN(c.MaxPatients-c.MinPatients+1)
	factor := c.DoctorFactor(h.Doctor)
	s := Session{
		Planned: float64(n * h.Interval), Order: ByArrival,
		Punctuality: Normal(c.ArrivalMean, c.ArrivalSD), Late: Normal(c.LateMean, c.LateSD),
	}
	for i := range n {
		t := c.drawType(rng)
		p := c.NoShow[rng.IntN(len(c.NoShow))]
		h.Type, h.NoShow = append(h.Type, t), append(h.NoShow, p)
		v := c.Types[t]
		s.Visits = append(s.Visits, Visit{float64(i * h.Interval), p, Lognormal(v.Mean*factor, v.CV)})
	}
	h.Outcome = s.Run(rng)
	return h
}

func (c *Clinic) drawType(rng *rand.Rand) int {
	u := rng.Float64()
	for t, v := range c.Types {
		if u < v.Share {
			return t
		}
		u -= v.Share
	}
	return len(c.Types) - 1
}
