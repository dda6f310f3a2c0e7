package assign

import (
	"context"

	"github.com/aimass/aimass/appointment"
)

// Tensors are the inputs of the model appt-assign, row-major; one request is one
// problem.
type Tensors struct {
	R, D, S int
	// Eligible is [R,D]: who can see whom.
	Eligible []bool
	// PriorDoctor is [R], −1 for none.
	PriorDoctor []int32
	// Urgency (0 to 1000, 1 is normal) and NoShow are [R].
	Urgency, NoShow []float32
	// Preference is [R,D,S]: 1 as wished, less where not; see Problem.Preference.
	Preference []float32
	// SlotFree is [D,S].
	SlotFree []bool
}

// TensorsOut are the outputs of the model appt-assign.
type TensorsOut struct {
	// Doctor and Slot are [R], −1 if queued.
	Doctor, Slot []int32
	// QueuePosition is [R]: 1 is next, 0 is placed.
	QueuePosition []int32
	// Reason is [R], a number of [Reason].
	Reason []int32
	// DoctorLoad is [D].
	DoctorLoad []int32
}

// SolveTensors solves one problem with the default costs. The outputs are fresh.
func SolveTensors(ctx context.Context, in *Tensors) (*TensorsOut, error) {
	if len(in.Preference) != in.R*in.D*in.S {
		return nil, appointment.Errorf(appointment.CodeRaggedBatch, "preference", "%d values, not %d", len(in.Preference), in.R*in.D*in.S)
	}
	if len(in.SlotFree) != in.D*in.S {
		return nil, appointment.Errorf(appointment.CodeRaggedBatch, "slot_free", "%d values, not %d", len(in.SlotFree), in.D*in.S)
	}
	p := &Problem{
		Requests: in.R, Doctors: in.D, Slots: in.S, Eligible: in.Eligible,
		Preference: in.Preference, Free: in.SlotFree, Costs: DefaultCosts(),
	}
	for _, d := range in.PriorDoctor {
		p.Prior = append(p.Prior, int(d))
	}
	for _, u := range in.Urgency {
		p.Urgency = append(p.Urgency, float64(u))
	}
	for _, q := range in.NoShow {
		p.NoShow = append(p.NoShow, float64(q))
	}
	plan, err := Solve(ctx, p)
	if err != nil {
		return nil, err
	}
	out := &TensorsOut{
		Doctor: make([]int32, in.R), Slot: make([]int32, in.R), QueuePosition: make([]int32, in.R),
		Reason: make([]int32, in.R), DoctorLoad: make([]int32, in.D),
	}
	for i, s := range plan.Seat {
		out.Doctor[i], out.Slot[i] = int32(s.Doctor), int32(s.Slot)
		out.QueuePosition[i], out.Reason[i] = int32(plan.Queue[i]), int32(plan.Reason[i])
	}
	for d, n := range plan.Load {
		out.DoctorLoad[d] = int32(n)
	}
	return out, nil
}
