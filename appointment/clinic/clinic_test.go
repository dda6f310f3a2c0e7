package clinic

import (
	"bufio"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/clinic/book"
	"github.com/aimass/aimass/appointment/recommend"
	"github.com/aimass/aimass/client"
)

// open runs a clinic of the demo's doctors on a Monday at twenty past eight, without models:
// nobody listens where they should be.
func open(t *testing.T, demo bool) (*Clinic, *httptest.Server) {
	t.Helper()
	raw, err := recommend.Demo(1).File()
	if err != nil {
		t.Fatal(err)
	}
	staff, err := recommend.Read(raw)
	if err != nil {
		t.Fatal(err)
	}
	zone, err := time.LoadLocation(staff.Zone)
	if err != nil {
		t.Fatal(err)
	}
	b, err := book.Open(book.Config{
		Path: filepath.Join(t.TempDir(), "c.db"), Zone: zone, NoSync: true, Price: func(int) int { return 4000 },
		Clock: book.NewDemoClock(time.Date(2026, 3, 2, 8, 20, 0, 0, zone), 1),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	models, err := client.New("http://127.0.0.1:1", client.Options{Retry: client.Retry{Attempts: 1}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Book: b, Staff: staff, Models: models, PublicURL: "http://clinic", Demo: demo, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return s, srv
}

// visitor is a browser without a screen.
type visitor struct {
	*testing.T
	http.Client
	base string
}

func newVisitor(t *testing.T, srv *httptest.Server) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, http.Client{Jar: jar}, srv.URL}
}

func (v *visitor) read(r *http.Response, err error) (int, string) {
	v.Helper()
	if err != nil {
		v.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		v.Fatal(err)
	}
	return r.StatusCode, string(b)
}

func (v *visitor) get(path string) (int, string) {
	v.Helper()
	return v.read(v.Get(v.base + path))
}

func (v *visitor) post(path string, form ...string) (int, string) {
	v.Helper()
	values := url.Values{}
	for i := 0; i < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	return v.read(v.PostForm(v.base+path, values))
}

// firstFree is a free slot of a doctor today.
func firstFree(t *testing.T, s *Clinic, doctor string) string {
	t.Helper()
	free, err := s.book.Nearest(doctor, s.now(), 1)
	if err != nil || len(free) == 0 {
		t.Fatalf("%v, %v", free, err)
	}
	return free[0].ID()
}

// TestWithoutModels: the clinic goes on without predictions, and says so.
func TestWithoutModels(t *testing.T) {
	s, srv := open(t, false)
	v := newVisitor(t, srv)
	if status, body := v.post("/phone/me", "name", "Ada Low", "age", "41", "sex", "female"); status != 200 || !strings.Contains(body, "You are Ada Low") {
		t.Fatalf("%d %s", status, body)
	}
	if status, body := v.get("/phone/doctors?need=heart"); status != 200 || !strings.Contains(body, "be reached") {
		t.Errorf("%d %s", status, body)
	}
	status, body := v.post("/phone/hold", "slot", firstFree(t, s, "dr-01"), "need", "general")
	if status != 200 || !strings.Contains(body, "We keep this time for you") {
		t.Fatalf("%d %s", status, body)
	}
	id := regexp.MustCompile(`/phone/visit/(\w+)/book`).FindStringSubmatch(body)[1]
	if status, body = v.post("/phone/visit/" + id + "/book"); status != 200 || !strings.Contains(body, "badge pending") {
		t.Fatalf("%d %s", status, body)
	}
	if status, body = v.get("/doctor/dr-01"); status != 200 || !strings.Contains(body, "Ada Low") || !strings.Contains(body, "no predictions") {
		t.Errorf("%d %s", status, body)
	}
	if status, _ = v.post("/doctor/dr-02/approve", "id", id); status != 404 {
		t.Errorf("another doctor's appointment was approved: %d", status)
	}
	if status, _ = v.post("/doctor/dr-01/approve", "id", id); status != 200 {
		t.Errorf("approve: %d", status)
	}
	if status, body = v.post("/phone/visit/" + id + "/arrive"); status != 200 || !strings.Contains(body, "You are next") {
		t.Errorf("the queue without models: %d %s", status, body)
	}
	other := newVisitor(t, srv)
	other.post("/phone/me", "name", "Eve", "age", "30")
	if status, _ = other.get("/phone/visit/" + id); status != 404 {
		t.Errorf("a stranger sees the appointment: %d", status)
	}
	if status, _ = other.post("/phone/visit/" + id + "/cancel"); status != 404 {
		t.Errorf("a stranger cancels the appointment: %d", status)
	}
	if status, _ = other.post("/phone/me", "patient", "p-001"); status != 404 {
		t.Errorf("anybody may be anybody outside of the demo: %d", status)
	}
	if status, body = other.post("/phone/me", "name", "Old", "age", "140"); status != 400 || !strings.Contains(body, "age") {
		t.Errorf("%d %s", status, body)
	}
}

// TestWalkIn: who comes without an appointment gets the next free time of the day and is in
// the queue at once; when the day is full, the page names the next days' times.
func TestWalkIn(t *testing.T) {
	s, srv := open(t, true)
	v := newVisitor(t, srv)
	first := firstFree(t, s, "dr-01")
	status, body := v.post("/doctor/dr-01/walk-in", "name", "Wanda Lee", "age", "33", "sex", "female")
	if status != 200 || !strings.Contains(body, `lane arrived`) || !strings.Contains(body, "Wanda Lee") {
		t.Fatalf("%d %s", status, body)
	}
	if slot, err := s.book.Slot(first); err != nil || slot.Status != book.Busy {
		t.Errorf("the next free slot is %s, %v", slot.Status, err)
	}
	if status, _ = v.post("/doctor/dr-01/walk-in", "name", "Old", "age", "140"); status != 400 {
		t.Errorf("an age of 140: %d", status)
	}
	if status, _ = v.post("/doctor/nobody/walk-in", "name", "Ada", "age", "14"); status != 404 {
		t.Errorf("at no doctor's: %d", status)
	}
	for n := 0; n == 0 || status != http.StatusConflict; n++ {
		if n > 100 {
			t.Fatal("the day is never full")
		}
		status, body = v.post("/doctor/dr-01/walk-in", "name", "Max", "age", "50")
	}
	if _, midnight := book.DayBounds(s.now(), s.book.Zone()); !strings.Contains(body, "No time is free today") ||
		!strings.Contains(body, date(english, midnight)) {
		t.Errorf("the day is full: %s", body)
	}
}

// TestWhoMayEnter: the staff's pages are for loopback by a loopback name, or for the key.
func TestWhoMayEnter(t *testing.T) {
	s, _ := open(t, false)
	f := func(want int, remote, host, path string, headers ...string) http.Header {
		t.Helper()
		r := httptest.NewRequest("GET", path, nil)
		r.RemoteAddr, r.Host = remote, host
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s from %s for %s: %d, want %d", path, remote, host, w.Code, want)
		}
		return w.Header()
	}
	const far, near = "10.0.0.7:1234", "127.0.0.1:1234"
	for _, path := range []string{"/doctor/dr-01", "/fhir/metadata"} {
		f(200, near, "localhost:8080", path)
		f(200, "[::1]:99", "[::1]:8080", path)
		f(403, far, "10.0.0.1:8080", path)
		f(403, near, "evil.example:8080", path) // a name that was made to point here
		f(403, near, "localhost", path, "X-Forwarded-For", "1.2.3.4")
		f(200, far, "10.0.0.1:8080", path, "Authorization", "Bearer "+s.StaffKey())
		f(403, far, "10.0.0.1:8080", path, "Authorization", "Bearer x")
		f(200, far, "10.0.0.1:8080", path, "Cookie", cookieStaff+"="+s.StaffKey())
		h := f(303, far, "10.0.0.1:8080", path+"?key="+s.StaffKey())
		if h.Get("Location") != path || !strings.Contains(h.Get("Set-Cookie"), "HttpOnly") {
			t.Errorf("%v", h)
		}
		f(403, far, "10.0.0.1:8080", path+"?key=x")
	}
	if h := f(200, far, "10.0.0.1:8080", "/phone"); !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'self'") {
		t.Errorf("%v", h)
	}
}

// TestOtherSites: a page of elsewhere can't make a visitor's browser do something here.
func TestOtherSites(t *testing.T) {
	s, _ := open(t, true)
	r := httptest.NewRequest("POST", "/phone/leave", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != http.StatusForbidden {
		t.Errorf("%d", w.Code)
	}
	for _, back := range []string{"https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"} {
		r := httptest.NewRequest("POST", "/language", strings.NewReader(url.Values{"lang": {"zh"}, "back": {back}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if to := w.Header().Get("Location"); to != "/phone" {
			t.Errorf("back to %q", to)
		}
	}
}

// TestWebhook: an event counts if it is signed, once, and for what is owed.
func TestWebhook(t *testing.T) {
	s, srv := open(t, true)
	v := newVisitor(t, srv)
	if err := s.book.AddPatient(book.Patient{Patient: recommend.Patient{ID: "p", Age: 40}, Name: "P"}); err != nil {
		t.Fatal(err)
	}
	free, err := s.book.Nearest("dr-01", s.now(), 1)
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.book.BookNow("p", book.Ask{Patient: "p", Doctor: "dr-01", Start: free[0].Start, Urgency: 1})
	for _, step := range []func(who, id string, version int) (book.Appointment, error){s.book.Approve, s.book.Arrive, s.book.Fulfil} {
		if err == nil {
			a, err = step("dr-01", a.ID, 0)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	send := func(want int, code api.Code, e book.PaymentEvent, secret []byte) {
		t.Helper()
		body, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequest("POST", srv.URL+"/payments/webhook", strings.NewReader(string(body)))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(SignatureHeader, book.SignPayment(secret, body, time.Now()))
		status, text := v.read(v.Do(r))
		if status != want || !strings.Contains(text, string(code)) {
			t.Errorf("%+v: %d %s, want %d %s", e, status, text, want, code)
		}
	}
	paid := book.PaymentEvent{ID: "e1", Appointment: a.ID, Outcome: book.PaymentPaid, Cents: 4000}
	send(403, appointment.CodePaymentSignature, paid, []byte("guess"))
	wrong := paid
	wrong.Cents = 1
	send(400, appointment.CodeBadPayment, wrong, s.WebhookSecret())
	send(200, "paid", paid, s.WebhookSecret())
	send(200, "paid", paid, s.WebhookSecret())
	failed := paid
	failed.ID, failed.Outcome = "e2", book.PaymentFailed
	send(409, appointment.CodeBadTransition, failed, s.WebhookSecret())
}

// TestAnotherTimeTaken: who wanted another time and was too slow is offered other times for
// the same appointment.
func TestAnotherTimeTaken(t *testing.T) {
	s, srv := open(t, true)
	ids := make([]string, 2)
	slots := make([]string, 2)
	var me *visitor
	for i := range ids {
		me = newVisitor(t, srv)
		me.post("/phone/me", "name", "P", "age", "50")
		slots[i] = firstFree(t, s, "dr-01")
		_, body := me.post("/phone/hold", "slot", slots[i])
		ids[i] = regexp.MustCompile(`/phone/visit/(\w+)/book`).FindStringSubmatch(body)[1]
	}
	me.post("/phone/visit/" + ids[1] + "/book")
	status, body := me.post("/phone/visit/"+ids[1]+"/reschedule", "slot", slots[0])
	if to := `action="/phone/visit/` + ids[1] + `/reschedule"`; status != http.StatusConflict || !strings.Contains(body, to) || strings.Contains(body, toHold) {
		t.Errorf("%d, want 409 and %s:\n%s", status, to, body)
	}
}

// TestEvents: a doctor's stream tells of a request at once, a patient's says nothing of
// other patients.
func TestEvents(t *testing.T) {
	s, srv := open(t, true)
	doctor := newVisitor(t, srv)
	r, err := doctor.Get(srv.URL + "/doctor/dr-01/events")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if !s.Watched("dr-01") || s.Watched("dr-02") {
		t.Error("an open page is not noticed")
	}
	patient := newVisitor(t, srv)
	patient.post("/phone/me", "name", "P", "age", "50")
	_, body := patient.post("/phone/hold", "slot", firstFree(t, s, "dr-01"))
	id := regexp.MustCompile(`/phone/visit/(\w+)/book`).FindStringSubmatch(body)[1]
	in := bufio.NewScanner(r.Body)
	var seen string
	for in.Scan() && !strings.Contains(seen, "data:") {
		seen += in.Text() + "\n"
	}
	if !strings.Contains(seen, `"step":"hold"`) || !strings.Contains(seen, id) {
		t.Errorf("%s", seen)
	}
	// A page that was drawn before is told at once that something has happened since.
	late, err := doctor.Get(srv.URL + "/doctor/dr-01/events?since=0")
	if err != nil {
		t.Fatal(err)
	}
	defer late.Body.Close()
	told := false
	for in = bufio.NewScanner(late.Body); !told && in.Scan(); {
		told = in.Text() == `data: {"step":"missed"}`
	}
	if !told {
		t.Error("what happened before the page listened is lost")
	}
	stranger := newVisitor(t, srv)
	stranger.post("/phone/me", "name", "Q", "age", "50")
	q, err := stranger.Get(srv.URL + "/phone/events?visit=" + id)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Body.Close()
	if status, _ := patient.post("/phone/visit/" + id + "/book"); status != 200 {
		t.Fatal(status)
	}
	_, body = stranger.post("/phone/hold", "slot", firstFree(t, s, "dr-02"))
	in = bufio.NewScanner(q.Body)
	seen = ""
	for in.Scan() && !strings.Contains(seen, "data:") {
		seen += in.Text() + "\n"
	}
	if strings.Contains(seen, id) || !strings.Contains(seen, `"step":"hold"`) || !strings.Contains(body, "held") {
		t.Errorf("a stranger is told %s", seen)
	}
}

// TestWordsAreWhole: every text has both languages, and the pages use no text that is not
// there.
func TestWordsAreWhole(t *testing.T) {
	verbs := regexp.MustCompile(`%[a-z%]`)
	for key, pair := range words {
		if pair[0] == "" || pair[1] == "" {
			t.Errorf("%s lacks a language", key)
		}
		if a, b := verbs.FindAllString(pair[0], -1), verbs.FindAllString(pair[1], -1); strings.Join(a, "") != strings.Join(b, "") {
			t.Errorf("%s takes %v in English and %v in Chinese", key, a, b)
		}
	}
	used := regexp.MustCompile(`\.T\("([a-z-]+)"[,)]`)
	files, err := filepath.Glob("*.qtpl")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range used.FindAllStringSubmatch(string(b), -1) {
			if _, ok := words[m[1]]; !ok {
				t.Errorf("%s: the text %q is not there", f, m[1])
			}
		}
	}
}

// TestCode: the picture has a QR code's border and its three finders.
func TestCode(t *testing.T) {
	svg, err := qrSVG("http://127.0.0.1:8080/phone", "a & b")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`viewBox="0 0 37 37"`, "M4 4h7v1h-7z", "M26 4h7v1h-7z", "M4 26h7v1h-7z", `aria-label="a &amp; b"`} {
		if !strings.Contains(string(svg), want) {
			t.Errorf("%s is not in %s", want, svg)
		}
	}
}
