package rpc

import (
	"bytes"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pb "github.com/aimass/aimass/api/inferencepb"
)

func plainRequest() *pb.ModelInferRequest {
	return &pb.ModelInferRequest{ModelName: "m", ModelVersion: "3", Id: "7",
		Inputs: []*pb.ModelInferRequest_InferInputTensor{
			{Name: "a", Datatype: "FP32", Shape: []int64{1, 300}},
			{Name: "b", Datatype: "BYTES", Shape: []int64{-1, 0, 1 << 40}},
			{Name: "scalar", Datatype: "INT8"},
		},
		Outputs:          []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "y"}, {}},
		RawInputContents: [][]byte{bytes.Repeat([]byte{1, 2}, 300), {}, {9}}}
}

func encodeRequest(t testing.TB, m *pb.ModelInferRequest) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func seeds(t testing.TB) map[string][]byte {
	full := plainRequest()
	full.Parameters = map[string]*pb.InferParameter{"timeout": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: 5}}}
	typed := plainRequest()
	typed.Inputs[0].Contents = &pb.InferTensorContents{Fp32Contents: []float32{1}}
	asked := plainRequest()
	asked.Outputs[0].Parameters = full.Parameters
	plain := encodeRequest(t, plainRequest())
	unpacked := protowire.AppendVarint(protowire.AppendTag(nil, 3, protowire.VarintType), 8)
	return map[string][]byte{
		"plain": plain, "parameters": encodeRequest(t, full), "typed": encodeRequest(t, typed), "output parameters": encodeRequest(t, asked), "empty": {},
		"unpacked shape": append(bytes.Clone(plain), protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), unpacked)...),
		"twice":          append(bytes.Clone(plain), plain...),
		"bad text":       append(bytes.Clone(plain), 0x1a, 1, 0xff),
		"unknown field":  append(bytes.Clone(plain), 0x7a, 1, 'x'),
		"cut":            plain[:len(plain)-1],
		"varint name":    {0x08, 1},
		"no name":        {0x1a, 1, '7'},
	}
}

// check compares what is read with protobuf's own reading, on a request that held another before.
func check(t *testing.T, b []byte) (plain bool) {
	t.Helper()
	var r inferRequest
	if !r.read(encodeRequest(t, plainRequest())) {
		t.Fatal("the plain request is refused")
	}
	r.reset()
	plain = r.read(b)
	var want pb.ModelInferRequest
	if err := proto.Unmarshal(b, &want); err != nil {
		if plain {
			t.Fatalf("% x is read as %v, but: %v", b, &r.message, err)
		}
		return false
	}
	if plain && !proto.Equal(&r.message, &want) {
		t.Fatalf("% x is read as %v, want %v", b, &r.message, &want)
	}
	return plain
}

func TestReadsPlainRequests(t *testing.T) {
	for name, b := range seeds(t) {
		want := name == "plain" || name == "unpacked shape" || name == "twice"
		if got := check(t, b); got != want {
			t.Errorf("%s: plain is %v", name, got)
		}
	}
}

func FuzzReadRequest(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { check(t, b) })
}

// TestUnmarshalPieces: a message may come in many buffers, and what is not plain is read as protobuf does.
func TestUnmarshalPieces(t *testing.T) {
	c := newCodec()
	for name, b := range seeds(t) {
		var pieces mem.BufferSlice
		for rest := b; len(rest) > 0; {
			n := min(7, len(rest))
			pieces, rest = append(pieces, mem.SliceBuffer(rest[:n])), rest[n:]
		}
		r := requests.Get().(*inferRequest)
		err := c.Unmarshal(pieces, r)
		var want pb.ModelInferRequest
		if wrong := proto.Unmarshal(b, &want); (wrong == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", name, err, wrong)
		} else if err == nil && !proto.Equal(r.get(), &want) {
			t.Errorf("%s: %v, want %v", name, r.get(), &want)
		}
		r.free()
	}
}
