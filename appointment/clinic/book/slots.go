package book

import (
	"bytes"
	"slices"
	"time"

	"github.com/aimass/aimass/appointment"
)

// Limits of hours.
const (
	maxSlotMinutes = 480
	maxSlots       = 100
)

// AddDoctor adds or replaces a doctor. Hours that overlap on a weekday are refused; so are
// none at all.
func (b *Book) AddDoctor(d Doctor) error {
	if d.ID == "" || len(d.ID) > 40 || len(d.Specialities) == 0 {
		return appointment.Errorf(appointment.CodeBadClinic, "doctor", "the id %q is empty or too long, or there is no speciality", d.ID)
	}
	if len(d.Hours) == 0 {
		return appointment.Errorf(appointment.CodeDoctorWithoutHours, "hours", "doctor %s", d.ID)
	}
	for i, h := range d.Hours {
		if err := h.check(); err != nil {
			return err
		}
		for _, g := range d.Hours[:i] {
			if h.Weekday == g.Weekday && h.begin() < g.end() && g.begin() < h.end() {
				return appointment.Errorf(appointment.CodeOverlappingSlots, "hours", "doctor %s on weekday %d at %s and %s", d.ID, h.Weekday, g.Start, h.Start)
			}
		}
	}
	return b.step("staff", func(t *txn) error {
		if err := put(t, bucketDoctors, []byte(d.ID), d); err != nil {
			return err
		}
		return t.audit(Entry{Step: "doctor", Detail: d.ID})
	})
}

func (h Hours) check() error {
	_, err := time.Parse("15:04", h.Start)
	if err != nil || h.Weekday < 0 || h.Weekday > 6 || h.Minutes < 1 || h.Minutes > maxSlotMinutes || h.Count < 1 || h.Count > maxSlots || h.end() > 24*60 {
		return appointment.Errorf(appointment.CodeBadClinic, "hours", "weekday %d at %q, %d slots of %d minutes", h.Weekday, h.Start, h.Count, h.Minutes)
	}
	return nil
}

// begin and end are minutes of the day on the wall clock.
func (h Hours) begin() int {
	at, _ := time.Parse("15:04", h.Start)
	return at.Hour()*60 + at.Minute()
}

func (h Hours) end() int { return h.begin() + h.Minutes*h.Count }

// weekday counts from Monday.
func weekday(t time.Time) int { return (int(t.Weekday()) + 6) % 7 }

// Noon is noon of the day of t in a zone: a time that every day has, to count days with.
func Noon(t time.Time, zone *time.Location) time.Time {
	y, m, d := t.In(zone).Date()
	return time.Date(y, m, d, 12, 0, 0, 0, zone)
}

// DayBounds gives the first instant of the day of t in a zone and that of the next day. A
// day whose midnight the clocks skip begins later.
func DayBounds(t time.Time, zone *time.Location) (from, to time.Time) {
	noon := Noon(t, zone)
	return firstInstant(noon), firstInstant(noon.AddDate(0, 0, 1))
}

// firstInstant is when the day of noon begins.
func firstInstant(noon time.Time) time.Time {
	y, m, d := noon.Date()
	t := time.Date(y, m, d, 0, 0, 0, 0, noon.Location())
	if t.Day() == d { // midnight exists, or stands for the first instant after the gap
		if e := t.Add(-time.Hour); e.Day() == d {
			return e
		}
		return t
	}
	for t = t.Add(time.Minute); t.Day() != d; t = t.Add(time.Minute) {
	}
	return t
}

// Extend makes the slots of the doctors' weekly hours for so many days from today, and
// gives how many are new. Days that it has made before stay as they are.
func (b *Book) Extend(days int) (added int, err error) {
	err = b.step("clinic", func(t *txn) error {
		added = 0
		doctors, err := t.doctors()
		if err != nil {
			return err
		}
		today := Noon(t.now, b.c.Zone)
		until := today.AddDate(0, 0, days)
		for _, d := range doctors {
			from := today
			key := under(string(metaExtended), []byte(d.ID))
			if done := t.Bucket(bucketMeta).Get(key); len(done) == 8 && timeOf(done).After(from) {
				from = timeOf(done).In(b.c.Zone)
			}
			for day := from; day.Before(until); day = day.AddDate(0, 0, 1) {
				n, err := t.addDay(&d, day)
				if err != nil {
					return err
				}
				added += n
			}
			if from.Before(until) {
				if err := t.Bucket(bucketMeta).Put(key, keyOf(until)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return added, err
}

// addDay makes a doctor's slots of one day. An hour that the day does not have makes none.
func (t *txn) addDay(d *Doctor, noon time.Time) (added int, err error) {
	for _, h := range d.Hours {
		if h.Weekday != weekday(noon) {
			continue
		}
		start, err := appointment.LocalTime("hours", noon, h.begin()/60, h.begin()%60, t.b.c.Zone)
		if appointment.CodeOf(err) == appointment.CodeTimestampGap {
			continue
		}
		if err != nil {
			return added, err
		}
		for k := range h.Count {
			at := start.Add(time.Duration(k*h.Minutes) * time.Minute)
			err := t.addSlot(Slot{Doctor: d.ID, Session: start, Start: at, End: at.Add(time.Duration(h.Minutes) * time.Minute), Status: Free})
			if appointment.CodeOf(err) == appointment.CodeOverlappingSlots {
				continue // a slot that was entered by hand goes before the weekly hours
			}
			if err != nil {
				return added, err
			}
			added++
		}
	}
	return added, nil
}

// AddSlots enters slots by hand: so many of so many minutes from a time on. They must lie
// ahead and not overlap others of the doctor.
func (b *Book) AddSlots(doctor string, start time.Time, minutes, count int) ([]Slot, error) {
	var out []Slot
	if minutes < 1 || minutes > maxSlotMinutes || count < 1 || count > maxSlots {
		return nil, appointment.Errorf(appointment.CodeBadClinic, "slots", "%d slots of %d minutes", count, minutes)
	}
	start = start.UTC().Truncate(time.Minute)
	err := b.step("staff", func(t *txn) error {
		out = out[:0]
		if _, err := t.doctor(doctor); err != nil {
			return err
		}
		if start.Before(t.now) {
			return appointment.Errorf(appointment.CodeBookingInPast, "start", "%s, it is %s", start.Format(time.RFC3339), t.now.Format(time.RFC3339))
		}
		for k := range count {
			at := start.Add(time.Duration(k*minutes) * time.Minute)
			s := Slot{Doctor: doctor, Session: start, Start: at, End: at.Add(time.Duration(minutes) * time.Minute), Status: Free}
			if err := t.addSlot(s); err != nil {
				return err
			}
			out = append(out, s)
		}
		return t.audit(Entry{Step: "slots", Detail: SlotID(doctor, start)})
	})
	return out, err
}

// addSlot puts a slot where the doctor has none that overlaps it.
func (t *txn) addSlot(s Slot) error {
	s.Session, s.Start, s.End = s.Session.UTC(), s.Start.UTC(), s.End.UTC()
	key := under(s.Doctor, keyOf(s.Start))
	near, err := t.slots(s.Doctor, s.Start.Add(-maxSlotMinutes*time.Minute), s.End)
	if err != nil {
		return err
	}
	for _, other := range near {
		if other.Start.Before(s.End) && s.Start.Before(other.End) {
			return appointment.Errorf(appointment.CodeOverlappingSlots, "slot", "%s overlaps %s", s.ID(), other.ID())
		}
	}
	return put(t, bucketSlots, key, s)
}

// slot reads one slot.
func (t *txn) slot(doctor string, start time.Time) (Slot, bool, error) {
	return get[Slot](t, bucketSlots, under(doctor, keyOf(start)))
}

// slots lists a doctor's slots that begin in [from, to), all doctors' if doctor is "".
func (t *txn) slots(doctor string, from, to time.Time) (out []Slot, err error) {
	if doctor == "" {
		all, err := t.doctors()
		if err != nil {
			return nil, err
		}
		for _, d := range all {
			part, err := t.slots(d.ID, from, to)
			if err != nil {
				return nil, err
			}
			out = append(out, part...)
		}
		return out, nil
	}
	end := under(doctor, keyOf(to))
	c := t.Bucket(bucketSlots).Cursor()
	for k, _ := c.Seek(under(doctor, keyOf(from))); k != nil && bytes.Compare(k, end) < 0; k, _ = c.Next() {
		s, _, err := get[Slot](t, bucketSlots, k)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (t *txn) doctor(id string) (Doctor, error) {
	d, ok, err := get[Doctor](t, bucketDoctors, []byte(id))
	if err == nil && !ok {
		err = notFound("doctor", id)
	}
	return d, err
}

func (t *txn) doctors() (out []Doctor, err error) {
	err = t.Bucket(bucketDoctors).ForEach(func(k, _ []byte) error {
		d, _, err := get[Doctor](t, bucketDoctors, k)
		out = append(out, d)
		return err
	})
	slices.SortStableFunc(out, func(a, b Doctor) int { return a.Number - b.Number })
	return out, err
}

func notFound(what, id string) error {
	return appointment.Errorf(appointment.CodeNotFound, what, "%q", id)
}
