package wire

import (
	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/runtime/tensor"
)

// MaxDepth is how deep a JSON text may nest; the outermost object counts as one.
const MaxDepth = 100

// Bounds on lists whose length a model does not bound.
const (
	maxRank    = 64
	maxOutputs = 1024
	maxParams  = 1024
)

// Request is an inference request as it was sent.
type Request struct {
	ID     []byte
	Params []Param
	Inputs []Input
	// Outputs are those that the request names; none means all.
	Outputs []Output
	// BinaryOutput is the parameter binary_data_output: outputs that say nothing themselves are wanted in binary.
	BinaryOutput bool

	p parser
}

// Input is a tensor of a request.
type Input struct {
	Name   []byte
	DType  tensor.DType
	Shape  tensor.Shape
	Params []Param
	// BinarySize is the parameter binary_data_size, or -1 where the data came as JSON.
	BinarySize int
	// Shared is where the data are, if they are in shared memory: then there are none here.
	Shared Shared
	// Data are the little-endian elements of any type but String: in the Sink's memory, or a part of the body.
	Data []byte
	// Strings are the elements of a String tensor.
	Strings []string

	buf []byte
}

// Output is an output that a request names.
type Output struct {
	Name   []byte
	Params []Param
	// Binary is the parameter binary_data, or the request's binary_data_output.
	Binary bool
	// Classification is the parameter of this name: how many of the best classes to return, 0 for the plain tensor.
	Classification int
	// Shared is where the data are to go, if not into the answer.
	Shared Shared

	binarySet bool
}

// ParamKind is the type of a parameter's value.
type ParamKind uint8

// The types that a parameter can have.
const (
	ParamString ParamKind = iota
	ParamInt              // Int
	ParamUint             // Uint, only for values above the largest int64
	ParamBool
	ParamFloat
)

// Param is a parameter of a request, an input or an output.
type Param struct {
	Key   []byte
	Kind  ParamKind
	Str   []byte
	Int   int64
	Uint  uint64
	Bool  bool
	Float float64
}

// FindParam returns the parameter with the given key, or nil.
func FindParam(params []Param, key string) *Param {
	for i := range params {
		if string(params[i].Key) == key {
			return &params[i]
		}
	}
	return nil
}

// Sink checks a request's inputs against a model and supplies memory for their data.
type Sink interface {
	// Model returns the model's name, for messages.
	Model() string
	// Check is called once for each input, when its Name, DType and Shape are known and before its data are read. An error
	// ends the parsing and is returned as it is.
	Check(in *Input) error
	// Buffer is called after Check for each input of any type but String whose size was found plausible, and returns size
	// bytes for its elements. For data that are binary already (in.BinarySize >= 0) it may return nil instead: then in.Data
	// becomes a part of the body, without a copy.
	Buffer(in *Input, size int) []byte
}

// Reset forgets what was parsed and keeps the memory.
func (r *Request) Reset() {
	r.ID = nil
	r.Params = r.Params[:0]
	r.Inputs = r.Inputs[:0]
	r.Outputs = r.Outputs[:0]
	r.BinaryOutput = false
	r.p = parser{scratch: r.p.scratch[:0], marks: r.p.marks[:0]}
}

// nextInput extends the list by one, with the slices of an earlier request emptied.
func (r *Request) nextInput() *Input {
	n := len(r.Inputs)
	if n < cap(r.Inputs) {
		r.Inputs = r.Inputs[:n+1]
	} else {
		r.Inputs = append(r.Inputs, Input{})
	}
	in := &r.Inputs[n]
	*in = Input{Shape: in.Shape[:0], Params: in.Params[:0], BinarySize: -1}
	return in
}

func (r *Request) nextOutput() *Output {
	n := len(r.Outputs)
	if n < cap(r.Outputs) {
		r.Outputs = r.Outputs[:n+1]
	} else {
		r.Outputs = append(r.Outputs, Output{})
	}
	out := &r.Outputs[n]
	*out = Output{Params: out.Params[:0]}
	return out
}

// Parse reads an inference request. jsonLen is the value of the header Inference-Header-Content-Length, or -1 where the
// header is absent and the whole body is JSON. A failure is an *api.Error, or what the Sink returned.
func (r *Request) Parse(body []byte, jsonLen int, sink Sink) error {
	r.Reset()
	text, tail := body, []byte(nil)
	if jsonLen >= 0 {
		if jsonLen > len(body) {
			return api.Errorf(api.CodeHeaderLengthInvalid,
				"Inference-Header-Content-Length is %d, but the body has only %d bytes", jsonLen, len(body))
		}
		text, tail = body[:jsonLen], body[jsonLen:]
	}
	r.p.b, r.p.sink = text, sink
	err := r.parseRequest()
	if err == nil {
		err = r.bindBinary(tail)
	}
	r.p.b, r.p.sink = nil, nil
	return err
}
