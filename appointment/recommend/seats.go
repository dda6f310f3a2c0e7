package recommend

import (
	"time"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/wait"
)

// horizonDays is how far ahead times are looked for.
const horizonDays = 28

// noonHour parts the half-days.
const noonHour = 13

// numSeats is the number of half-days of the horizon: the slots of the assignment.
const numSeats = 2 * horizonDays

// seat is the first free time of a doctor in a half-day.
type seat struct {
	free    bool
	start   time.Time
	minutes int // between appointments
	slot    int
	booked  string
}

// epochMonday is a Monday, from which weeks are counted.
var epochMonday = time.Date(1970, 1, 5, 0, 0, 0, 0, time.UTC)

// dayNumber counts days, so that a day is the same number in every zone.
func dayNumber(t time.Time) int {
	y, m, d := t.Date()
	return int(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Sub(epochMonday) / (24 * time.Hour))
}

// half is the number of the half-day of t, from 0 on the day of from.
func half(from, t time.Time) int {
	at := 2 * (dayNumber(t) - dayNumber(from))
	if t.Hour() >= noonHour {
		at++
	}
	return at
}

// offer puts the first free time of a block at or after from into out, if it is the
// earliest of its half-day.
func offer(out *[numSeats]seat, at int, b block, from time.Time) {
	for slot := range len(b.booked) {
		if b.booked[slot] != '.' {
			continue
		}
		t := b.start.Add(time.Duration(slot*b.minutes) * time.Minute)
		if t.Before(from) {
			continue
		}
		if !out[at].free || t.Before(out[at].start) {
			out[at] = seat{true, t, b.minutes, slot, b.booked}
		}
		return
	}
}

// seats lists a doctor's first free time of each half-day from a moment on: of the
// diary's sessions if there are any, else of the weekly ones.
func (q *question) seats(doctor int, out *[numSeats]seat) {
	if q.diary.blocks != nil {
		for _, b := range q.diary.blocks[doctor] {
			if at := half(q.from, b.start); at >= 0 && at < numSeats {
				offer(out, at, b, q.from)
			}
		}
		return
	}
	first := dayNumber(q.from)
	for k := range q.c.Doctors[doctor].Sessions {
		s := &q.c.Doctors[doctor].Sessions[k]
		for n := first + ((s.Weekday-first)%7+7)%7; n < first+horizonDays; n += 7 {
			// A session that would begin in an hour which the clocks skip has no slots.
			if b, err := q.c.block(s, n); err == nil {
				at := 2 * (n - first)
				if s.hour >= noonHour {
					at++
				}
				offer(out, at, b, q.from)
			}
		}
	}
}

// block is a weekly session on the day of a number.
func (c *Clinic) block(s *Session, day int) (block, error) {
	week := (day - s.Weekday) / 7
	booked := s.Booked[(week%len(s.Booked)+len(s.Booked))%len(s.Booked)]
	start, err := appointment.LocalTime("session", epochMonday.AddDate(0, 0, day), s.hour, s.minute, c.location)
	return block{start, s.Minutes, booked}, err
}

// appendWaitRow appends the row that appt-wait takes for a patient of a visit type who
// is booked at a seat, among those booked already.
func (c *Clinic) appendWaitRow(dst []float32, doctor int, at seat, visitType int) []float32 {
	var planned []wait.Planned
	index := 0
	for slot := range len(at.booked) {
		t := visitType
		switch {
		case slot == at.slot:
			index = len(planned)
		case at.booked[slot] == '.':
			continue
		default:
			t = int(at.booked[slot] - '0')
		}
		planned = append(planned, wait.Planned{Type: t, NoShow: c.NoShow, Mean: c.VisitTypes[t].Mean, Minute: float64(slot * at.minutes)})
	}
	rows := wait.AppendFeatures(nil, doctor, at.minutes, planned)
	return append(dst, rows[index*wait.NumFeatures:(index+1)*wait.NumFeatures]...)
}

// seatAt finds the seat of an open appointment, so that its wait can be told; ok is
// false if it lies outside of the doctor's hours.
func (q *question) seatAt(doctor int, start time.Time) (seat, bool) {
	local := start.In(q.c.location)
	blocks := q.diary.blocks[doctor]
	if q.diary.blocks == nil {
		n := dayNumber(local)
		for k := range q.c.Doctors[doctor].Sessions {
			if s := &q.c.Doctors[doctor].Sessions[k]; s.Weekday == (n%7+7)%7 {
				if b, err := q.c.block(s, n); err == nil {
					blocks = append(blocks, b)
				}
			}
		}
	}
	for _, b := range blocks {
		minute := appointment.SessionMinute(b.start, start)
		if !start.Before(b.start) && minute%b.minutes == 0 && minute/b.minutes < len(b.booked) {
			return seat{true, local, b.minutes, minute / b.minutes, b.booked}, true
		}
	}
	return seat{}, false
}
