package hosted

import (
	"context"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/schedule"
	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/tensor"
)

// scheduleModel hosts schedule.SolveTensors. A row is one session of up to N patients.
type scheduleModel struct{ native.Alone }

var scheduleIn = []native.Port{
	native.Tensor("service_mean", tensor.Float32, -1, -1),
	native.Tensor("service_cv", tensor.Float32, -1, -1),
	native.Tensor("p_noshow", tensor.Float32, -1, -1),
	native.Tensor("mask", tensor.Bool, -1, -1),
	native.Tensor("session_minutes", tensor.Int32, -1),
	native.Tensor("grid", tensor.Int32, -1),
	native.Tensor("weights", tensor.Float32, -1, 3),
	native.Tensor("fixed_order", tensor.Bool, -1),
}

var scheduleOut = []native.Port{
	native.Tensor("start_minute", tensor.Int32, -1, -1),
	native.Tensor("order", tensor.Int32, -1, -1),
	native.Tensor("cost", tensor.Float32, -1, 4),
	native.Tensor("baseline_cost", tensor.Float32, -1, 3),
	native.Tensor("expected_wait", tensor.Float32, -1, -1),
}

func newSchedule(from native.Source) (native.Model, error) { return scheduleModel{}, known(from) }

func (scheduleModel) Inputs() []native.Port  { return scheduleIn }
func (scheduleModel) Outputs() []native.Port { return scheduleOut }

// Rowwise implements native.Rowwise: each row is a problem of its own.
func (scheduleModel) Rowwise() bool { return true }

// Sample implements native.Sampler with sessions that take no time to solve.
func (scheduleModel) Sample(rows int) []tensor.Value {
	pair := func(v float32) *tensor.Tensor {
		t := tensor.New(tensor.Float32, tensor.Shape{rows, 2})
		for i := range tensor.Data[float32](t) {
			tensor.Data[float32](t)[i] = v
		}
		return t
	}
	row := func(d tensor.DType, v int32, s ...int) *tensor.Tensor {
		t := tensor.New(d, append(tensor.Shape{rows}, s...))
		all := make([]int64, t.Elements())
		for i := range all {
			all[i] = int64(v)
		}
		if d == tensor.Float32 {
			for i := range tensor.Data[float32](t) {
				tensor.Data[float32](t)[i] = float32(v)
			}
		} else if err := tensor.StoreInt64s(t, all); err != nil {
			panic("BUG: a sample of integers: " + err.Error())
		}
		return t
	}
	return []tensor.Value{
		pair(10), pair(.5), pair(.1), row(tensor.Bool, 1, 2), row(tensor.Int32, 30), row(tensor.Int32, 5),
		row(tensor.Float32, 1, 3), row(tensor.Bool, 1),
	}
}

// Run implements native.Model.
func (scheduleModel) Run(ctx context.Context, in []tensor.Value, alloc native.Alloc) ([]tensor.Value, error) {
	b, n := shape(in[0])[0], shape(in[0])[1]
	row, rows := tensor.Shape{b, n}, tensor.Shape{b}
	if err := fits(scheduleIn, in, row, row, row, row, rows, rows, tensor.Shape{b, 3}, rows); err != nil {
		return nil, appointment.Public(err)
	}
	res, err := schedule.SolveTensors(ctx, scheduleTensors(in, b, n))
	if err != nil {
		return nil, appointment.Public(err)
	}
	out := &outputs{alloc: alloc}
	putSchedule(out, res, b, n)
	return out.done()
}

func scheduleTensors(in []tensor.Value, b, n int) *schedule.Tensors {
	return &schedule.Tensors{
		B: b, N: n, ServiceMean: floats(in[0]), ServiceCV: floats(in[1]), NoShow: floats(in[2]), Mask: flags(in[3]),
		Session: ints(in[4]), Grid: ints(in[5]), Weights: floats(in[6]), FixedOrder: flags(in[7]),
	}
}

func putSchedule(out *outputs, res *schedule.TensorsOut, b, n int) {
	put(out, tensor.Int32, res.StartMinute, b, n)
	put(out, tensor.Int32, res.Order, b, n)
	put(out, tensor.Float32, res.Cost, b, 4)
	put(out, tensor.Float32, res.BaselineCost, b, 3)
	put(out, tensor.Float32, res.ExpectedWait, b, n)
}
