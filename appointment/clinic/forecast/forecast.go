// Package forecast is how the clinic asks the models: recommendations of recommend, waits
// of appt-wait, probabilities of not coming of appt-noshow and appt-noshow-day, plans of a
// session of appt-schedule, the running day of appt-day. (appt-assign is asked by recommend.)
// It asks through the standard predict endpoint and nothing else, so the models may run
// anywhere and be any version.
//
// Neighbours: client below, the clinic's pages above. A Forecaster is safe for concurrent
// use. Results are the caller's.
package forecast

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/noshow"
	"github.com/aimass/aimass/appointment/recommend"
	"github.com/aimass/aimass/appointment/wait"
	"github.com/aimass/aimass/client"
)

// The models by name.
const (
	modelRecommend = "recommend"
	modelWait      = "appt-wait"
	modelNoShow    = "appt-noshow"
	modelNoShowDay = "appt-noshow-day"
	modelSchedule  = "appt-schedule"
	modelDay       = "appt-day"
)

// Forecaster asks the models of one server.
type Forecaster struct{ c *client.Client }

// New makes a Forecaster.
func New(c *client.Client) *Forecaster { return &Forecaster{c} }

// Choice is one recommended doctor.
type Choice struct {
	Doctor string
	Start  time.Time
	Reason string
	// NoShow is the probability of not coming, WaitP90 the minutes that 90 % stay under.
	NoShow, WaitP90 float32
}

// Wish is what a patient asks for.
type Wish struct {
	Patient string
	// Need is a speciality's code; Text goes for it where it is empty.
	Need, Text string
	Earliest   time.Time
	Urgency    float32
	Diary      recommend.Diary
}

// Recommend gives up to five doctors, the best first.
func (f *Forecaster) Recommend(ctx context.Context, w Wish) ([]Choice, error) {
	diary, err := json.Marshal(w.Diary)
	if err != nil {
		return nil, err
	}
	one := []int{1}
	text := func(name, v string) client.Tensor { return client.Strings(name, one, []string{v}) }
	res, err := f.c.Infer(ctx, &client.Request{Model: modelRecommend, Inputs: []client.Tensor{
		text("patient", w.Patient), text("need", w.Need), text("text", w.Text), text("earliest", w.Earliest.Format(time.RFC3339)),
		client.Float32("urgency", one, []float32{w.Urgency}), text("diary", string(diary)),
	}})
	if err != nil {
		return nil, err
	}
	r := reader{res: res}
	doctor, start, reason := r.texts("doctor"), r.texts("start"), r.texts("reason")
	p, p90 := r.floats("p_noshow"), r.floats("wait_p90")
	if r.err != nil {
		return nil, r.err
	}
	var out []Choice
	for i := range doctor {
		if doctor[i] == "" {
			break
		}
		at, err := appointment.ParseStamp("start", start[i])
		if err != nil {
			return nil, fmt.Errorf("the answer of %s: %w", modelRecommend, err)
		}
		out = append(out, Choice{doctor[i], at, reason[i], p[i], p90[i]})
	}
	return out, nil
}

// Wait is the predicted wait of one patient, in minutes.
type Wait struct{ P50, P90, P95 float32 }

// Waits predicts for all patients of a planned session, in order.
func (f *Forecaster) Waits(ctx context.Context, doctor, interval int, planned []wait.Planned) ([]Wait, error) {
	if len(planned) == 0 {
		return nil, nil
	}
	rows := wait.AppendFeatures(nil, doctor, interval, planned)
	res, err := f.c.Infer(ctx, &client.Request{Model: modelWait, Inputs: []client.Tensor{client.Float32("session", []int{len(planned), wait.NumFeatures}, rows)}})
	if err != nil {
		return nil, err
	}
	r := reader{res: res}
	p50, p90, p95 := r.floats("wait_p50"), r.floats("wait_p90"), r.floats("wait_p95")
	if r.err != nil {
		return nil, r.err
	}
	out := make([]Wait, len(planned))
	for i := range out {
		out[i] = Wait{p50[i], p90[i], p95[i]}
	}
	return out, nil
}

// Visit is what the no-show models are told of one appointment.
type Visit struct {
	Patient *recommend.Patient
	// Booked and Start are in the clinic's zone.
	Booked, Start time.Time
	Reminded      bool
}

// NoShow predicts the probability of not coming of each visit: as known at the booking, or
// as known on the day.
func (f *Forecaster) NoShow(ctx context.Context, m noshow.Moment, visits []Visit) ([]float32, error) {
	if len(visits) == 0 {
		return nil, nil
	}
	var rows []float32
	place := make([]int64, len(visits))
	for i, v := range visits {
		place[i] = -1 // the clinic does not ask where people live
		rows = appendRow(rows, m, v)
	}
	model := modelNoShow
	if m == noshow.DayOf {
		model = modelNoShowDay
	}
	res, err := f.c.Infer(ctx, &client.Request{Model: model, Outputs: []client.Output{{Name: "p_noshow"}}, Inputs: []client.Tensor{
		client.Float32("numeric", []int{len(visits), len(rows) / len(visits)}, rows), client.Int64("neighbourhood", []int{len(visits)}, place),
	}})
	if err != nil {
		return nil, err
	}
	return res.Float32s("p_noshow")
}

// wallSeconds is a wall-clock time as seconds since 1970, as if its zone were UTC: the
// features count the clinic's days.
func wallSeconds(t time.Time) int64 {
	_, offset := t.Zone()
	return t.Unix() + int64(offset)
}

const daySeconds = 24 * 60 * 60

func appendRow(dst []float32, m noshow.Moment, v Visit) []float32 {
	p := v.Patient
	r := noshow.Record{
		Booked: min(wallSeconds(v.Booked), wallSeconds(v.Start)), Day: int32(wallSeconds(v.Start) / daySeconds), Age: int32(p.Age), Male: p.Male,
		Scholarship: p.Scholarship, Hypertension: p.Hypertension, Diabetes: p.Diabetes, Reminded: v.Reminded,
	}
	cut := int32(r.Booked / daySeconds)
	if m == noshow.DayOf {
		cut = r.Day
	}
	past := noshow.Past{Last: -1, Since: -1}
	latest, latestMissed := 0, 0
	for _, o := range p.Visits { // in order of their days
		day, err := noshow.ParseDate(o.Day)
		if err != nil || day >= cut {
			continue
		}
		if since := float64(cut - day); since != past.Since {
			past.Since, latest, latestMissed = since, 0, 0
		}
		past.Count++
		latest++
		if o.Missed {
			past.Missed++
			latestMissed++
		}
		past.Last = float64(latestMissed) / float64(latest)
	}
	past.Open = len(p.Open)
	return noshow.AppendFeatures(dst, &r, m, past)
}

// reader takes an answer apart and keeps the first error.
type reader struct {
	res *client.Result
	err error
}

func (r *reader) note(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *reader) texts(name string) []string {
	v, err := r.res.Strings(name)
	r.note(err)
	return v
}

func (r *reader) floats(name string) []float32 {
	v, err := r.res.Float32s(name)
	r.note(err)
	return v
}

func (r *reader) ints(name string) []int {
	v, err := r.res.Int64s(name)
	r.note(err)
	out := make([]int, len(v))
	for i, x := range v {
		out[i] = int(x)
	}
	return out
}
