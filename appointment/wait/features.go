package wait

import (
	"math"
	"math/rand/v2"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/sim"
)

// NumFeatures is the length of a row of the model's input `session`.
const NumFeatures = 9

// The features, in the order of the row.
const (
	// FeatureDoctor is the doctor's number.
	FeatureDoctor = iota
	// FeatureN is the number of patients booked in the session.
	FeatureN
	// FeatureInterval is the interval between appointments in minutes.
	FeatureInterval
	// FeatureIndex is the patient's place, from 0.
	FeatureIndex
	// FeatureVisitType is the number of the visit's type.
	FeatureVisitType
	// FeatureSlotMinute is the appointment in minutes from the session's start.
	FeatureSlotMinute
	// FeatureDrift is the expected work of those booked before, less the slot minute.
	FeatureDrift
	// FeatureExpectedAhead is the expected number of patients before.
	FeatureExpectedAhead
	// FeatureSDLoad is the standard deviation of the work before that comes from
	// not coming: √Σ p·q·m².
	FeatureSDLoad
)

// Planned is what is known of one booked patient.
type Planned struct {
	Type   int
	NoShow float64
	// Mean service time of the type in minutes.
	Mean float64
	// Minute of the appointment.
	Minute float64
}

// AppendFeatures appends one row of features for each patient of a session and
// returns the rows, one after the other.
func AppendFeatures(dst []float32, doctor, interval int, patients []Planned) []float32 {
	load, ahead, variance := 0.0, 0.0, 0.0
	for i, p := range patients {
		dst = append(dst, float32(doctor), float32(len(patients)), float32(interval), float32(i), float32(p.Type),
			float32(p.Minute), float32(load-p.Minute), float32(ahead), float32(math.Sqrt(variance)))
		q := 1 - p.NoShow
		load += q * p.Mean
		ahead += q
		variance += p.NoShow * q * p.Mean * p.Mean
	}
	return dst
}

// sample is a set of simulated visits of patients who came.
type sample struct {
	rows          [][]float32
	wait, service []float64
	group         []int
}

// draw simulates half-days and keeps the visits of those who came.
func draw(c *sim.Clinic, days int, rng *rand.Rand) sample {
	var s sample
	var patients []Planned
	for range days {
		h := c.HalfDay(rng)
		patients = patients[:0]
		for i, t := range h.Type {
			patients = append(patients, Planned{t, h.NoShow[i], c.Types[t].Mean, float64(i * h.Interval)})
		}
		rows := AppendFeatures(nil, h.Doctor, h.Interval, patients)
		for i, seen := range h.Outcome.Seen {
			if !seen.Came {
				continue
			}
			s.rows = append(s.rows, rows[i*NumFeatures:(i+1)*NumFeatures])
			s.wait = append(s.wait, seen.Wait)
			s.service = append(s.service, seen.End-seen.Start)
			s.group = append(s.group, h.Type[i])
		}
	}
	return s
}

// checkRows checks B rows of features.
func checkRows(b int, session []float32) error {
	if b == 0 {
		return appointment.Errorf(appointment.CodeEmptyBatch, "session", "0 rows")
	}
	if len(session) != b*NumFeatures {
		return appointment.Errorf(appointment.CodeFeatureCount, "session", "%d values for %d rows of %d", len(session), b, NumFeatures)
	}
	for i, v := range session {
		if err := appointment.CheckFinite("session", i/NumFeatures, float64(v)); err != nil {
			return err
		}
	}
	for i := range b {
		row := session[i*NumFeatures : (i+1)*NumFeatures]
		if n := row[FeatureN]; n < 1 || row[FeatureIndex] < 0 || row[FeatureIndex] >= n || row[FeatureInterval] < 0 || row[FeatureSDLoad] < 0 {
			return appointment.Errorf(appointment.CodeBadPlan, "session", "row %d has index %v of %v, interval %v, sd_load %v", i, row[FeatureIndex], n,
				row[FeatureInterval], row[FeatureSDLoad])
		}
	}
	return nil
}
