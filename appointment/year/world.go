package year

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/aimass/aimass/appointment/noshow"
	"github.com/aimass/aimass/appointment/schedule"
	"github.com/aimass/aimass/appointment/sim"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/tensor"
	"github.com/aimass/aimass/train"
)

// Config of a simulated year. Begin with DefaultConfig.
type Config struct {
	Seed uint64
	// Doctors with one half-day of Session minutes each day.
	Doctors, Session, Grid int
	// TrainDays come first, for the no-show model, and are not counted; then Days.
	TrainDays, Days int
	// PatientsPerDay is the mean number of requests of one doctor's day.
	PatientsPerDay float64
	// Weights price a patient's minute of waiting, the doctor's idle minute and a minute
	// of overtime.
	Weights schedule.Weights
	// Scratch is a folder for the model that is trained.
	Scratch string
	// Workers is how many days are played at once; 0 means 1.
	Workers int
}

// DefaultConfig is a year of 250 working days and twenty doctors who are as busy as those
// of the reference clinic: the work of those expected fills the half-day.
func DefaultConfig() Config {
	return Config{
		Seed: 1, Doctors: 20, Session: 240, Grid: 5, TrainDays: 60, Days: 250, PatientsPerDay: 21,
		Weights: schedule.Weights{Wait: 1, Idle: 2, Overtime: 3}, Workers: 1,
	}
}

// visit is one request with all that will happen.
type visit struct {
	record *noshow.Record
	// risk is what the no-show model said at booking.
	risk float64
	kind int
	need int
	// prior is the doctor of earlier visits, −1 for none.
	prior int
	// work is the service time with an average doctor, in minutes.
	work float64
}

// world is the clinic with its days.
type world struct {
	cfg    Config
	clinic sim.Clinic
	// pace are the doctors' factors on service times, which the clinic knows of them.
	pace []float64
	days [][]visit
}

// The world's own figures: needs are specialities, of which each doctor has two.
const (
	needs = 5
	// regulars is the share of patients who have a doctor.
	regulars = .6
	// visitsEach is the mean number of appointments that noshow.Simulate gives a patient.
	visitsEach = 2.6
)

// answers reports whether a doctor can see a need.
func answers(doctor, need int) bool {
	return doctor%needs == need || (doctor/needs+doctor+1)%needs == need
}

// newWorld draws the patients and asks the no-show model about each.
func newWorld(ctx context.Context, cfg Config) (*world, error) {
	w := &world{cfg: cfg, clinic: sim.DefaultClinic()}
	w.clinic.Doctors, w.clinic.Seed = cfg.Doctors, cfg.Seed
	for d := range cfg.Doctors {
		w.pace = append(w.pace, w.clinic.DoctorFactor(d))
	}
	people := noshow.DefaultClinic(cfg.Seed)
	people.Days = cfg.TrainDays + cfg.Days
	people.Patients = int(float64(people.Days*cfg.Doctors) * cfg.PatientsPerDay / visitsEach)
	records := noshow.Simulate(people)
	days := dayNumbers(records)
	first := days[cfg.TrainDays]
	risk, err := askModel(ctx, cfg, records, first)
	if err != nil {
		return nil, err
	}
	w.days = make([][]visit, len(days)-cfg.TrainDays)
	for i := range records { // in the order of their booking
		r := &records[i]
		if r.Day < first {
			continue
		}
		k, _ := slices.BinarySearch(days, r.Day)
		w.days[k-cfg.TrainDays] = append(w.days[k-cfg.TrainDays], w.newVisit(r, risk[i]))
	}
	return w, nil
}

func dayNumbers(records []noshow.Record) []int32 {
	var days []int32
	for i := range records {
		days = append(days, records[i].Day)
	}
	slices.Sort(days)
	return slices.Compact(days)
}

// newVisit draws what is the patient's own (need and doctor, by the patient) and what is
// the visit's (kind and length, by the appointment).
func (w *world) newVisit(r *noshow.Record, risk float64) visit {
	own := rand.New(rand.NewPCG(w.cfg.Seed, uint64(r.Patient)))
	v := visit{record: r, risk: risk, need: own.IntN(needs), prior: -1}
	if own.Float64() < regulars {
		for v.prior < 0 || !answers(v.prior, v.need) {
			v.prior = own.IntN(w.cfg.Doctors)
		}
	}
	rng := rand.New(rand.NewPCG(w.cfg.Seed^0x7669736974, uint64(r.ID)))
	u := rng.Float64()
	for v.kind = 0; v.kind < len(w.clinic.Types)-1; v.kind++ {
		if u -= w.clinic.Types[v.kind].Share; u < 0 {
			break
		}
	}
	t := w.clinic.Types[v.kind]
	v.work = sim.Lognormal(t.Mean, t.CV)(rng)
	return v
}

// askModel trains appt-noshow on the appointments before a day and gives its probability
// for every record, as at booking.
func askModel(ctx context.Context, cfg Config, records []noshow.Record, before int32) ([]float64, error) {
	var past []noshow.Record
	for _, r := range records {
		if r.Day < before {
			past = append(past, r)
		}
	}
	file := filepath.Join(cfg.Scratch, "past.csv")
	f, err := os.Create(file)
	if err != nil {
		return nil, fmt.Errorf("clinic year: %w", err)
	}
	err = noshow.WriteCSV(f, past)
	if err2 := f.Close(); err == nil {
		err = err2
	}
	if err != nil {
		return nil, fmt.Errorf("clinic year: %w", err)
	}
	registry := train.Registry{}
	registry.Add(noshow.TrainerName, noshow.Train)
	res, err := registry.Run(ctx, train.Job{Trainer: noshow.TrainerName, Data: file, Out: cfg.Scratch, Seed: cfg.Seed, Workers: cfg.Workers})
	if err != nil {
		return nil, fmt.Errorf("clinic year: %w", err)
	}
	m, err := runtime.NewEngine(runtime.Config{}).Open(filepath.Join(res.Path, "model.onnx"))
	if err != nil {
		return nil, fmt.Errorf("clinic year: %w", err)
	}
	defer m.Close()
	return predict(ctx, m, records, past)
}

// predict runs the model on every record.
func predict(ctx context.Context, m *runtime.Model, records, past []noshow.Record) ([]float64, error) {
	e := &noshow.Encoder{Moment: noshow.Booking, History: noshow.NewHistory(records)}
	for _, r := range past {
		e.Places = append(e.Places, r.Place)
	}
	slices.Sort(e.Places)
	e.Places = slices.Compact(e.Places)
	var out []float64
	for part := range slices.Chunk(records, 4096) {
		var numeric []float32
		var place []int64
		for i := range part {
			numeric, place = e.Append(numeric, place, &part[i], true)
		}
		call := &device.Call{In: []tensor.Value{tensor.FromSlice(numeric, len(part), len(numeric)/len(part)), tensor.FromSlice(place, len(part))}}
		if err := m.Run(ctx, call); err != nil {
			return nil, fmt.Errorf("clinic year: %w", err)
		}
		for _, p := range tensor.Data[float32](call.Out[0].(*tensor.Tensor)) {
			out = append(out, float64(p))
		}
		call.Release()
	}
	return out, nil
}
