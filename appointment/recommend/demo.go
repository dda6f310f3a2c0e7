package recommend

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/sim"
	"github.com/aimass/aimass/internal/zones"
)

// DemoDoctors is how many doctors the demo clinic has.
const DemoDoctors = 20

// demoStaff are the demo clinic's doctors: name and specialities. None exists.
var demoStaff = [DemoDoctors]struct{ name, specialities string }{
	{"Dr Ana Ferreira", "general"}, {"Dr Ben Osei", "general heart"}, {"Dr Chen Wei", "general"},
	{"Dr Dora Novak", "general women"}, {"Dr Emil Sand", "general children"}, {"Dr Fatima Idrissi", "general mind"},
	{"Dr Goran Petrov", "heart"}, {"Dr Hana Suzuki", "heart general"}, {"Dr Ivo Marin", "skin"}, {"Dr Julia Kraus", "skin general"},
	{"Dr Karim Nasser", "eyes"}, {"Dr Lena Vogt", "eyes"}, {"Dr Mira Patel", "children"}, {"Dr Noah Lindqvist", "children general"},
	{"Dr Olga Reyes", "children skin"}, {"Dr Paul Adeyemi", "bones"}, {"Dr Qin Yue", "bones general"}, {"Dr Rosa Conti", "women"},
	{"Dr Sam Okafor", "women general"}, {"Dr Tara Byrne", "mind"},
}

var demoSpecialities = []Speciality{
	{"general", "General medicine", []string{"I have a cold, a cough or a sore throat", "I have a fever", "I am always tired", "I need a check-up",
		"I need a vaccination", "I don't know what is wrong with me"}},
	{"heart", "Cardiology", []string{"I have chest pain", "my heart is racing", "I have high blood pressure", "I am short of breath on stairs"}},
	{"skin", "Dermatology", []string{"I have a rash", "my skin itches", "I have acne", "a mole has changed", "my hair is falling out"}},
	{"eyes", "Ophthalmology", []string{"my vision is blurred", "my eyes are red and hurt", "I need new glasses"}},
	{"children", "Paediatrics", []string{"my child is ill", "my baby has a fever", "my son or daughter coughs", "a check-up for my baby"}},
	{"bones", "Orthopaedics", []string{"my back hurts", "my knee or shoulder hurts", "I sprained my ankle", "I broke a bone"}},
	{"women", "Gynaecology", []string{"I am pregnant", "I have period pain", "I want contraception", "I need a smear test"}},
	{"mind", "Psychiatry", []string{"I am depressed", "I have panic attacks", "I can't sleep because of worry", "I am under too much stress"}},
}

// demoOpenWeek is the Monday of the week in which the demo clinic's first patient has an
// appointment with demoOpenDoctor.
var demoOpenWeek = time.Date(2031, 3, 3, 0, 0, 0, 0, time.UTC)

const demoOpenDoctor = 11

// The demo clinic's pattern of bookings repeats after so many weeks.
const demoWeeks = 4

// Demo makes a clinic of twenty doctors that does not exist. The same seed makes the
// same clinic; its visit types and rate of no-shows are those of sim.DefaultClinic.
func Demo(seed uint64) *Clinic {
	rng := rand.New(rand.NewPCG(seed, 0x64656d6f))
	base := sim.DefaultClinic()
	c := &Clinic{Zone: "Europe/Berlin", Specialities: demoSpecialities}
	for _, t := range base.Types {
		c.VisitTypes = append(c.VisitTypes, VisitType{t.Name, t.Mean, t.CV})
	}
	for _, p := range base.NoShow {
		c.NoShow += p / float64(len(base.NoShow))
	}
	for i, s := range demoStaff {
		d := Doctor{ID: fmt.Sprintf("dr-%02d", i+1), Name: s.name, Specialities: strings.Fields(s.specialities)}
		full := .55 + .4*rng.Float64()
		for weekday := range 5 {
			for _, start := range []string{"08:30", "13:30"} {
				if rng.Float64() < .2 {
					continue
				}
				d.Sessions = append(d.Sessions, demoSession(rng, weekday, start, full, base))
			}
		}
		c.Doctors = append(c.Doctors, d)
	}
	for i := range 60 {
		c.Patients = append(c.Patients, demoPatient(rng, i, c.Doctors))
	}
	c.Patients[0].Open = []Open{c.demoOpen()}
	return c
}

// demoOpen is an appointment at the start of a doctor's first half-day of a week.
func (c *Clinic) demoOpen() Open {
	d := &c.Doctors[demoOpenDoctor]
	s := d.Sessions[0]
	at, err := time.Parse("15:04", s.Start)
	zone, err2 := zones.Load(c.Zone)
	if err = errors.Join(err, err2); err != nil {
		panic("BUG: the demo clinic: " + err.Error())
	}
	start, err := appointment.LocalTime("open", demoOpenWeek.AddDate(0, 0, s.Weekday), at.Hour(), at.Minute(), zone)
	if err != nil {
		panic("BUG: the demo clinic: " + err.Error())
	}
	return Open{Need: d.Specialities[0], Doctor: d.ID, Start: start.Format(time.RFC3339)}
}

func demoSession(rng *rand.Rand, weekday int, start string, full float64, base sim.Clinic) Session {
	s := Session{Weekday: weekday, Start: start, Minutes: base.Intervals[rng.IntN(len(base.Intervals))]}
	slots := 210 / s.Minutes
	for range demoWeeks {
		week := make([]byte, slots)
		for k := range week {
			week[k] = '.'
			if rng.Float64() < full {
				week[k] = '0' + byte(demoType(rng, base))
			}
		}
		s.Booked = append(s.Booked, string(week))
	}
	return s
}

func demoType(rng *rand.Rand, base sim.Clinic) int {
	u := rng.Float64()
	for t, v := range base.Types {
		if u -= v.Share; u < 0 {
			return t
		}
	}
	return len(base.Types) - 1
}

func demoPatient(rng *rand.Rand, number int, doctors []Doctor) Patient {
	p := Patient{
		ID: fmt.Sprintf("p-%03d", number+1), Age: rng.IntN(90), Male: rng.Float64() < .4, Scholarship: rng.Float64() < .1,
		Hypertension: rng.Float64() < .2, Diabetes: rng.Float64() < .07,
	}
	own := rng.IntN(len(doctors))
	careless := rng.Float64() < .25
	for k := range rng.IntN(5) {
		v := Visit{Day: fmt.Sprintf("2025-%02d-%02d", 2+2*k, 1+rng.IntN(28)), Doctor: doctors[own].ID}
		v.Missed = rng.Float64() < .1 || careless && rng.Float64() < .5
		p.Visits = append(p.Visits, v)
	}
	return p
}

// File gives the clinic as its file.
func (c *Clinic) File() ([]byte, error) {
	b, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", FileName, err)
	}
	return append(b, '\n'), nil
}
