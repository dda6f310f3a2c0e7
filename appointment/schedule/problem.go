package schedule

import (
	"encoding/json"
	"fmt"
	"math"
	"os"

	"github.com/aimass/aimass/appointment"
)

// Limits of one problem.
const (
	// MaxPatients of a session.
	MaxPatients = 200
	// maxEvaluation bounds the multiplications of one exact evaluation.
	maxEvaluation = 4e9
)

// Patient is one visit.
type Patient struct {
	// NoShow is the probability of not coming.
	NoShow float64 `json:"no_show"`
	// Mean service time in minutes, > 0, and its coefficient of variation, ≥ 0.
	Mean float64 `json:"service_mean"`
	CV   float64 `json:"service_cv"`
}

// Weights of the cost: per patient-minute of waiting (of patients who come), per
// minute of the doctor's idle time, per minute of overtime.
type Weights struct {
	Wait     float64 `json:"wait_per_patient_minute"`
	Idle     float64 `json:"idle_per_minute"`
	Overtime float64 `json:"overtime_per_minute"`
}

// Problem is one session of one doctor.
type Problem struct {
	// Patients, in the given order.
	Patients []Patient
	// Session is the planned length in minutes.
	Session int
	// Grid: starts are multiples of this many minutes.
	Grid    int
	Weights Weights
	// FreeOrder lets the order be chosen, too.
	FreeOrder bool
	// Groups, if set, gives each patient a group number from 0; waits are then
	// reported by group.
	Groups []int
}

// Validate returns the first thing wrong with the problem, as an
// [appointment.Error].
func (p *Problem) Validate() error {
	if len(p.Patients) == 0 {
		return appointment.Errorf(appointment.CodeNoPatients, "patients", "0 patients")
	}
	if len(p.Patients) > MaxPatients {
		return appointment.Errorf(appointment.CodeTooLarge, "patients", "%d patients, at most %d", len(p.Patients), MaxPatients)
	}
	if p.Session <= 0 || p.Session > appointment.MaxSession {
		return appointment.Errorf(appointment.CodeBadSession, "session_minutes", "%d", p.Session)
	}
	if p.Grid <= 0 || p.Grid > p.Session {
		return appointment.Errorf(appointment.CodeBadGrid, "grid", "%d with a session of %d", p.Grid, p.Session)
	}
	if err := p.Weights.validate(); err != nil {
		return err
	}
	if p.Groups != nil && len(p.Groups) != len(p.Patients) {
		return appointment.Errorf(appointment.CodeBadGroup, "groups", "%d groups for %d patients", len(p.Groups), len(p.Patients))
	}
	for i, g := range p.Groups {
		if g < 0 || g >= MaxPatients {
			return appointment.Errorf(appointment.CodeBadGroup, "groups", "patient %d has group %d", i, g)
		}
	}
	total, longest := 0.0, 0.0
	for i, q := range p.Patients {
		if err := appointment.CheckService(i, q.Mean, q.CV); err != nil {
			return err
		}
		if err := appointment.CheckProbability("p_noshow", i, q.NoShow); err != nil {
			return err
		}
		total += q.Mean
		longest = max(longest, pmfLength(q))
	}
	if work := float64(len(p.Patients)) * (float64(p.Session) + total + 400) * longest; work > maxEvaluation {
		return appointment.Errorf(appointment.CodeTooLarge, "patients", "service times of up to %.0f minutes for %d patients", longest, len(p.Patients))
	}
	return nil
}

func pmfLength(q Patient) float64 {
	s2 := math.Log(1 + q.CV*q.CV)
	return math.Ceil(math.Exp(math.Log(q.Mean)-s2/2+math.Sqrt(s2)*z9999)) + 1
}

func (w Weights) validate() error {
	all := []float64{w.Wait, w.Idle, w.Overtime}
	sum := 0.0
	for i, v := range all {
		if err := appointment.CheckFinite("weights", i, v); err != nil {
			return err
		}
		if v < 0 {
			return appointment.Errorf(appointment.CodeNegativeWeight, "weights", "weight %d is %v", i, v)
		}
		sum += v
	}
	if sum == 0 {
		return appointment.Errorf(appointment.CodeZeroWeights, "weights", "all three are 0")
	}
	return nil
}

// Plan is an order and its start minutes: Times[k] is the start of patient
// Order[k], and Times never decreases.
type Plan struct {
	Order []int `json:"order"`
	Times []int `json:"times"`
}

func (pl Plan) clone() Plan {
	return Plan{append([]int(nil), pl.Order...), append([]int(nil), pl.Times...)}
}

// Check returns an error unless the plan is a permutation of p's patients with
// times that do not decrease, are not negative and lie on p's grid.
func (pl Plan) Check(p *Problem) error {
	n := len(p.Patients)
	if len(pl.Order) != n || len(pl.Times) != n {
		return appointment.Errorf(appointment.CodeBadPlan, "order", "%d places and %d times for %d patients", len(pl.Order), len(pl.Times), n)
	}
	seen := make([]bool, n)
	for k, i := range pl.Order {
		if i < 0 || i >= n || seen[i] {
			return appointment.Errorf(appointment.CodeBadPlan, "order", "place %d holds patient %d", k, i)
		}
		seen[i] = true
		t := pl.Times[k]
		if t < 0 || t%p.Grid != 0 || (k > 0 && t < pl.Times[k-1]) {
			return appointment.Errorf(appointment.CodeBadPlan, "start_minute", "place %d starts at %d", k, t)
		}
	}
	return nil
}

// Instance is a problem file with its baselines and its best known plan.
type Instance struct {
	Name      string              `json:"name"`
	Patients  []Patient           `json:"patients"`
	Session   int                 `json:"session_minutes"`
	Grid      int                 `json:"grid_minutes"`
	Weights   Weights             `json:"cost"`
	Sequence  string              `json:"sequence"`
	Baselines map[string]Recorded `json:"baselines"`
	BestKnown struct {
		Plan
		Recorded
	} `json:"best_known"`
	BestGivenOrder float64 `json:"best_in_given_order"`
}

// Recorded are the stored figures of one plan of an [Instance].
type Recorded struct {
	Cost        float64 `json:"cost"`
	WaitTotal   float64 `json:"wait_total"`
	WaitMean    float64 `json:"wait_mean"`
	Idle        float64 `json:"idle"`
	Overtime    float64 `json:"overtime"`
	MaxMeanWait float64 `json:"max_mean_wait"`
}

// Problem returns the instance's problem.
func (in *Instance) Problem() *Problem {
	return &Problem{Patients: in.Patients, Session: in.Session, Grid: in.Grid, Weights: in.Weights, FreeOrder: in.Sequence == "free"}
}

// ReadInstance reads an instance file (JSON) and validates its problem.
func ReadInstance(path string) (*Instance, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("schedule instance: %w", err)
	}
	in := new(Instance)
	if err := json.Unmarshal(b, in); err != nil {
		return nil, fmt.Errorf("schedule instance %s: %w", path, err)
	}
	if err := in.Problem().Validate(); err != nil {
		return nil, fmt.Errorf("schedule instance %s: %w", path, err)
	}
	return in, nil
}
