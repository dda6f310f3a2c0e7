package recommend

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aimass/aimass/appointment"
)

// Diary is what a clinic knows at the moment of asking, in place of what the model's file
// says. A clinic that books sends it with each request, so that the model stays a function
// of its request. Every field may be left out.
type Diary struct {
	// Asked is the moment of asking, RFC 3339; without it that is the request's earliest.
	Asked string `json:"asked,omitempty"`
	// Language of the reasons, "en" (the default) or "zh".
	Language string `json:"language,omitempty"`
	// Patient is in place of the file's.
	Patient *Patient `json:"patient,omitempty"`
	// Sessions, if the field is there, are all the half-days that can be booked: those of
	// the file do not count.
	Sessions []DiarySession `json:"sessions"`

	asked  time.Time
	blocks map[int][]block
}

// DiarySession is one half-day of a doctor.
type DiarySession struct {
	Doctor string `json:"doctor"`
	Start  string `json:"start"` // RFC 3339
	// Minutes between appointments, and for each slot a visit type's number or a dot
	// where it is free, as in Session.Booked.
	Minutes int    `json:"minutes"`
	Booked  string `json:"booked"`
}

// block is one half-day: the slots of a doctor from a start.
type block struct {
	start   time.Time
	minutes int
	booked  string
}

// maxDiarySessions bounds what one request may bring.
const maxDiarySessions = 20_000

// readDiary reads and checks a request's diary; an empty text is an empty diary.
func (c *Clinic) readDiary(text string) (*Diary, error) {
	d := new(Diary)
	if text == "" {
		return d, nil
	}
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(d); err != nil {
		return nil, appointment.Errorf(appointment.CodeBadDiary, "diary", "%v", err)
	}
	if d.Asked != "" {
		var err error
		if d.asked, err = appointment.ParseStampIn("diary.asked", d.Asked, c.location); err != nil {
			return nil, err
		}
	}
	if _, ok := languages[d.Language]; !ok {
		return nil, appointment.Errorf(appointment.CodeBadDiary, "diary.language", "%q, there are en and zh", clip(d.Language))
	}
	if d.Patient != nil {
		if err := c.preparePatient(d.Patient); err != nil {
			if appointment.CodeOf(err) != "" {
				return nil, err
			}
			return nil, appointment.Errorf(appointment.CodeBadDiary, "diary.patient", "%v", err)
		}
	}
	if d.Sessions == nil {
		return d, nil
	}
	return d, d.index(c)
}

// index sorts the sessions by doctor.
func (d *Diary) index(c *Clinic) error {
	if len(d.Sessions) > maxDiarySessions {
		return appointment.Errorf(appointment.CodeTooLarge, "diary.sessions", "%d sessions, at most %d", len(d.Sessions), maxDiarySessions)
	}
	d.blocks = map[int][]block{}
	for i, s := range d.Sessions {
		doctor, ok := c.doctor[s.Doctor]
		if !ok {
			return appointment.Errorf(appointment.CodeBadDiary, "diary.sessions", "session %d: there is no doctor %q", i, clip(s.Doctor))
		}
		start, err := appointment.ParseStampIn("diary.sessions.start", s.Start, c.location)
		if err != nil {
			return err
		}
		if err := c.checkSlots(s.Minutes, s.Booked); err != nil {
			return appointment.Errorf(appointment.CodeBadDiary, "diary.sessions", "session %d: %v", i, err)
		}
		d.blocks[doctor] = append(d.blocks[doctor], block{start.In(c.location), s.Minutes, s.Booked})
	}
	return nil
}

// checkSlots checks one run of slots.
func (c *Clinic) checkSlots(minutes int, booked string) error {
	if minutes < 1 || minutes > 480 {
		return fmt.Errorf("%d minutes between appointments", minutes)
	}
	if len(booked) == 0 || len(booked) > maxSlots {
		return fmt.Errorf("%d slots", len(booked))
	}
	for _, v := range []byte(booked) {
		if v != '.' && (v < '0' || int(v-'0') >= len(c.VisitTypes)) {
			return fmt.Errorf("slot %q is neither free nor a visit type", v)
		}
	}
	return nil
}

// load is the booked share of a doctor's slots: of the diary's, or of the file's pattern.
func (d *Diary) load(c *Clinic, doctor int) float64 {
	if d.blocks == nil {
		return c.load[doctor]
	}
	free, all := 0, 0
	for _, b := range d.blocks[doctor] {
		free, all = free+strings.Count(b.booked, "."), all+len(b.booked)
	}
	if all == 0 {
		return 1
	}
	return 1 - float64(free)/float64(all)
}

// preparePatient checks a patient and fills what is derived.
func (c *Clinic) preparePatient(p *Patient) error {
	if p.Age < 0 || p.Age > appointment.MaxAge {
		return appointment.Errorf(appointment.CodeBadAge, "patients", "%s is %d", clip(p.ID), p.Age)
	}
	var err error
	for k := range p.Visits {
		v := &p.Visits[k]
		if v.day, err = time.ParseInLocation(time.DateOnly, v.Day, time.UTC); err != nil {
			return errors.Join(fmt.Errorf("patient %s", p.ID), err)
		}
		if _, ok := c.doctor[v.Doctor]; !ok {
			return fmt.Errorf("patient %s: there is no doctor %q", p.ID, v.Doctor)
		}
	}
	sortVisits(p.Visits)
	for k := range p.Open {
		o := &p.Open[k]
		if o.start, err = appointment.ParseStampIn("open", o.Start, c.location); err != nil {
			return err
		}
		if _, ok := c.doctor[o.Doctor]; !ok || c.speciality(o.Need) < 0 {
			return fmt.Errorf("patient %s: an open appointment with %q for %q", p.ID, o.Doctor, o.Need)
		}
	}
	return nil
}
