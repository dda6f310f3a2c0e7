package clinic

import (
	"crypto/hmac"
	"embed"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/clinic/book"
	"github.com/aimass/aimass/appointment/recommend"
)

//go:embed web/static
var web embed.FS

// routes builds the handler. A request of another site's page that would change something
// is refused.
func (s *Clinic) routes(records http.Handler) (http.Handler, error) {
	static, err := fs.Sub(web, "web/static")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/fhir/", s.staff(records))
	mux.Handle("GET /static/", http.StripPrefix("/static/", cached(http.FileServerFS(static))))
	mux.HandleFunc("GET /{$}", s.poster)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("POST /language", s.setLanguage)
	mux.HandleFunc("POST /payments/webhook", s.webhook)
	s.phoneRoutes(mux)
	s.doctorRoutes(mux)
	if s.c.Demo {
		mux.HandleFunc("GET /demo-bank/{id}", s.bankPage)
		mux.HandleFunc("POST /demo-bank/{id}", s.bankAnswer)
	}
	return guarded(http.NewCrossOriginProtection().Handler(mux)), nil
}

// guarded sets the headers that every page has.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		r.Body = http.MaxBytesReader(w, r.Body, 2<<20)
		next.ServeHTTP(w, r)
	})
}

func cached(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=300")
		next.ServeHTTP(w, r)
	})
}

const (
	cookiePatient = "clinic_patient"
	cookieStaff   = "clinic_staff"
)

// staff lets the clinic's own people in: on loopback by a loopback name, or with the staff
// key, as a bearer token, a cookie, or once in the address.
func (s *Clinic) staff(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if key := r.URL.Query().Get("key"); key != "" && s.isStaffKey(key) {
			setCookie(w, r, cookieStaff, key)
			q := r.URL.Query()
			q.Del("key")
			r.URL.RawQuery = q.Encode()
			if r.Method == http.MethodGet {
				http.Redirect(w, r, r.URL.RequestURI(), http.StatusSeeOther)
				return
			}
		} else if !s.isStaff(r) {
			if strings.HasPrefix(r.URL.Path, "/fhir/") {
				w.Header().Set("Content-Type", "application/fhir+json")
				w.WriteHeader(http.StatusForbidden)
				_, _ = w.Write([]byte(`{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"forbidden","diagnostics":"` +
					api.CodeAdminForbidden.Info().Action + `"}]}`))
				return
			}
			s.problem(w, r, http.StatusForbidden, say(languageOf(r), "staff-only"), nil, "")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Clinic) isStaffKey(key string) bool { return hmac.Equal([]byte(key), []byte(s.StaffKey())) }

func (s *Clinic) isStaff(r *http.Request) bool {
	if c, err := r.Cookie(cookieStaff); err == nil && s.isStaffKey(c.Value) {
		return true
	}
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && s.isStaffKey(token) {
		return true
	}
	// The name, too: a page of elsewhere whose name was made to point here is not ours. A
	// request that a proxy passed on comes from loopback and is not the clinic's own.
	return loopback(r.RemoteAddr) && loopback(r.Host) && r.Header.Get("X-Forwarded-For") == "" && r.Header.Get("Forwarded") == ""
}

func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func setCookie(w http.ResponseWriter, r *http.Request, name, value string) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: 365 * 24 * 3600, Secure: r.TLS != nil,
	})
}

// patient is who the cookie says.
func (s *Clinic) patient(r *http.Request) (book.Patient, bool) {
	c, err := r.Cookie(cookiePatient)
	if err != nil {
		return book.Patient{}, false
	}
	id, ok := s.check("patient", c.Value)
	if !ok {
		return book.Patient{}, false
	}
	p, err := s.book.Patient(id)
	return p, err == nil
}

func (s *Clinic) setLanguage(w http.ResponseWriter, r *http.Request) {
	lang := r.FormValue("lang")
	if lang != chinese {
		lang = english
	}
	setCookie(w, r, "lang", lang)
	back := r.FormValue("back")
	if u, err := url.Parse(back); err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(back, "/") || strings.HasPrefix(back, "//") ||
		strings.ContainsAny(back, "\\") {
		back = "/phone"
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}

// page is what every page shows around its own.
type page struct {
	Lang, Other, Title, Path string
	// Live is the address of the events on which the page is fetched again.
	Live  string
	Demo  bool
	Now   time.Time
	Wide  bool
	Me    *book.Patient
	Error string
}

// T gives a text.
func (p *page) T(key string, values ...any) string { return say(p.Lang, key, values...) }

// Status and VisitType name an appointment's state and kind.
func (p *page) Status(s book.Status) string { return p.T("status-" + string(s)) }
func (p *page) VisitType(v int) string      { return p.T("type-" + strconv.Itoa(v)) }

// Date writes a day.
func (p *page) Date(t time.Time) string { return date(p.Lang, t) }

// Weekday is the short name of a time's day.
func (p *page) Weekday(t time.Time) string {
	if p.Lang == chinese {
		return "周" + weekdays[t.Weekday()]
	}
	return t.Format("Mon")
}

// Specialty names a speciality: the clinic's name for it where there is no translation.
func (p *page) Specialty(s recommend.Speciality) string {
	if v := p.T("spec-" + s.Code); v != "spec-"+s.Code {
		return v
	}
	return s.Name
}

// show writes a page, which draw makes.
func (s *Clinic) show(w http.ResponseWriter, r *http.Request, status int, p page, draw func(*page) string) {
	p.Lang = languageOf(r)
	p.Other = chinese
	if p.Lang == chinese {
		p.Other = english
	}
	p.Path, p.Demo, p.Now = r.URL.RequestURI(), s.c.Demo, s.now()
	if r.Method != http.MethodGet {
		p.Path = "/phone"
	}
	if me, ok := s.patient(r); ok {
		p.Me = &me
	}
	text := draw(&p)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Language", p.Lang)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // the client may have gone
}

// toHold is where a form takes another time than the one that was gone.
const toHold = "/phone/hold"

// problem shows what went wrong, and other times if there are, which are taken at take.
func (s *Clinic) problem(w http.ResponseWriter, r *http.Request, status int, text string, free []offer, take string) {
	title := say(languageOf(r), "problem")
	if len(free) > 0 {
		title = say(languageOf(r), "taken-title")
	}
	s.show(w, r, status, page{Title: title, Error: text}, func(p *page) string { return problemPage(p, free, take) })
}

// refuse shows an error of a step.
func (s *Clinic) refuse(w http.ResponseWriter, r *http.Request, err error) {
	s.refuseTaking(w, r, err, toHold)
}

func (s *Clinic) refuseTaking(w http.ResponseWriter, r *http.Request, err error, take string) {
	code := api.CodeOf(appointment.Public(err))
	var taken *book.TakenError
	switch {
	case errors.As(err, &taken):
		s.problem(w, r, code.HTTPStatus(), say(languageOf(r), "taken-text"), s.offers(taken.Alternatives), take)
		return
	case code == appointment.CodeHoldExpired:
		s.problem(w, r, code.HTTPStatus(), say(languageOf(r), "hold-gone"), nil, "")
		return
	}
	if code.HTTPStatus() >= 500 {
		s.c.Log.Error("a page failed", "path", r.URL.Path, "error", err)
	}
	info := code.Info()
	s.problem(w, r, info.HTTP, strings.TrimSpace(info.Meaning+" "+info.Action), nil, "")
}

// offer is a free time that a page shows.
type offer struct {
	Slot, Doctor, DoctorID string
	Start                  time.Time
}

func (s *Clinic) offers(slots []book.Slot) []offer {
	out := make([]offer, len(slots))
	for i := range slots {
		o := &slots[i]
		out[i] = offer{o.ID(), o.Doctor, o.Doctor, o.Start.In(s.book.Zone())}
		if d, err := s.book.Doctor(o.Doctor); err == nil {
			out[i].Doctor = d.Name
		}
	}
	return out
}

// own finds an appointment of the patient who asks.
func (s *Clinic) own(r *http.Request) (book.Patient, book.Appointment, error) {
	p, ok := s.patient(r)
	if !ok {
		return p, book.Appointment{}, appointment.Errorf(appointment.CodeNotFound, "patient", "nobody is signed in")
	}
	v, err := s.book.Appointment(r.PathValue("id"))
	if err == nil && v.Patient != p.ID {
		err = appointment.Errorf(appointment.CodeNotFound, "appointment", "%q", r.PathValue("id"))
	}
	v.Start, v.Hold, v.Offer = v.Start.In(s.book.Zone()), inZone(v.Hold, s.book.Zone()), inZone(v.Offer, s.book.Zone())
	return p, v, err
}

// specialities lists what the clinic offers.
func (s *Clinic) specialities() []recommend.Speciality { return slices.Clone(s.c.Staff.Specialities) }
