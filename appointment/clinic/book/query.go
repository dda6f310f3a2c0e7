package book

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/aimass/aimass/appointment"
)

// NewPatientID draws an id that nobody can guess.
func NewPatientID() string { return "n-" + strings.ToLower(newID()[:20]) }

// AddPatient adds or replaces a patient.
func (b *Book) AddPatient(p Patient) error {
	if err := p.check(); err != nil {
		return err
	}
	return b.step("clinic", func(t *txn) error {
		if err := put(t, bucketPatients, []byte(p.ID), p); err != nil {
			return err
		}
		return t.audit(Entry{Step: "patient", Detail: p.ID})
	})
}

// AddPatients adds or replaces many at once.
func (b *Book) AddPatients(list []Patient) error {
	return b.step("clinic", func(t *txn) error {
		for i := range list {
			if err := list[i].check(); err != nil {
				return err
			}
			if err := put(t, bucketPatients, []byte(list[i].ID), list[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// Doctors lists the doctors in order of their numbers.
func (b *Book) Doctors() (out []Doctor, err error) {
	err = b.view(func(t *txn) error { out, err = t.doctors(); return err })
	return out, err
}

// Doctor finds a doctor.
func (b *Book) Doctor(id string) (d Doctor, err error) {
	err = b.view(func(t *txn) error { d, err = t.doctor(id); return err })
	return d, err
}

// Patient finds a patient.
func (b *Book) Patient(id string) (p Patient, err error) {
	err = b.view(func(t *txn) error {
		var ok bool
		if p, ok, err = get[Patient](t, bucketPatients, []byte(id)); err != nil || !ok {
			return orNotFound(err, "patient", id)
		}
		return nil
	})
	return p, err
}

// Patients lists the patients by id.
func (b *Book) Patients() (out []Patient, err error) {
	err = b.view(func(t *txn) error {
		return t.Bucket(bucketPatients).ForEach(func(k, _ []byte) error {
			p, _, err := get[Patient](t, bucketPatients, k)
			out = append(out, p)
			return err
		})
	})
	return out, err
}

// Appointment finds an appointment.
func (b *Book) Appointment(id string) (v Appointment, err error) {
	err = b.view(func(t *txn) error { v, err = t.appointment(id); return err })
	return v, err
}

// Of lists a patient's appointments, the latest start first.
func (b *Book) Of(patient string) (out []Appointment, err error) {
	err = b.view(func(t *txn) error {
		prefix := under(patient, nil)
		c := t.Bucket(bucketOf).Cursor()
		for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
			v, err := t.appointment(string(k[len(prefix):]))
			if err != nil {
				return err
			}
			out = append(out, v)
		}
		return nil
	})
	slices.SortStableFunc(out, func(a, b Appointment) int { return b.Start.Compare(a.Start) })
	return out, err
}

// Slots lists the slots of a doctor, or of all if doctor is "", that begin in [from, to).
func (b *Book) Slots(doctor string, from, to time.Time) (out []Slot, err error) {
	err = b.view(func(t *txn) error { out, err = t.slots(doctor, from, to); return err })
	return out, err
}

// Slot finds a slot by its id.
func (b *Book) Slot(id string) (s Slot, err error) {
	doctor, start, bad := ParseSlotID(id)
	if bad != nil {
		return s, notFound("slot", id)
	}
	err = b.view(func(t *txn) error {
		var ok bool
		if s, ok, err = t.slot(doctor, start); err != nil || !ok {
			return orNotFound(err, "slot", id)
		}
		return nil
	})
	return s, err
}

// Nearest lists up to n free slots of a doctor that lie ahead, those nearest to a time
// first.
func (b *Book) Nearest(doctor string, at time.Time, n int) (out []Slot, err error) {
	now, err := b.c.Clock.Now()
	if err != nil {
		return nil, err
	}
	err = b.view(func(t *txn) error {
		t.now = now.UTC()
		out, err = t.nearest(doctor, at, n)
		return err
	})
	return out, err
}

// searchDays is how far around a time free slots are looked for.
const searchDays = 28

func (t *txn) nearest(doctor string, at time.Time, n int) ([]Slot, error) {
	from := at.AddDate(0, 0, -searchDays)
	if from.Before(t.now) {
		from = t.now
	}
	all, err := t.slots(doctor, from, at.AddDate(0, 0, searchDays))
	if err != nil {
		return nil, err
	}
	free := slices.DeleteFunc(all, func(s Slot) bool { return s.Status != Free || s.Start.Before(t.now) })
	slices.SortStableFunc(free, func(a, b Slot) int { return int(a.Start.Sub(at).Abs() - b.Start.Sub(at).Abs()) })
	return free[:max(0, min(n, len(free)))], nil
}

// Day lists a doctor's appointments whose slots begin in [from, to), by their starts.
func (b *Book) Day(doctor string, from, to time.Time) (out []Appointment, err error) {
	err = b.view(func(t *txn) error { out, err = t.day(doctor, from, to); return err })
	return out, err
}

// day leaves out what was cancelled: it has no slot.
func (t *txn) day(doctor string, from, to time.Time) (out []Appointment, err error) {
	slots, err := t.slots(doctor, from, to)
	if err != nil {
		return nil, err
	}
	for _, s := range slots {
		if s.Appointment == "" {
			continue
		}
		v, err := t.appointment(s.Appointment)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	slices.SortStableFunc(out, func(a, b Appointment) int { return a.Start.Compare(b.Start) })
	return out, nil
}

// Inbox lists what waits for a doctor's answer, the oldest first.
func (b *Book) Inbox(doctor string) (out []Appointment, err error) {
	now := b.c.Clock.Look()
	err = b.view(func(t *txn) error {
		out, err = t.day(doctor, now, now.AddDate(1, 0, 0))
		return err
	})
	out = slices.DeleteFunc(out, func(v Appointment) bool { return v.Status != Pending })
	slices.SortStableFunc(out, func(a, b Appointment) int { return a.Updated.Compare(b.Updated) })
	return out, err
}

// Audit lists up to n entries after a sequence number, of one appointment or of all.
func (b *Book) Audit(id string, after uint64, n int) (out []Entry, err error) {
	err = b.view(func(t *txn) error {
		c := t.Bucket(bucketAudit).Cursor()
		for k, _ := c.Seek(auditKey(after + 1)); k != nil && len(out) < n; k, _ = c.Next() {
			e, _, err := get[Entry](t, bucketAudit, k)
			if err != nil {
				return err
			}
			if id == "" || e.Appointment == id {
				out = append(out, e)
			}
		}
		return nil
	})
	return out, err
}

func shares(d *Doctor, speciality string) bool { return slices.Contains(d.Specialities, speciality) }

func (p *Patient) check() error {
	if p.ID == "" || len(p.ID) > 64 || p.Name == "" || len(p.Name) > 200 {
		return appointment.Errorf(appointment.CodeBadClinic, "patient", "the id %q or the name is empty or too long", p.ID)
	}
	if p.Age < 0 || p.Age > appointment.MaxAge {
		return appointment.Errorf(appointment.CodeBadAge, "age", "%d", p.Age)
	}
	return nil
}
