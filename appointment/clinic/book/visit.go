package book

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/recommend"
)

// Arrive notes that the patient is here: on the day itself alone.
func (b *Book) Arrive(who, id string, version int) (Appointment, error) {
	return b.change(who, id, version, "arrive", Arrived, func(t *txn, v *Appointment) error {
		if from, to := DayBounds(v.Start, b.c.Zone); t.now.Before(from) || !t.now.Before(to) {
			return appointment.Errorf(appointment.CodeBadTransition, "appointment", "arrive: it is for another day, %s", v.Start.In(b.c.Zone).Format(time.DateOnly))
		}
		v.Status, v.ArrivedAt, v.Offer, v.ETA = Arrived, t.now, time.Time{}, time.Time{}
		return nil
	})
}

// Begin notes that the consultation begins. A doctor sees one patient at a time, but an
// emergency may interrupt.
func (b *Book) Begin(who, id string, version int) (Appointment, error) {
	return b.change(who, id, version, "begin", "", func(t *txn, v *Appointment) error {
		if v.Status != Arrived || !v.BegunAt.IsZero() {
			return badStep(v, "begin")
		}
		from, to := DayBounds(t.now, b.c.Zone)
		day, err := t.day(v.Doctor, from, to)
		if err != nil {
			return err
		}
		for i := range day {
			if o := &day[i]; o.Status == Arrived && !o.BegunAt.IsZero() && !v.Emergency {
				return appointment.Errorf(appointment.CodeBadTransition, "appointment", "begin: another patient is with the doctor")
			}
		}
		v.BegunAt = t.now
		return nil
	})
}

// Fulfil notes that the visit is over; its price is due. The visit becomes a part of the
// patient's history.
func (b *Book) Fulfil(who, id string, version int) (Appointment, error) {
	return b.change(who, id, version, "fulfil", Fulfilled, func(t *txn, v *Appointment) error {
		if v.BegunAt.IsZero() {
			v.BegunAt = t.now
		}
		v.Status, v.EndedAt = Fulfilled, t.now
		if cents := b.c.Price(v.VisitType); cents > 0 {
			v.Payment = Payment{PaymentDue, cents, b.c.Currency}
		}
		return t.remember(v, false)
	})
}

// Miss notes that the patient did not come: once the start has passed.
func (b *Book) Miss(who, id string, version int) (Appointment, error) {
	return b.change(who, id, version, "noshow", NoShow, func(t *txn, v *Appointment) error {
		if t.now.Before(v.Start) {
			return appointment.Errorf(appointment.CodeBadTransition, "appointment", "noshow: it begins at %s only", v.Start.In(b.c.Zone).Format(time.RFC3339))
		}
		v.Status, v.EndedAt = NoShow, t.now
		return t.remember(v, true)
	})
}

// remember puts a visit into the patient's history.
func (t *txn) remember(v *Appointment, missed bool) error {
	p, ok, err := get[Patient](t, bucketPatients, []byte(v.Patient))
	if err != nil || !ok {
		return orNotFound(err, "patient", v.Patient)
	}
	p.Visits = append(p.Visits, recommend.Visit{Day: v.Start.In(t.b.c.Zone).Format(time.DateOnly), Doctor: v.Doctor, Missed: missed})
	return put(t, bucketPatients, []byte(p.ID), p)
}

// Late notes when a late patient is expected.
func (b *Book) Late(who, id string, version int, eta time.Time) (Appointment, error) {
	return b.change(who, id, version, "late", "", func(t *txn, v *Appointment) error {
		if v.Status != Booked || eta.Before(v.Start) || eta.Sub(v.Start) > 12*time.Hour {
			return badStep(v, "late")
		}
		v.ETA = eta.UTC()
		return nil
	})
}

// Remind notes that a reminder was sent.
func (b *Book) Remind(who, id string, version int) (Appointment, error) {
	return b.change(who, id, version, "remind", "", func(t *txn, v *Appointment) error {
		if v.Status != Booked && v.Status != Pending {
			return badStep(v, "remind")
		}
		v.Reminded = true
		return nil
	})
}

// SetEmergency moves a patient who is here before the others.
func (b *Book) SetEmergency(who, id string, version int, on bool) (Appointment, error) {
	return b.change(who, id, version, "emergency", "", func(t *txn, v *Appointment) error {
		if v.Status != Arrived {
			return badStep(v, "emergency")
		}
		v.Emergency = on
		return nil
	})
}

// Move gives an appointment another start within its half-day, without another slot.
// Later is the clinic's to decide, and the patient is told. Earlier it becomes an offer
// that waits for the patient's consent, unless that was given before.
func (b *Book) Move(who, id string, version int, start time.Time) (Appointment, error) {
	return b.change(who, id, version, "move", "", func(t *txn, v *Appointment) error {
		if v.Status != Pending && v.Status != Booked {
			return badStep(v, "move")
		}
		start := start.UTC().Truncate(time.Minute)
		s, ok, err := t.slot(v.Doctor, v.Slot)
		if err != nil || !ok {
			return orNotFound(err, "slot", SlotID(v.Doctor, v.Slot))
		}
		if from, to := s.Session, s.Session.Add(12*time.Hour); start.Before(from) || start.After(to) {
			return appointment.Errorf(appointment.CodeBadPlan, "start", "%s is not in the half-day of %s", start.Format(time.RFC3339), from.Format(time.RFC3339))
		}
		if start.Before(t.now) {
			return appointment.Errorf(appointment.CodeBookingInPast, "start", "%s", start.Format(time.RFC3339))
		}
		if start.Before(v.Start) && !v.EarlierOK {
			v.Offer = start
			return nil
		}
		v.move(start)
		return nil
	})
}

// move changes the start and keeps the length.
func (v *Appointment) move(start time.Time) {
	v.End = start.Add(v.End.Sub(v.Start))
	v.Start, v.Offer = start, time.Time{}
}

// Consent is the patient's answer to an offer of an earlier start.
func (b *Book) Consent(who, id string, yes bool) (Appointment, error) {
	return b.change(who, id, 0, "consent", "", func(t *txn, v *Appointment) error {
		if v.Offer.IsZero() || v.Status != Pending && v.Status != Booked {
			return badStep(v, "consent")
		}
		if yes && v.Offer.Before(t.now) {
			return appointment.Errorf(appointment.CodeBookingInPast, "start", "%s", v.Offer.Format(time.RFC3339))
		}
		if yes {
			v.move(v.Offer)
		}
		v.Offer = time.Time{}
		return nil
	})
}

// AllowEarlier says whether the patient is glad to come earlier on the same day.
func (b *Book) AllowEarlier(who, id string, yes bool) (Appointment, error) {
	return b.change(who, id, 0, "allow-earlier", "", func(t *txn, v *Appointment) error {
		if v.Status != Pending && v.Status != Booked {
			return badStep(v, "allow-earlier")
		}
		v.EarlierOK = yes
		return nil
	})
}

// Rate is the patient's opinion of a visit: 1 to 5 stars, and words.
func (b *Book) Rate(who, id string, stars int, comment string) (Appointment, error) {
	if stars < 1 || stars > 5 || len(comment) > 2000 {
		return Appointment{}, appointment.Errorf(appointment.CodeBadRating, "rating", "%d stars, a comment of %d bytes", stars, len(comment))
	}
	return b.change(who, id, 0, "rate", "", func(t *txn, v *Appointment) error {
		if v.Status != Fulfilled {
			return badStep(v, "rate")
		}
		v.Rating, v.Comment = stars, comment
		return nil
	})
}

// StartPayment says that the patient has gone to the provider.
func (b *Book) StartPayment(who, id string) (Appointment, error) {
	return b.change(who, id, 0, "pay", "", func(t *txn, v *Appointment) error {
		switch v.Payment.State {
		case PaymentDue, PaymentFailed, PaymentPending:
			v.Payment.State = PaymentPending
			return nil
		}
		return appointment.Errorf(appointment.CodeBadTransition, "payment", "pay: it is %q", v.Payment.State)
	})
}

// PaymentEvent is what the payment provider tells by webhook.
type PaymentEvent struct {
	// ID of the event: one that comes again changes nothing.
	ID          string `json:"id"`
	Appointment string `json:"appointment"`
	// Outcome is paid, failed or refunded.
	Outcome string `json:"outcome"`
	Cents   int    `json:"cents"`
}

// TakePayment takes an event of the provider.
func (b *Book) TakePayment(e PaymentEvent) (v Appointment, err error) {
	if e.ID == "" || len(e.ID) > 200 {
		return v, appointment.Errorf(appointment.CodeBadPayment, "id", "%d bytes", len(e.ID))
	}
	err = b.step("payment", func(t *txn) error {
		if v, err = t.appointment(e.Appointment); err != nil {
			return err
		}
		if t.Bucket(bucketPayments).Get([]byte(e.ID)) != nil {
			return nil
		}
		if e.Cents != v.Payment.Cents {
			return appointment.Errorf(appointment.CodeBadPayment, "cents", "%d, %d are owed", e.Cents, v.Payment.Cents)
		}
		was := v.Payment.State
		switch {
		case e.Outcome == PaymentPaid && (was == PaymentDue || was == PaymentPending || was == PaymentFailed),
			e.Outcome == PaymentFailed && (was == PaymentDue || was == PaymentPending),
			e.Outcome == PaymentRefunded && was == PaymentPaid:
			v.Payment.State = e.Outcome
		case e.Outcome == PaymentPaid || e.Outcome == PaymentFailed || e.Outcome == PaymentRefunded:
			return appointment.Errorf(appointment.CodeBadTransition, "payment", "%s: it is %q", e.Outcome, was)
		default:
			return appointment.Errorf(appointment.CodeBadPayment, "outcome", "%q, there are paid, failed and refunded", e.Outcome)
		}
		if err := t.Bucket(bucketPayments).Put([]byte(e.ID), keyOf(t.now)); err != nil {
			return err
		}
		return t.save(&v, "payment-"+e.Outcome, v.Status)
	})
	return v, err
}

// signatureAge is how old a signed event may be.
const signatureAge = 5 * time.Minute

// SignPayment makes the header value that goes with a webhook's body: the time and a
// HMAC-SHA256 of time and body.
func SignPayment(secret, body []byte, now time.Time) string {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%d.", now.Unix())
	mac.Write(body)
	return fmt.Sprintf("t=%d,v1=%s", now.Unix(), hex.EncodeToString(mac.Sum(nil)))
}

// CheckPaymentSignature refuses a webhook that was not signed with the secret, or long ago.
func CheckPaymentSignature(secret, body []byte, header string, now time.Time) error {
	stamp, _, _ := strings.Cut(strings.TrimPrefix(header, "t="), ",")
	at, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || !hmac.Equal([]byte(SignPayment(secret, body, time.Unix(at, 0))), []byte(header)) {
		return appointment.Errorf(appointment.CodePaymentSignature, "signature", "it is not the one of these bytes")
	}
	if age := now.Sub(time.Unix(at, 0)); age > signatureAge || age < -signatureAge {
		return appointment.Errorf(appointment.CodePaymentSignature, "signature", "it is %s old", age.Round(time.Second))
	}
	return nil
}
