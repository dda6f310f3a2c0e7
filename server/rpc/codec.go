package rpc

import (
	"sync"
	"unicode/utf8"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that all other messages use
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/runtime/tensor"
	"github.com/aimass/aimass/server/wire"
)

// codec is the protobuf codec, but that inference requests are read where they arrived and their answers written once.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2("proto")} }

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if r, ok := v.(*inferAnswer); ok {
		return mem.BufferSlice{r.message}, nil
	}
	return c.CodecV2.Marshal(v)
}

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	r, ok := v.(*inferRequest)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	r.data = data.MaterializeToBuffer(mem.DefaultBufferPool())
	if r.read(r.data.ReadOnlyData()) {
		return nil
	}
	r.reset()
	r.whole = new(inferencepb.ModelInferRequest)
	return c.CodecV2.Unmarshal(data, r.whole)
}

// inferAnswer is an encoded ModelInferResponse.
type inferAnswer struct{ message mem.Buffer }

// inferRequest is a ModelInferRequest whose tensors lie in the message as it arrived. It is reused: free gives it back.
type inferRequest struct {
	message inferencepb.ModelInferRequest
	inputs  []*inferencepb.ModelInferRequest_InferInputTensor
	outputs []*inferencepb.ModelInferRequest_InferRequestedOutputTensor
	// whole, if not nil, is the message instead: it has parameters or typed contents.
	whole *inferencepb.ModelInferRequest
	data  mem.Buffer
}

var requests = sync.Pool{New: func() any { return new(inferRequest) }}

func (r *inferRequest) get() *inferencepb.ModelInferRequest {
	if r.whole != nil {
		return r.whole
	}
	return &r.message
}

func (r *inferRequest) reset() {
	m := &r.message
	clear(m.RawInputContents)
	m.Inputs, m.Outputs, m.RawInputContents = nil, nil, m.RawInputContents[:0]
	r.whole = nil
}

func (r *inferRequest) free() {
	r.reset()
	if r.data != nil {
		r.data.Free()
		r.data = nil
	}
	requests.Put(r)
}

// setString sets a string that is mostly the same from one request to the next.
func setString(to *string, from []byte) bool {
	if *to != string(from) {
		if !utf8.Valid(from) {
			return false
		}
		*to = string(from)
	}
	return true
}

// next takes the next field off a message. Only fields of bytes and numbers are ok; number is that of one.
func next(b []byte) (field protowire.Number, value []byte, number uint64, rest []byte, ok bool) {
	field, kind, n := protowire.ConsumeTag(b)
	if n < 0 {
		return 0, nil, 0, nil, false
	}
	b = b[n:]
	switch kind {
	case protowire.BytesType:
		value, n = protowire.ConsumeBytes(b)
	case protowire.VarintType:
		number, n = protowire.ConsumeVarint(b)
		field = -field
	default:
		return 0, nil, 0, nil, false
	}
	if n < 0 {
		return 0, nil, 0, nil, false
	}
	return field, value, number, b[n:], true
}

// read reads the message b, which must not change until r is freed. It reports false where b is malformed or has
// anything but names, types, shapes and raw contents.
func (r *inferRequest) read(b []byte) bool {
	m := &r.message
	var id, version []byte
	ins, outs := 0, 0
	named := false
	for len(b) > 0 {
		field, value, _, rest, ok := next(b)
		if !ok {
			return false
		}
		b = rest
		switch field {
		case 1:
			named = true
			ok = setString(&m.ModelName, value)
		case 2:
			version, ok = value, utf8.Valid(value)
		case 3:
			id, ok = value, utf8.Valid(value)
		case 5:
			if ins == len(r.inputs) {
				r.inputs = append(r.inputs, new(inferencepb.ModelInferRequest_InferInputTensor))
			}
			ok = readInput(r.inputs[ins], value)
			ins++
		case 6:
			if outs == len(r.outputs) {
				r.outputs = append(r.outputs, new(inferencepb.ModelInferRequest_InferRequestedOutputTensor))
			}
			ok = readOutput(r.outputs[outs], value)
			outs++
		case 7:
			m.RawInputContents = append(m.RawInputContents, value)
		default:
			ok = false
		}
		if !ok {
			return false
		}
	}
	m.Inputs, m.Outputs = r.inputs[:ins], r.outputs[:outs]
	return named && setString(&m.ModelVersion, version) && setString(&m.Id, id)
}

func readInput(in *inferencepb.ModelInferRequest_InferInputTensor, b []byte) bool {
	var name, datatype []byte
	in.Shape = in.Shape[:0]
	for len(b) > 0 {
		field, value, number, rest, ok := next(b)
		if !ok {
			return false
		}
		b = rest
		switch field {
		case 1:
			name, ok = value, utf8.Valid(value)
		case 2:
			datatype, ok = value, utf8.Valid(value)
		case 3: // packed
			for len(value) > 0 {
				d, n := protowire.ConsumeVarint(value)
				if n < 0 {
					return false
				}
				in.Shape, value = append(in.Shape, int64(d)), value[n:]
			}
		case -3:
			in.Shape = append(in.Shape, int64(number))
		default:
			ok = false
		}
		if !ok {
			return false
		}
	}
	return setString(&in.Name, name) && setString(&in.Datatype, datatype)
}

func readOutput(out *inferencepb.ModelInferRequest_InferRequestedOutputTensor, b []byte) bool {
	var name []byte
	for len(b) > 0 {
		field, value, _, rest, ok := next(b)
		if !ok || field != 1 || !utf8.Valid(value) {
			return false
		}
		name, b = value, rest
	}
	return setString(&out.Name, name)
}

// poolFrom is the size from which answers lie in pooled memory.
const poolFrom = 4096

// encode writes a ModelInferResponse of the call's results. raw_output_contents has an entry for every output, as clients
// index it by position.
func (c *call) encode(id string) (*inferAnswer, error) {
	for k := range c.results {
		if len(c.results[k].Params) > 0 {
			return c.encodeMessage(id)
		}
	}
	size := 64 + len(c.Served.Model) + len(id)
	for k := range c.results {
		out := &c.results[k]
		size += 64 + len(out.Name) + 10*len(out.Shape) + rawSize(out)
	}
	var p *[]byte
	if size >= poolFrom {
		p = mem.DefaultBufferPool().Get(size)
	} else {
		b := make([]byte, size)
		p = &b
	}
	b := appendString((*p)[:0], 1, c.Served.Model)
	b = appendString(b, 2, c.Served.VersionText)
	if id != "" {
		b = appendString(b, 3, id)
	}
	for k := range c.results {
		b = appendOutput(b, &c.results[k])
	}
	for k := range c.results {
		out := &c.results[k]
		b = protowire.AppendTag(b, 6, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(rawSize(out)))
		var err error
		if b, err = appendRaw(b, out); err != nil {
			return nil, err
		}
	}
	*p = b
	return &inferAnswer{mem.NewBuffer(p, mem.DefaultBufferPool())}, nil
}

// encodeMessage is encode by way of the message, for results with parameters.
func (c *call) encodeMessage(id string) (*inferAnswer, error) {
	resp, err := c.respond(&inferencepb.ModelInferRequest{Id: id})
	if err != nil {
		return nil, err
	}
	b, err := proto.Marshal(resp)
	if err != nil {
		return nil, err
	}
	return &inferAnswer{mem.SliceBuffer(b)}, nil
}

// appendOutput appends the member that describes an output.
func appendOutput(b []byte, out *wire.Result) []byte {
	dims := 0
	for _, d := range out.Shape {
		dims += protowire.SizeVarint(uint64(d))
	}
	datatype := out.DType.V2()
	n := 2 + protowire.SizeBytes(len(out.Name)) + protowire.SizeBytes(len(datatype))
	if dims > 0 {
		n += 1 + protowire.SizeBytes(dims)
	}
	b = protowire.AppendTag(b, 5, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(n))
	b = appendString(b, 1, out.Name)
	b = appendString(b, 2, datatype)
	if dims > 0 {
		b = protowire.AppendTag(b, 3, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(dims))
		for _, d := range out.Shape {
			b = protowire.AppendVarint(b, uint64(d))
		}
	}
	return b
}

func appendString(b []byte, field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

// rawSize is the length of what appendRaw appends.
func rawSize(out *wire.Result) int {
	if out.DType == tensor.String {
		return wire.BytesSize(out.Strings)
	}
	return len(out.Data)
}

// appendRaw appends an output's elements as bytes.
func appendRaw(b []byte, out *wire.Result) ([]byte, error) {
	if out.DType == tensor.String {
		return wire.AppendBytes(b, out.Strings)
	}
	return append(b, out.Data...), nil
}
