package clinic

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/clinic/book"
	"github.com/aimass/aimass/appointment/clinic/forecast"
	"github.com/aimass/aimass/appointment/recommend"
)

func (s *Clinic) phoneRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET /phone", s.phoneHome)
	mux.HandleFunc("POST /phone/me", s.phoneMe)
	mux.HandleFunc("POST /phone/leave", s.phoneLeave)
	mux.HandleFunc("GET /phone/doctors", s.phoneDoctors)
	mux.HandleFunc("POST "+toHold, s.phoneHold)
	mux.HandleFunc("GET /phone/visit/{id}", s.phoneVisit)
	mux.HandleFunc("GET /phone/visit/{id}/times", s.phoneTimes)
	mux.HandleFunc("GET /phone/events", s.phoneEvents)
	for step, f := range map[string]func(p book.Patient, v *book.Appointment, r *http.Request) (book.Appointment, error){
		"book": func(p book.Patient, v *book.Appointment, _ *http.Request) (book.Appointment, error) {
			return s.book.Book(p.ID, v.ID)
		},
		"cancel": func(p book.Patient, v *book.Appointment, _ *http.Request) (book.Appointment, error) {
			return s.book.Cancel(p.ID, v.ID, 0, "the patient cancelled")
		},
		"arrive": func(p book.Patient, v *book.Appointment, _ *http.Request) (book.Appointment, error) {
			return s.book.Arrive(p.ID, v.ID, 0)
		},
		"earlier": func(p book.Patient, v *book.Appointment, r *http.Request) (book.Appointment, error) {
			return s.book.AllowEarlier(p.ID, v.ID, r.FormValue("yes") != "")
		},
		"consent": func(p book.Patient, v *book.Appointment, r *http.Request) (book.Appointment, error) {
			return s.book.Consent(p.ID, v.ID, r.FormValue("yes") != "")
		},
		"rate": func(p book.Patient, v *book.Appointment, r *http.Request) (book.Appointment, error) {
			stars, _ := strconv.Atoi(r.FormValue("stars"))
			return s.book.Rate(p.ID, v.ID, stars, r.FormValue("words"))
		},
		"reschedule": func(p book.Patient, v *book.Appointment, r *http.Request) (book.Appointment, error) {
			_, start, err := book.ParseSlotID(r.FormValue("slot"))
			if err != nil {
				return *v, appointment.Errorf(appointment.CodeNotFound, "slot", "%q", r.FormValue("slot"))
			}
			return s.book.Reschedule(p.ID, v.ID, 0, start)
		},
		"pay": func(p book.Patient, v *book.Appointment, _ *http.Request) (book.Appointment, error) {
			return s.book.StartPayment(p.ID, v.ID)
		},
	} {
		mux.HandleFunc("POST /phone/visit/{id}/"+step, func(w http.ResponseWriter, r *http.Request) {
			p, v, err := s.own(r)
			if err == nil {
				_, err = f(p, &v, r)
			}
			if err != nil {
				take := toHold
				if step == "reschedule" { // another time for this appointment, not another appointment
					take = visitPath(v.ID) + "/reschedule"
				}
				s.refuseTaking(w, r, err, take)
				return
			}
			to := "/phone/visit/" + v.ID
			if step == "pay" && s.c.Demo {
				to = "/demo-bank/" + v.ID
			}
			http.Redirect(w, r, to, http.StatusSeeOther)
		})
	}
}

// phoneData is the patient's first page.
type phoneData struct {
	Specialities []recommend.Speciality
	Visits       []book.Appointment
	Doctors      map[string]string
	Patients     []book.Patient
	Today        string
}

func (s *Clinic) phoneHome(w http.ResponseWriter, r *http.Request) {
	seen := s.book.Steps()
	data := phoneData{Specialities: s.specialities(), Today: s.now().Format(time.DateOnly), Doctors: s.doctorNames()}
	p := page{Title: say(languageOf(r), "clinic")}
	if me, ok := s.patient(r); ok {
		list, err := s.book.Of(me.ID)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		data.Visits = slices.DeleteFunc(list, func(v book.Appointment) bool { return v.Status == book.Cancelled })
		for i := range data.Visits {
			data.Visits[i].Start = data.Visits[i].Start.In(s.book.Zone())
		}
		slices.SortStableFunc(data.Visits, func(a, b book.Appointment) int { return openFirst(a) - openFirst(b) })
		data.Visits = data.Visits[:min(len(data.Visits), 6)]
		p.Live = live("/phone/events", seen)
	} else if s.c.Demo {
		all, err := s.book.Patients()
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		data.Patients = all[:min(len(all), 8)]
	}
	s.show(w, r, http.StatusOK, p, func(p *page) string { return phonePage(p, &data) })
}

func openFirst(v book.Appointment) int {
	if v.Status.Open() {
		return 0
	}
	return 1
}

func (s *Clinic) doctorNames() map[string]string {
	out := map[string]string{}
	if all, err := s.book.Doctors(); err == nil {
		for _, d := range all {
			out[d.ID] = d.Name
		}
	}
	return out
}

// phoneMe makes the visitor a patient: a new one, or in the demo any.
func (s *Clinic) phoneMe(w http.ResponseWriter, r *http.Request) {
	id := r.FormValue("patient")
	if id == "" {
		p, err := s.enrol(r)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		id = p.ID
	} else if _, err := s.book.Patient(id); err != nil || !s.c.Demo {
		s.refuse(w, r, appointment.Errorf(appointment.CodeNotFound, "patient", "%q", id))
		return
	}
	s.watched.add(id, 1) // whom somebody has chosen to be, the demo no longer plays
	setCookie(w, r, cookiePatient, s.sign("patient", id))
	http.Redirect(w, r, "/phone", http.StatusSeeOther)
}

// enrol enters the new patient of a form.
func (s *Clinic) enrol(r *http.Request) (book.Patient, error) {
	age, err := strconv.Atoi(r.FormValue("age"))
	if err != nil {
		return book.Patient{}, appointment.Errorf(appointment.CodeBadAge, "age", "%q", r.FormValue("age"))
	}
	p := book.Patient{Patient: recommend.Patient{ID: book.NewPatientID(), Age: age, Male: r.FormValue("sex") == "male"},
		Name: strings.TrimSpace(r.FormValue("name"))}
	return p, s.book.AddPatient(p)
}

func (s *Clinic) phoneLeave(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: cookiePatient, Path: "/", MaxAge: -1, HttpOnly: true})
	http.Redirect(w, r, "/phone", http.StatusSeeOther)
}

// doctorsData is the recommended list.
type doctorsData struct {
	Choices []choice
	Need    string
	Note    string
	Urgency string
}

type choice struct {
	forecast.Choice
	Name, Slot, Why string
	// Own is an appointment that the patient has already.
	Own string
}

func (s *Clinic) phoneDoctors(w http.ResponseWriter, r *http.Request) {
	me, ok := s.patient(r)
	if !ok {
		http.Redirect(w, r, "/phone", http.StatusSeeOther)
		return
	}
	lang := languageOf(r)
	q := wish{patient: me.ID, need: r.FormValue("need"), text: strings.TrimSpace(r.FormValue("text")), language: lang, urgency: 1, from: s.now()}
	if r.FormValue("urgent") != "" {
		q.urgency = 5
	}
	if day, err := time.ParseInLocation(time.DateOnly, r.FormValue("from"), s.book.Zone()); err == nil {
		q.from, _ = book.DayBounds(day.Add(12*time.Hour), s.book.Zone())
	}
	p := page{Title: say(lang, "recommended")}
	data := &doctorsData{Need: q.need, Note: q.text, Urgency: strconv.Itoa(int(q.urgency))}
	list, err := s.recommend(r.Context(), q)
	switch code := api.CodeOf(appointment.Public(err)); {
	case err == nil:
	case code == api.CodeModelUnavailable && q.need == "":
		p.Error = say(lang, "no-text-model")
	case code == appointment.CodeUnknownNeed, code == appointment.CodeClockJump:
		s.refuse(w, r, err)
		return
	default:
		s.c.Log.Warn("no recommendations", "error", err)
		p.Error = say(lang, "no-models")
	}
	own, _ := s.book.Of(me.ID)
	names := s.doctorNames()
	for _, c := range list {
		item := choice{Choice: c, Name: names[c.Doctor], Slot: book.SlotID(c.Doctor, c.Start)}
		item.Start = c.Start.In(s.book.Zone())
		item.Why = strings.TrimPrefix(strings.TrimPrefix(c.Reason, item.Name+": "), item.Name+"：")
		for _, sep := range []string{"; ", "；"} { // the ground; what follows is shown in other ways
			item.Why, _, _ = strings.Cut(item.Why, sep)
		}
		for _, v := range own {
			if v.Status.Open() && v.Doctor == c.Doctor && v.Slot.Equal(c.Start) {
				item.Own = v.ID
			}
		}
		data.Choices = append(data.Choices, item)
	}
	s.show(w, r, http.StatusOK, p, func(p *page) string { return doctorsPage(p, data) })
}

// phoneHold takes a slot for the patient for some minutes.
func (s *Clinic) phoneHold(w http.ResponseWriter, r *http.Request) {
	me, ok := s.patient(r)
	doctor, start, err := book.ParseSlotID(r.FormValue("slot"))
	if !ok || err != nil {
		s.refuse(w, r, appointment.Errorf(appointment.CodeNotFound, "slot", "%q", r.FormValue("slot")))
		return
	}
	urgency, _ := strconv.ParseFloat(r.FormValue("urgency"), 32)
	a := book.Ask{Patient: me.ID, Doctor: doctor, Start: start, Need: r.FormValue("need"), Note: r.FormValue("note"), Urgency: float32(max(1, urgency))}
	s.predict(r.Context(), &a)
	v, err := s.book.Hold(me.ID, a)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	http.Redirect(w, r, "/phone/visit/"+v.ID, http.StatusSeeOther)
}

// visitData is one appointment as its patient sees it.
type visitData struct {
	book.Appointment
	Name  string
	Queue place
	// Today says that the queue is shown.
	Today bool
	// Free are other times, on the page for that.
	Free []offer
}

func (s *Clinic) phoneVisit(w http.ResponseWriter, r *http.Request) {
	seen := s.book.Steps()
	_, v, err := s.own(r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	d := &visitData{Appointment: v, Name: s.doctorNames()[v.Doctor]}
	from, to := book.DayBounds(s.now(), s.book.Zone())
	if (v.Status == book.Booked || v.Status == book.Arrived) && !v.Start.Before(from) && v.Start.Before(to) {
		d.Today = true
		if d.Queue, err = s.queue(r.Context(), &v); err != nil {
			s.refuse(w, r, err)
			return
		}
	}
	s.show(w, r, http.StatusOK, page{Title: d.Name, Live: live("/phone/events?visit="+url.QueryEscape(v.ID), seen)},
		func(p *page) string { return visitPage(p, d) })
}

func (s *Clinic) phoneTimes(w http.ResponseWriter, r *http.Request) {
	_, v, err := s.own(r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	free, err := s.book.Nearest(v.Doctor, v.Slot, 40)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	slices.SortFunc(free, func(a, b book.Slot) int { return a.Start.Compare(b.Start) })
	d := &visitData{Appointment: v, Name: s.doctorNames()[v.Doctor], Free: s.offers(free)}
	s.show(w, r, http.StatusOK, page{Title: say(languageOf(r), "reschedule-title")}, func(p *page) string { return timesPage(p, d) })
}

// phoneEvents tells of the patient's own appointments, and of the queue that one of them
// stands in. Of others' steps it says only that there was one.
func (s *Clinic) phoneEvents(w http.ResponseWriter, r *http.Request) {
	me, ok := s.patient(r)
	if !ok {
		http.Error(w, "", http.StatusForbidden)
		return
	}
	session := ""
	if v, err := s.book.Appointment(r.FormValue("visit")); err == nil && v.Patient == me.ID {
		if slot, err := s.book.Slot(book.SlotID(v.Doctor, v.Slot)); err == nil {
			session = book.SlotID(slot.Doctor, slot.Session)
		}
	}
	s.stream(w, r, func(e *book.Event) bool {
		if e.Appointment.Patient == me.ID {
			return true
		}
		if session != "" && e.Session == session {
			*e = book.Event{Step: "queue", Session: e.Session}
			return true
		}
		return false
	})
}
