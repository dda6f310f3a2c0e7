package server

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/aimass/aimass/api"
	pb "github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/server/service"
	"github.com/aimass/aimass/server/shm"
)

// serveShared starts a server that takes shared memory out of a folder of the test's.
func serveShared(t testing.TB) (*Server, *fleet, string) {
	t.Helper()
	dir := t.TempDir()
	s, f := serve(t, Config{Service: service.Config{SharedMemory: shm.Config{Allow: true, Dir: dir}}}, io.Discard)
	file := filepath.Join(dir, "work")
	if err := os.WriteFile(file, make([]byte, 512), 0o600); err != nil {
		t.Fatal(err)
	}
	return s, f, file
}

func poke(t testing.TB, file string, at int64, b []byte) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt(b, at)
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestSharedMemoryHTTP(t *testing.T) {
	s, _, file := serveShared(t)
	expect := func(method, path, body, want string, headers ...string) {
		t.Helper()
		a := ask(t, s, method, path, body, headers...)
		if !strings.Contains(a.body, want) {
			t.Errorf("%s %s %.80s: got %d %s, want %s", method, path, body, a.status, a.body, want)
		}
		if strings.Contains(a.body, filepath.Dir(file)) {
			t.Errorf("the answer tells where the memory lies: %s", a.body)
		}
	}
	base := "/v2/systemsharedmemory/"
	expect("POST", base+"region/in/register", `{"key":"/work","offset":0,"byte_size":128}`, `{}`)
	expect("POST", base+"region/out/register", `{"key":"/work","offset":256,"byte_size":200}`, `{}`)
	expect("POST", base+"region/in/register", `{"key":"/work","offset":0,"byte_size":128}`, string(api.CodeSharedMemoryExists))
	expect("POST", base+"region/x/register", `{"key":"/work"}`, string(api.CodeFieldMissing))
	expect("POST", base+"region/x/register", `{"key":"/work","offset":-1,"byte_size":8}`, string(api.CodeInvalidJSON))
	expect("POST", base+"region/x/register", `{"key":"/none","byte_size":8}`, string(api.CodeSharedMemoryUnknown))
	expect("POST", base+"register", `{}`, string(api.CodePathNotFound))
	expect("GET", base+"region/in/status", "", `[{"name":"in","key":"/work","offset":0,"byte_size":128}]`)
	expect("GET", base+"status", "", `"name":"out"`)
	expect("GET", base+"status", "", `[]`, "X-Aimass-Tenant: other")
	expect("GET", base+"region/none/status", "", string(api.CodeSharedMemoryUnknown))
	expect("GET", "/v2", "", `"system_shared_memory"`)

	row := make([]int32, 16)
	for i := range row {
		row[i] = int32(i)
	}
	poke(t, file, 0, int32s(row...))
	poke(t, file, 64, int32s(row...))
	in := func(name string, offset, size int) string {
		return fmt.Sprintf(`{"name":%q,"datatype":"INT32","shape":[1,16],"parameters":{"shared_memory_region":"in","shared_memory_offset":%d,"shared_memory_byte_size":%d}}`, name, offset, size)
	}
	request := func(a, b, outputs string) string { return `{"inputs":[` + a + `,` + b + `]` + outputs + `}` }
	out := func(size int) string {
		return fmt.Sprintf(`,"outputs":[{"name":"OUTPUT0","parameters":{"shared_memory_region":"out","shared_memory_offset":8,"shared_memory_byte_size":%d}},{"name":"OUTPUT1"}]`, size)
	}
	for round := range 3 {
		poke(t, file, 0, int32s(int32(round)))
		a := ask(t, s, "POST", "/v2/models/simple/infer", request(in("INPUT0", 0, 64), in("INPUT1", 64, 64), out(64)))
		want := `"outputs":[{"name":"OUTPUT0","datatype":"INT32","shape":[1,16],"parameters":{"shared_memory_region":"out","shared_memory_byte_size":64,"shared_memory_offset":8}},` +
			fmt.Sprintf(`{"name":"OUTPUT1","datatype":"INT32","shape":[1,16],"data":[%d,0,`, round)
		if a.status != 200 || !strings.Contains(a.body, want) {
			t.Fatalf("got %d %s", a.status, a.body)
		}
		b, err := os.ReadFile(file)
		if err != nil || binary.LittleEndian.Uint32(b[264:]) != uint32(round) || binary.LittleEndian.Uint32(b[268:]) != 2 {
			t.Errorf("the region holds % x, %v", b[264:272], err)
		}
	}
	infer := "/v2/models/simple/infer"
	expect("POST", infer, request(in("INPUT0", 0, 60), in("INPUT1", 64, 64), ""), "Expected 64, got 60")
	expect("POST", infer, request(in("INPUT0", 65, 64), in("INPUT1", 65, 64), ""), string(api.CodeSharedMemoryRange))
	expect("POST", infer, request(in("INPUT0", 0, 64), in("INPUT1", 64, 64), out(63)), "at least 64 bytes")
	expect("POST", infer, request(in("INPUT0", 0, 64), in("INPUT1", 64, 64), out(300)), string(api.CodeSharedMemoryRange))
	expect("POST", infer, request(in("INPUT0", 0, 64), in("INPUT1", 64, 64), ""), string(api.CodeSharedMemoryUnknown), "X-Aimass-Tenant: other")
	// Whatever failed gave its references back.
	expect("POST", base+"unregister", "", `{}`)
	expect("GET", base+"status", "", `[]`)
}

// TestSharedMemoryInUse: a region that a request waits to write to stays.
func TestSharedMemoryInUse(t *testing.T) {
	s, f, _ := serveShared(t)
	v := slow(t, f, "slowshared", false)
	c := pb.NewGRPCInferenceServiceClient(dial(t, s))
	ctx, cancel := context.WithCancel(context.Background())
	if _, err := c.SystemSharedMemoryRegister(ctx, &pb.SystemSharedMemoryRegisterRequest{Name: "r", Key: "/work", ByteSize: 100}); err != nil {
		t.Fatal(err)
	}
	place := map[string]*pb.InferParameter{"shared_memory_region": {ParameterChoice: &pb.InferParameter_StringParam{StringParam: "r"}},
		"shared_memory_byte_size": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: 64}}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = c.ModelInfer(ctx, &pb.ModelInferRequest{ModelName: "slowshared", Inputs: []*pb.ModelInferRequest_InferInputTensor{{Name: "INPUT0", Datatype: "BYTES", Shape: []int64{1, 1},
			Contents: &pb.InferTensorContents{BytesContents: [][]byte{[]byte("a")}}}}, Outputs: []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "OUTPUT0", Parameters: place}}})
	}()
	until(t, "the request waits", func() bool { return v.Queue().Waiting.Load() == 1 })
	var trailer metadata.MD
	_, err := c.SystemSharedMemoryUnregister(context.Background(), &pb.SystemSharedMemoryUnregisterRequest{Name: "r"})
	if err == nil || !strings.Contains(err.Error(), "used by 1 requests") {
		t.Errorf("unregister in use: %v %v", err, trailer)
	}
	cancel()
	<-done
	until(t, "the region is free", func() bool {
		_, err := c.SystemSharedMemoryUnregister(context.Background(), &pb.SystemSharedMemoryUnregisterRequest{Name: "r"})
		return err == nil
	})
}

func TestSharedMemoryGRPC(t *testing.T) {
	s, _, file := serveShared(t)
	c := pb.NewGRPCInferenceServiceClient(dial(t, s))
	ctx := context.Background()
	if _, err := c.SystemSharedMemoryRegister(ctx, &pb.SystemSharedMemoryRegisterRequest{Name: "r", Key: "/work", ByteSize: 512}); err != nil {
		t.Fatal(err)
	}
	r := simpleGRPC()
	poke(t, file, 0, r.RawInputContents[0])
	place := func(offset int64) map[string]*pb.InferParameter {
		return map[string]*pb.InferParameter{"shared_memory_region": {ParameterChoice: &pb.InferParameter_StringParam{StringParam: "r"}},
			"shared_memory_byte_size": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: 64}}, "shared_memory_offset": {ParameterChoice: &pb.InferParameter_Int64Param{Int64Param: offset}}}
	}
	r.Inputs[0].Parameters, r.RawInputContents[0] = place(0), nil
	r.Outputs = []*pb.ModelInferRequest_InferRequestedOutputTensor{{Name: "OUTPUT1"}, {Name: "OUTPUT0", Parameters: place(128)}}
	got, err := c.ModelInfer(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.RawOutputContents) != 2 || len(got.RawOutputContents[0]) != 64 || len(got.RawOutputContents[1]) != 0 ||
		got.Outputs[1].Parameters["shared_memory_region"].GetStringParam() != "r" || got.Outputs[1].Parameters["shared_memory_byte_size"].GetInt64Param() != 64 {
		t.Errorf("got %v", got)
	}
	b, err := os.ReadFile(file)
	if err != nil || binary.LittleEndian.Uint32(b[128+4*3:]) != 103 {
		t.Errorf("the region holds % x, %v", b[128:144], err)
	}
	st, err := c.SystemSharedMemoryStatus(ctx, &pb.SystemSharedMemoryStatusRequest{})
	if err != nil || len(st.Regions) != 1 || st.Regions["r"].ByteSize != 512 {
		t.Errorf("%v %v", st, err)
	}
	if m, err := c.ServerMetadata(ctx, &pb.ServerMetadataRequest{}); err != nil || !slices.Contains(m.Extensions, "system_shared_memory") {
		t.Errorf("%v %v", m, err)
	}
}

// TestAnswersThatASequenceCantHave: an answer that has no room moves no state; one that can't be made says that the state has moved.
func TestAnswersThatASequenceCantHave(t *testing.T) {
	s, f, _ := serveShared(t)
	attachSums(t, f, 1)
	expect := func(path, body, want string, without ...string) {
		t.Helper()
		a := ask(t, s, "POST", path, body)
		if !strings.Contains(a.body, want) {
			t.Errorf("%s: got %d %s, want %s", body, a.status, a.body, want)
		}
		for _, w := range without {
			if strings.Contains(a.body, w) {
				t.Errorf("%s: got %d %s, with %s", body, a.status, a.body, w)
			}
		}
	}
	send := func(x int, flags, outputs, want string, without ...string) {
		t.Helper()
		expect("/v2/models/sums/infer", fmt.Sprintf(`{"parameters":{"sequence_id":5%s},"inputs":[{"name":"x","datatype":"FP32","shape":[1,1],
			"data":[%d]}],"outputs":[%s]}`, flags, x, outputs), want, without...)
	}
	expect("/v2/systemsharedmemory/region/out/register", `{"key":"/work","offset":0,"byte_size":128}`, `{}`)
	const moved = "the state of sequence 5 has moved on"
	place := func(output string, size int) string {
		return fmt.Sprintf(`{"name":%q,"parameters":{"shared_memory_region":"out","shared_memory_byte_size":%d}}`, output, size)
	}
	sum := `{"name":"sum"}`
	send(1, `,"sequence_start":true`, sum, `"data":[1]`)
	send(10, "", place("sum", 3), "(3 bytes) should be at least 4 bytes", moved)
	send(2, "", place("sum", 4), `"shared_memory_byte_size":4`)
	send(4, "", sum, `"data":[7]`)
	send(8, "", `{"name":"positive","parameters":{"classification":1}}`, moved)
	send(16, "", sum, `"data":[31]`)
	send(1, `,"sequence_end":true`, sum, `"data":[32]`)
}

// FuzzSharedMemory throws control and inference calls at the extension.
func FuzzSharedMemory(f *testing.F) {
	s, _, _ := serveShared(f)
	f.Add("region/r/register", `{"key":"/work","offset":0,"byte_size":64}`, uint64(0), uint64(64))
	f.Add("unregister", ``, uint64(1), uint64(2))
	f.Add("region/r/unregister", `{}`, uint64(1)<<63, uint64(1)<<63)
	f.Fuzz(func(t *testing.T, path, body string, offset, size uint64) {
		for _, c := range path {
			if c <= ' ' || c > '~' || c == '%' || c == '?' || c == '#' {
				t.Skip()
			}
		}
		a := ask(t, s, "POST", "/v2/systemsharedmemory/"+path, body)
		if a.status >= 500 && a.status != 503 {
			t.Errorf("%d %s", a.status, a.body)
		}
		place := fmt.Sprintf(`"parameters":{"shared_memory_region":"r","shared_memory_offset":%d,"shared_memory_byte_size":%d}`, offset, size)
		a = ask(t, s, "POST", "/v2/models/simple/infer", `{"inputs":[{"name":"INPUT0","datatype":"INT32","shape":[1,16],`+place+`},{"name":"INPUT1","datatype":"INT32","shape":[1,16],`+place+`}],"outputs":[{"name":"OUTPUT0",`+place+`}]}`)
		if a.status >= 500 && a.status != 503 {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}

// TestSharedMemoryOfAbsurdSize: a memory object without pages may be as large as it likes; the server takes no memory for
// an input that no request may have.
func TestSharedMemoryOfAbsurdSize(t *testing.T) {
	s, _, file := serveShared(t)
	const size = 1 << 42
	if err := os.Truncate(file, size); err != nil {
		t.Skipf("NOT RUN: no file of 4 TiB without pages: %v", err)
	}
	a := ask(t, s, "POST", "/v2/systemsharedmemory/region/r/register", fmt.Sprintf(`{"key":"/work","byte_size":%d}`, int64(size)))
	if a.status != 200 {
		t.Fatal(a.body)
	}
	place := func(n int) string {
		return fmt.Sprintf(`"parameters":{"shared_memory_region":"r","shared_memory_byte_size":%d}`, n)
	}
	for what, c := range map[string]struct{ model, input, code string }{
		"rows":     {"simple", fmt.Sprintf(`{"name":"INPUT0","datatype":"INT32","shape":[%d,16],%s}`, 1<<36, place(1<<42)), string(api.CodeBatchTooLarge)},
		"elements": {"alone", fmt.Sprintf(`{"name":"INPUT0","datatype":"FP32","shape":[%d,1],%s}`, 1<<40, place(1<<42)), string(api.CodeBodyTooLarge)},
		"strings":  {"strings", fmt.Sprintf(`{"name":"INPUT0","datatype":"BYTES","shape":[1,1],%s}`, place(1<<42)), string(api.CodeBodyTooLarge)},
	} {
		a := ask(t, s, "POST", "/v2/models/"+c.model+"/infer", `{"inputs":[`+c.input+`]}`)
		if a.status != 400 || !strings.Contains(a.body, c.code) {
			t.Errorf("%s: %d %s, want %s", what, a.status, a.body, c.code)
		}
	}
}
