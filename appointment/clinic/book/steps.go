package book

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/aimass/aimass/appointment"
)

// TakenError is the answer to whoever comes second: the slot went to somebody else, and
// these are free.
type TakenError struct {
	Err          *appointment.Error
	Alternatives []Slot
}

// Error is that of Err.
func (e *TakenError) Error() string { return e.Err.Error() }

// Unwrap gives the error with its code.
func (e *TakenError) Unwrap() error { return e.Err }

// Ask is a wish for an appointment.
type Ask struct {
	Patient, Doctor string
	// Start of the slot.
	Start time.Time
	Need  string
	Note  string
	// Key, if any, makes the same ask answer the same appointment.
	Key       string
	VisitType int
	Urgency   float32
	// Risk and WaitP90 as predicted, negative if nothing was.
	Risk, WaitP90 float32
}

// Hold takes a slot for some minutes: a proposed appointment.
func (b *Book) Hold(who string, a Ask) (Appointment, error) {
	return b.ask(who, a, "hold", func(t *txn, v *Appointment) error {
		v.Hold = t.now.Add(b.c.Hold)
		return t.Bucket(bucketHolds).Put(holdKey(v), nil)
	})
}

// BookNow takes a slot without a hold before.
func (b *Book) BookNow(who string, a Ask) (Appointment, error) {
	return b.ask(who, a, "book", func(t *txn, v *Appointment) error {
		v.Status = Pending
		return t.approveAlone(v)
	})
}

func (b *Book) ask(who string, a Ask, step string, then func(t *txn, v *Appointment) error) (v Appointment, err error) {
	if len(a.Note) > 2000 || len(a.Key) > 200 {
		return v, appointment.Errorf(appointment.CodeTooLarge, "note", "%d characters, the key has %d", len(a.Note), len(a.Key))
	}
	if a.Urgency < 0 || a.Urgency > appointment.MaxUrgency || a.Urgency != a.Urgency {
		return v, appointment.Errorf(appointment.CodeBadUrgency, "urgency", "%v", a.Urgency)
	}
	err = b.step(who, func(t *txn) error {
		if a.Key != "" {
			if id := t.Bucket(bucketKeys).Get(under(a.Patient, []byte(a.Key))); id != nil {
				v, err = t.appointment(string(id))
				return err
			}
		}
		if _, ok, err := get[Patient](t, bucketPatients, []byte(a.Patient)); err != nil || !ok {
			return orNotFound(err, "patient", a.Patient)
		}
		if _, err := t.doctor(a.Doctor); err != nil {
			return err
		}
		v = a.appointment(t, Proposed)
		if err := then(t, &v); err != nil {
			return err
		}
		return t.enter(&v, a, step)
	})
	return v, err
}

func (a *Ask) appointment(t *txn, s Status) Appointment {
	return Appointment{
		ID: newID(), Status: s, Doctor: a.Doctor, Patient: a.Patient, Need: a.Need, Note: a.Note, VisitType: a.VisitType, Urgency: a.Urgency,
		Created: t.now, Risk: a.Risk, WaitP90: a.WaitP90,
	}
}

// enter puts a new appointment into its slot and writes it.
func (t *txn) enter(v *Appointment, a Ask, step string) error {
	if err := t.take(v, a.Start); err != nil {
		return err
	}
	if a.Key != "" {
		if err := t.Bucket(bucketKeys).Put(under(a.Patient, []byte(a.Key)), []byte(v.ID)); err != nil {
			return err
		}
	}
	if err := t.Bucket(bucketOf).Put(under(v.Patient, []byte(v.ID)), nil); err != nil {
		return err
	}
	return t.save(v, step, "")
}

// Import enters appointments that were agreed elsewhere: all of them, approved, or none.
func (b *Book) Import(who string, asks []Ask) error {
	return b.step(who, func(t *txn) error {
		for _, a := range asks {
			v := a.appointment(t, Booked)
			if err := t.enter(&v, a, "import"); err != nil {
				return err
			}
		}
		return nil
	})
}

// take puts an appointment into a slot. Somebody else's hold that has run out does not
// count.
func (t *txn) take(v *Appointment, start time.Time) error {
	start = start.UTC()
	if start.Before(t.now) {
		return appointment.Errorf(appointment.CodeBookingInPast, "start", "%s, it is %s", start.Format(time.RFC3339), t.now.Format(time.RFC3339))
	}
	s, ok, err := t.slot(v.Doctor, start)
	if err != nil {
		return err
	}
	if !ok || !s.Start.Equal(start) {
		return t.noSlot(v.Doctor, start)
	}
	if s.Status == BusyTentative {
		if s, err = t.release(s); err != nil {
			return err
		}
	}
	if s.Status != Free {
		free, err := t.alternatives(v.Doctor, start)
		if err != nil {
			return err
		}
		return &TakenError{appointment.Errorf(appointment.CodeSlotTaken, "slot", "%s", s.ID()), free}
	}
	s.Status, s.Appointment, s.VisitType = Busy, v.ID, v.VisitType
	if v.Status == Proposed {
		s.Status = BusyTentative
	}
	v.Slot, v.Start, v.End = s.Start, s.Start, s.End
	return put(t, bucketSlots, under(v.Doctor, keyOf(start)), s)
}

// release frees a slot whose hold has run out.
func (t *txn) release(s Slot) (Slot, error) {
	v, err := t.appointment(s.Appointment)
	if err != nil || v.Status != Proposed || t.now.Before(v.Hold) {
		return s, err
	}
	if err := t.leave(&v, "expire", "the hold ran out"); err != nil {
		return s, err
	}
	s, _, err = t.slot(s.Doctor, s.Start)
	return s, err
}

// noSlot says why there is no slot at a time.
func (t *txn) noSlot(doctor string, start time.Time) error {
	from, to := DayBounds(start, t.b.c.Zone)
	day, err := t.slots(doctor, from, to)
	if err != nil {
		return err
	}
	if len(day) == 0 {
		return appointment.Errorf(appointment.CodeDoctorWithoutHours, "start", "doctor %s on %s", doctor, start.In(t.b.c.Zone).Format(time.DateOnly))
	}
	return notFound("slot", SlotID(doctor, start))
}

// numAlternatives is how many free slots whoever comes second is told of.
const numAlternatives = 3

// alternatives are free slots nearest to a time: of the doctor, then of those who share
// the doctor's main speciality.
func (t *txn) alternatives(doctor string, start time.Time) ([]Slot, error) {
	d, err := t.doctor(doctor)
	if err != nil {
		return nil, err
	}
	all, err := t.doctors()
	if err != nil {
		return nil, err
	}
	var out []Slot
	for _, same := range []bool{true, false} {
		for _, o := range all {
			if (o.ID == doctor) != same || !shares(&o, d.Specialities[0]) {
				continue
			}
			near, err := t.nearest(o.ID, start, numAlternatives-len(out))
			if err != nil {
				return nil, err
			}
			out = append(out, near...)
		}
	}
	return out, nil
}

// leave ends an appointment and frees its slot.
func (t *txn) leave(v *Appointment, step, reason string) error {
	if err := t.free(v); err != nil {
		return err
	}
	from := v.Status
	v.Status, v.Reason, v.Offer = Cancelled, reason, time.Time{}
	if v.Payment.State == PaymentPaid {
		v.Payment.State = PaymentRefunded
	}
	return t.save(v, step, from)
}

// free gives the appointment's slot back.
func (t *txn) free(v *Appointment) error {
	if v.Status == Proposed {
		if err := t.Bucket(bucketHolds).Delete(holdKey(v)); err != nil {
			return err
		}
	}
	s, ok, err := t.slot(v.Doctor, v.Slot)
	if err != nil || !ok || s.Appointment != v.ID {
		return err
	}
	s.Status, s.Appointment, s.VisitType = Free, "", 0
	return put(t, bucketSlots, under(v.Doctor, keyOf(v.Slot)), s)
}

// save writes an appointment after a step from a state.
func (t *txn) save(v *Appointment, step string, from Status) error {
	v.Version++
	v.Updated = t.now
	if err := put(t, bucketVisits, []byte(v.ID), v); err != nil {
		return err
	}
	e := Event{Appointment: *v, Step: step}
	if s, ok, err := t.slot(v.Doctor, v.Slot); err == nil && ok {
		e.Session = SlotID(s.Doctor, s.Session)
	}
	t.events = append(t.events, e)
	return t.audit(Entry{Step: step, Appointment: v.ID, From: from, To: v.Status, Detail: v.Reason})
}

func (t *txn) audit(e Entry) error {
	b := t.Bucket(bucketAudit)
	seq, err := b.NextSequence()
	if err != nil {
		return err
	}
	e.Seq, e.At, e.Who = seq, t.now, t.who
	return put(t, bucketAudit, auditKey(seq), e)
}

func auditKey(seq uint64) []byte { return fmt.Appendf(nil, "%016x", seq) }

func (t *txn) appointment(id string) (Appointment, error) {
	v, ok, err := get[Appointment](t, bucketVisits, []byte(id))
	if err != nil || !ok {
		return v, orNotFound(err, "appointment", id)
	}
	return v, nil
}

func orNotFound(err error, what, id string) error {
	if err != nil {
		return err
	}
	return notFound(what, id)
}

func holdKey(v *Appointment) []byte { return append(keyOf(v.Hold), v.ID...) }

// change runs one step on one appointment. version, if above 0, is the one that the
// caller has seen.
func (b *Book) change(who, id string, version int, step string, to Status, f func(t *txn, v *Appointment) error) (v Appointment, err error) {
	err = b.step(who, func(t *txn) error {
		if v, err = t.appointment(id); err != nil {
			return err
		}
		if version > 0 && v.Version != version {
			return appointment.Errorf(appointment.CodeVersionConflict, "appointment", "version %d was changed to %d", version, v.Version)
		}
		from := v.Status
		if to != "" && !from.mayBecome(to) {
			return badStep(&v, step)
		}
		if err := f(t, &v); err != nil {
			if err == errUnchanged {
				return nil
			}
			return err
		}
		if v.Status == Cancelled && from != Cancelled {
			return nil // leave has saved it
		}
		return t.save(&v, step, from)
	})
	return v, err
}

// errUnchanged ends a step that has been done before.
var errUnchanged = errors.New("nothing to do")

func badStep(v *Appointment, step string) error {
	return appointment.Errorf(appointment.CodeBadTransition, "appointment", "%s: it is %s", step, v.Status)
}

// Book turns a hold into a request to the doctor.
func (b *Book) Book(who, id string) (Appointment, error) {
	return b.change(who, id, 0, "book", "", func(t *txn, v *Appointment) error {
		if v.Status == Pending || v.Status == Booked {
			return errUnchanged // sent again
		}
		if v.Status != Proposed {
			if v.Status == Cancelled && !v.Hold.IsZero() {
				return appointment.Errorf(appointment.CodeHoldExpired, "appointment", "%s", v.ID)
			}
			return badStep(v, "book")
		}
		if !t.now.Before(v.Hold) {
			return appointment.Errorf(appointment.CodeHoldExpired, "appointment", "the hold ran out at %s", v.Hold.Format(time.RFC3339))
		}
		if v.Start.Before(t.now) {
			return appointment.Errorf(appointment.CodeBookingInPast, "start", "%s", v.Start.Format(time.RFC3339))
		}
		s, ok, err := t.slot(v.Doctor, v.Slot)
		if err != nil || !ok || s.Appointment != v.ID {
			return orNotFound(err, "slot", SlotID(v.Doctor, v.Slot))
		}
		if err := t.Bucket(bucketHolds).Delete(holdKey(v)); err != nil {
			return err
		}
		s.Status = Busy
		if err := put(t, bucketSlots, under(v.Doctor, keyOf(v.Slot)), s); err != nil {
			return err
		}
		v.Status, v.Hold = Pending, time.Time{}
		return t.approveAlone(v)
	})
}

// approveAlone books at once where the doctor wishes so.
func (t *txn) approveAlone(v *Appointment) error {
	d, err := t.doctor(v.Doctor)
	if err == nil && d.AutoApprove {
		v.Status = Booked
	}
	return err
}

// Approve is the doctor's yes.
func (b *Book) Approve(who, id string, version int) (Appointment, error) {
	return b.change(who, id, version, "approve", Booked, func(t *txn, v *Appointment) error {
		if v.Status != Pending {
			return badStep(v, "approve")
		}
		v.Status, v.Reason = Booked, ""
		return nil
	})
}

// Cancel ends an appointment: the patient's, the clinic's, or the doctor's no to a
// request.
func (b *Book) Cancel(who, id string, version int, reason string) (Appointment, error) {
	return b.change(who, id, version, "cancel", Cancelled, func(t *txn, v *Appointment) error {
		step := "cancel"
		if v.Status == Pending && who == v.Doctor {
			step = "decline"
		}
		return t.leave(v, step, reason)
	})
}

// Reschedule moves an appointment to another free slot of the same doctor; the doctor is
// asked again. The old slot is free at the same moment.
func (b *Book) Reschedule(who, id string, version int, start time.Time) (Appointment, error) {
	return b.change(who, id, version, "reschedule", "", func(t *txn, v *Appointment) error {
		if v.Status != Pending && v.Status != Booked {
			return badStep(v, "reschedule")
		}
		if v.Slot.Equal(start) {
			return appointment.Errorf(appointment.CodeBadTransition, "start", "it is there already")
		}
		if err := t.free(v); err != nil {
			return err
		}
		v.Status, v.Offer, v.ETA, v.EarlierOK = Pending, time.Time{}, time.Time{}, false
		if err := t.take(v, start); err != nil {
			return err
		}
		return t.approveAlone(v)
	})
}

// ExpireHolds frees the slots of holds that have run out and says how many.
func (b *Book) ExpireHolds() (n int, err error) {
	err = b.step("clinic", func(t *txn) error {
		n = 0
		limit := keyOf(t.now)
		var due []string
		c := t.Bucket(bucketHolds).Cursor()
		for k, _ := c.First(); k != nil && bytes.Compare(k[:8], limit) <= 0; k, _ = c.Next() {
			due = append(due, string(k[8:]))
		}
		for _, id := range due {
			v, err := t.appointment(id)
			if err != nil {
				return err
			}
			if v.Status != Proposed || t.now.Before(v.Hold) {
				continue // within the second
			}
			if err := t.leave(&v, "expire", "the hold ran out"); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}

// shiftHolds lets holds last as long as they were given, however the clock has jumped.
func (t *txn) shiftHolds(by time.Duration) error {
	if by == 0 {
		return nil
	}
	var held []string
	if err := t.Bucket(bucketHolds).ForEach(func(k, _ []byte) error {
		held = append(held, string(k[8:]))
		return nil
	}); err != nil {
		return err
	}
	for _, id := range held {
		v, err := t.appointment(id)
		if err != nil {
			return err
		}
		if err := t.Bucket(bucketHolds).Delete(holdKey(&v)); err != nil {
			return err
		}
		v.Hold = v.Hold.Add(by)
		if err := t.Bucket(bucketHolds).Put(holdKey(&v), nil); err != nil {
			return err
		}
		if err := put(t, bucketVisits, []byte(id), &v); err != nil {
			return err
		}
	}
	return nil
}
