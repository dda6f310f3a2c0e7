package hosted

import (
	"context"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/schedule"
	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/tensor"
)

// dayModel hosts schedule.ReplanTensors. A row is the rest of one doctor's running day.
type dayModel struct{ native.Alone }

var dayIn = []native.Port{
	native.Tensor("service_mean", tensor.Float32, -1, -1),
	native.Tensor("service_cv", tensor.Float32, -1, -1),
	native.Tensor("p_noshow", tensor.Float32, -1, -1),
	native.Tensor("mask", tensor.Bool, -1, -1),
	native.Tensor("start", tensor.Int32, -1, -1),
	native.Tensor("state", tensor.Int32, -1, -1),
	native.Tensor("eta", tensor.Int32, -1, -1),
	native.Tensor("session_minutes", tensor.Int32, -1),
	native.Tensor("grid", tensor.Int32, -1),
	native.Tensor("now", tensor.Int32, -1),
	native.Tensor("weights", tensor.Float32, -1, 3),
	native.Tensor("move", tensor.Bool, -1),
	native.Tensor("limits", tensor.Float32, -1, 3),
}

var dayOut = []native.Port{
	native.Tensor("start_minute", tensor.Int32, -1, -1),
	native.Tensor("place", tensor.Int32, -1, -1),
	native.Tensor("expected_wait", tensor.Float32, -1, -1),
	native.Tensor("cost", tensor.Float32, -1, 4),
	native.Tensor("cost_unmoved", tensor.Float32, -1),
}

func newDay(from native.Source) (native.Model, error) { return dayModel{}, known(from) }

func (dayModel) Inputs() []native.Port  { return dayIn }
func (dayModel) Outputs() []native.Port { return dayOut }

// Rowwise implements native.Rowwise: each row is a day of its own.
func (dayModel) Rowwise() bool { return true }

// Sample implements native.Sampler with days that take no time to solve: two patients, one
// of them with the doctor.
func (dayModel) Sample(rows int) []tensor.Value {
	at := scheduleModel{}.Sample(rows)
	pair := func(first, second int32) tensor.Value {
		t := tensor.New(tensor.Int32, tensor.Shape{rows, 2})
		for i := range rows {
			tensor.Data[int32](t)[2*i], tensor.Data[int32](t)[2*i+1] = first, second
		}
		return t
	}
	return []tensor.Value{
		at[0], at[1], at[2], at[3], pair(0, 10), pair(int32(schedule.StateInService), int32(schedule.StateBooked)), pair(0, 0),
		at[4], at[5], at[5], at[6], at[7], tensor.New(tensor.Float32, tensor.Shape{rows, 3}),
	}
}

// Run implements native.Model.
func (dayModel) Run(ctx context.Context, in []tensor.Value, alloc native.Alloc) ([]tensor.Value, error) {
	b, n := shape(in[0])[0], shape(in[0])[1]
	row, rows, three := tensor.Shape{b, n}, tensor.Shape{b}, tensor.Shape{b, 3}
	if err := fits(dayIn, in, row, row, row, row, row, row, row, rows, rows, rows, three, rows, three); err != nil {
		return nil, appointment.Public(err)
	}
	res, err := schedule.ReplanTensors(ctx, &schedule.DayTensors{
		B: b, N: n, ServiceMean: floats(in[0]), ServiceCV: floats(in[1]), NoShow: floats(in[2]), Mask: flags(in[3]),
		Start: ints(in[4]), State: ints(in[5]), ETA: ints(in[6]), Session: ints(in[7]), Grid: ints(in[8]), Now: ints(in[9]),
		Weights: floats(in[10]), Move: flags(in[11]), Limits: floats(in[12]),
	})
	if err != nil {
		return nil, appointment.Public(err)
	}
	out := &outputs{alloc: alloc}
	put(out, tensor.Int32, res.StartMinute, b, n)
	put(out, tensor.Int32, res.Place, b, n)
	put(out, tensor.Float32, res.ExpectedWait, b, n)
	put(out, tensor.Float32, res.Cost, b, 4)
	put(out, tensor.Float32, res.CostUnmoved, b)
	return out.done()
}
