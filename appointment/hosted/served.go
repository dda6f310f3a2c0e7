package hosted

import (
	"context"
	"sync/atomic"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/appointment"
	"github.com/aimass/aimass/appointment/assign"
	"github.com/aimass/aimass/appointment/wait"
	"github.com/aimass/aimass/internal/wordpiece"
	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/tensor"
)

// served asks the models of the server by their names.
type served struct {
	call                       native.Caller
	noShow, wait, assign, text string
	beside                     func(model, name string) ([]byte, error)
	pieces                     atomic.Pointer[wordpiece.Tokenizer]
	encoded                    atomic.Pointer[encoded]
}

// ask runs a model and says which one is missing if it is not served.
func (s *served) ask(ctx context.Context, model string, in []native.Named, want ...string) ([]*tensor.Tensor, error) {
	if s.call == nil {
		return nil, notLoaded(model)
	}
	out, err := s.call(ctx, model, in, want...)
	switch api.CodeOf(err) {
	case api.CodeModelNotFound, api.CodeModelVersionNotFound, api.CodeModelUnavailable:
		return nil, notLoaded(model)
	}
	return out, err
}

func notLoaded(model string) error {
	return api.Errorf(api.CodeModelUnavailable, "this needs the model '%s', which is not loaded", model)
}

// NoShow implements recommend.Models.
func (s *served) NoShow(ctx context.Context, rows []float32) ([]float32, error) {
	b := len(rows) / appointment.NumNoShowFeatures
	place := make([]int64, b)
	for i := range place {
		place[i] = -1
	}
	out, err := s.ask(ctx, s.noShow, []native.Named{
		{Name: "numeric", Tensor: tensor.FromSlice(rows, b, appointment.NumNoShowFeatures)}, {Name: "neighbourhood", Tensor: tensor.FromSlice(place, b)},
	}, "p_noshow")
	if err != nil {
		return nil, err
	}
	return tensor.Data[float32](out[0]), nil
}

// WaitP90 implements recommend.Models.
func (s *served) WaitP90(ctx context.Context, rows []float32) ([]float32, error) {
	t := tensor.FromSlice(rows, len(rows)/wait.NumFeatures, wait.NumFeatures)
	out, err := s.ask(ctx, s.wait, []native.Named{{Name: "session", Tensor: t}}, "wait_p90")
	if err != nil {
		return nil, err
	}
	return tensor.Data[float32](out[0]), nil
}

// Assign implements recommend.Models.
func (s *served) Assign(ctx context.Context, in *assign.Tensors) (*assign.TensorsOut, error) {
	out, err := s.ask(ctx, s.assign, []native.Named{
		{Name: "eligible", Tensor: tensor.FromSlice(in.Eligible, in.R, in.D)},
		{Name: "prior_doctor", Tensor: tensor.FromSlice(in.PriorDoctor, in.R)},
		{Name: "urgency", Tensor: tensor.FromSlice(in.Urgency, in.R)},
		{Name: "p_noshow", Tensor: tensor.FromSlice(in.NoShow, in.R)},
		{Name: "preference", Tensor: tensor.FromSlice(in.Preference, in.R, in.D, in.S)},
		{Name: "slot_free", Tensor: tensor.FromSlice(in.SlotFree, in.D, in.S)},
	}, "doctor", "slot", "queue_position", "reason", "doctor_load")
	if err != nil {
		return nil, err
	}
	i32 := func(k int) []int32 { return tensor.Data[int32](out[k]) }
	return &assign.TensorsOut{Doctor: i32(0), Slot: i32(1), QueuePosition: i32(2), Reason: i32(3), DoctorLoad: i32(4)}, nil
}
