package fhir

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/clinic/book"
	"github.com/aimass/aimass/appointment/recommend"
)

// Wish is what $find is asked for.
type Wish struct {
	Patient, Doctor, Need, Text string
	From, To                    time.Time
	Urgency                     float32
}

// Proposal is a time that $find offers.
type Proposal struct {
	Slot          book.Slot
	Need, Reason  string
	Risk, WaitP90 float32
}

// Config of a Handler.
type Config struct {
	// Base is the URL that resources are named by, such as http://host/fhir.
	Base string
	// Specialities by code.
	Specialities map[string]string
	// Find answers $find.
	Find func(ctx context.Context, w Wish) ([]Proposal, error)
	// Prepare completes an ask with what is predicted for it.
	Prepare func(ctx context.Context, a *book.Ask)
	// Version of the program.
	Version string
	Log     *slog.Logger
}

// Handler serves the interface under /fhir/.
type Handler struct {
	c    Config
	book *book.Book
	mux  *http.ServeMux
}

// New makes a Handler.
func New(b *book.Book, c Config) *Handler {
	h := &Handler{c: c, book: b, mux: http.NewServeMux()}
	h.mux.HandleFunc("GET /fhir/metadata", h.metadata)
	h.mux.HandleFunc("GET /fhir/{type}", h.search)
	h.mux.HandleFunc("GET /fhir/{type}/{id}", h.read)
	h.mux.HandleFunc("POST /fhir/Slot", h.createSlot)
	h.mux.HandleFunc("POST /fhir/Patient", h.createPatient)
	h.mux.HandleFunc("POST /fhir/Appointment", h.create)
	h.mux.HandleFunc("PUT /fhir/Appointment/{id}", h.update)
	h.mux.HandleFunc("PATCH /fhir/Appointment/{id}", h.patch)
	h.mux.HandleFunc("GET /fhir/Appointment/$find", h.find)
	h.mux.HandleFunc("POST /fhir/Appointment/$find", h.find)
	h.mux.HandleFunc("POST /fhir/Appointment/$hold", func(w http.ResponseWriter, r *http.Request) { h.hold(w, r) })
	h.mux.HandleFunc("POST /fhir/Appointment/$book", func(w http.ResponseWriter, r *http.Request) { h.bookIt(w, r) })
	h.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		h.fail(w, api.Errorf(api.CodeMethodNotAllowed, "%s %s", r.Method, r.URL.Path))
	})
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// who is the name that the audit has for callers of this interface.
const who = "fhir"

// maxBody bounds a request.
const maxBody = 1 << 20

func body(r *http.Request) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, api.Errorf(api.CodeMalformedRequest, "the body can't be read: %w", err)
	}
	if len(b) > maxBody {
		return nil, api.Errorf(api.CodeBodyTooLarge, "the body is larger than %d bytes", maxBody)
	}
	return b, nil
}

func decode(b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return api.Errorf(api.CodeInvalidJSON, "%w", err)
	}
	return nil
}

func (h *Handler) read(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	var v any
	var err error
	switch kind := r.PathValue("type"); kind {
	case "Appointment":
		var a book.Appointment
		if a, err = h.book.Appointment(id); err == nil {
			w.Header().Set("ETag", etag(a.Version))
			v = h.appointment(&a)
		}
	case "Slot":
		var s book.Slot
		s, err = h.book.Slot(id)
		v = h.slot(&s)
	case "Schedule", "Practitioner":
		var d book.Doctor
		d, err = h.book.Doctor(id)
		v = h.schedule(&d)
		if kind == "Practitioner" {
			v = h.practitioner(&d)
		}
	case "Patient":
		var p book.Patient
		p, err = h.book.Patient(id)
		v = h.patient(&p)
	case "AuditEvent":
		v, err = h.readAudit(id)
	default:
		err = noType(kind)
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	write(w, http.StatusOK, v)
}

func noType(kind string) error {
	return api.Errorf(api.CodePathNotFound, "there is no resource type %q; see metadata", kind)
}

func (h *Handler) practitioner(d *book.Doctor) Practitioner {
	return Practitioner{"Practitioner", d.ID, true, []HumanName{{d.Name}}}
}

func (h *Handler) patient(p *book.Patient) Patient {
	gender := "female"
	if p.Male {
		gender = "male"
	}
	return Patient{ResourceType: "Patient", ID: p.ID, Name: []HumanName{{p.Name}}, Gender: gender}
}

// defaultCount and maxCount bound a search's answer.
const (
	defaultCount = 100
	maxCount     = 1000
)

func (h *Handler) search(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	count := defaultCount
	if v := q.Get("_count"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			h.fail(w, invalid("_count", "%q", v))
			return
		}
		count = min(n, maxCount)
	}
	var list []Entry
	var err error
	kind := r.PathValue("type")
	add := func(id string, v any) { list = append(list, Entry{h.c.Base + "/" + kind + "/" + id, v}) }
	switch kind {
	case "Schedule", "Practitioner":
		var doctors []book.Doctor
		doctors, err = h.book.Doctors()
		actor := strings.TrimPrefix(q.Get("actor"), "Practitioner/")
		for i := range doctors {
			d := &doctors[i]
			if s := q.Get("specialty"); actor != "" && d.ID != actor || s != "" && !slices.Contains(d.Specialities, codeOf(s)) {
				continue
			}
			if kind == "Practitioner" {
				add(d.ID, h.practitioner(d))
			} else {
				add(d.ID, h.schedule(d))
			}
		}
	case "Slot":
		err = h.searchSlots(q, add)
	case "Appointment":
		err = h.searchAppointments(q, add)
	case "AuditEvent":
		err = h.searchAudit(q, add)
	default:
		err = noType(kind)
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	h.bundle(w, r, list, count)
}

// codeOf takes the code of a token system|code.
func codeOf(token string) string { return token[strings.LastIndexByte(token, '|')+1:] }

func (h *Handler) bundle(w http.ResponseWriter, r *http.Request, list []Entry, count int) {
	base, _, _ := strings.Cut(h.c.Base, "/fhir")
	out := Bundle{"Bundle", "searchset", len(list), []Link{{"self", base + r.URL.RequestURI()}}, list[:min(count, len(list))]}
	write(w, http.StatusOK, out)
}

func (h *Handler) searchSlots(q map[string][]string, add func(string, any)) error {
	get := func(name string) string { return strings.Join(q[name], ",") }
	from, to, err := timeRange("start", q["start"], h.book.Zone())
	if err != nil {
		return err
	}
	slots, err := h.book.Slots(strings.TrimPrefix(get("schedule"), "Schedule/"), from, to)
	for i := range slots {
		if s := get("status"); s == "" || slices.Contains(strings.Split(s, ","), string(slots[i].Status)) {
			add(slots[i].ID(), h.slot(&slots[i]))
		}
	}
	return err
}

func (h *Handler) searchAppointments(q map[string][]string, add func(string, any)) error {
	first := func(names ...string) string {
		for _, n := range names {
			if len(q[n]) > 0 {
				return q[n][0]
			}
		}
		return ""
	}
	from, to, err := timeRange("date", q["date"], h.book.Zone())
	if err != nil {
		return err
	}
	patient, doctor := strings.TrimPrefix(first("patient"), "Patient/"), strings.TrimPrefix(first("practitioner"), "Practitioner/")
	switch kind, id, ok := strings.Cut(first("actor"), "/"); {
	case kind == "Patient":
		patient = id
	case kind == "Practitioner":
		doctor = id
	case ok || kind != "":
		return invalid("actor", "%q, expected Patient/… or Practitioner/…", first("actor"))
	}
	var list []book.Appointment
	switch {
	case patient != "":
		list, err = h.book.Of(patient)
	default:
		list, err = h.book.Day(doctor, from, to)
	}
	for i := range list {
		v := &list[i]
		s := first("status")
		if s != "" && !slices.Contains(strings.Split(s, ","), string(v.Status)) || doctor != "" && v.Doctor != doctor || v.Start.Before(from) || !v.Start.Before(to) {
			continue
		}
		add(v.ID, h.appointment(v))
	}
	return err
}

// createSlot enters one slot by hand.
func (h *Handler) createSlot(w http.ResponseWriter, r *http.Request) {
	var s Slot
	b, err := body(r)
	if err == nil {
		err = decode(b, &s)
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	made, err := h.enter(&s)
	if err != nil {
		h.fail(w, err)
		return
	}
	w.Header().Set("Location", h.c.Base+"/Slot/"+made.ID())
	write(w, http.StatusCreated, h.slot(&made))
}

func (h *Handler) enter(s *Slot) (book.Slot, error) {
	if s.Status != "" && s.Status != string(book.Free) {
		return book.Slot{}, invalid("status", "%q, a new slot is free", s.Status)
	}
	start, err := appointment.ParseStampIn("start", s.Start, h.book.Zone())
	if err != nil {
		return book.Slot{}, err
	}
	end, err := appointment.ParseStampIn("end", s.End, h.book.Zone())
	if err != nil {
		return book.Slot{}, err
	}
	doctor, ok := strings.CutPrefix(s.Schedule.Reference, "Schedule/")
	if !ok {
		return book.Slot{}, missing("schedule: Schedule/…")
	}
	list, err := h.book.AddSlots(doctor, start, int(end.Sub(start)/time.Minute), 1)
	if err != nil {
		return book.Slot{}, err
	}
	return list[0], nil
}

// createPatient takes a patient with a name and a date of birth.
func (h *Handler) createPatient(w http.ResponseWriter, r *http.Request) {
	var in Patient
	b, err := body(r)
	if err == nil {
		err = decode(b, &in)
	}
	var p book.Patient
	if err == nil {
		p, err = h.register(&in)
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	w.Header().Set("Location", h.c.Base+"/Patient/"+p.ID)
	write(w, http.StatusCreated, h.patient(&p))
}

func (h *Handler) register(in *Patient) (book.Patient, error) {
	if in.ResourceType != "Patient" {
		return book.Patient{}, invalid("resourceType", "%q, expected Patient", in.ResourceType)
	}
	if len(in.Name) == 0 || in.Name[0].Text == "" {
		return book.Patient{}, missing("name[0].text")
	}
	born, err := time.Parse(time.DateOnly, in.BirthDate)
	if err != nil {
		return book.Patient{}, invalid("birthDate", "%q, expected a date such as 1970-12-31", in.BirthDate)
	}
	today := h.book.Clock().Look().In(h.book.Zone())
	age := today.Year() - born.Year()
	if today.Month() < born.Month() || today.Month() == born.Month() && today.Day() < born.Day() {
		age--
	}
	p := book.Patient{Patient: recommend.Patient{ID: book.NewPatientID(), Age: age, Male: in.Gender == "male"}, Name: in.Name[0].Text}
	return p, h.book.AddPatient(p)
}
