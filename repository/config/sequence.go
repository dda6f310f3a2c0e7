package config

import (
	"fmt"
	"io/fs"
	"math"
	"time"

	"github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// Sequence says what a model keeps from one request of a sequence to the next.
type Sequence struct {
	// Idle is how long a sequence may be silent before it is forgotten.
	Idle time.Duration
	// Most is the number of sequences whose state is kept at once.
	Most     int
	States   []SequenceState
	Controls []SequenceControl
}

// SequenceState is an output that becomes an input of the sequence's next request.
type SequenceState struct {
	// Input and Output are positions among the model's.
	Input, Output int
	// Initial is what a sequence begins with, the batch dimension included.
	Initial *tensor.Tensor
}

// SequenceControl is an input that tells the model where in its sequence a request stands.
type SequenceControl struct {
	Input int // position
	Kind  ControlKind
	DType tensor.DType
	// Shape is that of one request's input.
	Shape tensor.Shape
	// False and True are one element each; a correlation id has none.
	False, True []byte
}

// Sample is what a hidden input holds when a sequence begins, for a batch of one.
func (s *Sequence) Sample(input int) *tensor.Tensor {
	for _, st := range s.States {
		if st.Input == input {
			return st.Initial
		}
	}
	for _, c := range s.Controls {
		if c.Input == input {
			return tensor.New(c.DType, c.Shape)
		}
	}
	return nil
}

// ControlKind is what a control input says.
type ControlKind uint8

// The kinds of control inputs.
const (
	ControlStart ControlKind = iota
	ControlReady
	ControlEnd
	ControlID
)

// Defaults of sequence_batching; the idle time is Triton's.
const (
	defaultSequenceIdle = time.Second
	defaultSequences    = 16384
)

// sequence reads sequence_batching. The inputs and outputs that it uses are not clients'.
func (r *resolver) sequence() error {
	w := r.c.Proto.GetSequenceBatching()
	if w == nil {
		return nil
	}
	const field = "sequence_batching"
	switch {
	case r.c.Steps != nil:
		return r.File.invalid(field, "an ensemble keeps no state; give it to the models that it is made of")
	case w.IterativeSequence:
		return r.File.invalid(field+".iterative_sequence", "got true, expected false: a request has one response")
	case w.MaxSequenceIdleMicroseconds > math.MaxInt64/1000:
		return r.File.invalid(field+".max_sequence_idle_microseconds", "got %d, expected at most %d", w.MaxSequenceIdleMicroseconds, math.MaxInt64/1000)
	case w.GetOldest().GetMaxCandidateSequences() < 0:
		return r.File.invalid(field+".oldest.max_candidate_sequences", "got %d, expected 0 or more", w.GetOldest().GetMaxCandidateSequences())
	}
	s := &Sequence{Idle: time.Duration(w.MaxSequenceIdleMicroseconds) * time.Microsecond, Most: int(w.GetOldest().GetMaxCandidateSequences())}
	if s.Idle == 0 {
		s.Idle = defaultSequenceIdle
	}
	if s.Most == 0 {
		s.Most = defaultSequences
	}
	r.hidden = map[string]bool{}
	for i, c := range w.ControlInput {
		path := fmt.Sprintf("%s.control_input[%d]", field, i)
		for k, k2 := range c.Control {
			out, err := r.control(fmt.Sprintf("%s.control[%d]", path, k), c.Name, k2)
			if err != nil {
				return err
			}
			if k > 0 {
				return r.File.invalid(path+".control", "input '%s' has %d controls, expected one", c.Name, len(c.Control))
			}
			s.Controls = append(s.Controls, out)
		}
	}
	for i, st := range w.State {
		out, err := r.state(fmt.Sprintf("%s.state[%d]", field, i), st)
		if err != nil {
			return err
		}
		s.States = append(s.States, out)
	}
	if r.c.Proto.ResponseCache.GetEnable() {
		r.note("%v: answers of a model that keeps state are not remembered", r.File.At("response_cache"))
	}
	r.c.QueueDelay = time.Duration(min(w.GetOldest().GetMaxQueueDelayMicroseconds(), math.MaxInt64/1000)) * time.Microsecond
	r.c.Sequence = s
	return nil
}

// hide takes a tensor of the model from the clients' view and gives its position and type.
func (r *resolver) hide(path, kind, name string, ports []runtime.Port) (int, runtime.Port, error) {
	for i, p := range ports {
		if p.Name != name {
			continue
		}
		if r.hidden[kind+name] {
			return 0, p, r.File.invalid(path, "%s '%s' is used twice", kind, name)
		}
		if p.Type.Kind != graph.TensorKind {
			return 0, p, r.File.invalid(path, "%s '%s' is no tensor", kind, name)
		}
		r.hidden[kind+name] = true
		return i, p, nil
	}
	return 0, runtime.Port{}, r.File.invalid(path, "the model has no %s '%s'", kind, name)
}

func (r *resolver) control(path, name string, w *inferencepb.ModelSequenceBatching_Control) (SequenceControl, error) {
	c := SequenceControl{}
	i, p, err := r.hide(path, "input", name, r.Runtime.Inputs)
	if err != nil {
		return c, err
	}
	c.Input, c.DType, c.Shape = i, p.Type.DType, r.oneOf(p)
	if c.Shape.Elements() != 1 {
		return c, r.File.invalid(path, "input '%s' has the shape %v in the model, expected one element", name, p.Shape())
	}
	switch w.Kind {
	case inferencepb.ModelSequenceBatching_Control_CONTROL_SEQUENCE_START:
		c.Kind = ControlStart
	case inferencepb.ModelSequenceBatching_Control_CONTROL_SEQUENCE_READY:
		c.Kind = ControlReady
	case inferencepb.ModelSequenceBatching_Control_CONTROL_SEQUENCE_END:
		c.Kind = ControlEnd
	default:
		c.Kind = ControlID
		switch c.DType {
		case tensor.Uint64, tensor.Int64, tensor.Uint32, tensor.Int32, tensor.String:
		default:
			return c, r.File.invalid(path, "input '%s' is %v in the model, expected an integer of 32 or 64 bits or a string for the correlation id", name, c.DType)
		}
		if w.DataType != inferencepb.DataType_TYPE_INVALID && DType(w.DataType) != c.DType {
			return c, r.File.invalid(path+".data_type", "input '%s': got %v, expected %v as in the model", name, w.DataType, DataType(c.DType))
		}
		return c, nil
	}
	var pair *tensor.Tensor
	switch {
	case len(w.Int32FalseTrue) == 2 && c.DType == tensor.Int32:
		pair = tensor.FromSlice(w.Int32FalseTrue, 2)
	case len(w.Fp32FalseTrue) == 2 && c.DType == tensor.Float32:
		pair = tensor.FromSlice(w.Fp32FalseTrue, 2)
	case len(w.BoolFalseTrue) == 2 && c.DType == tensor.Bool:
		pair = tensor.FromSlice(w.BoolFalseTrue, 2)
	default:
		return c, r.File.invalid(path, "input '%s' is %v in the model, expected two values for false and true of that type (int32_false_true, fp32_false_true or bool_false_true)", name, c.DType)
	}
	half := len(pair.Bytes()) / 2
	c.False, c.True = pair.Bytes()[:half], pair.Bytes()[half:]
	return c, nil
}

// oneOf is the shape of a port for one request, with 1 for what is open.
func (r *resolver) oneOf(p runtime.Port) tensor.Shape {
	s := make(tensor.Shape, 0, len(p.Type.Shape))
	for _, d := range p.Shape() {
		s = append(s, int(max(d, 1)))
	}
	return s
}

func (r *resolver) state(path string, w *inferencepb.ModelSequenceBatching_State) (SequenceState, error) {
	s := SequenceState{}
	in, p, err := r.hide(path+".input_name", "input", w.InputName, r.Runtime.Inputs)
	if err != nil {
		return s, err
	}
	out, o, err := r.hide(path+".output_name", "output", w.OutputName, r.Runtime.Outputs)
	if err != nil {
		return s, err
	}
	s.Input, s.Output = in, out
	dtype := p.Type.DType
	switch {
	case o.Type.DType != tensor.Invalid && o.Type.DType != dtype:
		return s, r.File.invalid(path, "output '%s' is %v, input '%s' is %v: they must be of one type", w.OutputName, o.Type.DType, w.InputName, dtype)
	case dtype == tensor.String:
		return s, r.File.invalid(path, "input '%s' holds strings, which can't be a state", w.InputName)
	case w.DataType != inferencepb.DataType_TYPE_INVALID && DType(w.DataType) != dtype:
		return s, r.File.invalid(path+".data_type", "input '%s': got %v, expected %v as in the model", w.InputName, w.DataType, DataType(dtype))
	case len(w.InitialState) > 1:
		return s, r.File.invalid(path+".initial_state", "got %d, expected one", len(w.InitialState))
	}
	dims, where := w.Dims, path+".dims"
	if len(w.InitialState) == 1 && r.File.Has(path+".initial_state[0].dims") {
		dims, where = w.InitialState[0].Dims, path+".initial_state[0].dims"
	}
	shape := r.oneOf(p)
	if r.File.Has(where) {
		shape = shape[:0]
		if r.c.MaxBatch > 0 {
			shape = append(shape, 1)
		}
		for _, d := range dims {
			if d < 1 || d > tensor.MaxElements {
				return s, r.File.invalid(where, "state '%s': got %s, expected extents of 1 or more; give initial_state { dims } where the state's are open", w.InputName, dimsText(dims))
			}
			shape = append(shape, int(d))
		}
		whole := make([]int64, len(shape))
		for i, d := range shape {
			whole[i] = int64(d)
		}
		if p.Type.Ranked && !fits(whole, p.Shape()) {
			return s, r.File.invalid(where, "state '%s': got %s, expected %s as in the model", w.InputName, dimsText(whole), dimsText(p.Shape()))
		}
	}
	if err := shape.Check(); err != nil {
		return s, r.File.invalid(where, "state '%s': %v", w.InputName, err)
	}
	s.Initial = tensor.New(dtype, shape)
	if len(w.InitialState) == 1 {
		return s, r.initial(path+".initial_state[0]", w.InitialState[0], &s)
	}
	return s, nil
}

// initial reads what a sequence begins with, if it isn't zeros.
func (r *resolver) initial(path string, w *inferencepb.ModelSequenceBatching_InitialState, s *SequenceState) error {
	name := w.GetDataFile()
	if name == "" {
		return nil
	}
	if !fs.ValidPath(name) || r.Read == nil {
		return r.File.invalid(path+".data_file", "got %q, expected a file in the folder initial_state of the model's folder", name)
	}
	b, err := r.Read("initial_state/" + name)
	if err != nil {
		return r.File.invalid(path+".data_file", "the file initial_state/%s can't be read", name)
	}
	if len(b) != len(s.Initial.Bytes()) {
		return r.File.invalid(path+".data_file", "the file has %d bytes, expected %d", len(b), len(s.Initial.Bytes()))
	}
	copy(s.Initial.Bytes(), b)
	return nil
}
