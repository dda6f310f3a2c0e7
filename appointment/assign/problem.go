package assign

import (
	"math"

	"github.com/aimass/aimass/appointment"
)

// Limits of one problem.
const (
	MaxRequests = 20_000
	MaxSeats    = 20_000
	// maxArcs bounds requests × doctors × slots.
	maxArcs = 100_000_000
	// maxWish bounds the size of a preference.
	maxWish = 1000
)

// Costs are the weights of the objective, in whole units.
type Costs struct {
	// PriorMissed is for a request that has a prior doctor and gets another.
	PriorMissed int
	// UrgencyPerSlot times urgency times slot number (from 0), rounded.
	UrgencyPerSlot int
	// Wish times (1 − preference), rounded, is for the seat's preference.
	Wish int
	// Risk times the probability of not coming, rounded, is for slots below
	// RiskSlots.
	Risk      int
	RiskSlots int
	// HalfDayStep · k is for the k-th request (from 0) of a half-day of a doctor,
	// DoctorStep · k for the k-th of a doctor.
	HalfDayStep int
	DoctorStep  int
}

// DefaultCosts are the weights of the reference instance.
func DefaultCosts() Costs {
	return Costs{PriorMissed: 10_000, UrgencyPerSlot: 20, Wish: 100, Risk: 200, RiskSlots: 2, HalfDayStep: 15, DoctorStep: 40}
}

// Seat is a slot of a doctor.
type Seat struct{ Doctor, Slot int }

// none is the seat of a request that has none.
var none = Seat{-1, -1}

// Problem is a set of requests and the seats of one horizon. Arrays are
// row-major.
type Problem struct {
	Requests, Doctors, Slots int
	// Eligible [Requests, Doctors]: who can see whom (skills, absence).
	Eligible []bool
	// Prior [Requests]: the doctor who saw the patient before, −1 none.
	Prior []int
	// Urgency [Requests], 0 to 1000; 1 is normal.
	Urgency []float64
	// NoShow [Requests]: probability of not coming.
	NoShow []float64
	// Preference [Requests, Doctors, Slots]: 1 where the seat is as wished, less
	// where it is not; may be below 0. Nil means 1 everywhere.
	Preference []float32
	// Free [Doctors, Slots]; nil means all.
	Free []bool
	// Open, if set, [Requests]: an appointment for the same need that the patient
	// already has, with Doctor −1 for none. It is given back and takes its seat
	// whether or not Free says so.
	Open []Seat
	// HalfSplit is the first slot of the second half-day; 0 means half of Slots,
	// rounded up.
	HalfSplit int
	Costs     Costs
}

// Validate returns the first thing wrong with the problem, as an
// [appointment.Error].
func (p *Problem) Validate() error {
	if p.Requests <= 0 || p.Doctors <= 0 || p.Slots <= 0 {
		return appointment.Errorf(appointment.CodeEmptyBatch, "eligible", "%d requests, %d doctors, %d slots", p.Requests, p.Doctors, p.Slots)
	}
	if p.Requests > MaxRequests || p.Doctors > MaxSeats || p.Slots > MaxSeats || p.Doctors*p.Slots > MaxSeats || p.Requests*p.Doctors*p.Slots > maxArcs {
		return appointment.Errorf(appointment.CodeTooLarge, "eligible", "%d requests, %d doctors, %d slots", p.Requests, p.Doctors, p.Slots)
	}
	f := func(field string, got, want int, optional bool) error {
		if got == want || (optional && got == 0) {
			return nil
		}
		return appointment.Errorf(appointment.CodeRaggedBatch, field, "%d values, not %d", got, want)
	}
	seats := p.Doctors * p.Slots
	for _, err := range []error{
		f("eligible", len(p.Eligible), p.Requests*p.Doctors, false),
		f("prior_doctor", len(p.Prior), p.Requests, false),
		f("urgency", len(p.Urgency), p.Requests, false),
		f("p_noshow", len(p.NoShow), p.Requests, false),
		f("preference", len(p.Preference), p.Requests*seats, true),
		f("slot_free", len(p.Free), seats, true),
		f("open", len(p.Open), p.Requests, true),
	} {
		if err != nil {
			return err
		}
	}
	if p.HalfSplit < 0 || p.HalfSplit > p.Slots {
		return appointment.Errorf(appointment.CodeBadSeat, "half_split", "%d of %d slots", p.HalfSplit, p.Slots)
	}
	if err := p.validateValues(); err != nil {
		return err
	}
	return p.validateOpen()
}

func (p *Problem) validateValues() error {
	for i := range p.Requests {
		if d := p.Prior[i]; d < -1 || d >= p.Doctors {
			return appointment.Errorf(appointment.CodePriorDoctorRange, "prior_doctor", "request %d has %d of %d", i, d, p.Doctors)
		}
		if err := appointment.CheckFinite("urgency", i, p.Urgency[i]); err != nil {
			return err
		}
		if u := p.Urgency[i]; u < 0 || u > appointment.MaxUrgency {
			return appointment.Errorf(appointment.CodeBadUrgency, "urgency", "request %d has %v", i, u)
		}
		if err := appointment.CheckProbability("p_noshow", i, p.NoShow[i]); err != nil {
			return err
		}
	}
	for i, v := range p.Preference {
		if !(math.Abs(float64(v)) <= maxWish) {
			return appointment.Errorf(appointment.CodeNotFinite, "preference", "value %d is %v; the limit is %d", i, v, maxWish)
		}
	}
	c := p.Costs
	for _, v := range []int{c.PriorMissed, c.UrgencyPerSlot, c.Wish, c.Risk, c.HalfDayStep, c.DoctorStep, c.RiskSlots} {
		if v < 0 || v > 1_000_000 {
			return appointment.Errorf(appointment.CodeNegativeWeight, "costs", "%+v", c)
		}
	}
	return nil
}

func (p *Problem) validateOpen() error {
	taken := map[Seat]int{}
	for i, s := range p.Open {
		if s.Doctor == -1 {
			continue
		}
		if s.Doctor < -1 || s.Doctor >= p.Doctors || s.Slot < 0 || s.Slot >= p.Slots {
			return appointment.Errorf(appointment.CodeBadSeat, "open", "request %d has doctor %d, slot %d", i, s.Doctor, s.Slot)
		}
		if j, ok := taken[s]; ok {
			return appointment.Errorf(appointment.CodeBadSeat, "open", "requests %d and %d both have doctor %d, slot %d", j, i, s.Doctor, s.Slot)
		}
		taken[s] = i
	}
	return nil
}

// hasOpen says whether request i already has an appointment.
func (p *Problem) hasOpen(i int) bool { return p.Open != nil && p.Open[i].Doctor >= 0 }

// halfSplit returns the first slot of the second half-day.
func (p *Problem) halfSplit() int {
	if p.HalfSplit == 0 {
		return (p.Slots + 1) / 2
	}
	return p.HalfSplit
}

// cost is the cost of request i in slot s of doctor d, without the spread.
func (p *Problem) cost(i, d, s int) int64 {
	c := p.Costs
	sum := int64(0)
	if p.Prior[i] >= 0 && p.Prior[i] != d {
		sum += int64(c.PriorMissed)
	}
	sum += int64(math.Round(float64(c.UrgencyPerSlot)*p.Urgency[i])) * int64(s)
	if p.Preference != nil {
		wish := float64(p.Preference[(i*p.Doctors+d)*p.Slots+s])
		sum += int64(math.Round(float64(c.Wish) * (1 - wish)))
	}
	if s < c.RiskSlots {
		sum += int64(math.Round(float64(c.Risk) * p.NoShow[i]))
	}
	return sum
}
