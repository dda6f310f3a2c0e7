package noshow

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// Clinic describes a clinic that does not exist.
type Clinic struct {
	Seed uint64
	// Patients is how many people it treats, Days on how many working days,
	// from FirstDay on (days since 1970).
	Patients, Days int
	FirstDay       int32
	// Places is the number of neighbourhoods.
	Places int
}

// DefaultClinic is large enough to train on and small enough for a second.
func DefaultClinic(seed uint64) Clinic {
	return Clinic{Seed: seed, Patients: 9000, Days: 40, FirstDay: 19786, Places: 24}
}

// The rates that the simulation aims at are published ones of the Vitória data:
// 35 % of appointments are for the same day, of which 4.65 % are missed, of the
// others 28.5 %; women are two in three. The shapes of the other effects
// (longer leads, youth, social benefit and a patient's own habit raise the
// risk) follow the literature; their sizes are made up.
const (
	sameDayShare  = 0.35
	sameDayMissed = 0.0465
	laterMissed   = 0.27
	habitSpread   = 0.6
)

// Simulate makes a clinic's appointments: the same Clinic gives the same rows.
// No row is of a real person.
func Simulate(c Clinic) []Record {
	rng := rand.New(rand.NewPCG(c.Seed, 0x636c696e6963))
	days := make([]int32, 0, c.Days)
	for d := c.FirstDay; len(days) < c.Days; d++ {
		if weekday(d) < 5 {
			days = append(days, d)
		}
	}
	place := make([]float64, c.Places)
	for i := range place {
		place[i] = 0.12 * rng.NormFloat64()
	}
	var out []Record
	for i := range c.Patients {
		p := newPatient(rng, i, c.Places)
		habit := habitSpread*rng.NormFloat64() + place[p.home]
		for range 1 + poisson(rng, 1.6) {
			r := p.record
			r.Day = days[rng.IntN(len(days))]
			r.Booked = bookingTime(rng, r.Day)
			r.Reminded = r.Lead() >= 3 && rng.Float64() < 0.6
			r.NoShow = rng.Float64() < missProbability(&r, habit)
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b Record) int { return cmp.Compare(a.Booked, b.Booked) })
	for i := range out {
		out[i].ID = int64(5_000_000 + i)
	}
	return out
}

type patient struct {
	record Record
	home   int
}

func newPatient(rng *rand.Rand, number, places int) patient {
	var p patient
	r := &p.record
	r.Patient = float64(1_000_000_007 + int64(number)*7_919)
	r.Male = rng.Float64() < 0.35
	if rng.Float64() < 0.25 {
		r.Age = int32(rng.IntN(18))
	} else {
		r.Age = int32(min(max(46+19*rng.NormFloat64(), 18), 99))
	}
	r.Hypertension = rng.Float64() < 0.6*logistic((float64(r.Age)-60)/9)
	r.Diabetes = rng.Float64() < 0.01 || r.Hypertension && rng.Float64() < 0.32
	r.Alcoholism = r.Age >= 25 && rng.Float64() < 0.04
	r.Scholarship = rng.Float64() < 0.10
	if rng.Float64() < 0.02 {
		r.Handicap = int8(1 + rng.IntN(2))
	}
	// The square makes some places far larger than others.
	u := rng.Float64()
	p.home = int(u * u * float64(places))
	r.Place = fmt.Sprintf("DISTRICT %02d", p.home+1)
	return p
}

// bookingTime draws when an appointment of that day was booked: in office hours
// of a working day.
func bookingTime(rng *rand.Rand, day int32) int64 {
	lead := 0
	if rng.Float64() >= sameDayShare {
		lead = 1 + int(min(math.Exp(2+1.1*rng.NormFloat64()), 170))
	}
	booked := day - int32(lead)
	for weekday(booked) > 4 {
		booked--
	}
	hour := 6.5 + 6*(rng.Float64()+rng.Float64())
	return int64(booked)*daySeconds + int64(hour*3600)
}

func missProbability(r *Record, habit float64) float64 {
	z := habit - 0.012*(min(float64(r.Age), 80)-40)
	if r.Scholarship {
		z += 0.2
	}
	if r.Lead() == 0 {
		return logistic(logOdds(sameDayMissed) + 0.7*z)
	}
	if r.Reminded {
		z -= 0.1
	}
	return logistic(logOdds(laterMissed) + z + 0.2*math.Log(float64(r.Lead())/8))
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
func logOdds(p float64) float64  { return math.Log(p / (1 - p)) }

// poisson draws by multiplying uniforms (Knuth, The Art of Computer
// Programming, volume 2, section 3.4.1), for small means.
func poisson(rng *rand.Rand, mean float64) int {
	limit, product, n := math.Exp(-mean), rng.Float64(), 0
	for product > limit {
		product *= rng.Float64()
		n++
	}
	return n
}

// WriteCSV writes records as ReadCSV reads them.
func WriteCSV(w io.Writer, records []Record) error {
	out := csv.NewWriter(w)
	if err := out.Write(columns[:]); err != nil {
		return err
	}
	bit := func(b bool) string { return strconv.Itoa(int(flag(b))) }
	when := func(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }
	for i := range records {
		r := &records[i]
		sex, missed := "F", "No"
		if r.Male {
			sex = "M"
		}
		if r.NoShow {
			missed = "Yes"
		}
		err := out.Write([]string{
			strconv.FormatFloat(r.Patient, 'f', -1, 64), strconv.FormatInt(r.ID, 10), sex,
			when(r.Booked), when(int64(r.Day) * daySeconds), strconv.Itoa(int(r.Age)), r.Place,
			bit(r.Scholarship), bit(r.Hypertension), bit(r.Diabetes), bit(r.Alcoholism), strconv.Itoa(int(r.Handicap)),
			bit(r.Reminded), missed,
		})
		if err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// Simulated is Simulate's clinic as a Table, by way of its CSV.
func Simulated(c Clinic, now time.Time) (*Table, error) {
	var b bytes.Buffer
	if err := WriteCSV(&b, Simulate(c)); err != nil {
		return nil, fmt.Errorf("the simulated clinic: %w", err)
	}
	t, err := ReadCSV(&b, now)
	if t != nil {
		t.Simulated = true
	}
	return t, err
}
