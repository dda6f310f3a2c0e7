package noshow

import "time"

// Record is one appointment.
type Record struct {
	// Patient groups the rows of one person. The file writes it as a number,
	// now and then with a fraction.
	Patient float64
	// ID is the number of the appointment.
	ID int64
	// Booked is when it was booked, in Unix seconds; Day when it takes place, in
	// days since 1970. Both in UTC.
	Booked int64
	Day    int32
	Age    int32
	Male   bool
	// Place is the neighbourhood of the clinic.
	Place                                           string
	Scholarship, Hypertension, Diabetes, Alcoholism bool
	// Handicap counts disabilities, 0..4.
	Handicap int8
	// Reminded says that a text message was sent before the day.
	Reminded bool
	// NoShow is the outcome.
	NoShow bool
}

const daySeconds = 24 * 60 * 60

// dayOf is the day of a time in Unix seconds, rounded down.
func dayOf(unix int64) int32 {
	d := unix / daySeconds
	if unix%daySeconds < 0 {
		d--
	}
	return int32(d)
}

// Lead is the number of days from booking to appointment.
func (r *Record) Lead() int { return int(r.Day) - int(dayOf(r.Booked)) }

// weekday of a day since 1970, Monday 0. 1970-01-01 was a Thursday.
func weekday(day int32) int { return int((int64(day)%7 + 7 + 3) % 7) }

// Date writes a day as 2006-01-02.
func Date(day int32) string {
	return time.Unix(int64(day)*daySeconds, 0).UTC().Format(time.DateOnly)
}

// ParseDate reads a day written as 2006-01-02.
func ParseDate(s string) (int32, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return 0, err
	}
	return dayOf(t.Unix()), nil
}
