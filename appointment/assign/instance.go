package assign

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/aimass/aimass/appointment"
)

// Instance is a problem file with its optimum.
type Instance struct {
	Name            string    `json:"name"`
	Requests        int       `json:"requests"`
	Doctors         int       `json:"doctors"`
	Slots           int       `json:"slots_per_doctor"`
	HalfSplit       int       `json:"half_day_split"`
	EligibleDoctors [][]int   `json:"eligible_doctors"`
	PriorDoctor     []int     `json:"prior_doctor"`
	Urgency         []float64 `json:"urgency"`
	PreferredPeriod []int     `json:"preferred_period"`
	NoShow          []float64 `json:"p_noshow"`
	RiskCost        []int     `json:"risk_cost"`
	DoctorFitCost   []int     `json:"doctor_fit_cost"`
	OptimalCost     int64     `json:"optimal_cost"`
}

// periodSlots is the number of slots in a preferred period.
const periodSlots = 4

// ReadInstance reads an instance file (JSON).
func ReadInstance(path string) (*Instance, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("assign instance: %w", err)
	}
	in := new(Instance)
	if err := json.Unmarshal(b, in); err != nil {
		return nil, fmt.Errorf("assign instance %s: %w", path, err)
	}
	n := in.Requests
	if len(in.EligibleDoctors) != n || len(in.PriorDoctor) != n || len(in.Urgency) != n || len(in.PreferredPeriod) != n || len(in.NoShow) != n ||
		len(in.DoctorFitCost) != in.Doctors {
		return nil, appointment.Errorf(appointment.CodeRaggedBatch, path, "lists of different lengths")
	}
	return in, nil
}

// Problem returns the instance's problem: the wrong period and the doctor's fit
// become preferences, so that the model's tensors can say all of it.
func (in *Instance) Problem() *Problem {
	p := &Problem{
		Requests: in.Requests, Doctors: in.Doctors, Slots: in.Slots, HalfSplit: in.HalfSplit,
		Eligible: make([]bool, in.Requests*in.Doctors), Prior: in.PriorDoctor, Urgency: in.Urgency, NoShow: in.NoShow,
		Preference: make([]float32, in.Requests*in.Doctors*in.Slots), Costs: DefaultCosts(),
	}
	for i := range in.Requests {
		for _, d := range in.EligibleDoctors[i] {
			p.Eligible[i*in.Doctors+d] = true
		}
		for d := range in.Doctors {
			for s := range in.Slots {
				cost := in.DoctorFitCost[d]
				if s/periodSlots != in.PreferredPeriod[i] {
					cost += p.Costs.Wish
				}
				p.Preference[(i*in.Doctors+d)*in.Slots+s] = 1 - float32(cost)/float32(p.Costs.Wish)
			}
		}
	}
	return p
}
