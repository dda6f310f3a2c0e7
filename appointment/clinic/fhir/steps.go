package fhir

import (
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/clinic/book"
)

// answer writes an appointment after a step.
func (h *Handler) answer(w http.ResponseWriter, status int, v book.Appointment, err error) {
	if err != nil {
		h.fail(w, err)
		return
	}
	w.Header().Set("ETag", etag(v.Version))
	if status == http.StatusCreated {
		w.Header().Set("Location", h.c.Base+"/Appointment/"+v.ID)
	}
	write(w, status, h.appointment(&v))
}

// create makes an appointment: proposed holds the slot, pending and booked ask the doctor.
func (h *Handler) create(w http.ResponseWriter, r *http.Request) {
	var a Appointment
	b, err := body(r)
	if err == nil {
		err = decode(b, &a)
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	v, err := h.make(r, &a)
	h.answer(w, http.StatusCreated, v, err)
}

func (h *Handler) make(r *http.Request, a *Appointment) (book.Appointment, error) {
	ask, err := a.ask(h.book.Zone())
	if err != nil {
		return book.Appointment{}, err
	}
	ask.Key = r.Header.Get("If-None-Exist")
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		ask.Key = key
	}
	if h.c.Prepare != nil {
		h.c.Prepare(r.Context(), &ask)
	}
	switch book.Status(a.Status) {
	case book.Proposed:
		return h.book.Hold(who, ask)
	case book.Pending, book.Booked:
		return h.book.BookNow(who, ask)
	}
	return book.Appointment{}, invalid("status", "%q, a new appointment is proposed, pending or booked", a.Status)
}

// update does the step that leads to the resource's status; another start reschedules.
func (h *Handler) update(w http.ResponseWriter, r *http.Request) {
	var a Appointment
	b, err := body(r)
	if err == nil {
		err = decode(b, &a)
	}
	var version int
	if err == nil {
		version, err = versionOf(r.Header.Get("If-Match"))
	}
	if err == nil && a.ID != "" && a.ID != r.PathValue("id") {
		err = invalid("id", "%q in the body, %q in the path", a.ID, r.PathValue("id"))
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	v, err := h.step(r.PathValue("id"), version, &a)
	h.answer(w, http.StatusOK, v, err)
}

func (h *Handler) step(id string, version int, a *Appointment) (book.Appointment, error) {
	v, err := h.book.Appointment(id)
	if err != nil {
		return v, err
	}
	if a.Start != "" && book.Status(a.Status).Open() {
		start, err := appointment.ParseStampIn("start", a.Start, h.book.Zone())
		if err != nil {
			return v, err
		}
		if !start.Equal(v.Start) {
			return h.book.Reschedule(who, id, version, start)
		}
	}
	reason := ""
	if a.CancelationReason != nil {
		reason = a.CancelationReason.Text
	}
	return h.become(&v, version, book.Status(a.Status), reason)
}

// become does the step to a status.
func (h *Handler) become(v *book.Appointment, version int, to book.Status, reason string) (book.Appointment, error) {
	if v.Status == to {
		if version > 0 && version != v.Version {
			return *v, appointment.Errorf(appointment.CodeVersionConflict, "appointment", "version %d was changed to %d", version, v.Version)
		}
		return *v, nil
	}
	switch {
	case to == book.Pending:
		return h.book.Book(who, v.ID)
	case to == book.Booked && v.Status == book.Proposed:
		return h.book.Book(who, v.ID)
	case to == book.Booked:
		return h.book.Approve(who, v.ID, version)
	case to == book.Cancelled:
		return h.book.Cancel(who, v.ID, version, reason)
	case to == book.Arrived:
		return h.book.Arrive(who, v.ID, version)
	case to == book.Fulfilled:
		return h.book.Fulfil(who, v.ID, version)
	case to == book.NoShow:
		return h.book.Miss(who, v.ID, version)
	case to.Known():
		return *v, appointment.Errorf(appointment.CodeBadTransition, "appointment", "from %s to %s", v.Status, to)
	}
	return *v, invalid("status", "%q", to)
}

// patch takes a JSON Patch (RFC 6902) of the status.
func (h *Handler) patch(w http.ResponseWriter, r *http.Request) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json-patch+json" {
		h.fail(w, invalid("Content-Type", "%q, expected application/json-patch+json", kind))
		return
	}
	var ops []struct {
		Op, Path string
		Value    json.RawMessage
	}
	b, err := body(r)
	if err == nil {
		err = decode(b, &ops)
	}
	var version int
	if err == nil {
		version, err = versionOf(r.Header.Get("If-Match"))
	}
	to := ""
	for _, o := range ops {
		if err == nil && (o.Op != "replace" || o.Path != "/status") {
			err = invalid("patch", "%s %s, expected replace /status", o.Op, o.Path)
		}
		if err == nil {
			err = decode(o.Value, &to)
		}
	}
	var v book.Appointment
	if err == nil {
		v, err = h.book.Appointment(r.PathValue("id"))
	}
	if err == nil {
		v, err = h.become(&v, version, book.Status(to), "")
	}
	h.answer(w, http.StatusOK, v, err)
}

// operand is what an operation is given: an appointment by id or as a resource, and the
// other parameters.
type operand struct {
	id       string
	resource *Appointment
	values   map[string]string
}

// parse reads an operation's input: an Appointment, or Parameters.
func parse(b []byte) (*operand, error) {
	var head struct {
		ResourceType string      `json:"resourceType"`
		ID           string      `json:"id"`
		Parameter    []Parameter `json:"parameter"`
	}
	if err := decode(b, &head); err != nil {
		return nil, err
	}
	o := &operand{values: map[string]string{}}
	resource := func(raw []byte) error {
		o.resource = new(Appointment)
		if err := decode(raw, o.resource); err != nil {
			return err
		}
		o.id = o.resource.ID
		return nil
	}
	switch head.ResourceType {
	case "Appointment":
		return o, resource(b)
	case "Parameters":
		for i := range head.Parameter {
			p := &head.Parameter[i]
			switch {
			case len(p.Resource) > 0:
				if err := resource(p.Resource); err != nil {
					return nil, err
				}
			case p.Name == "appt-id" || p.Name == "appointment":
				o.id = p.text()[strings.LastIndexByte(p.text(), '/')+1:]
			case p.ValueInteger != nil:
				o.values[p.Name] = strconv.Itoa(*p.ValueInteger)
			default:
				o.values[p.Name] = p.text()
			}
		}
		return o, nil
	}
	return nil, invalid("resourceType", "%q, expected Appointment or Parameters", head.ResourceType)
}

func (h *Handler) operand(r *http.Request) (*operand, error) {
	b, err := body(r)
	if err != nil {
		return nil, err
	}
	return parse(b)
}

// hold is $hold: a proposed appointment that keeps its slot for some minutes.
func (h *Handler) hold(w http.ResponseWriter, r *http.Request) {
	o, err := h.operand(r)
	if err == nil && o.resource == nil {
		err = missing("appt-resource, an Appointment")
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	o.resource.Status = string(book.Proposed)
	v, err := h.make(r, o.resource)
	h.answer(w, http.StatusCreated, v, err)
}

// bookIt is $book: of a hold by its id, or at once of a resource without one.
func (h *Handler) bookIt(w http.ResponseWriter, r *http.Request) {
	o, err := h.operand(r)
	if err == nil && o.id == "" && o.resource == nil {
		err = missing("appt-id or appt-resource")
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	if o.id != "" {
		v, err := h.book.Book(who, o.id)
		h.answer(w, http.StatusOK, v, err)
		return
	}
	o.resource.Status = string(book.Pending)
	v, err := h.make(r, o.resource)
	h.answer(w, http.StatusCreated, v, err)
}

// find is $find: proposals that nobody holds yet.
func (h *Handler) find(w http.ResponseWriter, r *http.Request) {
	values := map[string]string{}
	for k, v := range r.URL.Query() {
		values[k] = v[0]
	}
	if r.Method == http.MethodPost {
		o, err := h.operand(r)
		if err != nil {
			h.fail(w, err)
			return
		}
		for k, v := range o.values {
			values[k] = v
		}
	}
	wish, err := h.wish(values)
	var list []Proposal
	if err == nil {
		list, err = h.c.Find(r.Context(), wish)
	}
	if err != nil {
		h.fail(w, err)
		return
	}
	var entries []Entry
	for i := range list {
		p := &list[i]
		a := Appointment{
			ResourceType: "Appointment", Status: string(book.Proposed), Start: h.stamp(p.Slot.Start), End: h.stamp(p.Slot.End), Description: p.Reason,
			MinutesDuration: int(p.Slot.End.Sub(p.Slot.Start).Minutes()), Slot: []Reference{{Reference: "Slot/" + p.Slot.ID()}},
			Participant: h.participants(book.Proposed, p.Slot.Doctor, wish.Patient), Extension: []Extension{number("no-show", p.Risk), number("wait-p90", p.WaitP90)},
		}
		if p.Need != "" {
			a.Specialty = []CodeableConcept{h.specialty(p.Need)}
		}
		entries = append(entries, Entry{Resource: a})
	}
	h.bundle(w, r, entries, maxCount)
}

// wish reads $find's parameters, those of the Argonaut guide and a text.
func (h *Handler) wish(values map[string]string) (out Wish, err error) {
	first := func(names ...string) string {
		for _, n := range names {
			if values[n] != "" {
				return values[n]
			}
		}
		return ""
	}
	out = Wish{
		Patient: strings.TrimPrefix(first("patient-reference", "patient"), "Patient/"), Doctor: strings.TrimPrefix(first("provider-reference", "practitioner",
			"provider"), "Practitioner/"),
		Need: codeOf(first("specialty", "speciality")), Text: first("text", "reason"), Urgency: 1,
	}
	if v := first("start"); v == "" {
		if out.From, err = h.book.Clock().Now(); err != nil {
			return out, err
		}
	} else if out.From, _, err = timeRange("start", []string{"ge" + v}, h.book.Zone()); err != nil {
		return out, err
	}
	if v := first("end"); v != "" {
		if _, out.To, err = timeRange("end", []string{"le" + v}, h.book.Zone()); err != nil {
			return out, err
		}
	}
	if v := first("urgency"); v != "" {
		u, bad := strconv.ParseFloat(v, 32)
		if bad != nil {
			return out, invalid("urgency", "%q", v)
		}
		out.Urgency = float32(u)
	}
	return out, nil
}
