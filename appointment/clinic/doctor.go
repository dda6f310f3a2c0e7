package clinic

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/clinic/book"
)

func (s *Clinic) doctorRoutes(mux *http.ServeMux) {
	handle := func(pattern string, f http.HandlerFunc) { mux.Handle(pattern, s.staff(f)) }
	handle("GET /doctor/{doctor}", s.doctorDay)
	handle("GET /doctor/{doctor}/events", s.doctorEvents)
	handle("POST /doctor/{doctor}/what-if", s.whatIf)
	handle("POST /doctor/{doctor}/apply", s.apply)
	handle("POST /doctor/{doctor}/walk-in", s.walkIn)
	for step, f := range map[string]func(who, id string, r *http.Request) (book.Appointment, error){
		"approve": func(who, id string, _ *http.Request) (book.Appointment, error) { return s.book.Approve(who, id, 0) },
		"decline": func(who, id string, r *http.Request) (book.Appointment, error) {
			return s.book.Cancel(who, id, 0, say(languageOf(r), "decline-reason"))
		},
		"arrive": func(who, id string, _ *http.Request) (book.Appointment, error) { return s.book.Arrive(who, id, 0) },
		"begin":  func(who, id string, _ *http.Request) (book.Appointment, error) { return s.book.Begin(who, id, 0) },
		"fulfil": func(who, id string, _ *http.Request) (book.Appointment, error) { return s.book.Fulfil(who, id, 0) },
		"noshow": func(who, id string, _ *http.Request) (book.Appointment, error) { return s.book.Miss(who, id, 0) },
		"remind": func(who, id string, _ *http.Request) (book.Appointment, error) { return s.book.Remind(who, id, 0) },
		"emergency": func(who, id string, _ *http.Request) (book.Appointment, error) {
			return s.book.SetEmergency(who, id, 0, true)
		},
		"late": func(who, id string, _ *http.Request) (book.Appointment, error) {
			v, err := s.book.Appointment(id)
			if err != nil {
				return v, err
			}
			return s.book.Late(who, id, 0, later(v.Start, s.now()).Add(15*time.Minute))
		},
	} {
		handle("POST /doctor/{doctor}/"+step, func(w http.ResponseWriter, r *http.Request) {
			doctor := r.PathValue("doctor")
			v, err := s.book.Appointment(r.FormValue("id"))
			if err == nil && v.Doctor != doctor {
				err = appointment.Errorf(appointment.CodeNotFound, "appointment", "%q", r.FormValue("id"))
			}
			if err == nil {
				_, err = f(doctor, v.ID, r)
			}
			if err != nil {
				s.refuse(w, r, err)
				return
			}
			http.Redirect(w, r, "/doctor/"+doctor+"?day="+r.FormValue("day"), http.StatusSeeOther)
		})
	}
}

// walkIn takes in somebody who came without an appointment: a new patient, in the doctor's
// next free slot of today, who is here.
func (s *Clinic) walkIn(w http.ResponseWriter, r *http.Request) {
	doctor := r.PathValue("doctor")
	now := s.now()
	_, err := s.book.Doctor(doctor)
	var near []book.Slot
	if err == nil {
		near, err = s.book.Nearest(doctor, now, 3)
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	_, midnight := book.DayBounds(now, s.book.Zone())
	if len(near) == 0 || !near[0].Start.Before(midnight) {
		lang, free := languageOf(r), s.offers(near)
		s.show(w, r, http.StatusConflict, page{Title: say(lang, "walk-in"), Error: say(lang, "walk-in-full")},
			func(p *page) string { return problemPage(p, free, toHold) })
		return
	}
	p, err := s.enrol(r)
	if err == nil {
		err = s.seat(r.Context(), book.Ask{Patient: p.ID, Doctor: doctor, Start: near[0].Start, Urgency: 1})
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	http.Redirect(w, r, doctorPath(doctor), http.StatusSeeOther)
}

// seat books, approves and marks as arrived somebody who stands at the desk.
func (s *Clinic) seat(ctx context.Context, a book.Ask) error {
	s.predict(ctx, &a)
	v, err := s.book.BookNow(a.Doctor, a)
	if err == nil && v.Status == book.Pending {
		v, err = s.book.Approve(a.Doctor, v.ID, 0)
	}
	if err == nil {
		_, err = s.book.Arrive(a.Doctor, v.ID, 0)
	}
	return err
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// doctorData is the doctor's page.
type doctorData struct {
	Doctor          book.Doctor
	Day             time.Time
	Key, Prev, Next string
	Today           bool
	Inbox           []request
	Halves          []*half
	Unreachable     bool
}

// request is a pending appointment in the inbox.
type request struct {
	book.Appointment
	Name string
	Need string
}

func (s *Clinic) doctorDay(w http.ResponseWriter, r *http.Request) {
	d, err := s.book.Doctor(r.PathValue("doctor"))
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.watched.touch(d.ID)
	seen := s.book.Steps()
	zone, lang := s.book.Zone(), languageOf(r)
	noon := book.Noon(s.now(), zone)
	today := noon.Format(time.DateOnly)
	if day, err := time.ParseInLocation(time.DateOnly+" 15", r.FormValue("day")+" 12", zone); err == nil {
		noon = day
	}
	data := &doctorData{
		Doctor: d, Day: noon, Key: noon.Format(time.DateOnly), Prev: noon.AddDate(0, 0, -1).Format(time.DateOnly), Next: noon.AddDate(0, 0, 1).Format(time.DateOnly),
		Today: noon.Format(time.DateOnly) == today,
	}
	pending, err := s.book.Inbox(d.ID)
	if err == nil {
		data.Halves, err = s.day(d.ID, noon)
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	for _, v := range pending {
		q := request{Appointment: v, Name: v.Patient, Need: v.Need}
		q.Start = v.Start.In(zone)
		if p, err := s.book.Patient(v.Patient); err == nil {
			q.Name = p.Name
		}
		data.Inbox = append(data.Inbox, q)
	}
	for _, h := range data.Halves {
		s.foresee(r.Context(), h)
		data.Unreachable = data.Unreachable || !h.Predicted
	}
	s.show(w, r, http.StatusOK, page{Title: say(lang, "doctor-page", d.Name), Live: live(doctorPath(d.ID)+"/events", seen), Wide: true},
		func(p *page) string { return doctorPage(p, data) })
}

// doctorEvents is the live inbox.
func (s *Clinic) doctorEvents(w http.ResponseWriter, r *http.Request) {
	doctor := r.PathValue("doctor")
	s.watched.add(doctor, 1)
	defer func() {
		s.watched.touch(doctor)
		s.watched.add(doctor, -1)
	}()
	s.stream(w, r, func(e *book.Event) bool { return e.Appointment.Doctor == doctor })
}

// starts is what the doctor's page sends: other starts in minutes of a half-day.
type starts struct {
	Session string `json:"session"` // id of its first slot
	Starts  whatIf `json:"starts"`
	Suggest bool   `json:"suggest"`
}

// halfOfRequest reads the body and finds the half-day.
func (s *Clinic) halfOfRequest(r *http.Request) (*half, *starts, error) {
	q := new(starts)
	if err := json.NewDecoder(r.Body).Decode(q); err != nil {
		return nil, nil, api.Errorf(api.CodeInvalidJSON, "%w", err)
	}
	doctor, session, err := book.ParseSlotID(q.Session)
	if err != nil || doctor != r.PathValue("doctor") {
		return nil, nil, appointment.Errorf(appointment.CodeNotFound, "session", "%q", q.Session)
	}
	for id, m := range q.Starts {
		if m < 0 || m > appointment.MaxSession {
			return nil, nil, appointment.Errorf(appointment.CodeBadPlan, "starts", "%s at minute %d", id, m)
		}
	}
	h, err := s.halfDay(doctor, session)
	return h, q, err
}

// whatIf answers what other starts would mean, or which would be better.
func (s *Clinic) whatIf(w http.ResponseWriter, r *http.Request) {
	h, q, err := s.halfOfRequest(r)
	var out *outcome
	if err == nil && q.Suggest {
		out, err = s.suggest(r.Context(), h)
	} else if err == nil {
		out, err = s.tryStarts(r.Context(), h, q.Starts)
	}
	s.reply(w, out, err)
}

// apply moves appointments to the starts that the doctor has tried. Those that would be
// earlier become offers, unless the patient is glad to come earlier.
func (s *Clinic) apply(w http.ResponseWriter, r *http.Request) {
	var out struct {
		Moved int `json:"moved"`
		Asked int `json:"asked"`
	}
	h, q, err := s.halfOfRequest(r)
	if err == nil {
		for i := range h.Guests {
			g := &h.Guests[i]
			m, ok := q.Starts[g.ID]
			if !ok || m == g.Minute {
				continue
			}
			v, bad := s.book.Move(r.PathValue("doctor"), g.ID, g.Version, h.Session.Add(time.Duration(m)*time.Minute))
			switch {
			case bad != nil:
				err = bad
			case !v.Offer.IsZero():
				out.Asked++
			default:
				out.Moved++
			}
		}
	}
	s.reply(w, out, err)
}

// reply answers a script of the page.
func (s *Clinic) reply(w http.ResponseWriter, v any, err error) {
	status := http.StatusOK
	if err != nil {
		code := api.CodeOf(appointment.Public(err))
		status = code.HTTPStatus()
		v = map[string]any{"error": api.Message(appointment.Public(err)), "code": code, "retryable": code.Retryable()}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the page has gone
}
