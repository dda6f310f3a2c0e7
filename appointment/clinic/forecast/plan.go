package forecast

import (
	"context"

	"github.com/aimass/aimass/client"
)

// Weights of a minute of a patient's waiting, the doctor's idle time, overtime.
var weights = []float32{1, 2, 3}

// grid is the step of start times, in minutes.
const grid = 5

// Guest is one patient of a session as the schedule models are told of them.
type Guest struct {
	Mean, CV, NoShow float32
	// Start is the minute of the session that the patient was told; since when they wait;
	// when their consultation began: as State says.
	Start, State, ETA int
}

// Session is a half-day: its guests and its planned length.
type Session struct {
	Minutes int
	Guests  []Guest
}

// guests are the tensors that both schedule models take.
func (s *Session) guests() []client.Tensor {
	n := len(s.Guests)
	shape := []int{1, n}
	mean, cv, p, mask := make([]float32, n), make([]float32, n), make([]float32, n), make([]bool, n)
	for i, g := range s.Guests {
		mean[i], cv[i], p[i], mask[i] = g.Mean, g.CV, g.NoShow, true
	}
	return []client.Tensor{
		client.Float32("service_mean", shape, mean), client.Float32("service_cv", shape, cv), client.Float32("p_noshow", shape, p), client.Bool("mask", shape, mask),
		client.Int32("session_minutes", []int{1}, []int32{int32(s.Minutes)}), client.Int32("grid", []int{1}, []int32{grid}), client.Float32("weights", []int{1, 3},
			weights),
	}
}

// Plan is a planned session.
type Plan struct {
	// Start minute of each guest, in order of the guests.
	Start []int
	// Wait is the expected wait of each.
	Wait []float32
	// Cost of the plan, and of the rule of Bailey and Welch.
	Cost, BaileyWelch float32
}

// Plan asks when each guest should start, in the order given.
func (f *Forecaster) Plan(ctx context.Context, s Session) (*Plan, error) {
	res, err := f.c.Infer(ctx, &client.Request{Model: modelSchedule, Inputs: append(s.guests(), client.Bool("fixed_order", []int{1}, []bool{true}))})
	if err != nil {
		return nil, err
	}
	r := reader{res: res}
	start, order, cost, base, waits := r.ints("start_minute"), r.ints("order"), r.floats("cost"), r.floats("baseline_cost"), r.floats("expected_wait")
	if r.err != nil {
		return nil, r.err
	}
	p := &Plan{Start: make([]int, len(s.Guests)), Wait: waits, Cost: cost[0], BaileyWelch: base[1]}
	for k, i := range order {
		p.Start[i] = start[k]
	}
	return p, nil
}

// Running is the rest of a running day.
type Running struct {
	// Start minute, place in the order of service and expected wait of each guest.
	Start, Place []int
	Wait         []float32
	// Cost from now on, its parts in minutes, and the cost if nobody is moved.
	Cost, WaitTotal, Idle, Overtime, Unmoved float32
}

// Limits of moves in a running day.
var limits = []float32{2, 30, .05} // the least saving, minutes later at most, a walk-in's minute

// Day looks at the rest of a day at a minute of the session; move also looks for better
// starts.
func (f *Forecaster) Day(ctx context.Context, s Session, now int, move bool) (*Running, error) {
	n := len(s.Guests)
	start, state, eta := make([]int32, n), make([]int32, n), make([]int32, n)
	for i, g := range s.Guests {
		start[i], state[i], eta[i] = int32(g.Start), int32(g.State), int32(g.ETA)
	}
	shape, one := []int{1, n}, []int{1}
	res, err := f.c.Infer(ctx, &client.Request{Model: modelDay, Inputs: append(s.guests(),
		client.Int32("start", shape, start), client.Int32("state", shape, state), client.Int32("eta", shape, eta),
		client.Int32("now", one, []int32{int32(now)}), client.Bool("move", one, []bool{move}), client.Float32("limits", []int{1, 3}, limits))})
	if err != nil {
		return nil, err
	}
	r := reader{res: res}
	cost := r.floats("cost")
	out := &Running{Start: r.ints("start_minute"), Place: r.ints("place"), Wait: r.floats("expected_wait")}
	unmoved := r.floats("cost_unmoved")
	if r.err != nil {
		return nil, r.err
	}
	out.Cost, out.WaitTotal, out.Idle, out.Overtime, out.Unmoved = cost[0], cost[1], cost[2], cost[3], unmoved[0]
	return out, nil
}
