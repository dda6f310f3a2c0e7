package schedule

import (
	"context"
	"fmt"
	"slices"

	"github.com/aimass/aimass/appointment"
)

// State is where a patient of a running day is, as the model appt-day is told.
type State int32

// The states.
const (
	// StateBooked has a start that may be changed freely.
	StateBooked State = iota
	// StateConfirmed is never moved earlier.
	StateConfirmed
	// StateFlexible has confirmed and agreed to come earlier.
	StateFlexible
	// StateWaiting is in the waiting room.
	StateWaiting
	// StateInService is with the doctor.
	StateInService
	// StateWalkIn came without a start and can be given one.
	StateWalkIn
	// StateEmergency is present and seen before all others.
	StateEmergency
	// StateInterrupt is an emergency for which the doctor leaves the present patient.
	StateInterrupt
	numStates
)

// DayTensors are the inputs of the model appt-day, row-major: B running days with up to
// N patients each.
type DayTensors struct {
	B, N int
	// ServiceMean, ServiceCV and NoShow are [B,N], as is Mask: which columns are patients.
	ServiceMean, ServiceCV, NoShow []float32
	Mask                           []bool
	// Start is [B,N]: the start of who is booked; since when somebody waits (who waits
	// longest is seen first); when the consultation began.
	Start []int32
	// State is [B,N], see State. ETA is [B,N]: when a late patient is expected, else 0.
	State, ETA []int32
	// Session, Grid and Now are [B], in minutes from the session's start.
	Session, Grid, Now []int32
	// Weights is [B,3]: waiting, idle, overtime.
	Weights []float32
	// Move is [B]: false only looks at the day as it stands.
	Move []bool
	// Limits is [B,3]: Day.MoveWorth; Day.MaxLater, where 0 means without limit;
	// Day.WalkInDelay.
	Limits []float32
}

// DayTensorsOut are the outputs of the model appt-day, row-major.
type DayTensorsOut struct {
	// StartMinute is [B,N], by column: the start, which for those present is now.
	StartMinute []int32
	// Place is [B,N]: the place in the order of service, from 0; -1 outside the mask.
	Place []int32
	// ExpectedWait is [B,N], in minutes from StartMinute.
	ExpectedWait []float32
	// Cost is [B,4] from now on: the total, then waiting, idle and overtime in minutes.
	Cost []float32
	// CostUnmoved is [B]: the total if nobody is moved.
	CostUnmoved []float32
}

func (in *DayTensors) validate() error {
	if in.B == 0 {
		return appointment.Errorf(appointment.CodeEmptyBatch, "mask", "0 rows")
	}
	if in.N == 0 {
		return appointment.Errorf(appointment.CodeNoPatients, "mask", "0 columns")
	}
	all := in.B * in.N
	return firstError(
		sized("service_mean", len(in.ServiceMean), all), sized("service_cv", len(in.ServiceCV), all), sized("p_noshow", len(in.NoShow), all),
		sized("mask", len(in.Mask), all), sized("start", len(in.Start), all), sized("state", len(in.State), all), sized("eta", len(in.ETA), all),
		sized("session_minutes", len(in.Session), in.B), sized("grid", len(in.Grid), in.B), sized("now", len(in.Now), in.B),
		sized("weights", len(in.Weights), in.B*3), sized("move", len(in.Move), in.B), sized("limits", len(in.Limits), in.B*3))
}

// dayColumns says which columns stand behind the lists of a Day.
type dayColumns struct {
	current                  int
	waiting, booked, walkIns []int
}

// day builds row b.
func (in *DayTensors) day(b int) (*Day, *dayColumns, error) {
	d := &Day{
		Now: int(in.Now[b]), Session: int(in.Session[b]), Grid: int(in.Grid[b]), Fixed: !in.Move[b],
		Weights:   Weights{float64(in.Weights[3*b]), float64(in.Weights[3*b+1]), float64(in.Weights[3*b+2])},
		MoveWorth: float64(in.Limits[3*b]), MaxLater: int(in.Limits[3*b+1]), WalkInDelay: float64(in.Limits[3*b+2]),
	}
	if d.MaxLater == 0 {
		d.MaxLater = -1
	}
	c := &dayColumns{current: -1}
	for k := range in.N {
		at := b*in.N + k
		if !in.Mask[at] {
			continue
		}
		switch s := State(in.State[at]); s {
		case StateBooked, StateConfirmed, StateFlexible:
			c.booked = append(c.booked, k)
			d.Booked = append(d.Booked, Booked{in.patient(at), int(in.Start[at]), s != StateBooked, s == StateFlexible, int(in.ETA[at])})
		case StateWaiting, StateEmergency, StateInterrupt:
			c.waiting = append(c.waiting, k)
		case StateWalkIn:
			c.walkIns = append(c.walkIns, k)
			d.WalkIns = append(d.WalkIns, in.patient(at))
		case StateInService:
			if c.current >= 0 {
				return nil, nil, appointment.Errorf(appointment.CodeBadPlan, "state", "row %d has two patients with the doctor", b)
			}
			c.current = k
			d.Current = &InService{float64(in.ServiceMean[at]), float64(in.ServiceCV[at]), max(0, d.Now-int(in.Start[at]))}
		default:
			return nil, nil, appointment.Errorf(appointment.CodeBadPlan, "state", "row %d, column %d is %d, the states are 0 to %d", b, k, s, numStates-1)
		}
	}
	slices.SortStableFunc(c.waiting, func(x, y int) int { return int(in.Start[b*in.N+x]) - int(in.Start[b*in.N+y]) })
	for _, k := range c.waiting {
		at := b*in.N + k
		s := State(in.State[at])
		d.Waiting = append(d.Waiting, Present{float64(in.ServiceMean[at]), float64(in.ServiceCV[at]), s != StateWaiting, s == StateInterrupt})
	}
	if d.Current == nil && len(d.Waiting)+len(d.Booked)+len(d.WalkIns) == 0 {
		return nil, nil, appointment.Errorf(appointment.CodeMaskEmpty, "mask", "row %d", b)
	}
	if err := d.Validate(); err != nil {
		return nil, nil, fmt.Errorf("row %d: %w", b, err)
	}
	return d, c, nil
}

func (in *DayTensors) patient(at int) Patient {
	return Patient{float64(in.NoShow[at]), float64(in.ServiceMean[at]), float64(in.ServiceCV[at])}
}

// ReplanTensors replans all rows; a row's answer does not depend on the others. All rows
// are checked first; one bad row fails the request. The outputs are fresh.
func ReplanTensors(ctx context.Context, in *DayTensors) (*DayTensorsOut, error) {
	if err := in.validate(); err != nil {
		return nil, err
	}
	for b := range in.B {
		if _, _, err := in.day(b); err != nil {
			return nil, err
		}
	}
	out := &DayTensorsOut{
		StartMinute: make([]int32, in.B*in.N), Place: make([]int32, in.B*in.N), ExpectedWait: make([]float32, in.B*in.N),
		Cost: make([]float32, in.B*4), CostUnmoved: make([]float32, in.B),
	}
	return out, eachRow(in.B, func(b int) error { return in.replanRow(ctx, b, out) })
}

func (in *DayTensors) replanRow(ctx context.Context, b int, out *DayTensorsOut) error {
	d, c, err := in.day(b)
	if err != nil {
		return err
	}
	r, err := Replan(ctx, d)
	if err != nil {
		return err
	}
	row := b * in.N
	for k := range in.N {
		out.Place[row+k] = -1
	}
	for place, t := range r.Turns {
		k := c.current
		switch t.Kind {
		case KindWaiting:
			k = c.waiting[t.Index]
		case KindBooked:
			k = c.booked[t.Index]
		case KindWalkIn:
			k = c.walkIns[t.Index]
		}
		out.StartMinute[row+k], out.Place[row+k], out.ExpectedWait[row+k] = int32(t.Start), int32(place), float32(t.Wait)
	}
	for j, v := range []float64{r.Cost, r.WaitTotal, r.Idle, r.Overtime} {
		out.Cost[4*b+j] = float32(v)
	}
	out.CostUnmoved[b] = float32(r.CostUnmoved)
	return nil
}
