package hosted

import (
	"context"

	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/assign"
	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/tensor"
)

// assignModel hosts assign.SolveTensors. One request is one problem, so there is no
// batch axis.
type assignModel struct{ native.Alone }

var assignIn = []native.Port{
	native.Tensor("eligible", tensor.Bool, -1, -1),
	native.Tensor("prior_doctor", tensor.Int32, -1),
	native.Tensor("urgency", tensor.Float32, -1),
	native.Tensor("p_noshow", tensor.Float32, -1),
	native.Tensor("preference", tensor.Float32, -1, -1, -1),
	native.Tensor("slot_free", tensor.Bool, -1, -1),
}

var assignOut = []native.Port{
	native.Tensor("doctor", tensor.Int32, -1),
	native.Tensor("slot", tensor.Int32, -1),
	native.Tensor("queue_position", tensor.Int32, -1),
	native.Tensor("reason", tensor.Int32, -1),
	native.Tensor("doctor_load", tensor.Int32, -1),
}

func newAssign(from native.Source) (native.Model, error) { return assignModel{}, known(from) }

func (assignModel) Inputs() []native.Port  { return assignIn }
func (assignModel) Outputs() []native.Port { return assignOut }

// Sample implements native.Sampler: one request, one doctor, two slots.
func (assignModel) Sample(int) []tensor.Value {
	return []tensor.Value{
		tensor.FromSlice([]bool{true}, 1, 1), tensor.FromSlice([]int32{-1}, 1), tensor.FromSlice([]float32{1}, 1),
		tensor.FromSlice([]float32{.1}, 1), tensor.FromSlice([]float32{1, 1}, 1, 1, 2), tensor.FromSlice([]bool{true, true}, 1, 2),
	}
}

// Run implements native.Model.
func (assignModel) Run(ctx context.Context, in []tensor.Value, alloc native.Alloc) ([]tensor.Value, error) {
	r, d, s := shape(in[0])[0], shape(in[0])[1], shape(in[4])[2]
	one := tensor.Shape{r}
	if err := fits(assignIn, in, tensor.Shape{r, d}, one, one, one, tensor.Shape{r, d, s}, tensor.Shape{d, s}); err != nil {
		return nil, appointment.Public(err)
	}
	res, err := assign.SolveTensors(ctx, &assign.Tensors{
		R: r, D: d, S: s, Eligible: flags(in[0]), PriorDoctor: ints(in[1]), Urgency: floats(in[2]), NoShow: floats(in[3]),
		Preference: floats(in[4]), SlotFree: flags(in[5]),
	})
	if err != nil {
		return nil, appointment.Public(err)
	}
	out := &outputs{alloc: alloc}
	put(out, tensor.Int32, res.Doctor, r)
	put(out, tensor.Int32, res.Slot, r)
	put(out, tensor.Int32, res.QueuePosition, r)
	put(out, tensor.Int32, res.Reason, r)
	put(out, tensor.Int32, res.DoctorLoad, d)
	return out.done()
}
