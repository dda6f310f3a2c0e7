package recommend

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/internal/zones"
)

// FileName is the file of a model version that holds its clinic.
const FileName = "clinic.json"

// Clinic is who works when, what is booked, and what is known of the patients.
type Clinic struct {
	// Zone is the clinic's time zone by its IANA name.
	Zone         string       `json:"zone"`
	Specialities []Speciality `json:"specialities"`
	Doctors      []Doctor     `json:"doctors"`
	// VisitTypes are those that appt-wait was trained with, by number.
	VisitTypes []VisitType `json:"visit_types"`
	// NoShow is the rate of the booked patients, for the load they bring.
	NoShow   float64   `json:"no_show"`
	Patients []Patient `json:"patients"`

	location *time.Location
	patient  map[string]*Patient
	doctor   map[string]int
	load     []float64
}

// Speciality is a need that doctors can answer.
type Speciality struct {
	Code string `json:"code"`
	Name string `json:"name"`
	// About are phrases that patients might say, for free text: the one nearest in meaning
	// decides.
	About []string `json:"about"`
}

// VisitType is a kind of visit with its mean length in minutes and the standard deviation
// divided by that.
type VisitType struct {
	Name string  `json:"name"`
	Mean float64 `json:"mean"`
	CV   float64 `json:"cv,omitempty"`
}

// Doctor is a doctor with hours.
type Doctor struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Specialities by code, the main one first.
	Specialities []string  `json:"specialities"`
	Sessions     []Session `json:"sessions"`
}

// Session is a half-day of every week.
type Session struct {
	// Weekday 0 is Monday. Start is local time, 15:04.
	Weekday int    `json:"weekday"`
	Start   string `json:"start"`
	// Minutes between appointments.
	Minutes int `json:"minutes"`
	// Booked tells of each slot in one week after the other, and then again from the
	// first: a visit type's number, or a dot where it is free.
	Booked []string `json:"booked"`

	hour, minute int
}

// Patient is what the clinic knows of somebody.
type Patient struct {
	ID           string  `json:"id"`
	Age          int     `json:"age"`
	Male         bool    `json:"male,omitempty"`
	Scholarship  bool    `json:"scholarship,omitempty"`
	Hypertension bool    `json:"hypertension,omitempty"`
	Diabetes     bool    `json:"diabetes,omitempty"`
	Visits       []Visit `json:"visits,omitempty"`
	Open         []Open  `json:"open,omitempty"`
}

// Visit is a past appointment.
type Visit struct {
	Day    string `json:"day"` // 2006-01-02
	Doctor string `json:"doctor"`
	Missed bool   `json:"missed,omitempty"`
	day    time.Time
}

// Open is an appointment still to come.
type Open struct {
	Need   string `json:"need"`
	Doctor string `json:"doctor"`
	Start  string `json:"start"` // RFC 3339
	start  time.Time
}

// Limits of a clinic.
const (
	maxDoctors = 2000
	maxSlots   = 100
)

// Read reads a clinic (JSON, unknown fields refused) and checks it.
func Read(b []byte) (*Clinic, error) {
	c := new(Clinic)
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("%s: %w", FileName, err)
	}
	if err := c.prepare(); err != nil {
		return nil, fmt.Errorf("%s: %w", FileName, err)
	}
	return c, nil
}

// prepare checks the clinic and fills what is derived.
func (c *Clinic) prepare() error {
	var err error
	if c.location, err = zones.Load(c.Zone); err != nil || c.Zone == "" {
		return fmt.Errorf("zone %q is not known: %w", c.Zone, err)
	}
	if len(c.Doctors) == 0 || len(c.Doctors) > maxDoctors || len(c.Specialities) == 0 || len(c.VisitTypes) == 0 {
		return fmt.Errorf("%d doctors, %d specialities, %d visit types", len(c.Doctors), len(c.Specialities), len(c.VisitTypes))
	}
	if err := appointment.CheckProbability("no_show", 0, c.NoShow); err != nil {
		return err
	}
	c.doctor, c.load = map[string]int{}, make([]float64, len(c.Doctors))
	for i := range c.Doctors {
		d := &c.Doctors[i]
		if _, twice := c.doctor[d.ID]; twice || d.ID == "" || len(d.Specialities) == 0 {
			return fmt.Errorf("doctor %d: the id %q is empty or given twice, or there is no speciality", i, d.ID)
		}
		c.doctor[d.ID] = i
		for _, s := range d.Specialities {
			if c.speciality(s) < 0 {
				return fmt.Errorf("doctor %s: there is no speciality %q", d.ID, s)
			}
		}
		if err := c.prepareSessions(i); err != nil {
			return fmt.Errorf("doctor %s: %w", d.ID, err)
		}
	}
	return c.preparePatients()
}

// prepareSessions checks a doctor's hours and counts the load: the booked share of the
// slots.
func (c *Clinic) prepareSessions(doctor int) error {
	d := &c.Doctors[doctor]
	if len(d.Sessions) == 0 {
		return appointment.Errorf(appointment.CodeDoctorWithoutHours, "sessions", "doctor %s", d.ID)
	}
	booked, all := 0, 0
	for k := range d.Sessions {
		s := &d.Sessions[k]
		at, err := time.Parse("15:04", s.Start)
		if err != nil || s.Weekday < 0 || s.Weekday > 6 || len(s.Booked) == 0 {
			return fmt.Errorf("session %d: weekday %d, start %q, %d weeks", k, s.Weekday, s.Start, len(s.Booked))
		}
		s.hour, s.minute = at.Hour(), at.Minute()
		for _, week := range s.Booked {
			if err := c.checkSlots(s.Minutes, week); err != nil {
				return fmt.Errorf("session %d: %w", k, err)
			}
			booked, all = booked+len(week)-strings.Count(week, "."), all+len(week)
		}
	}
	c.load[doctor] = float64(booked) / float64(all)
	return nil
}

func (c *Clinic) preparePatients() error {
	c.patient = map[string]*Patient{}
	for i := range c.Patients {
		p := &c.Patients[i]
		if c.patient[p.ID] != nil || p.ID == "" {
			return appointment.Errorf(appointment.CodeDuplicateID, "patients", "%q", p.ID)
		}
		c.patient[p.ID] = p
		if err := c.preparePatient(p); err != nil {
			return err
		}
	}
	return nil
}

func sortVisits(v []Visit) {
	slices.SortStableFunc(v, func(a, b Visit) int { return a.day.Compare(b.day) })
}

// speciality is a code's place in the list, −1 if there is none.
func (c *Clinic) speciality(code string) int {
	return slices.IndexFunc(c.Specialities, func(s Speciality) bool { return s.Code == code })
}

// Codes lists the specialities' codes.
func (c *Clinic) Codes() []string {
	out := make([]string, len(c.Specialities))
	for i, s := range c.Specialities {
		out[i] = s.Code
	}
	return out
}
