package noshow

import (
	"slices"
)

// Moment is when a prediction is made.
type Moment int

const (
	// Booking predicts as the appointment is booked: nothing of the booking day
	// itself, or later, has an outcome yet and no reminder has been sent.
	Booking Moment = iota
	// DayOf predicts as the day of the appointment begins.
	DayOf
)

// String is the name in cards and on the command line.
func (m Moment) String() string {
	if m == DayOf {
		return "day-of"
	}
	return "booking"
}

// of gives what is known about r at the moment: bookings up to second t, and
// the outcomes of days before cut.
func (m Moment) of(r *Record) (t int64, cut int32) {
	if m == DayOf {
		return max(r.Booked, int64(r.Day)*daySeconds), r.Day
	}
	return r.Booked, dayOf(r.Booked)
}

// Past is what a patient's file says at a moment.
type Past struct {
	// Count is the number of appointments with a known outcome, Missed how many
	// of them were no-shows.
	Count, Missed int
	// Last is the share of no-shows on the latest of those days and Since how
	// many days ago it was; both -1 where there is none.
	Last, Since float64
	// Open is the number of the patient's other appointments that are booked
	// and still to come.
	Open int
}

// History answers what was known of each patient at any moment. Build it with
// NewHistory.
type History struct{ patients map[float64]*patientFile }

// patientFile holds one patient's appointments twice: when they were booked,
// and their days with outcomes, both in rising order.
type patientFile struct {
	booked []int64
	days   []dayOutcome
}

// dayOutcome joins a patient's appointments of one day. before and missedBefore
// count those of all earlier days.
type dayOutcome struct {
	day                  int32
	count, missed        int32
	before, missedBefore int32
}

// NewHistory takes in the records, in any order. It keeps none of them.
func NewHistory(records []Record) *History {
	h := &History{patients: make(map[float64]*patientFile)}
	type visit struct {
		day    int32
		missed bool
	}
	visits := make(map[float64][]visit)
	for i := range records {
		r := &records[i]
		p := h.patients[r.Patient]
		if p == nil {
			p = &patientFile{}
			h.patients[r.Patient] = p
		}
		p.booked = append(p.booked, r.Booked)
		visits[r.Patient] = append(visits[r.Patient], visit{r.Day, r.NoShow})
	}
	for id, p := range h.patients {
		slices.Sort(p.booked)
		v := visits[id]
		slices.SortFunc(v, func(a, b visit) int { return int(a.day) - int(b.day) })
		for _, x := range v {
			n := len(p.days)
			if n == 0 || p.days[n-1].day != x.day {
				d := dayOutcome{day: x.day}
				if n > 0 {
					l := p.days[n-1]
					d.before, d.missedBefore = l.before+l.count, l.missedBefore+l.missed
				}
				p.days = append(p.days, d)
				n++
			}
			p.days[n-1].count++
			if x.missed {
				p.days[n-1].missed++
			}
		}
	}
	return h
}

// At tells a patient's past as known at second t, with the outcomes of days
// before cut. Cut must not be after t's day, so that whatever has an outcome
// was booked by t. Where the appointment in question is itself among the
// records, own is 1, else 0.
func (h *History) At(patient float64, t int64, cut int32, own int) Past {
	past := Past{Last: -1, Since: -1}
	p := h.patients[patient]
	if p == nil {
		return past
	}
	if i, _ := slices.BinarySearchFunc(p.days, cut, func(d dayOutcome, c int32) int { return int(d.day) - int(c) }); i > 0 {
		d := p.days[i-1]
		past.Count = int(d.before + d.count)
		past.Missed = int(d.missedBefore + d.missed)
		past.Last = float64(d.missed) / float64(d.count)
		past.Since = float64(cut - d.day)
	}
	booked, _ := slices.BinarySearch(p.booked, t+1)
	past.Open = max(0, booked-past.Count-own)
	return past
}
