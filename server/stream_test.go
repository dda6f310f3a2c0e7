package server

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/aimass/aimass/api"
	pb "github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/repository/config"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/onnx/build"
)

// TestStreamKeepsManyInFlight: a model that runs when eight requests wait answers a stream that
// sends eight before it reads any, and the answers come in order.
func TestStreamKeepsManyInFlight(t *testing.T) {
	s, f := serve(t, Config{}, io.Discard)
	spec := f.pipe.Peek([]byte("simple"), nil).Spec
	spec.Model, spec.Batcher = "eight", batcher.Config{Delay: time.Minute, MaxRows: 8}.WithDefaults(1)
	if _, err := f.pipe.Attach(spec); err != nil {
		t.Fatal(err)
	}
	stream, err := pb.NewGRPCInferenceServiceClient(dial(t, s)).ModelStreamInfer(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	send := func(i int, model string) {
		t.Helper()
		r := simpleGRPC()
		r.ModelName, r.Id = model, fmt.Sprint(i)
		binary.LittleEndian.PutUint32(r.RawInputContents[0], uint32(1000*i))
		if err := stream.Send(r); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 8 {
		send(i, "eight")
	}
	send(8, "nope")
	send(9, "simple") // quick, and still answered in its turn
	for i := range 10 {
		r, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		got := r.InferResponse
		if got.Id != fmt.Sprint(i) || (i == 8) != strings.Contains(r.ErrorMessage, "unknown model") {
			t.Fatalf("answer %d: %v", i, r)
		}
		if i != 8 && binary.LittleEndian.Uint32(got.RawOutputContents[0]) != uint32(1000*i+100) {
			t.Errorf("answer %d belongs to another request", i)
		}
	}
	v := f.pipe.Peek([]byte("eight"), nil)
	if n := v.Stats.ExecutionCount.Load(); n != 1 {
		t.Errorf("%d executions of 8 requests", n)
	}
}

// TestStreamThatEndsEarly: a client that goes away takes its waiting requests with it.
func TestStreamThatEndsEarly(t *testing.T) {
	s, f := serve(t, Config{}, io.Discard)
	v := slow(t, f, "slowstream", false)
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := pb.NewGRPCInferenceServiceClient(dial(t, s)).ModelStreamInfer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		r := &pb.ModelInferRequest{ModelName: "slowstream", Inputs: []*pb.ModelInferRequest_InferInputTensor{{Name: "INPUT0", Datatype: "BYTES", Shape: []int64{1, 1},
			Contents: &pb.InferTensorContents{BytesContents: [][]byte{[]byte("a")}}}}}
		if err := stream.Send(r); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "five requests wait", func() bool { return v.Queue().Waiting.Load() == 5 })
	cancel()
	until(t, "they are gone", func() bool { return v.Queue().Waiting.Load() == 0 })
	if n := v.Queue().Executions.Load(); n != 0 {
		t.Errorf("%d ran", n)
	}
}

// TestStreamsThatVanishLeaveNothing: of clients that go away between two requests.
func TestStreamsThatVanishLeaveNothing(t *testing.T) {
	s, _ := serve(t, Config{}, io.Discard)
	g := pb.NewGRPCInferenceServiceClient(dial(t, s))
	open := func() int {
		b := make([]byte, 4<<20)
		return strings.Count(string(b[:goruntime.Stack(b, true)]), "ModelStreamInfer(")
	}
	ctx, cancel := context.WithCancel(context.Background())
	for range 50 {
		stream, err := g.ModelStreamInfer(ctx)
		if err == nil {
			err = stream.Send(simpleGRPC())
		}
		if err == nil {
			_, err = stream.Recv()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := open(); n != 50 {
		t.Fatalf("%d streams are open, not 50: the test shows nothing", n)
	}
	cancel()
	until(t, "all streams end", func() bool { return open() == 0 })
}

// attachSums serves a version of a model that keeps a sum, and tells whether what came was positive.
func attachSums(t *testing.T, f *fleet, version int64) *pipeline.Served {
	t.Helper()
	g := build.New("sums", 17)
	x := g.Input("x", build.Float, build.Sym("n"), build.Size(1))
	g.Output(g.OpAs("sum", "Add", []string{x, g.Input("state", build.Float, build.Sym("n"), build.Size(1))}), build.Float, build.Sym("n"), build.Size(1))
	g.Output(g.OpAs("next", "Identity", []string{"sum"}), build.Float, build.Sym("n"), build.Size(1))
	g.Output(g.OpAs("positive", "Greater", []string{x, g.Const("zero", []float32{0}, 1)}), build.Bool, build.Sym("n"), build.Size(1))
	b, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	m, err := runtime.NewEngine(runtime.Config{}).Read(b)
	if err != nil {
		t.Fatal(err)
	}
	file, err := config.Parse([]byte(`max_batch_size: 8 sequence_batching { max_sequence_idle_microseconds: 60000000 state { input_name: "state" output_name: "next" data_type: TYPE_FP32 dims: [ 1 ] } }`))
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := config.Resolve(config.Source{Model: "sums", File: file, Runtime: m})
	if err != nil {
		t.Fatal(err)
	}
	ports := func(list []config.Port) (out []pipeline.Port) {
		for _, p := range list {
			out = append(out, pipeline.Port{Name: p.Name, DType: p.DType, Shape: p.Shape, Hidden: p.Hidden})
		}
		return out
	}
	v, err := f.pipe.Attach(pipeline.Spec{Model: "sums", Version: version, Runtime: m, Inputs: ports(c.Inputs), Outputs: ports(c.Outputs), MaxBatch: 8, Config: c,
		Batcher: batcher.Config{}.WithDefaults(2)})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSequenceOverHTTP(t *testing.T) {
	s, f := serve(t, Config{}, io.Discard)
	attachSums(t, f, 1)
	for i, c := range []struct{ params, want string }{
		{`"sequence_id":7,"sequence_start":true`, `"data":[1]`}, {`"sequence_id":7`, `"data":[2]`}, {`"sequence_id":"7","sequence_start":true`, `"data":[1]`},
		{`"sequence_id":7,"sequence_end":true`, `"data":[3]`}, {`"sequence_id":7`, string(api.CodeSequenceNotStarted)}, {`"sequence_id":"8"`, string(api.CodeSequenceNotStarted)},
		{`"sequence_id":"7","sequence_start":true`, string(api.CodeSequenceInvalid)}, {`"priority":0`, string(api.CodeSequenceInvalid)},
		{`"sequence_id":-1`, string(api.CodeSequenceInvalid)}, {`"sequence_id":1.5`, string(api.CodeSequenceInvalid)}, {`"sequence_id":7,"sequence_start":1`, string(api.CodeSequenceInvalid)},
		{`"sequence_id":18446744073709551615,"sequence_start":true`, `"data":[1]`},
	} {
		a := ask(t, s, "POST", "/v2/models/sums/infer", `{"parameters":{`+c.params+`},"inputs":[{"name":"x","datatype":"FP32","shape":[1,1],"data":[1]}]}`)
		if !strings.Contains(a.body, c.want) {
			t.Errorf("request %d, %s: got %s", i, c.params, a.body)
		}
	}
	if a := ask(t, s, "GET", "/v2/models/sums", ""); strings.Contains(a.body, "state") || strings.Contains(a.body, "next") {
		t.Errorf("the state shows: %s", a.body)
	}
	a := ask(t, s, "POST", "/v2/models/sums/infer", `{"inputs":[{"name":"state","datatype":"FP32","shape":[1,1],"data":[1]}]}`)
	if !strings.Contains(a.body, string(api.CodeInputUnexpected)) {
		t.Errorf("a client gave the state: %s", a.body)
	}
}

// TestSequenceInAStream: requests of a sequence sent without waiting run in their order, those
// of others between them.
func TestSequenceInAStream(t *testing.T) {
	s, f := serve(t, Config{}, io.Discard)
	attachSums(t, f, 1)
	stream, err := pb.NewGRPCInferenceServiceClient(dial(t, s)).ModelStreamInfer(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	const steps, sequences = 20, 5
	flag := func(b bool) *pb.InferParameter {
		return &pb.InferParameter{ParameterChoice: &pb.InferParameter_BoolParam{BoolParam: b}}
	}
	go func() {
		for k := range steps {
			for id := range sequences {
				r := &pb.ModelInferRequest{ModelName: "sums", Inputs: []*pb.ModelInferRequest_InferInputTensor{{Name: "x", Datatype: "FP32", Shape: []int64{1, 1}}},
					RawInputContents: [][]byte{binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(k+id)))},
					Parameters: map[string]*pb.InferParameter{"sequence_id": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: int64(id + 1)}},
						"sequence_start": flag(k == 0), "sequence_end": flag(k == steps-1)}}
				if err := stream.Send(r); err != nil {
					t.Error(err)
				}
			}
		}
		stream.CloseSend()
	}()
	for k := range steps {
		for id := range sequences {
			r, err := stream.Recv()
			if err != nil || r.ErrorMessage != "" {
				t.Fatalf("%v %v", r, err)
			}
			want := float32(k*(k+1)/2 + (k+1)*id)
			if got := math.Float32frombits(binary.LittleEndian.Uint32(r.InferResponse.RawOutputContents[0])); got != want {
				t.Fatalf("sequence %d, step %d: got %v, want %v", id, k, got, want)
			}
		}
	}
}

// TestOpenStreamsEndWithTheServer: streams that clients leave open don't keep the server from stopping; what was sent
// before is answered.
func TestOpenStreamsEndWithTheServer(t *testing.T) {
	s, f := serve(t, Config{}, io.Discard)
	spec := f.pipe.Peek([]byte("simple"), nil).Spec
	spec.Model, spec.Batcher = "late", batcher.Config{Delay: 300 * time.Millisecond, MaxRows: 8}.WithDefaults(1)
	v, err := f.pipe.Attach(spec)
	if err != nil {
		t.Fatal(err)
	}
	conn := dial(t, s)
	client := pb.NewGRPCInferenceServiceClient(conn)
	watch, err := grpc_health_v1.NewHealthClient(conn).Watch(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	var streams []pb.GRPCInferenceService_ModelStreamInferClient
	for i := range 2 {
		stream, err := client.ModelStreamInfer(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, stream)
		r := simpleGRPC()
		if i == 1 {
			r.ModelName = "late"
		}
		if err := stream.Send(r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := streams[0].Recv(); err != nil {
		t.Fatal(err)
	}
	until(t, "a request waits", func() bool { return v.Queue().Waiting.Load() == 1 })
	began := time.Now()
	if err := s.drain(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("stopped after %v", took)
	}
	if r, err := streams[1].Recv(); err != nil || r.ErrorMessage != "" {
		t.Errorf("the request in flight: %v, %v", r, err)
	}
	for _, stream := range streams {
		if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
			t.Errorf("a stream ended with %v", err)
		}
	}
	for err == nil {
		_, err = watch.Recv()
	}
	if status.Code(err) != codes.Unavailable {
		t.Errorf("the health service's stream ended with %v", err)
	}
}

// TestSequencesStayWithTheirVersion: while a canary takes a share, and when another version is promoted, a sequence goes on
// where it began.
func TestSequencesStayWithTheirVersion(t *testing.T) {
	s, f := serve(t, Config{}, io.Discard)
	one, two := attachSums(t, f, 1), attachSums(t, f, 2)
	f.pipe.SetRules("sums", pipeline.Rules{Stable: 1, Canary: 2, CanaryShare: 0.5})
	client := pb.NewGRPCInferenceServiceClient(dial(t, s))
	began := map[int]string{}
	send := func(id int, params string, want int) {
		t.Helper()
		a := ask(t, s, "POST", "/v2/models/sums/infer", fmt.Sprintf(`{"parameters":{"sequence_id":%d%s},"inputs":[{"name":"x","datatype":"FP32","shape":[1,1],"data":[1]}]}`, id, params))
		_, version, _ := strings.Cut(a.body, `"model_version":`)
		version = version[:min(3, len(version))]
		if began[id] == "" {
			began[id] = version
		}
		if a.status != 200 || !strings.Contains(a.body, fmt.Sprintf(`"data":[%d]`, want)) || version != began[id] {
			t.Fatalf("sequence %d, which began on version %s: %s", id, began[id], a.body)
		}
	}
	const n = 16
	for id := 1; id <= n; id++ {
		send(id, `,"sequence_start":true`, 1)
	}
	if one.LiveSequences() == 0 || two.LiveSequences() == 0 {
		t.Fatalf("%d and %d sequences: the canary took none or all", one.LiveSequences(), two.LiveSequences())
	}
	for id := 1; id <= n; id++ {
		send(id, "", 2)
	}
	for id := 1; id <= n; id++ {
		a := ask(t, s, "POST", "/v2/models/sums/infer", fmt.Sprintf(`{"parameters":{"sequence_id":%d,"sequence_start":true},"inputs":[{"name":"x","datatype":"FP32","shape":[1,1],"data":[1]}]}`, id))
		if !strings.Contains(a.body, string(api.CodeSequenceInvalid)) {
			t.Errorf("started twice: %s", a.body)
		}
	}
	f.pipe.SetRules("sums", pipeline.Rules{Stable: 2})
	for id := 1; id <= n; id++ {
		r, err := client.ModelInfer(t.Context(), &pb.ModelInferRequest{ModelName: "sums", Inputs: []*pb.ModelInferRequest_InferInputTensor{{Name: "x", Datatype: "FP32", Shape: []int64{1, 1}}},
			RawInputContents: [][]byte{binary.LittleEndian.AppendUint32(nil, math.Float32bits(1))},
			Parameters:       map[string]*pb.InferParameter{"sequence_id": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: int64(id)}}}})
		if err != nil || r.ModelVersion != strings.Trim(began[id], `"`) {
			t.Fatalf("after the promotion: %v, %v", r, err)
		}
		send(id, `,"sequence_end":true`, 4)
	}
	f.pipe.Detach(one)
	send(n+1, `,"sequence_start":true`, 1)
	if one.LiveSequences() != 0 || two.LiveSequences() != 1 {
		t.Errorf("%d and %d sequences are left", one.LiveSequences(), two.LiveSequences())
	}
	a := ask(t, s, "POST", "/v2/models/sums/versions/2/infer", `{"parameters":{"sequence_id":1},"inputs":[{"name":"x","datatype":"FP32","shape":[1,1],"data":[1]}]}`)
	if !strings.Contains(a.body, string(api.CodeSequenceNotStarted)) {
		t.Errorf("a sequence that has ended: %s", a.body)
	}
}
