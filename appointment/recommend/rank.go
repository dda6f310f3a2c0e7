package recommend

import (
	"context"
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
	// Diary is a [Diary] as JSON, "" for none.
	Diary string
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
	why    why
}

// Rank answers one request with at most K doctors, the best first. Bad input is an
// [appointment.Error]; other errors are the models'.
func (c *Clinic) Rank(ctx context.Context, m Models, r Request) ([]Choice, error) {
	earliest, err := appointment.ParseStampIn("earliest", r.Earliest, c.location)
	if err != nil {
		return nil, err
	}
	diary, err := c.readDiary(r.Diary)
	if err != nil {
		return nil, err
	}
	q := &question{c: c, m: m, diary: diary, from: earliest.In(c.location), urgency: r.Urgency}
	q.asked = q.from
	if !diary.asked.IsZero() && diary.asked.Before(earliest) {
		q.asked = diary.asked.In(c.location)
	}
	if q.need, err = c.need(ctx, m, r); err != nil {
		return nil, err
	}
	q.patient = c.patient[r.Patient]
	switch {
	case diary.Patient != nil:
		q.patient = diary.Patient
	case q.patient == nil:
		q.patient = &Patient{Age: unknownAge}
	}
	picked, err := q.pick(ctx)
	if err != nil || len(picked) == 0 {
		return nil, err
	}
	var noShow, waits []float32
	for _, k := range picked {
		noShow = q.patient.appendNoShowRow(noShow, q.asked, k.seat.start)
		waits = c.appendWaitRow(waits, k.doctor, k.seat, c.visitType(q.patient, k.doctor))
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
		out[i].Reason = languages[diary.Language].reason(c.Doctors[k.doctor].Name, k, q.asked, out[i])
	}
	return out, nil
}

// question is one request on its way.
type question struct {
	c       *Clinic
	m       Models
	diary   *Diary
	patient *Patient
	need    string
	// from is the first time that suits, asked the moment of asking; both in the clinic's
	// zone.
	from, asked time.Time
	urgency     float32
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
func (q *question) pick(ctx context.Context) ([]candidate, error) {
	c, d := q.c, len(q.c.Doctors)
	in := &assign.Tensors{
		R: 1, D: d, S: numSeats, Eligible: make([]bool, d), PriorDoctor: []int32{-1}, Urgency: []float32{q.urgency}, NoShow: []float32{0},
		Preference: make([]float32, d*numSeats), SlotFree: make([]bool, d*numSeats),
	}
	seats := make([][numSeats]seat, d)
	left := 0
	for i := range c.Doctors {
		main := slices.Index(c.Doctors[i].Specialities, q.need)
		if main < 0 {
			continue
		}
		in.Eligible[i] = true
		left++
		wish := 1 - bookedOut*float32(q.diary.load(c, i))
		if main > 0 {
			wish -= otherSpeciality
		}
		q.seats(i, &seats[i])
		for s := range numSeats {
			in.Preference[i*numSeats+s], in.SlotFree[i*numSeats+s] = wish, seats[i][s].free
		}
	}
	var out []candidate
	if k, ok := q.open(); ok {
		out = append(out, k)
		left -= drop(in, k.doctor)
	}
	prior := c.prior(q.patient, in.Eligible, q.asked)
	first, err := q.m.NoShow(ctx, q.patient.appendNoShowRow(nil, q.asked, q.from))
	if err != nil {
		return nil, err
	}
	in.NoShow[0] = first[0]
	for len(out) < K && left > 0 {
		in.PriorDoctor[0] = -1
		if prior >= 0 && in.Eligible[prior] {
			in.PriorDoctor[0] = int32(prior)
		}
		plan, err := q.m.Assign(ctx, in)
		if err != nil {
			return nil, err
		}
		if plan.Doctor[0] < 0 {
			return out, nil
		}
		k := candidate{doctor: int(plan.Doctor[0]), seat: seats[plan.Doctor[0]][plan.Slot[0]]}
		k.why = k.ground(out, prior, assign.Reason(plan.Reason[0]))
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
func (q *question) open() (candidate, bool) {
	best, found := candidate{}, false
	for _, o := range q.patient.Open {
		if o.Need != q.need || o.start.Before(q.from) || found && !o.start.Before(best.seat.start) {
			continue
		}
		doctor := q.c.doctor[o.Doctor]
		if at, ok := q.seatAt(doctor, o.start); ok {
			best, found = candidate{doctor, at, why{groundOpen, 0}}, true
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
