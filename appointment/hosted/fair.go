package hosted

import (
	"context"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/schedule"
	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/tensor"
)

// fairModel hosts schedule.SolveFairTensors. A row is one session of up to N patients.
type fairModel struct{ native.Alone }

var fairIn = append(append([]native.Port{}, scheduleIn...),
	native.Tensor("group", tensor.Int32, -1, -1),
	native.Tensor("worst_group", tensor.Bool, -1),
	native.Tensor("promise", tensor.Float32, -1, 4),
)

var fairOut = append(append([]native.Port{}, scheduleOut...),
	native.Tensor("met", tensor.Bool, -1),
	native.Tensor("beyond", tensor.Float32, -1, -1),
	native.Tensor("group_wait", tensor.Float32, -1, -1),
	native.Tensor("cheapest_cost", tensor.Float32, -1),
)

func newFair(from native.Source) (native.Model, error) { return fairModel{}, known(from) }

func (fairModel) Inputs() []native.Port  { return fairIn }
func (fairModel) Outputs() []native.Port { return fairOut }

// Rowwise implements native.Rowwise: each row is a problem of its own.
func (fairModel) Rowwise() bool { return true }

// Sample implements native.Sampler: the sessions of appt-schedule, nothing more asked for.
func (fairModel) Sample(rows int) []tensor.Value {
	return append(scheduleModel{}.Sample(rows), tensor.New(tensor.Int32, tensor.Shape{rows, 2}), tensor.New(tensor.Bool, tensor.Shape{rows}),
		tensor.New(tensor.Float32, tensor.Shape{rows, 4}))
}

// Run implements native.Model.
func (fairModel) Run(ctx context.Context, in []tensor.Value, alloc native.Alloc) ([]tensor.Value, error) {
	b, n := shape(in[0])[0], shape(in[0])[1]
	row, rows := tensor.Shape{b, n}, tensor.Shape{b}
	if err := fits(fairIn, in, row, row, row, row, rows, rows, tensor.Shape{b, 3}, rows, row, rows, tensor.Shape{b, 4}); err != nil {
		return nil, appointment.Public(err)
	}
	res, err := schedule.SolveFairTensors(ctx, &schedule.FairTensors{
		Tensors: *scheduleTensors(in, b, n), Group: ints(in[8]), WorstGroup: flags(in[9]), Promise: floats(in[10]),
	})
	if err != nil {
		return nil, appointment.Public(err)
	}
	out := &outputs{alloc: alloc}
	putSchedule(out, &res.TensorsOut, b, n)
	putFlags(out, res.Met, b)
	put(out, tensor.Float32, res.Beyond, b, n)
	put(out, tensor.Float32, res.GroupWait, b, n)
	put(out, tensor.Float32, res.CheapestCost, b)
	return out.done()
}
