package fhir

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/clinic/book"
)

// The systems of codes and extensions that are this clinic's own.
const (
	errorSystem     = "urn:aimass:error-code"
	specialtySystem = "urn:aimass:speciality"
	extensionPrefix = "urn:aimass:appointment:"
)

func (h *Handler) stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(h.book.Zone()).Format(time.RFC3339)
}

func (h *Handler) specialty(code string) CodeableConcept {
	return CodeableConcept{Coding: []Coding{{specialtySystem, code, h.c.Specialities[code]}}}
}

func (h *Handler) schedule(d *book.Doctor) Schedule {
	s := Schedule{ResourceType: "Schedule", ID: d.ID, Active: true, Actor: []Reference{{"Practitioner/" + d.ID, d.Name}}}
	for _, code := range d.Specialities {
		s.Specialty = append(s.Specialty, h.specialty(code))
	}
	return s
}

func (h *Handler) slot(s *book.Slot) Slot {
	return Slot{ResourceType: "Slot", ID: s.ID(), Schedule: Reference{Reference: "Schedule/" + s.Doctor}, Status: string(s.Status), Start: h.stamp(s.Start),
		End: h.stamp(s.End)}
}

func extension(name string) Extension { return Extension{URL: extensionPrefix + name} }

func number(name string, v float32) Extension {
	e := extension(name)
	x, _ := strconv.ParseFloat(strconv.FormatFloat(float64(v), 'g', 6, 32), 64)
	e.ValueDecimal = &x
	return e
}

func (h *Handler) appointment(v *book.Appointment) Appointment {
	a := Appointment{
		ResourceType: "Appointment", ID: v.ID, Meta: &Meta{strconv.Itoa(v.Version), h.stamp(v.Updated)}, Status: string(v.Status), Comment: v.Note,
		Start: h.stamp(v.Start), End: h.stamp(v.End), MinutesDuration: int(v.End.Sub(v.Start) / time.Minute), Created: h.stamp(v.Created),
		Participant: h.participants(v.Status, v.Doctor, v.Patient),
	}
	if v.Need != "" {
		a.Specialty = []CodeableConcept{h.specialty(v.Need)}
	}
	if v.Status == book.Cancelled {
		a.CancelationReason = &CodeableConcept{Text: v.Reason}
	} else {
		a.Slot = []Reference{{Reference: "Slot/" + book.SlotID(v.Doctor, v.Slot)}}
	}
	if v.Status == book.Proposed {
		e := extension("hold-until")
		e.ValueInstant = h.stamp(v.Hold)
		a.Extension = append(a.Extension, e)
	}
	if v.Risk >= 0 {
		a.Extension = append(a.Extension, number("no-show", v.Risk))
	}
	if v.WaitP90 >= 0 {
		a.Extension = append(a.Extension, number("wait-p90", v.WaitP90))
	}
	if v.Rating > 0 {
		e := extension("rating")
		e.ValueInteger = &v.Rating
		a.Extension = append(a.Extension, e)
	}
	if v.Payment.State != book.PaymentNone {
		e := extension("payment")
		e.ValueString = v.Payment.State
		a.Extension = append(a.Extension, e)
	}
	return a
}

// participants tell whose answer is awaited.
func (h *Handler) participants(s book.Status, doctor, patient string) []Participant {
	answer := "accepted"
	switch s {
	case book.Proposed, book.Pending:
		answer = "needs-action"
	case book.Cancelled:
		answer = "declined"
	}
	name := ""
	if d, err := h.book.Doctor(doctor); err == nil {
		name = d.Name
	}
	out := []Participant{{&Reference{"Practitioner/" + doctor, name}, "required", answer}}
	if patient != "" {
		status := "accepted"
		if s == book.Proposed {
			status = "tentative"
		}
		out = append(out, Participant{&Reference{Reference: "Patient/" + patient}, "required", status})
	}
	return out
}

// ask reads what an Appointment resource wishes for. Its slot is named, or follows from
// the doctor and the start.
func (a *Appointment) ask(zone *time.Location) (book.Ask, error) {
	out := book.Ask{Note: a.Comment, Urgency: 1, Risk: -1, WaitP90: -1}
	if a.ResourceType != "Appointment" {
		return out, invalid("resourceType", "%q, expected Appointment", a.ResourceType)
	}
	for _, p := range a.Participant {
		if p.Actor == nil {
			continue
		}
		switch kind, id, _ := strings.Cut(p.Actor.Reference, "/"); kind {
		case "Patient":
			out.Patient = id
		case "Practitioner":
			out.Doctor = id
		}
	}
	if len(a.Specialty) > 0 && len(a.Specialty[0].Coding) > 0 {
		out.Need = a.Specialty[0].Coding[0].Code
	}
	if a.Start != "" {
		var err error
		if out.Start, err = appointment.ParseStampIn("start", a.Start, zone); err != nil {
			return out, err
		}
	}
	if len(a.Slot) > 0 {
		doctor, start, err := book.ParseSlotID(strings.TrimPrefix(a.Slot[0].Reference, "Slot/"))
		switch {
		case err != nil:
			return out, appointment.Errorf(appointment.CodeNotFound, "slot", "%q", a.Slot[0].Reference)
		case out.Doctor != "" && out.Doctor != doctor, !out.Start.IsZero() && !out.Start.Equal(start):
			return out, invalid("slot", "%s is not of the participant's or does not begin at start", a.Slot[0].Reference)
		}
		out.Doctor, out.Start = doctor, start
	}
	switch {
	case out.Patient == "":
		return out, missing("a participant Patient/…")
	case out.Doctor == "":
		return out, missing("a slot, or a participant Practitioner/…")
	case out.Start.IsZero():
		return out, missing("a slot, or a start")
	}
	return out, nil
}

// timeRange reads a search by date: each value has a prefix (ge, gt, le, lt, eq or none)
// and a day or an instant; a day is the clinic's.
func timeRange(field string, values []string, zone *time.Location) (from, to time.Time, err error) {
	to = time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, v := range values {
		prefix := ""
		if len(v) > 2 && v[0] >= 'a' && v[0] <= 'z' {
			prefix, v = v[:2], v[2:]
		}
		var a, b time.Time // the instants that v stands for: [a, b)
		if day, err := time.ParseInLocation(time.DateOnly, v, zone); err == nil {
			a, b = book.DayBounds(day.Add(12*time.Hour), zone)
		} else {
			if a, err = appointment.ParseStampIn(field, v, zone); err != nil {
				return from, to, err
			}
			b = a.Add(time.Second)
		}
		switch prefix {
		case "ge":
			from = latest(from, a)
		case "gt", "sa":
			from = latest(from, b)
		case "lt", "eb":
			to = earliest(to, a)
		case "le":
			to = earliest(to, b)
		case "", "eq":
			from, to = latest(from, a), earliest(to, b)
		default:
			return from, to, invalid(field, "the prefix %q, there are eq, ge, gt, le, lt, sa, eb", prefix)
		}
	}
	return from, to, nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func etag(version int) string { return fmt.Sprintf(`W/"%d"`, version) }

// versionOf reads If-Match; 0 is none.
func versionOf(header string) (int, error) {
	if header == "" {
		return 0, nil
	}
	v, err := strconv.Atoi(strings.Trim(strings.TrimPrefix(strings.TrimSpace(header), "W/"), `"`))
	if err != nil || v < 1 {
		return 0, invalid("If-Match", "%q, expected W/\"3\"", header)
	}
	return v, nil
}
