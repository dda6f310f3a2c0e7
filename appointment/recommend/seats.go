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
	session *Session
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

// seats lists a doctor's first free time of each half-day from a moment on.
func (c *Clinic) seats(doctor int, from time.Time) [numSeats]seat {
	var out [numSeats]seat
	first := dayNumber(from)
	y, m, d := from.Date()
	for k := range c.Doctors[doctor].Sessions {
		s := &c.Doctors[doctor].Sessions[k]
		for day := range horizonDays {
			n := first + day
			if (n%7+7)%7 != s.Weekday {
				continue
			}
			at := 2 * day
			if s.hour >= noonHour {
				at++
			}
			week := (n - s.Weekday) / 7
			booked := s.Booked[(week%len(s.Booked)+len(s.Booked))%len(s.Booked)]
			// A session that would begin in an hour which the clocks skip has no slots.
			start, err := appointment.LocalTime("session", time.Date(y, m, d+day, 12, 0, 0, 0, time.UTC), s.hour, s.minute, c.location)
			if err != nil {
				continue
			}
			for slot := range len(booked) {
				t := start.Add(time.Duration(slot*s.Minutes) * time.Minute)
				if booked[slot] != '.' || t.Before(from) || out[at].free && !t.Before(out[at].start) {
					continue
				}
				out[at] = seat{true, t, s, slot, booked}
				break
			}
		}
	}
	return out
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
		planned = append(planned, wait.Planned{Type: t, NoShow: c.NoShow, Mean: c.VisitTypes[t].Mean, Minute: float64(slot * at.session.Minutes)})
	}
	rows := wait.AppendFeatures(nil, doctor, at.session.Minutes, planned)
	return append(dst, rows[index*wait.NumFeatures:(index+1)*wait.NumFeatures]...)
}

// seatAt finds the seat of an open appointment, so that its wait can be told; ok is
// false if it lies outside of the doctor's hours.
func (c *Clinic) seatAt(doctor int, start time.Time) (seat, bool) {
	local := start.In(c.location)
	n := dayNumber(local)
	for k := range c.Doctors[doctor].Sessions {
		s := &c.Doctors[doctor].Sessions[k]
		if (n%7+7)%7 != s.Weekday {
			continue
		}
		week := (n - s.Weekday) / 7
		booked := s.Booked[(week%len(s.Booked)+len(s.Booked))%len(s.Booked)]
		begin, err := appointment.LocalTime("session", local, s.hour, s.minute, c.location)
		minute := appointment.SessionMinute(begin, start)
		if err == nil && minute >= 0 && minute%s.Minutes == 0 && minute/s.Minutes < len(booked) {
			return seat{true, local, s, minute / s.Minutes, booked}, true
		}
	}
	return seat{}, false
}
