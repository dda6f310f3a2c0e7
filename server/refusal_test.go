package server

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/aimass/aimass/api"
	pb "github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/onnx/build"
)

// serveRefusing serves the models "table", rows of a table of three by their indices, and "pair", the sum of two lengths
// that the model leaves open.
func serveRefusing(t *testing.T) *Server {
	s, f := serve(t, Config{}, io.Discard)
	engine := runtime.NewEngine(runtime.Config{})
	attach := func(g *build.Graph) {
		t.Helper()
		b, err := g.Encode()
		if err != nil {
			t.Fatal(err)
		}
		m, err := engine.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		one := batcher.Config{Instances: 1}.WithDefaults(1)
		if _, err := f.pipe.Attach(pipeline.Spec{Model: g.Name, Version: 1, Runtime: m, MaxBatch: 8, Batcher: one}); err != nil {
			t.Fatal(err)
		}
	}
	table := build.New("table", 17)
	rows := table.Const("rows", []float32{10, 11, 20, 21, 30, 31}, 3, 2)
	table.OpAs("vector", "Gather", []string{rows, table.Input("index", build.Int64, build.Sym("N"))})
	table.Output("vector", build.Float, build.Sym("N"), build.Size(2))
	attach(table)
	pair := build.New("pair", 17)
	a, b := pair.Input("a", build.Float, build.Sym("N"), build.Sym("K")), pair.Input("b", build.Float, build.Sym("N"), build.Sym("L"))
	pair.OpAs("sum", "Add", []string{a, b})
	pair.Output("sum", build.Float, build.Sym("N"), build.Sym("K"))
	attach(pair)
	return s
}

// TestValuesThatANodeRefuses: what passes the checks of types and shapes and a node can't compute with is a bad request, not
// a failure of the server, in HTTP and gRPC.
func TestValuesThatANodeRefuses(t *testing.T) {
	s := serveRefusing(t)
	for _, c := range []struct {
		model, inputs string
		code          api.Code
		text          string
	}{
		{"table", `{"name":"index","datatype":"INT64","shape":[2],"data":[0,3]}`, api.CodeValueInvalid, "model 'table' can't compute with these inputs: node"},
		{"pair", `{"name":"a","datatype":"FP32","shape":[1,2],"data":[1,2]},{"name":"b","datatype":"FP32","shape":[1,3],"data":[1,2,3]}`,
			api.CodeShapeMismatch, "model 'pair' can't compute with inputs of these shapes: node"},
	} {
		a := ask(t, s, "POST", "/v2/models/"+c.model+"/infer", `{"inputs":[`+c.inputs+`]}`)
		if a.status != 400 || !strings.Contains(a.body, `"code":"`+string(c.code)+`"`) || !strings.Contains(a.body, c.text) {
			t.Errorf("%s: %d %s", c.model, a.status, a.body)
		}
	}
	r := &pb.ModelInferRequest{ModelName: "table", Inputs: []*pb.ModelInferRequest_InferInputTensor{{Name: "index", Datatype: "INT64", Shape: []int64{1}}},
		RawInputContents: [][]byte{binary.LittleEndian.AppendUint64(nil, 3)}}
	var trailer metadata.MD
	_, err := pb.NewGRPCInferenceServiceClient(dial(t, s)).ModelInfer(context.Background(), r, grpc.Trailer(&trailer))
	if status.Code(err) != api.CodeValueInvalid.GRPCStatus() || !slices.Equal(trailer.Get("aimass-code"), []string{string(api.CodeValueInvalid)}) {
		t.Errorf("gRPC: %v %v", err, trailer)
	}
}

// TestValuesRefusedInABatch: of requests that run together, those that a node refuses fail alone.
func TestValuesRefusedInABatch(t *testing.T) {
	s := serveRefusing(t)
	var all sync.WaitGroup
	for k := range 16 {
		all.Go(func() {
			for n := range 50 {
				index, status, want := n%3, 200, fmt.Sprintf(`"data":[%d,%d]`, n%3*10+10, n%3*10+11)
				if (n+k)%5 == 0 {
					index, status, want = 3+n, 400, `"code":"value_invalid"`
				}
				a := ask(t, s, "POST", "/v2/models/table/infer", fmt.Sprintf(`{"inputs":[{"name":"index","datatype":"INT64","shape":[1],"data":[%d]}]}`, index))
				if a.status != status || !strings.Contains(a.body, want) {
					t.Errorf("index %d: %d %s", index, a.status, a.body)
				}
			}
		})
	}
	all.Wait()
}
