package fhir

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/clinic/book"
	"github.com/aimass/aimass/appointment/recommend"
)

type object = map[string]any

// clinic is a Handler on a clinic of one doctor with six slots on Monday, 2 March 2026 in
// Berlin, where it is 8 o'clock and the clock does not move much.
type clinic struct {
	*testing.T
	*Handler
}

func newClinic(t *testing.T) *clinic {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	b, err := book.Open(book.Config{
		Path: filepath.Join(t.TempDir(), "c.db"), Zone: zone, NoSync: true, Clock: book.NewDemoClock(time.Date(2026, 3, 2, 8, 0, 0, 0, zone), 1),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	for _, id := range []string{"a", "b"} {
		if err := b.AddDoctor(book.Doctor{ID: id, Name: "Dr " + id, Specialities: []string{"heart"},
			Hours: []book.Hours{{Weekday: 0, Start: "09:00", Minutes: 10, Count: 6}}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"p", "q"} {
		if err := b.AddPatient(book.Patient{Patient: recommend.Patient{ID: id, Age: 40}, Name: "Patient " + id}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Extend(35); err != nil {
		t.Fatal(err)
	}
	find := func(_ context.Context, w Wish) ([]Proposal, error) {
		if w.Need == "teeth" {
			return nil, appointment.Errorf(appointment.CodeUnknownNeed, "need", "%q", w.Need)
		}
		slots, err := b.Nearest("a", w.From, 2)
		var out []Proposal
		for _, s := range slots {
			out = append(out, Proposal{s, w.Need, "the best match", .25, 12})
		}
		return out, err
	}
	return &clinic{t, New(b, Config{Base: "http://clinic/fhir", Specialities: map[string]string{"heart": "Cardiology"}, Find: find})}
}

// ask sends a request and decodes the answer.
func (c *clinic) ask(status int, method, path, body string, headers ...string) (object, http.Header) {
	c.Helper()
	r := httptest.NewRequest(method, "/fhir/"+path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	var v object
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		c.Fatalf("%s %s: %v: %s", method, path, err, w.Body)
	}
	if w.Code != status {
		c.Fatalf("%s %s: status %d, want %d: %s", method, path, w.Code, status, w.Body)
	}
	if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, "application/fhir+json") {
		c.Errorf("%s %s: content type %q", method, path, got)
	}
	return v, w.Header()
}

// refused wants an OperationOutcome with a code.
func (c *clinic) refused(status int, code appointment.Code, method, path, body string, headers ...string) object {
	c.Helper()
	v, _ := c.ask(status, method, path, body, headers...)
	issue, _ := v["issue"].([]any)
	if v["resourceType"] != "OperationOutcome" || len(issue) != 1 || !strings.Contains(fmt.Sprint(issue[0]), string(code)) {
		c.Errorf("%s %s: %v, want an OperationOutcome with %s", method, path, v, code)
	}
	return v
}

func visit(patient, slot, status string) string {
	return fmt.Sprintf(`{"resourceType":"Appointment","status":%q,"slot":[{"reference":"Slot/%s"}],"participant":[{"actor":{"reference":"Patient/%s"},"status":"accepted"}]}`, status, slot, patient)
}

// TestFindHoldBook is the way of the Argonaut guide.
func TestFindHoldBook(t *testing.T) {
	c := newClinic(t)
	found, _ := c.ask(200, "GET", "Appointment/$find?specialty=heart&patient-reference=Patient/p&start=2026-03-02T09:00:00%2B01:00", "")
	entries := found["entry"].([]any)
	proposal := entries[0].(object)["resource"].(object)
	if len(entries) != 2 || proposal["status"] != "proposed" || proposal["start"] != "2026-03-02T09:00:00+01:00" || proposal["id"] != nil {
		t.Fatalf("%v", found)
	}
	raw, err := json.Marshal(object{"resourceType": "Parameters", "parameter": []object{{"name": "appt-resource", "resource": proposal}}})
	if err != nil {
		t.Fatal(err)
	}
	held, _ := c.ask(201, "POST", "Appointment/$hold", string(raw))
	if held["status"] != "proposed" || !strings.Contains(fmt.Sprint(held["extension"]), "hold-until") {
		t.Errorf("%v", held)
	}
	if s, _ := c.ask(200, "GET", "Slot/a-20260302T0800Z", ""); s["status"] != "busy-tentative" {
		t.Errorf("%v", s)
	}
	taken := c.refused(409, appointment.CodeSlotTaken, "POST", "Appointment/$hold", visit("q", "a-20260302T0800Z", "proposed"))
	if list := taken["contained"].([]any); len(list) != 3 || list[0].(object)["status"] != "free" {
		t.Errorf("alternatives %v", list)
	}
	id := held["id"].(string)
	byID := fmt.Sprintf(`{"resourceType":"Parameters","parameter":[{"name":"appt-id","valueUri":"Appointment/%s"}]}`, id)
	for range 2 { // sent again it is booked still
		if b, _ := c.ask(200, "POST", "Appointment/$book", byID); b["status"] != "pending" {
			t.Errorf("%v", b)
		}
	}
	v, h := c.ask(200, "GET", "Appointment/"+id, "")
	if h.Get("ETag") != `W/"2"` || v["meta"].(object)["versionId"] != "2" {
		t.Errorf("%v %v", h, v["meta"])
	}
	c.refused(412, appointment.CodeVersionConflict, "PUT", "Appointment/"+id, visit("p", "a-20260302T0800Z", "booked"), "If-Match", `W/"1"`)
	patch := func(status string) string { return `[{"op":"replace","path":"/status","value":"` + status + `"}]` }
	step := func(to string) object {
		t.Helper()
		v, _ := c.ask(200, "PATCH", "Appointment/"+id, patch(to), "Content-Type", "application/json-patch+json")
		if v["status"] != to {
			t.Errorf("%v, want %s", v["status"], to)
		}
		return v
	}
	step("booked")
	c.refused(409, appointment.CodeBadTransition, "PATCH", "Appointment/"+id, patch("noshow"), "Content-Type", "application/json-patch+json")
	step("arrived")
	step("fulfilled")
	c.refused(409, appointment.CodeBadTransition, "PATCH", "Appointment/"+id, patch("booked"), "Content-Type", "application/json-patch+json")
}

// TestSearch: slots and appointments by whom, when and how.
func TestSearch(t *testing.T) {
	c := newClinic(t)
	total := func(path string, want int) {
		t.Helper()
		v, _ := c.ask(200, "GET", path, "")
		if v["resourceType"] != "Bundle" || v["total"] != float64(want) {
			t.Errorf("%s: %v, want %d", path, v["total"], want)
		}
	}
	v, _ := c.ask(201, "POST", "Appointment", visit("p", "a-20260302T0820Z", "pending"), "If-None-Exist", "key-1")
	again, _ := c.ask(201, "POST", "Appointment", visit("p", "a-20260302T0820Z", "pending"), "If-None-Exist", "key-1")
	if v["id"] != again["id"] {
		t.Error("one key made two appointments")
	}
	total("Schedule", 2)
	total("Schedule?actor=Practitioner/a&specialty=urn:x|heart", 1)
	total("Practitioner?specialty=skin", 0)
	total("Slot?schedule=Schedule/a&start=2026-03-02", 6)
	total("Slot?schedule=Schedule/a&start=2026-03-02&status=free", 5)
	total("Slot?schedule=Schedule/a&status=busy", 1)
	total("Slot?start=ge2026-03-02T09:30:00%2B01:00&start=lt2026-03-02T09:50:00%2B01:00", 4)
	total("Slot?start=2026-03-29", 0) // a Sunday, and the day on which the clocks change
	total("Slot?schedule=a&start=2026-03-30&status=free", 6)
	total("Appointment?patient=Patient/p", 1)
	total("Appointment?actor=Practitioner/a&date=2026-03-02&status=pending,booked", 1)
	total("Appointment?practitioner=a&date=gt2026-03-02", 0)
	total("Appointment?patient=q", 0)
	if s, _ := c.ask(200, "GET", "Slot/a-20260330T0700Z", ""); s["start"] != "2026-03-30T09:00:00+02:00" {
		t.Errorf("summer time: %v", s["start"])
	}
	page, _ := c.ask(200, "GET", "Slot?schedule=a&_count=2", "")
	if len(page["entry"].([]any)) != 2 || page["total"].(float64) < 6 {
		t.Errorf("_count: %v entries of %v", len(page["entry"].([]any)), page["total"])
	}
}

// TestAudit: who did which step to an appointment, and when.
func TestAudit(t *testing.T) {
	c := newClinic(t)
	v, _ := c.ask(201, "POST", "Appointment", visit("p", "a-20260302T0820Z", "pending"))
	c.ask(201, "POST", "Appointment", visit("p", "a-20260302T0840Z", "pending"))
	id := v["id"].(string)
	c.ask(200, "PUT", "Appointment/"+id, `{"resourceType":"Appointment","status":"cancelled","cancelationReason":{"text":"ill"}}`)
	b, _ := c.ask(200, "GET", "AuditEvent?entity=Appointment/"+id, "")
	var steps []string
	for _, e := range b["entry"].([]any) {
		e := e.(object)["resource"].(object)
		steps = append(steps, e["action"].(string)+" "+e["subtype"].([]any)[0].(object)["code"].(string))
		if got := e["entity"].([]any)[0].(object)["what"].(object)["reference"]; got != "Appointment/"+id ||
			e["agent"].([]any)[0].(object)["who"].(object)["display"] != "fhir" || e["recorded"] == "" {
			t.Errorf("%v", e)
		}
		if same, _ := c.ask(200, "GET", "AuditEvent/"+e["id"].(string), ""); same["recorded"] != e["recorded"] || same["id"] != e["id"] {
			t.Errorf("%v by its id is %v", e, same)
		}
	}
	if strings.Join(steps, ", ") != "C book, U cancel" {
		t.Errorf("steps %v", steps)
	}
	if all, _ := c.ask(200, "GET", "AuditEvent?date=2026-03-02", ""); all["total"].(float64) < 3 {
		t.Errorf("all of the day: %v", all["total"])
	}
	if none, _ := c.ask(200, "GET", "AuditEvent?date=lt2026-01-01", ""); none["total"] != 0. {
		t.Errorf("before anything happened: %v", none["total"])
	}
	c.refused(400, "parameter_invalid", "GET", "AuditEvent?entity=Patient/p", "")
	c.refused(404, appointment.CodeNotFound, "GET", "AuditEvent/0", "")
	c.refused(404, appointment.CodeNotFound, "GET", "AuditEvent/999999", "")
}

// TestRefusals: what can't be read or done is an OperationOutcome with its code.
func TestRefusals(t *testing.T) {
	c := newClinic(t)
	const ok = "a-20260302T0820Z"
	c.refused(400, "invalid_json", "POST", "Appointment", "{")
	c.refused(400, "parameter_invalid", "POST", "Appointment", visit("p", ok, "fulfilled"))
	c.refused(400, "field_missing", "POST", "Appointment", `{"resourceType":"Appointment","status":"pending"}`)
	c.refused(400, "parameter_invalid", "POST", "Appointment", `{"resourceType":"Patient"}`)
	c.refused(404, appointment.CodeNotFound, "POST", "Appointment", visit("nobody", ok, "pending"))
	c.refused(404, appointment.CodeNotFound, "POST", "Appointment", visit("p", "a-20260302T0821Z", "pending"))
	c.refused(422, appointment.CodeDoctorWithoutHours, "POST", "Appointment", visit("p", "a-20260303T0820Z", "pending"))
	c.refused(422, appointment.CodeBookingInPast, "POST", "Appointment", visit("p", "a-20260223T0820Z", "pending"))
	c.refused(404, appointment.CodeNotFound, "GET", "Appointment/none", "")
	c.refused(404, appointment.CodeNotFound, "GET", "Slot/none", "")
	c.refused(404, "path_not_found", "GET", "Observation", "")
	c.refused(404, "path_not_found", "GET", "Observation/1", "")
	c.refused(405, "method_not_allowed", "DELETE", "Appointment/x", "")
	c.refused(400, appointment.CodeTimestampZone, "GET", "Slot?start=ge2026-03-02T09:30:00", "")
	c.refused(400, appointment.CodeTimestampFormat, "GET", "Slot?start=soon", "")
	c.refused(400, "parameter_invalid", "GET", "Slot?start=xx2026-03-02", "")
	c.refused(400, "parameter_invalid", "GET", "Slot?_count=-1", "")
	c.refused(400, "parameter_invalid", "GET", "Appointment?actor=Room/1", "")
	c.refused(400, appointment.CodeUnknownNeed, "GET", "Appointment/$find?specialty=teeth", "")
	c.refused(400, "field_missing", "POST", "Appointment/$book", `{"resourceType":"Parameters"}`)
	c.refused(400, "parameter_invalid", "POST", "Appointment/$hold", `{"resourceType":"Bundle"}`)
	c.refused(400, "field_missing", "POST", "Patient", `{"resourceType":"Patient"}`)
	c.refused(400, "parameter_invalid", "POST", "Patient", `{"resourceType":"Patient","name":[{"text":"Ada"}],"birthDate":"31.12.1970"}`)
	c.refused(400, appointment.CodeBadAge, "POST", "Patient", `{"resourceType":"Patient","name":[{"text":"Ada"}],"birthDate":"1770-12-31"}`)
	ada, h := c.ask(201, "POST", "Patient", `{"resourceType":"Patient","name":[{"text":"Ada"}],"gender":"female","birthDate":"1970-03-03"}`)
	if p, err := c.book.Patient(ada["id"].(string)); err != nil || p.Age != 55 || p.Name != "Ada" || !strings.HasSuffix(h.Get("Location"), p.ID) {
		t.Errorf("%+v, %v", p, err)
	}
	slot := func(start, end, schedule string) string {
		return fmt.Sprintf(`{"resourceType":"Slot","status":"free","schedule":{"reference":%q},"start":%q,"end":%q}`, schedule, start, end)
	}
	c.refused(409, appointment.CodeOverlappingSlots, "POST", "Slot", slot("2026-03-02T09:15:00+01:00", "2026-03-02T09:25:00+01:00", "Schedule/a"))
	c.refused(400, appointment.CodeTimestampZone, "POST", "Slot", slot("2026-03-02T11:00:00", "2026-03-02T11:10:00+01:00", "Schedule/a"))
	c.refused(400, appointment.CodeTimestampGap, "POST", "Slot", slot("2026-03-29T02:30:00+01:00", "2026-03-29T03:30:00+02:00", "Schedule/a"))
	c.refused(422, appointment.CodeBookingInPast, "POST", "Slot", slot("2026-03-02T07:00:00+01:00", "2026-03-02T07:10:00+01:00", "Schedule/a"))
	c.refused(404, appointment.CodeNotFound, "POST", "Slot", slot("2026-03-02T11:00:00+01:00", "2026-03-02T11:10:00+01:00", "Schedule/z"))
	made, h := c.ask(201, "POST", "Slot", slot("2026-03-02T10:00:00Z", "2026-03-02T10:20:00Z", "Schedule/a"))
	if made["id"] != "a-20260302T1000Z" || h.Get("Location") != "http://clinic/fhir/Slot/a-20260302T1000Z" {
		t.Errorf("%v %v", made, h)
	}
	v, _ := c.ask(201, "POST", "Appointment", visit("p", ok, "pending"))
	at := "Appointment/" + v["id"].(string)
	c.refused(400, "parameter_invalid", "PATCH", at, "[]", "Content-Type", "text/plain")
	c.refused(400, "parameter_invalid", "PATCH", at, `[{"op":"remove","path":"/status"}]`, "Content-Type", "application/json-patch+json")
	c.refused(400, "parameter_invalid", "PUT", at, visit("p", ok, "booked"), "If-Match", "seven")
	moved, _ := c.ask(200, "PUT", at, `{"resourceType":"Appointment","status":"pending","start":"2026-03-02T08:50:00Z"}`)
	if moved["start"] != "2026-03-02T09:50:00+01:00" {
		t.Errorf("rescheduled to %v", moved["start"])
	}
	gone, _ := c.ask(200, "PUT", at, `{"resourceType":"Appointment","status":"cancelled","cancelationReason":{"text":"ill"}}`)
	if gone["status"] != "cancelled" || !strings.Contains(fmt.Sprint(gone["cancelationReason"]), "ill") {
		t.Errorf("%v", gone)
	}
}

func TestCapabilities(t *testing.T) {
	c := newClinic(t)
	v, _ := c.ask(200, "GET", "metadata", "")
	if v["resourceType"] != "CapabilityStatement" || v["fhirVersion"] != "4.0.1" {
		t.Errorf("%v", v)
	}
	var kinds []string
	for _, r := range v["rest"].([]any)[0].(object)["resource"].([]any) {
		kinds = append(kinds, r.(object)["type"].(string))
	}
	for _, want := range []string{"Schedule", "Slot", "Appointment"} {
		if !slices.Contains(kinds, want) {
			t.Errorf("%s is not among %v", want, kinds)
		}
	}
}

// FuzzOperand: no input of an operation takes the clinic down, and what is read as a wish is
// whole.
func FuzzOperand(f *testing.F) {
	f.Add(visit("p", "a-20260302T0820Z", "pending"))
	f.Add(`{"resourceType":"Parameters","parameter":[{"name":"appt-id","valueUri":"Appointment/x"},{"name":"appt-resource","resource":{"resourceType":"Appointment"}}]}`)
	f.Add(`{"resourceType":"Appointment","start":"2026-03-29T02:30:00+01:00","participant":[{"actor":null},{"actor":{"reference":"Practitioner/"}}]}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, text string) {
		o, err := parse([]byte(text))
		if err != nil || o.resource == nil {
			return
		}
		if a, err := o.resource.ask(time.UTC); err == nil && (a.Patient == "" || a.Doctor == "" || a.Start.IsZero()) {
			t.Errorf("%s is read as %+v", text, a)
		}
	})
}
