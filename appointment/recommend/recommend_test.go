package recommend

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/assign"
	"github.com/aimass/aimass/appointment/wait"
)

// models are the real assignment, and functions of the rows in place of the trained ones.
type models struct {
	asked int // assignments
}

func (m *models) NoShow(_ context.Context, rows []float32) ([]float32, error) {
	var out []float32
	for r := range slices.Chunk(rows, appointment.NumNoShowFeatures) {
		if err := appointment.CheckNoShowRow(0, r); err != nil {
			return nil, err
		}
		out = append(out, min(.9, r[2]/100)) // the lead
	}
	return out, nil
}

func (m *models) WaitP90(_ context.Context, rows []float32) ([]float32, error) {
	var out []float32
	for r := range slices.Chunk(rows, wait.NumFeatures) {
		out = append(out, r[wait.FeatureIndex])
	}
	return out, nil
}

func (m *models) Assign(ctx context.Context, in *assign.Tensors) (*assign.TensorsOut, error) {
	m.asked++
	return assign.SolveTensors(ctx, in)
}

func (m *models) Closest(_ context.Context, text string, options []string) (int, error) {
	for i, o := range options {
		if strings.Contains(o, text) {
			return i, nil
		}
	}
	return 0, errors.New("nothing is close")
}

// small is a clinic of three doctors whose answers can be worked out by hand.
func small(t *testing.T) *Clinic {
	t.Helper()
	c := &Clinic{
		Zone:         "Europe/Berlin",
		Specialities: []Speciality{{"heart", "Cardiology", []string{"chest pain"}}, {"skin", "Dermatology", []string{"an itch", "a rash"}}},
		VisitTypes:   []VisitType{{"new", 15, .5}, {"follow-up", 12, .4}},
		NoShow:       .2,
		Doctors: []Doctor{
			{ID: "a", Name: "Dr A", Specialities: []string{"heart"}, Sessions: []Session{{Weekday: 0, Start: "09:00", Minutes: 10, Booked: []string{"01.1", "...."}}}},
			{ID: "b", Name: "Dr B", Specialities: []string{"heart", "skin"}, Sessions: []Session{{Weekday: 1, Start: "14:00", Minutes: 30, Booked: []string{".."}}}},
			{ID: "c", Name: "Dr C", Specialities: []string{"skin"}, Sessions: []Session{{Weekday: 2, Start: "09:00", Minutes: 15, Booked: []string{"00"}}}},
		},
		Patients: []Patient{
			{ID: "old", Age: 70, Visits: []Visit{{Day: "2026-01-12", Doctor: "b"}, {Day: "2026-01-10", Doctor: "a", Missed: true}}},
			{ID: "open", Age: 30, Open: []Open{{Need: "heart", Doctor: "b", Start: "2026-03-10T14:30:00+01:00"}}},
		},
	}
	if err := c.prepare(); err != nil {
		t.Fatal(err)
	}
	return c
}

func rank(t *testing.T, c *Clinic, r Request) []Choice {
	t.Helper()
	if r.Urgency == 0 {
		r.Urgency = 1
	}
	list, err := c.Rank(context.Background(), &models{}, r)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func names(list []Choice) string {
	var b strings.Builder
	for _, k := range list {
		b.WriteString(k.Doctor + " " + k.Start.Format("02T15:04") + ";")
	}
	return b.String()
}

// TestFirstFreeTimes: in the week of 2026-03-02 (week 2930 since 1970, even) doctor a's
// first free slot is the third of the session.
func TestFirstFreeTimes(t *testing.T) {
	c := small(t)
	f := func(r Request, want string) {
		t.Helper()
		if got := names(rank(t, c, r)); got != want {
			t.Errorf("%+v: %s, want %s", r, got, want)
		}
	}
	f(Request{Need: "heart", Earliest: "2026-03-02T08:00:00+01:00"}, "a 02T09:20;b 03T14:00;")
	f(Request{Need: "heart", Earliest: "2026-03-02T09:21:00+01:00"}, "b 03T14:00;a 09T09:00;")
	f(Request{Need: "heart", Earliest: "2026-03-02T08:21:00Z"}, "b 03T14:00;a 09T09:00;")
	f(Request{Need: "skin", Earliest: "2026-03-02T08:00:00+01:00"}, "b 03T14:00;") // doctor c is full
	f(Request{Need: "heart", Patient: "old", Earliest: "2026-03-02T08:00:00+01:00"}, "b 03T14:00;a 02T09:20;")
	f(Request{Need: "heart", Patient: "open", Earliest: "2026-03-02T08:00:00+01:00"}, "b 10T14:30;a 02T09:20;")
	f(Request{Need: "heart", Patient: "open", Earliest: "2026-03-11T08:00:00+01:00"}, "a 16T09:20;b 17T14:00;")
	f(Request{Text: "rash", Earliest: "2026-03-02T08:00:00+01:00"}, "b 03T14:00;")
}

func TestReasonsAndFigures(t *testing.T) {
	c := small(t)
	list := rank(t, c, Request{Need: "heart", Patient: "old", Earliest: "2026-03-02T08:00:00+01:00"})
	if !strings.Contains(list[0].Reason, "Dr B: your doctor from earlier visits; Tue 3 Mar 14:00, in 1 day") {
		t.Errorf("reason %q", list[0].Reason)
	}
	if !strings.Contains(list[1].Reason, "1 day earlier than the first choice") {
		t.Errorf("reason %q", list[1].Reason)
	}
	// Two are booked before the third slot; the probability is the lead in days over 100.
	if list[1].WaitP90 != 2 || list[0].NoShow != .01 || list[1].NoShow != 0 {
		t.Errorf("%+v", list)
	}
	if open := rank(t, c, Request{Need: "heart", Patient: "open", Earliest: "2026-03-02T08:00:00+01:00"}); !strings.Contains(open[0].Reason, "already have") {
		t.Errorf("reason %q", open[0].Reason)
	}
}

// TestDiary: what the request's diary says goes before the file.
func TestDiary(t *testing.T) {
	c := small(t)
	f := func(r Request, want string) []Choice {
		t.Helper()
		list := rank(t, c, r)
		if got := names(list); got != want {
			t.Errorf("%s: %s, want %s", r.Diary, got, want)
		}
		return list
	}
	const at = "2026-03-02T08:00:00+01:00"
	f(Request{Need: "heart", Earliest: at, Diary: `{}`}, "a 02T09:20;b 03T14:00;")
	f(Request{Need: "heart", Earliest: at, Diary: `{"sessions":[]}`}, "")
	f(Request{Need: "skin", Earliest: at, Diary: `{"sessions":[{"doctor":"c","start":"2026-03-04T08:00:00Z","minutes":15,"booked":"0.1"}]}`}, "c 04T09:15;")
	list := f(Request{Need: "heart", Earliest: at, Diary: `{"language":"zh","asked":"2026-02-27T12:00:00+01:00",
		"patient":{"id":"x","age":50,"open":[{"need":"heart","doctor":"a","start":"2026-03-05T10:00:00+01:00"}]},
		"sessions":[{"doctor":"a","start":"2026-03-05T09:00:00+01:00","minutes":30,"booked":"101"},{"doctor":"b","start":"2026-03-03T09:00:00+01:00","minutes":10,"booked":".."}]}`},
		"a 05T10:00;b 03T09:00;")
	if list[0].NoShow != .06 || list[0].WaitP90 != 2 {
		t.Errorf("the lead counts from the moment of asking, the wait from the diary: %+v", list[0])
	}
	for i, want := range []string{"Dr A：您已有的预约；3月5日 周四 10:00（6天后）；十人中有九人等待不超过2分钟", "Dr B：比首选早2天；3月3日"} {
		if !strings.HasPrefix(list[i].Reason, want) {
			t.Errorf("reason %q, want %q", list[i].Reason, want)
		}
	}
	bad := func(diary string, want appointment.Code) {
		t.Helper()
		if _, err := c.Rank(context.Background(), &models{}, Request{Need: "heart", Earliest: at, Urgency: 1, Diary: diary}); appointment.CodeOf(err) != want {
			t.Errorf("%s: %v, want %s", diary, err, want)
		}
	}
	bad(`{`, appointment.CodeBadDiary)
	bad(`{"colour":1}`, appointment.CodeBadDiary)
	bad(`{"language":"tlh"}`, appointment.CodeBadDiary)
	bad(`{"asked":"2026-03-02T08:00:00"}`, appointment.CodeTimestampZone)
	bad(`{"patient":{"id":"x","age":130}}`, appointment.CodeBadAge)
	bad(`{"patient":{"id":"x","age":30,"visits":[{"day":"2026-01-01","doctor":"z"}]}}`, appointment.CodeBadDiary)
	bad(`{"sessions":[{"doctor":"z","start":"2026-03-04T08:00:00Z","minutes":15,"booked":"."}]}`, appointment.CodeBadDiary)
	bad(`{"sessions":[{"doctor":"a","start":"2026-03-04T08:00:00","minutes":15,"booked":"."}]}`, appointment.CodeTimestampZone)
	bad(`{"sessions":[{"doctor":"a","start":"2026-03-04T08:00:00Z","minutes":15,"booked":"9"}]}`, appointment.CodeBadDiary)
}

// TestClocksGoForward: on 2026-03-29 the clocks of Berlin skip 02:00 to 03:00.
func TestClocksGoForward(t *testing.T) {
	c := small(t)
	s := &c.Doctors[0].Sessions[0]
	s.Weekday, s.Start, s.Booked = 6, "01:30", []string{"...."}
	s.Minutes = 45
	if err := c.prepare(); err != nil {
		t.Fatal(err)
	}
	list := rank(t, c, Request{Need: "heart", Earliest: "2026-03-29T01:40:00+01:00"})
	if at := list[0].Start; list[0].Doctor != "a" || at.Format(time.RFC3339) != "2026-03-29T03:15:00+02:00" {
		t.Errorf("%s at %s", list[0].Doctor, at.Format(time.RFC3339))
	}
	s.Start = "02:30"
	if err := c.prepare(); err != nil {
		t.Fatal(err)
	}
	list = rank(t, c, Request{Need: "heart", Earliest: "2026-03-29T00:00:00+01:00"})
	for _, k := range list {
		if k.Doctor == "a" && k.Start.Format(time.DateOnly) == "2026-03-29" {
			t.Errorf("a session in an hour that does not exist: %s", k.Start)
		}
	}
}

func TestRankRefuses(t *testing.T) {
	c := small(t)
	f := func(r Request, want appointment.Code) {
		t.Helper()
		if _, err := c.Rank(context.Background(), &models{}, r); appointment.CodeOf(err) != want {
			t.Errorf("%+v: %v, want %s", r, err, want)
		}
	}
	f(Request{Need: "heart", Earliest: "2026-03-02T08:00:00", Urgency: 1}, appointment.CodeTimestampZone)
	f(Request{Need: "heart", Earliest: "soon", Urgency: 1}, appointment.CodeTimestampFormat)
	f(Request{Need: "heart", Earliest: "2026-03-29T02:30:00+01:00", Urgency: 1}, appointment.CodeTimestampGap)
	f(Request{Need: "teeth", Earliest: "2026-03-02T08:00:00Z", Urgency: 1}, appointment.CodeUnknownNeed)
	f(Request{Need: "teeth", Text: "rash", Earliest: "2026-03-02T08:00:00Z", Urgency: 1}, appointment.CodeUnknownNeed)
	f(Request{Earliest: "2026-03-02T08:00:00Z", Urgency: 1}, appointment.CodeUnknownNeed)
	f(Request{Need: "heart", Earliest: "2026-03-02T08:00:00Z", Urgency: -1}, appointment.CodeBadUrgency)
	f(Request{Need: "heart", Earliest: "2026-03-02T08:00:00Z", Urgency: float32(math.NaN())}, appointment.CodeNotFinite)
}

// TestHistoryIsThePast: visits on the day of asking and later do not count.
func TestHistoryIsThePast(t *testing.T) {
	c := small(t)
	p := c.patient["old"]
	at := func(day string) time.Time {
		d, err := time.ParseInLocation(time.DateOnly, day, c.location)
		if err != nil {
			t.Fatal(err)
		}
		return d.Add(9 * time.Hour)
	}
	f := func(asked string, want ...float32) {
		t.Helper()
		row := p.appendNoShowRow(nil, at(asked), at(asked).AddDate(0, 0, 3))
		if got := row[12:16]; !slices.Equal(got, want) || row[2] != 3 {
			t.Errorf("%s: history %v, want %v; lead %v", asked, got, want, row[2])
		}
	}
	f("2026-01-10", 0, 0, -1, -1)
	f("2026-01-12", 1, 1, 1, 2)
	f("2026-03-02", 2, 1, 0, 49)
	p.Visits = append(p.Visits, Visit{Missed: true, Doctor: "a", day: p.Visits[1].day})
	f("2026-03-02", 3, 2, .5, 49)
}

func TestDemoIsWhole(t *testing.T) {
	file, err := Demo(1).File()
	if err != nil {
		t.Fatal(err)
	}
	again, _ := Demo(1).File()
	if string(file) != string(again) {
		t.Error("one seed makes two clinics")
	}
	c, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Doctors) != DemoDoctors {
		t.Errorf("%d doctors", len(c.Doctors))
	}
	for _, s := range c.Specialities {
		m := &models{}
		list, err := c.Rank(context.Background(), m, Request{Patient: "p-009", Need: s.Code, Earliest: "2026-06-01T10:00:00Z", Urgency: 1})
		if err != nil || len(list) < 2 || m.asked < len(list) {
			t.Errorf("%s: %d doctors after %d questions: %v", s.Code, len(list), m.asked, err)
		}
		seen := map[string]bool{}
		for _, k := range list {
			if seen[k.Doctor] || k.Start.Before(time.Date(2026, 6, 1, 10, 0, 0, 0, time.UTC)) {
				t.Errorf("%s: %s at %s", s.Code, k.Doctor, k.Start)
			}
			seen[k.Doctor] = true
		}
	}
	open := rank(t, c, Request{Patient: "p-001", Need: "eyes", Earliest: "2031-02-20T09:00:00Z"})
	if !strings.Contains(open[0].Reason, "already have") {
		t.Errorf("the open appointment is not found: %+v", open[0])
	}
}

func TestReadRefuses(t *testing.T) {
	f := func(change func(c *Clinic), want string) {
		t.Helper()
		c := Demo(1)
		change(c)
		b, err := c.File()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Read(b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	f(func(c *Clinic) { c.Zone = "Mars/Olympus" }, "zone")
	f(func(c *Clinic) { c.Doctors = nil }, "0 doctors")
	f(func(c *Clinic) { c.Doctors[1].ID = c.Doctors[0].ID }, "given twice")
	f(func(c *Clinic) { c.Doctors[0].Specialities = []string{"teeth"} }, "teeth")
	f(func(c *Clinic) { c.Doctors[0].Sessions = nil }, string(appointment.CodeDoctorWithoutHours))
	f(func(c *Clinic) { c.Doctors[0].Sessions[0].Booked = []string{"9"} }, "slot '9'")
	f(func(c *Clinic) { c.Patients[1].ID = c.Patients[0].ID }, string(appointment.CodeDuplicateID))
	f(func(c *Clinic) { c.Patients[0].Age = 200 }, string(appointment.CodeBadAge))
	f(func(c *Clinic) { c.NoShow = 2 }, string(appointment.CodeBadProbability))
	if _, err := Read([]byte(`{"colour": "red"}`)); err == nil {
		t.Error("an unknown field was read")
	}
}

// FuzzDiary: what a diary says is taken or refused with a code.
func FuzzDiary(f *testing.F) {
	f.Add(`{"language":"zh","asked":"2026-02-27T12:00:00+01:00","patient":{"id":"x","age":50,"open":[{"need":"heart","doctor":"a","start":"2026-03-05T10:00:00+01:00"}]}}`)
	f.Add(`{"sessions":[{"doctor":"a","start":"2026-03-05T09:00:00+01:00","minutes":30,"booked":"1.1"}]}`)
	f.Add(`{"sessions":null}`)
	raw, err := Demo(1).File()
	if err != nil {
		f.Fatal(err)
	}
	c, err := Read(raw)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := c.Rank(context.Background(), &models{}, Request{Need: "heart", Earliest: "2026-03-02T08:00:00+01:00", Urgency: 1, Diary: text})
		if err != nil && appointment.CodeOf(err) == "" {
			t.Errorf("%s: an error without a code: %v", text, err)
		}
	})
}
