package clinic

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aimass/aimass/appointment/clinic/book"
	"github.com/aimass/aimass/appointment/clinic/fhir"
	"github.com/aimass/aimass/appointment/clinic/forecast"
	"github.com/aimass/aimass/appointment/noshow"
	"github.com/aimass/aimass/appointment/recommend"
)

// wish is what somebody looks for.
type wish struct {
	patient, need, text, language string
	from                          time.Time
	urgency                       float32
}

// recommend asks for doctors, with the diary as it is now.
func (s *Clinic) recommend(ctx context.Context, w wish) ([]forecast.Choice, error) {
	now, err := s.book.Clock().Now()
	if err != nil {
		return nil, err
	}
	if w.from.Before(now) {
		w.from = now
	}
	zone := s.book.Zone()
	d := recommend.Diary{Asked: now.In(zone).Format(time.RFC3339), Language: w.language, Sessions: []recommend.DiarySession{}}
	if p, err := s.book.Patient(w.patient); err == nil {
		if d.Patient, err = s.file(&p); err != nil {
			return nil, err
		}
	}
	doctors, err := s.book.Doctors()
	if err != nil {
		return nil, err
	}
	for _, doctor := range doctors {
		if w.need != "" && !slices.Contains(doctor.Specialities, w.need) {
			continue
		}
		slots, err := s.book.Slots(doctor.ID, w.from.Add(-12*time.Hour), w.from.AddDate(0, 0, horizonDays))
		if err != nil {
			return nil, err
		}
		d.Sessions = append(d.Sessions, s.sessions(slots)...)
	}
	return s.ask.Recommend(ctx, forecast.Wish{
		Patient: w.patient, Need: w.need, Text: w.text, Earliest: w.from.In(zone), Urgency: w.urgency, Diary: d,
	})
}

// sessions writes a doctor's slots as half-days. Slots of one half-day that do not follow
// each other regularly become several.
func (s *Clinic) sessions(slots []book.Slot) (out []recommend.DiarySession) {
	var marks strings.Builder
	for i := 0; i < len(slots); {
		first := &slots[i]
		step := first.End.Sub(first.Start)
		marks.Reset()
		for i < len(slots) && slots[i].Session.Equal(first.Session) && slots[i].Start.Equal(first.Start.Add(time.Duration(marks.Len())*step)) &&
			slots[i].End.Sub(slots[i].Start) == step {
			mark := byte('.')
			if slots[i].Status != book.Free {
				mark = '0' + byte(min(slots[i].VisitType, len(s.c.Staff.VisitTypes)-1))
			}
			marks.WriteByte(mark)
			i++
		}
		out = append(out, recommend.DiarySession{
			Doctor: first.Doctor, Start: first.Start.In(s.book.Zone()).Format(time.RFC3339), Minutes: int(step / time.Minute), Booked: marks.String(),
		})
	}
	return out
}

// file is what the models are told of a patient: with the appointments still to come.
func (s *Clinic) file(p *book.Patient) (*recommend.Patient, error) {
	out := p.Patient
	out.Open = nil
	list, err := s.book.Of(p.ID)
	for i := range list {
		if v := &list[i]; v.Status == book.Pending || v.Status == book.Booked {
			out.Open = append(out.Open, recommend.Open{Need: v.Need, Doctor: v.Doctor, Start: v.Slot.In(s.book.Zone()).Format(time.RFC3339)})
		}
	}
	out.Open = slices.DeleteFunc(out.Open, func(o recommend.Open) bool { return o.Need == "" })
	return &out, err
}

// find answers FHIR's $find: recommended times, or those of one doctor.
func (s *Clinic) find(ctx context.Context, w fhir.Wish) ([]fhir.Proposal, error) {
	var out []fhir.Proposal
	if w.Doctor != "" {
		if _, err := s.book.Doctor(w.Doctor); err != nil {
			return nil, err
		}
		slots, err := s.book.Nearest(w.Doctor, w.From, 100)
		for _, slot := range slots {
			if !slot.Start.Before(w.From) && (w.To.IsZero() || slot.Start.Before(w.To)) {
				out = append(out, fhir.Proposal{Slot: slot, Need: w.Need, Risk: -1, WaitP90: -1})
			}
		}
		slices.SortFunc(out, func(a, b fhir.Proposal) int { return a.Slot.Start.Compare(b.Slot.Start) })
		return out[:min(len(out), 10)], err
	}
	list, err := s.recommend(ctx, wish{patient: w.Patient, need: w.Need, text: w.Text, from: w.From, urgency: w.Urgency})
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		slot, err := s.book.Slot(book.SlotID(c.Doctor, c.Start))
		if err != nil || !w.To.IsZero() && !slot.Start.Before(w.To) {
			continue
		}
		out = append(out, fhir.Proposal{Slot: slot, Need: w.Need, Reason: c.Reason, Risk: c.NoShow, WaitP90: c.WaitP90})
	}
	return out, nil
}

// predict completes an ask: the kind of visit, the probability of not coming, the wait.
// Where a model can't be asked its answer stays out.
func (s *Clinic) predict(ctx context.Context, a *book.Ask) {
	a.Risk, a.WaitP90 = -1, -1
	p, err := s.book.Patient(a.Patient)
	if err != nil {
		return
	}
	a.VisitType = visitType(&p, a.Doctor)
	file, err := s.file(&p)
	if err != nil {
		return
	}
	zone := s.book.Zone()
	risk, err := s.ask.NoShow(ctx, noshow.Booking, []forecast.Visit{{Patient: file, Booked: s.now(), Start: a.Start.In(zone)}})
	if err == nil {
		a.Risk = risk[0]
	}
	slot, err := s.book.Slot(book.SlotID(a.Doctor, a.Start))
	if err != nil {
		return
	}
	half, err := s.halfDay(a.Doctor, slot.Session)
	if err != nil {
		return
	}
	if w, err := s.waitAt(ctx, half, a); err == nil {
		a.WaitP90 = w.P90
	}
}

// visitType is 0 for a doctor's new patient, else 1.
func visitType(p *book.Patient, doctor string) int {
	for _, v := range p.Visits {
		if v.Doctor == doctor && !v.Missed {
			return 1
		}
	}
	return 0
}
