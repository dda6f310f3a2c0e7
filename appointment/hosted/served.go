package hosted

import (
	"context"
	"math"
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

// A text model is a sentence encoder with BERT's inputs whose first output is a vector
// for each piece; its tokenizer lies beside it.
const (
	tokenizerFile = "tokenizer.json"
	// maxPieces of one text; what is longer is cut.
	maxPieces = 128
)

// tokenizer reads the text model's tokenizer, once there is one.
func (s *served) tokenizer() (*wordpiece.Tokenizer, error) {
	if t := s.pieces.Load(); t != nil {
		return t, nil
	}
	if s.beside == nil {
		return nil, notLoaded(s.text)
	}
	b, err := s.beside(s.text, tokenizerFile)
	if err != nil {
		return nil, api.Wrap(api.CodeModelUnavailable, err, "this needs the model '%s' with its %s, which is not loaded", s.text, tokenizerFile)
	}
	t, err := wordpiece.Read(b)
	if err != nil {
		return nil, api.Errorf(api.CodeModelUnavailable, "model '%s': %w", s.text, err)
	}
	s.pieces.Store(t)
	return t, nil
}

// Closest implements recommend.Models: all texts are encoded as one batch, a text is the
// mean of its pieces' vectors, and the nearest by cosine is taken.
func (s *served) Closest(ctx context.Context, text string, options []string) (int, error) {
	t, err := s.tokenizer()
	if err != nil {
		return 0, err
	}
	rows, length := [][]int64{t.Append(nil, text, maxPieces)}, 0
	for _, o := range options {
		rows = append(rows, t.Append(nil, o, maxPieces))
	}
	for _, r := range rows {
		length = max(length, len(r))
	}
	b := len(rows)
	ids, mask := make([]int64, b*length), make([]int64, b*length)
	for i, r := range rows {
		copy(ids[i*length:], r)
		for k := range r {
			mask[i*length+k] = 1
		}
	}
	out, err := s.ask(ctx, s.text, []native.Named{
		{Name: "input_ids", Tensor: tensor.FromSlice(ids, b, length)}, {Name: "attention_mask", Tensor: tensor.FromSlice(mask, b, length)},
		{Name: "token_type_ids", Tensor: tensor.FromSlice(make([]int64, b*length), b, length)},
	}, "output_0")
	if err != nil {
		return 0, err
	}
	if v := out[0]; v.DType != tensor.Float32 || len(v.Shape) != 3 || v.Shape[0] != b || v.Shape[1] != length {
		return 0, api.Errorf(api.CodeExecutionFailed, "model '%s' gave %v, expected a vector for each of %d pieces", s.text, v, length)
	}
	vectors := means(tensor.Data[float32](out[0]), rows, length, out[0].Shape[2])
	best, nearest := 0, math.Inf(-1)
	for k := range options {
		if c := cosine(vectors[0], vectors[k+1]); c > nearest {
			best, nearest = k, c
		}
	}
	return best, nil
}

// means averages the vectors of each row's pieces.
func means(v []float32, rows [][]int64, length, width int) [][]float64 {
	out := make([][]float64, len(rows))
	for i, r := range rows {
		out[i] = make([]float64, width)
		for k := range r {
			for j, x := range v[(i*length+k)*width : (i*length+k+1)*width] {
				out[i][j] += float64(x)
			}
		}
	}
	return out
}

// cosine of the angle between two vectors; their lengths do not matter.
func cosine(a, b []float64) float64 {
	dot, aa, bb := 0.0, 0.0, 0.0
	for i, x := range a {
		dot, aa, bb = dot+x*b[i], aa+x*x, bb+b[i]*b[i]
	}
	return dot / math.Sqrt(aa*bb+1e-30)
}
