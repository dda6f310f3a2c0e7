package recommend

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/assign"
)

// K is how many doctors an answer has at most.
const K = 5

// Request is one patient's need.
type Request struct {
	// Patient is the id; one that the clinic doesn't know is a new patient.
	Patient string
	// Need is a speciality's code. It may be empty if Text says it.
	Need string
	// Text is what the patient says, "" for nothing. A Need goes before it.
	Text string
	// Earliest is the first time that suits, RFC 3339, and the moment of asking.
	Earliest string
	// Urgency as in package assign; 1 is normal.
	Urgency float32
}

// Choice is one recommended doctor.
type Choice struct {
	Doctor string
	Start  time.Time
	Reason string
	// NoShow is the probability of not coming, WaitP90 the minutes that 90 % wait no
	// longer than.
	NoShow, WaitP90 float32
}

// Models are the models that a recommendation is made of. They are called from any
// number of goroutines.
type Models interface {
	// NoShow takes rows of appointment.NumNoShowFeatures and gives a probability for each.
	NoShow(ctx context.Context, rows []float32) ([]float32, error)
	// WaitP90 takes rows of wait.NumFeatures and gives minutes for each.
	WaitP90(ctx context.Context, rows []float32) ([]float32, error)
	Assign(ctx context.Context, in *assign.Tensors) (*assign.TensorsOut, error)
	// Closest gives the place in options of the text that is nearest in meaning.
	Closest(ctx context.Context, text string, options []string) (int, error)
}

// candidate is a chosen seat on the way to a Choice.
type candidate struct {
	doctor int
	seat   seat
	why    string
}

// Rank answers one request with at most K doctors, the best first. Bad input is an
// [appointment.Error]; other errors are the models'.
func (c *Clinic) Rank(ctx context.Context, m Models, r Request) ([]Choice, error) {
	asked, err := appointment.ParseStamp("earliest", r.Earliest)
	if err != nil {
		return nil, err
	}
	from := asked.In(c.location)
	need, err := c.need(ctx, m, r)
	if err != nil {
		return nil, err
	}
	p := c.patient[r.Patient]
	if p == nil {
		p = &Patient{Age: unknownAge}
	}
	picked, err := c.pick(ctx, m, p, need, from, r.Urgency)
	if err != nil || len(picked) == 0 {
		return nil, err
	}
	var noShow, waits []float32
	for _, k := range picked {
		noShow = p.appendNoShowRow(noShow, from, k.seat.start)
		waits = c.appendWaitRow(waits, k.doctor, k.seat, c.visitType(p, k.doctor))
	}
	if noShow, err = m.NoShow(ctx, noShow); err != nil {
		return nil, err
	}
	if waits, err = m.WaitP90(ctx, waits); err != nil {
		return nil, err
	}
	out := make([]Choice, len(picked))
	for i, k := range picked {
		out[i] = Choice{Doctor: c.Doctors[k.doctor].ID, Start: k.seat.start, NoShow: noShow[i], WaitP90: waits[i]}
		out[i].Reason = c.reason(k, from, out[i])
	}
	return out, nil
}

// need is the speciality asked for, by code or by what the patient says.
func (c *Clinic) need(ctx context.Context, m Models, r Request) (string, error) {
	switch {
	case c.speciality(r.Need) >= 0:
		return r.Need, nil
	case r.Need != "" || r.Text == "":
		return "", appointment.Errorf(appointment.CodeUnknownNeed, "need", "%q, there are %s", clip(r.Need), strings.Join(c.Codes(), ", "))
	}
	var phrases, codes []string
	for _, s := range c.Specialities {
		for _, phrase := range append([]string{s.Name}, s.About...) {
			phrases, codes = append(phrases, phrase), append(codes, s.Code)
		}
	}
	best, err := m.Closest(ctx, r.Text, phrases)
	if err != nil {
		return "", err
	}
	return codes[best], nil
}

// clip keeps an error text short.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// Preferences of the assignment: a doctor whose main speciality is another, and one who
// is booked out, are wished a little less.
const (
	otherSpeciality = .2
	bookedOut       = .3
)

// pick asks the assignment for one seat after the other, each time without the doctors
// already named. An appointment that the patient already has for the need comes first.
func (c *Clinic) pick(ctx context.Context, m Models, p *Patient, need string, from time.Time, urgency float32) ([]candidate, error) {
	d := len(c.Doctors)
	in := &assign.Tensors{
		R: 1, D: d, S: numSeats, Eligible: make([]bool, d), PriorDoctor: []int32{-1}, Urgency: []float32{urgency}, NoShow: []float32{0},
		Preference: make([]float32, d*numSeats), SlotFree: make([]bool, d*numSeats),
	}
	seats := make([][numSeats]seat, d)
	left := 0
	for i := range c.Doctors {
		main := slices.Index(c.Doctors[i].Specialities, need)
		if main < 0 {
			continue
		}
		in.Eligible[i] = true
		left++
		wish := 1 - bookedOut*float32(c.load[i])
		if main > 0 {
			wish -= otherSpeciality
		}
		seats[i] = c.seats(i, from)
		for s := range numSeats {
			in.Preference[i*numSeats+s], in.SlotFree[i*numSeats+s] = wish, seats[i][s].free
		}
	}
	var out []candidate
	if k, ok := c.open(p, need, from); ok {
		out = append(out, k)
		left -= drop(in, k.doctor)
	}
	prior := c.prior(p, in.Eligible, from)
	first, err := m.NoShow(ctx, p.appendNoShowRow(nil, from, from))
	if err != nil {
		return nil, err
	}
	in.NoShow[0] = first[0]
	for len(out) < K && left > 0 {
		in.PriorDoctor[0] = -1
		if prior >= 0 && in.Eligible[prior] {
			in.PriorDoctor[0] = int32(prior)
		}
		plan, err := m.Assign(ctx, in)
		if err != nil {
			return nil, err
		}
		if plan.Doctor[0] < 0 {
			return out, nil
		}
		k := candidate{doctor: int(plan.Doctor[0]), seat: seats[plan.Doctor[0]][plan.Slot[0]]}
		k.why = c.why(k, out, prior, assign.Reason(plan.Reason[0]))
		out = append(out, k)
		left -= drop(in, k.doctor)
	}
	return out, nil
}

// drop makes a doctor no longer eligible and says how many that are fewer.
func drop(in *assign.Tensors, doctor int) int {
	if !in.Eligible[doctor] {
		return 0
	}
	in.Eligible[doctor] = false
	return 1
}

// open is the first appointment that a patient already has for the need.
func (c *Clinic) open(p *Patient, need string, from time.Time) (candidate, bool) {
	best, found := candidate{}, false
	for _, o := range p.Open {
		if o.Need != need || o.start.Before(from) || found && !o.start.Before(best.seat.start) {
			continue
		}
		doctor := c.doctor[o.Doctor]
		if at, ok := c.seatAt(doctor, o.start); ok {
			best, found = candidate{doctor, at, "the appointment you already have"}, true
		}
	}
	return best, found
}

// prior is the eligible doctor who saw the patient last, −1 if there is none.
func (c *Clinic) prior(p *Patient, eligible []bool, from time.Time) int {
	for _, v := range slices.Backward(p.Visits) {
		if d := c.doctor[v.Doctor]; !v.Missed && eligible[d] && dayNumber(v.day) < dayNumber(from) {
			return d
		}
	}
	return -1
}

// visitType is 0 for a patient whom the doctor has not seen, else 1.
func (c *Clinic) visitType(p *Patient, doctor int) int {
	for _, v := range p.Visits {
		if !v.Missed && v.Doctor == c.Doctors[doctor].ID {
			return min(1, len(c.VisitTypes)-1)
		}
	}
	return 0
}

// unknownAge is the age of a patient of whom nothing is known: near the middle of the
// ages that the no-show model was trained on.
const unknownAge = 40

// appendNoShowRow appends the row that appt-noshow takes: what is known when somebody
// asks at one moment for an appointment at another. Days are the clinic's.
func (p *Patient) appendNoShowRow(dst []float32, asked, start time.Time) []float32 {
	flag := func(b bool) float32 {
		if b {
			return 1
		}
		return 0
	}
	today := dayNumber(asked)
	lead := dayNumber(start) - today
	hour := float32(asked.Hour()) + float32(asked.Minute())/60
	count, missed, last, since := float32(0), float32(0), float32(-1), float32(-1)
	latest, latestMissed := float32(0), float32(0)
	for _, v := range p.Visits {
		ago := float32(today - dayNumber(v.day))
		if ago <= 0 {
			break
		}
		if ago != since {
			latest, latestMissed = 0, 0
		}
		count, latest = count+1, latest+1
		missed, latestMissed = missed+flag(v.Missed), latestMissed+flag(v.Missed)
		since, last = ago, latestMissed/latest
	}
	open := float32(0)
	for _, o := range p.Open {
		open += flag(!o.start.Before(asked))
	}
	return append(dst, float32(p.Age), flag(p.Male), float32(lead), flag(lead == 0), hour,
		float32((today%7+7)%7), float32(((today+lead)%7+7)%7), flag(p.Scholarship), flag(p.Hypertension), flag(p.Diabetes), 0, 0,
		count, missed, last, since, open)
}

// why says what speaks for a candidate, given those before it.
func (c *Clinic) why(k candidate, before []candidate, prior int, reason assign.Reason) string {
	switch {
	case k.doctor == prior:
		return "your doctor from earlier visits"
	case len(before) == 0 && (reason == assign.ReasonPriorAway || reason == assign.ReasonPriorFull):
		return "your doctor has no free time; this is the best other one"
	case len(before) == 0:
		return "the best match for your need"
	case k.seat.start.Before(before[0].seat.start):
		days := dayNumber(before[0].seat.start) - dayNumber(k.seat.start)
		if days > 0 {
			return fmt.Sprintf("%s earlier than the first choice", plural(days, "day"))
		}
		return "earlier the same day than the first choice"
	}
	return "another doctor for your need"
}

func plural(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

// reminderFrom is the probability from which the reason advises a reminder.
const reminderFrom = .3

// reason puts a choice into words.
func (c *Clinic) reason(k candidate, from time.Time, out Choice) string {
	var b strings.Builder
	d := &c.Doctors[k.doctor]
	when := "today"
	if days := dayNumber(out.Start) - dayNumber(from); days > 0 {
		when = "in " + plural(days, "day")
	}
	fmt.Fprintf(&b, "%s: %s; %s, %s; 9 of 10 wait %.0f minutes or less", d.Name, k.why, out.Start.Format("Mon 2 Jan 15:04"), when, math.Ceil(float64(out.WaitP90)))
	if out.NoShow >= reminderFrom {
		b.WriteString("; a reminder would help")
	}
	return b.String()
}
