package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/aimass/aimass/api"
	pb "github.com/aimass/aimass/api/inferencepb"
)

func dial(t testing.TB, s *Server) *grpc.ClientConn {
	t.Helper()
	c, err := grpc.NewClient(s.grpcL.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func int32s(v ...int32) []byte {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, uint32(x))
	}
	return b
}

func simpleGRPC() *pb.ModelInferRequest {
	a, b := make([]int32, 16), make([]int32, 16)
	for i := range a {
		a[i], b[i] = int32(i), 100
	}
	in := func(name string) *pb.ModelInferRequest_InferInputTensor {
		return &pb.ModelInferRequest_InferInputTensor{Name: name, Datatype: "INT32", Shape: []int64{1, 16}}
	}
	return &pb.ModelInferRequest{ModelName: "simple", Id: "7", Inputs: []*pb.ModelInferRequest_InferInputTensor{in("INPUT0"), in("INPUT1")},
		RawInputContents: [][]byte{int32s(a...), int32s(b...)}}
}

func TestGRPCInfer(t *testing.T) {
	s, _ := serve(t, Config{}, io.Discard)
	c := pb.NewGRPCInferenceServiceClient(dial(t, s))
	ctx := context.Background()
	check := func(what string, r *pb.ModelInferResponse, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		if r.Id != "7" || r.ModelName != "simple" || r.ModelVersion != "3" || len(r.Outputs) != 2 || r.Outputs[1].Name != "OUTPUT1" ||
			r.Outputs[0].Datatype != "INT32" || !slices.Equal(r.Outputs[0].Shape, []int64{1, 16}) || len(r.RawOutputContents) != 2 ||
			binary.LittleEndian.Uint32(r.RawOutputContents[0][4*5:]) != 105 || int32(binary.LittleEndian.Uint32(r.RawOutputContents[1][4*5:])) != -95 {
			t.Errorf("%s: %v", what, r)
		}
	}
	r, err := c.ModelInfer(ctx, simpleGRPC())
	check("raw", r, err)
	for _, name := range []string{gzip.Name, "deflate"} {
		r, err = c.ModelInfer(ctx, simpleGRPC(), grpc.UseCompressor(name))
		check(name, r, err)
	}
	typed := simpleGRPC()
	typed.RawInputContents = nil
	for k, in := range typed.Inputs {
		in.Contents = &pb.InferTensorContents{}
		for i := range int32(16) {
			v := i
			if k == 1 {
				v = 100
			}
			in.Contents.IntContents = append(in.Contents.IntContents, v)
		}
	}
	r, err = c.ModelInfer(ctx, typed)
	check("typed", r, err)

	strs := &pb.ModelInferRequest{ModelName: "strings", Inputs: []*pb.ModelInferRequest_InferInputTensor{{Name: "INPUT0", Datatype: "BYTES", Shape: []int64{1, 2},
		Contents: &pb.InferTensorContents{BytesContents: [][]byte{{0xff}, {}}}}}}
	for range 2 {
		if r, err = c.ModelInfer(ctx, strs); err != nil || string(r.RawOutputContents[0]) != "\x01\x00\x00\x00\xff\x00\x00\x00\x00" {
			t.Errorf("strings: %v %v", r, err)
		}
	}
	classes := simpleGRPC()
	classes.Outputs = []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "OUTPUT0", Parameters: map[string]*pb.InferParameter{
		"classification": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: 1}}}}}
	if r, err = c.ModelInfer(ctx, classes); err != nil || string(r.RawOutputContents[0]) != "\x06\x00\x00\x00115:15" {
		t.Errorf("classification: %v %v", r, err)
	}
}

func TestGRPCRefusals(t *testing.T) {
	var log safeBuffer
	s, _ := serve(t, Config{}, &log)
	c := pb.NewGRPCInferenceServiceClient(dial(t, s))
	f := func(change func(r *pb.ModelInferRequest), code api.Code, text string) {
		t.Helper()
		r := simpleGRPC()
		change(r)
		var trailer metadata.MD
		_, err := c.ModelInfer(context.Background(), r, grpc.Trailer(&trailer))
		if status.Code(err) != code.GRPCStatus() || !strings.Contains(err.Error(), "[request id: 7] ") || !strings.Contains(err.Error(), text) ||
			!slices.Equal(trailer.Get("aimass-code"), []string{string(code)}) {
			t.Errorf("got %v (%v), want %s %q", err, trailer, code, text)
		}
	}
	f(func(r *pb.ModelInferRequest) { r.ModelName = "nope" }, api.CodeModelNotFound, "Request for unknown model: 'nope' is not found")
	f(func(r *pb.ModelInferRequest) { r.ModelVersion = "-1" }, api.CodeVersionInvalid, "")
	f(func(r *pb.ModelInferRequest) { r.Inputs, r.RawInputContents = r.Inputs[:1], r.RawInputContents[:1] }, api.CodeInputMissing, "missing required input(s) ['INPUT1']")
	f(func(r *pb.ModelInferRequest) { r.RawInputContents = r.RawInputContents[:1] }, api.CodeSizeMismatch, "expected 2 raw input contents")
	f(func(r *pb.ModelInferRequest) { r.RawInputContents[1] = make([]byte, 63) }, api.CodeSizeMismatch, "input byte size mismatch for input 'INPUT1' for model 'simple'. Expected 64, got 63")
	f(func(r *pb.ModelInferRequest) { r.Inputs[0].Shape[1] = -1 }, api.CodeShapeInvalid, "")
	f(func(r *pb.ModelInferRequest) { r.Inputs[0].Shape = []int64{math.MaxInt64, 16} }, api.CodeShapeInvalid, "")
	f(func(r *pb.ModelInferRequest) { r.Inputs[0].Shape = []int64{1, 8} }, api.CodeShapeMismatch, "Expected [-1,16], got [1,8]")
	f(func(r *pb.ModelInferRequest) { r.Inputs[0].Datatype = "FP32" }, api.CodeDtypeMismatch, "INT32")
	f(func(r *pb.ModelInferRequest) { r.Inputs[0].Datatype = "X" }, api.CodeDtypeMismatch, "unknown datatype 'X'")
	f(func(r *pb.ModelInferRequest) { r.Inputs[1].Name = "INPUT0" }, api.CodeInputDuplicate, "INPUT0")
	f(func(r *pb.ModelInferRequest) { r.Inputs[1].Name = "Z" }, api.CodeInputUnexpected, "unexpected inference input 'Z' for model 'simple'")
	f(func(r *pb.ModelInferRequest) { r.Inputs[0].Contents = &pb.InferTensorContents{} }, api.CodeParameterInvalid, "contents")
	f(func(r *pb.ModelInferRequest) { r.RawInputContents = nil }, api.CodeSizeMismatch, "got 0 elements in the contents field")
	f(func(r *pb.ModelInferRequest) { r.Parameters = map[string]*pb.InferParameter{"x": {}} }, api.CodeParameterInvalid, "'x'")
	shm := map[string]*pb.InferParameter{"shared_memory_region": {ParameterChoice: &pb.InferParameter_StringParam{StringParam: "r"}},
		"shared_memory_byte_size": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: 64}}}
	f(func(r *pb.ModelInferRequest) { r.Inputs[0].Parameters = shm }, api.CodeParameterInvalid, "has contents")
	f(func(r *pb.ModelInferRequest) { r.Inputs[0].Parameters, r.RawInputContents[0] = shm, nil }, api.CodeUnsupported, "shared memory")
	f(func(r *pb.ModelInferRequest) {
		r.Outputs = []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "OUTPUT0", Parameters: shm}}
	}, api.CodeUnsupported, "shared memory")
	f(func(r *pb.ModelInferRequest) {
		r.Outputs = []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "OUTPUT0"}, {Name: "OUTPUT0"}}
	}, api.CodeOutputUnexpected, "twice")
	_, err := c.SystemSharedMemoryStatus(context.Background(), &pb.SystemSharedMemoryStatusRequest{})
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("shared memory: %v", err)
	}
	if !strings.Contains(log.String(), "protocol=grpc") || !strings.Contains(log.String(), "code=input_missing") {
		t.Error("refusals are not in the log")
	}
}

func TestGRPCNarrowContents(t *testing.T) {
	s, _ := serve(t, Config{}, io.Discard)
	c := pb.NewGRPCInferenceServiceClient(dial(t, s))
	r := simpleGRPC()
	r.RawInputContents = nil
	for _, in := range r.Inputs {
		in.Datatype, in.Contents = "INT8", &pb.InferTensorContents{IntContents: make([]int32, 16)}
	}
	if _, err := c.ModelInfer(context.Background(), r); !strings.Contains(err.Error(), "expected datatype INT32") {
		t.Errorf("got %v", err)
	}
}

func TestGRPCStream(t *testing.T) {
	s, _ := serve(t, Config{}, io.Discard)
	c := pb.NewGRPCInferenceServiceClient(dial(t, s))
	stream, err := c.ModelStreamInfer(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		r := simpleGRPC()
		if i%3 == 1 {
			r.ModelName = "nope"
		}
		if err := stream.Send(r); err != nil {
			t.Fatal(err)
		}
	}
	stream.CloseSend()
	for i := range 10 {
		r, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if bad := i%3 == 1; bad != strings.Contains(r.ErrorMessage, "[request id: 7] Request for unknown model: 'nope'") || r.InferResponse.Id != "7" ||
			!bad && len(r.InferResponse.RawOutputContents) != 2 || !r.InferResponse.Parameters["triton_final_response"].GetBoolParam() {
			t.Errorf("response %d: %v", i, r)
		}
	}
	if _, err := stream.Recv(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestGRPCControl(t *testing.T) {
	s, fl := serve(t, Config{}, io.Discard)
	conn := dial(t, s)
	c := pb.NewGRPCInferenceServiceClient(conn)
	ctx := context.Background()
	health := grpc_health_v1.NewHealthClient(conn)
	state := func() grpc_health_v1.HealthCheckResponse_ServingStatus {
		r, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "inference.GRPCInferenceService"})
		if err != nil {
			t.Fatal(err)
		}
		return r.Status
	}
	if state() != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Error("not serving")
	}
	if r, err := c.ServerReady(ctx, &pb.ServerReadyRequest{}); err != nil || !r.Ready {
		t.Errorf("%v %v", r, err)
	}
	fl.mu.Lock()
	fl.notYet = true
	fl.mu.Unlock()
	for end := time.Now().Add(5 * time.Second); state() == grpc_health_v1.HealthCheckResponse_SERVING; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("health does not follow readiness")
		}
	}
	if r, err := c.ServerLive(ctx, &pb.ServerLiveRequest{}); err != nil || !r.Live {
		t.Errorf("%v %v", r, err)
	}
	for name, want := range map[string]bool{"simple": true, "slow": false, "nope": false} {
		if r, err := c.ModelReady(ctx, &pb.ModelReadyRequest{Name: name}); err != nil || r.Ready != want {
			t.Errorf("%s ready: %v %v", name, r, err)
		}
	}
	if r, err := c.ModelMetadata(ctx, &pb.ModelMetadataRequest{Name: "simple"}); err != nil || len(r.Inputs) != 2 || len(r.Versions) != 2 {
		t.Errorf("%v %v", r, err)
	}
	if r, err := c.ModelConfig(ctx, &pb.ModelConfigRequest{Name: "simple"}); err != nil || r.Config.MaxBatchSize != 8 {
		t.Errorf("%v %v", r, err)
	}
	if r, err := c.ModelStatistics(ctx, &pb.ModelStatisticsRequest{}); err != nil || len(r.ModelStats) != 5 {
		t.Errorf("%v %v", r, err)
	}
	if r, err := c.RepositoryIndex(ctx, &pb.RepositoryIndexRequest{}); err != nil || len(r.Models) != 6 {
		t.Errorf("%v %v", r, err)
	}
	if _, err := c.RepositoryModelLoad(ctx, &pb.RepositoryModelLoadRequest{ModelName: "a"}); err != nil {
		t.Error(err)
	}
	if _, err := c.RepositoryModelUnload(ctx, &pb.RepositoryModelUnloadRequest{ModelName: "a"}); err != nil {
		t.Error(err)
	}
	if _, err := c.RepositoryModelLoad(ctx, &pb.RepositoryModelLoadRequest{ModelName: "../a"}); status.Code(err) != codes.InvalidArgument {
		t.Error(err)
	}
	if got := strings.Join(fl.loads, "; "); got != `a "" 0; -a false` {
		t.Errorf("the repository saw %s", got)
	}
	if r, err := c.TraceSetting(ctx, &pb.TraceSettingRequest{}); err != nil || len(r.Settings) != 6 {
		t.Errorf("%v %v", r, err)
	}
	if r, err := c.LogSettings(ctx, &pb.LogSettingsRequest{}); err != nil || len(r.Settings) != 6 {
		t.Errorf("%v %v", r, err)
	}
}

// TestGRPCAnswersBelongToRequests sends messages of one buffer and of many at once: each has its own answer.
func TestGRPCAnswersBelongToRequests(t *testing.T) {
	s, _ := serve(t, Config{}, io.Discard)
	client := pb.NewGRPCInferenceServiceClient(dial(t, s))
	var wg sync.WaitGroup
	for k := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 25 {
				n := []int{1, 100, 5000, 300_000}[(k+i)%4]
				raw := make([]byte, 0, 4*n)
				for e := range n {
					raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(k*1000+i)+float32(e)/1e6))
				}
				r, err := client.ModelInfer(context.Background(), &pb.ModelInferRequest{ModelName: "floats", Id: fmt.Sprint(k, i),
					Inputs:           []*pb.ModelInferRequest_InferInputTensor{{Name: "INPUT0", Datatype: "FP32", Shape: []int64{1, int64(n)}}},
					RawInputContents: [][]byte{raw}})
				if err != nil {
					t.Error(err)
					return
				}
				if r.Id != fmt.Sprint(k, i) || r.ModelName != "floats" || r.ModelVersion != "1" || len(r.Outputs) != 1 || len(r.RawOutputContents) != 1 ||
					!slices.Equal(r.Outputs[0].Shape, []int64{1, int64(n)}) || r.Outputs[0].Name != "OUTPUT0" || r.Outputs[0].Datatype != "FP32" ||
					!bytes.Equal(r.RawOutputContents[0], raw) {
					t.Errorf("request %d of %d: %d values answered by %d bytes, %v", i, k, n, len(r.RawOutputContents[0]), r.Outputs)
					return
				}
			}
		}()
	}
	wg.Wait()
}
