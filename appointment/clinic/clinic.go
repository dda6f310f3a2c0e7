package clinic

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/clinic/book"
	"github.com/aimass/aimass/appointment/clinic/fhir"
	"github.com/aimass/aimass/appointment/clinic/forecast"
	"github.com/aimass/aimass/appointment/recommend"
	"github.com/aimass/aimass/client"
)

// Config of a Clinic.
type Config struct {
	// Book is the ledger; it stays the caller's.
	Book *book.Book
	// Staff is the clinic's file: doctors, specialities, visit types.
	Staff *recommend.Clinic
	// Models reaches the server of the models.
	Models *client.Client
	// PublicURL is how phones reach the clinic, such as http://192.168.1.5:8080.
	PublicURL string
	// Demo shows whose pages one can open, plays a payment provider, and lets anybody be
	// any patient.
	Demo bool
	// Version of the program, shown in the FHIR metadata.
	Version string
	Log     *slog.Logger
}

// horizonDays is how far ahead times are offered.
const horizonDays = 28

// Clinic is the service.
type Clinic struct {
	c       Config
	book    *book.Book
	ask     *forecast.Forecaster
	handler http.Handler
	secret  []byte
	watched watched
}

// New makes the service. It enters the staff's doctors into the book, and the patients of
// the staff's file whom the book does not know.
func New(c Config) (*Clinic, error) {
	if c.Book == nil || c.Staff == nil || c.Models == nil || c.Log == nil {
		return nil, errors.New("BUG: a clinic without its parts")
	}
	s := &Clinic{c: c, book: c.Book, ask: forecast.New(c.Models), secret: c.Book.Secret()}
	for i := range c.Staff.Doctors {
		if err := c.Book.AddDoctor(doctorOf(&c.Staff.Doctors[i], i)); err != nil {
			return nil, err
		}
	}
	if _, err := c.Book.Extend(horizonDays); err != nil {
		return nil, err
	}
	if err := s.enterPatients(); err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, p := range c.Staff.Specialities {
		names[p.Code] = p.Name
	}
	records := fhir.New(c.Book, fhir.Config{Base: c.PublicURL + "/fhir", Specialities: names, Find: s.find, Prepare: s.predict, Version: c.Version, Log: c.Log})
	handler, err := s.routes(records)
	if err != nil {
		return nil, err
	}
	s.handler = handler
	return s, nil
}

// enterPatients enters the patients of the staff's file, who have no names there. A demo's
// are entered with others, see Populate.
func (s *Clinic) enterPatients() error {
	if s.c.Demo {
		return nil
	}
	var fresh []book.Patient
	for _, p := range s.c.Staff.Patients {
		if _, err := s.book.Patient(p.ID); appointment.CodeOf(err) == appointment.CodeNotFound {
			fresh = append(fresh, book.Patient{Patient: p, Name: p.ID})
		}
	}
	return s.book.AddPatients(fresh)
}

// doctorOf turns the staff file's doctor into the book's.
func doctorOf(d *recommend.Doctor, number int) book.Doctor {
	out := book.Doctor{ID: d.ID, Name: d.Name, Number: number, Specialities: d.Specialities}
	for _, h := range d.Sessions {
		out.Hours = append(out.Hours, book.Hours{Weekday: h.Weekday, Start: h.Start, Minutes: h.Minutes, Count: len(h.Booked[0])})
	}
	return out
}

// ServeHTTP implements http.Handler.
func (s *Clinic) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Run serves on a listener, and does what is due, until ctx is done.
func (s *Clinic) Run(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler: s, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx }, ErrorLog: slog.NewLogLogger(s.c.Log.Handler(), slog.LevelWarn),
	}
	var work sync.WaitGroup
	work.Go(func() { s.tend(ctx) })
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		patience, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		err = srv.Shutdown(patience)
		cancel()
	}
	work.Wait()
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// tend frees what holds have let go, and makes slots of the days that come into sight.
func (s *Clinic) tend(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	lastDay := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_, err := s.book.ExpireHolds()
		if day := s.now().YearDay(); err == nil && day != lastDay {
			if _, err = s.book.Extend(horizonDays); err == nil {
				lastDay = day
			}
		}
		if err != nil && appointment.CodeOf(err) != appointment.CodeClockJump {
			s.c.Log.Error("the clinic's file", "error", err)
		}
	}
}

// now is the clinic's time for display.
func (s *Clinic) now() time.Time { return s.book.Clock().Look().In(s.book.Zone()) }

// sign and check make values that only this clinic can make, such as cookies.
func (s *Clinic) sign(kind, value string) string {
	mac := hmac.New(sha256.New, s.secret)
	fmt.Fprintf(mac, "%s\x00%s", kind, value)
	return value + "." + hex.EncodeToString(mac.Sum(nil)[:16])
}

func (s *Clinic) check(kind, signed string) (string, bool) {
	at := strings.LastIndexByte(signed, '.')
	if at < 0 || !hmac.Equal([]byte(s.sign(kind, signed[:at])), []byte(signed)) {
		return "", false
	}
	return signed[:at], true
}

// StaffKey opens the doctor's pages and the FHIR interface from elsewhere.
func (s *Clinic) StaffKey() string {
	_, key, _ := strings.Cut(s.sign("staff", "key"), ".")
	return key
}

// WebhookSecret signs the payment provider's events.
func (s *Clinic) WebhookSecret() []byte {
	_, key, _ := strings.Cut(s.sign("webhook", "payments"), ".")
	return []byte(key)
}

// watched counts the open pages of each doctor, and of the demo's patients how often
// somebody has chosen to be one.
type watched struct {
	mu    sync.Mutex
	count map[string]int
	until map[string]time.Time
}

// between is how long a doctor counts as watched after a page of theirs was asked for or
// left: each step opens the page anew.
const between = 15 * time.Second

func (w *watched) touch(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.until == nil {
		w.until = map[string]time.Time{}
	}
	w.until[id] = time.Now().Add(between)
}

func (w *watched) add(id string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count == nil {
		w.count = map[string]int{}
	}
	w.count[id] += n
}

// Watched reports whether somebody has the doctor's page open, or had a moment ago, or is
// the patient.
func (s *Clinic) Watched(id string) bool {
	s.watched.mu.Lock()
	defer s.watched.mu.Unlock()
	return s.watched.count[id] > 0 || time.Now().Before(s.watched.until[id])
}
