package book

import (
	"fmt"
	"slices"
	"time"

	"github.com/aimass/aimass/appointment/recommend"
)

// Status of an appointment, by its name in FHIR.
type Status string

// The states: proposed is a hold, pending waits for the doctor, booked is approved.
const (
	Proposed  Status = "proposed"
	Pending   Status = "pending"
	Booked    Status = "booked"
	Arrived   Status = "arrived"
	Fulfilled Status = "fulfilled"
	Cancelled Status = "cancelled"
	NoShow    Status = "noshow"
)

// next lists the states that each state may go to.
var next = map[Status][]Status{
	Proposed:  {Pending, Booked, Cancelled},
	Pending:   {Booked, Cancelled},
	Booked:    {Pending, Arrived, Cancelled, NoShow},
	Arrived:   {Fulfilled, Cancelled},
	Fulfilled: nil, Cancelled: nil, NoShow: nil,
}

// Known reports whether s is one of the states.
func (s Status) Known() bool { _, ok := next[s]; return ok }

// Open reports whether an appointment of this state is still to be seen.
func (s Status) Open() bool { return s.Known() && next[s] != nil }

func (s Status) mayBecome(t Status) bool { return slices.Contains(next[s], t) }

// Appointment is one visit, from the hold to the payment.
type Appointment struct {
	ID string `json:"id"`
	// Version grows with each step.
	Version int    `json:"version"`
	Status  Status `json:"status"`
	Doctor  string `json:"doctor"`
	Patient string `json:"patient"`
	Need    string `json:"need,omitempty"`
	// Note is what the patient said.
	Note      string  `json:"note,omitempty"`
	VisitType int     `json:"visit_type"`
	Urgency   float32 `json:"urgency"`
	// Slot is the start of the slot that it takes; Start is what the patient was told,
	// which is the slot's until the day is replanned.
	Slot  time.Time `json:"slot"`
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
	// Hold is when a proposed appointment gives its slot back.
	Hold    time.Time `json:"hold,omitzero"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
	// EarlierOK says that the patient agreed to come earlier.
	EarlierOK bool `json:"earlier_ok,omitempty"`
	// Offer is another start that waits for the patient's consent.
	Offer time.Time `json:"offer,omitzero"`
	// ETA is when a late patient is expected.
	ETA time.Time `json:"eta,omitzero"`
	// Emergency goes before the others, once arrived.
	Emergency bool `json:"emergency,omitempty"`
	// Reminded says that a reminder was sent.
	Reminded  bool      `json:"reminded,omitempty"`
	ArrivedAt time.Time `json:"arrived_at,omitzero"`
	BegunAt   time.Time `json:"begun_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	// Reason for the last step, such as a refusal.
	Reason string `json:"reason,omitempty"`
	// Risk is the predicted probability of not coming, WaitP90 the predicted wait that
	// 90 % stay under, both as of the booking; negative where nothing was predicted.
	Risk    float32 `json:"risk"`
	WaitP90 float32 `json:"wait_p90"`
	Rating  int     `json:"rating,omitempty"`
	Comment string  `json:"comment,omitempty"`
	Payment Payment `json:"payment"`
}

// Payment states. No money moves here: a provider tells of it by webhook.
const (
	PaymentNone     = ""
	PaymentDue      = "due"
	PaymentPending  = "pending"
	PaymentPaid     = "paid"
	PaymentFailed   = "failed"
	PaymentRefunded = "refunded"
)

// Payment is what is owed for a visit.
type Payment struct {
	State    string `json:"state,omitempty"`
	Cents    int    `json:"cents,omitempty"`
	Currency string `json:"currency,omitempty"`
}

// SlotStatus is a slot's state, by its name in FHIR.
type SlotStatus string

// The states of a slot.
const (
	Free          SlotStatus = "free"
	Busy          SlotStatus = "busy"
	BusyTentative SlotStatus = "busy-tentative"
)

// Slot is a piece of a doctor's time that takes one appointment.
type Slot struct {
	Doctor string `json:"doctor"`
	// Session is the start of the half-day that it belongs to.
	Session time.Time  `json:"session"`
	Start   time.Time  `json:"start"`
	End     time.Time  `json:"end"`
	Status  SlotStatus `json:"status"`
	// Appointment that takes it, "" if none, and its kind of visit.
	Appointment string `json:"appointment,omitempty"`
	VisitType   int    `json:"visit_type,omitempty"`
}

// slotStamp is the form of a slot's start in its id.
const slotStamp = "20060102T1504Z"

// ID is the slot's name.
func (s *Slot) ID() string { return SlotID(s.Doctor, s.Start) }

// SlotID is the name of a doctor's slot.
func SlotID(doctor string, start time.Time) string {
	return doctor + "-" + start.UTC().Format(slotStamp)
}

// ParseSlotID takes a slot's name apart.
func ParseSlotID(id string) (doctor string, start time.Time, err error) {
	at := len(id) - len(slotStamp) - 1
	if at < 1 || id[at] != '-' {
		return "", time.Time{}, fmt.Errorf("%q is no slot", id)
	}
	start, err = time.Parse(slotStamp, id[at+1:])
	return id[:at], start, err
}

// Hours are a half-day of every week.
type Hours struct {
	// Weekday 0 is Monday; Start is the wall-clock time, 15:04.
	Weekday int    `json:"weekday"`
	Start   string `json:"start"`
	// Minutes of a slot and how many there are.
	Minutes int `json:"minutes"`
	Count   int `json:"count"`
}

// Doctor has hours and specialities.
type Doctor struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Number is the doctor's place in the model's clinic.
	Number       int      `json:"number"`
	Specialities []string `json:"specialities"`
	Hours        []Hours  `json:"hours"`
	// AutoApprove books without asking the doctor.
	AutoApprove bool `json:"auto_approve,omitempty"`
}

// Patient is who comes: what the models know of, and a name.
type Patient struct {
	recommend.Patient
	Name string `json:"name"`
}

// Entry of the audit: who did what to which appointment, when.
type Entry struct {
	Seq         uint64    `json:"seq"`
	At          time.Time `json:"at"`
	Who         string    `json:"who"`
	Step        string    `json:"step"`
	Appointment string    `json:"appointment,omitempty"`
	From        Status    `json:"from,omitempty"`
	To          Status    `json:"to,omitempty"`
	Detail      string    `json:"detail,omitempty"`
}
