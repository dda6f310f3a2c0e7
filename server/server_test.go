package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/cache"
	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/repository"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/server/logs"
	"github.com/aimass/aimass/server/releases"
)

// fleet is a Control over models that a test attaches by hand.
type fleet struct {
	mu      sync.Mutex
	pipe    *pipeline.Pipeline
	loading map[string]bool
	loads   []string
	notYet  bool
}

func (f *fleet) Ready() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.notYet
}

func (f *fleet) Index() []*inferencepb.RepositoryIndexResponse_ModelIndex {
	var list []*inferencepb.RepositoryIndexResponse_ModelIndex
	f.pipe.Each(func(v *pipeline.Served) {
		list = append(list, &inferencepb.RepositoryIndexResponse_ModelIndex{Name: v.Model, Version: v.VersionText, State: "READY"})
	})
	for name := range f.loading {
		list = append(list, &inferencepb.RepositoryIndexResponse_ModelIndex{Name: name, Version: "1", State: "LOADING"})
	}
	return list
}

func (f *fleet) Load(_ context.Context, model, config string, files map[string][]byte) error {
	f.loads = append(f.loads, fmt.Sprintf("%s %q %d", model, config, len(files)))
	if model == "broken" {
		return api.Errorf(api.CodeModelTruncated, "model 'broken' ends too early")
	}
	if model == "secretive" {
		return errors.New("open /var/secret/model.onnx at 0xc000123456: denied")
	}
	return nil
}

func (f *fleet) Unload(_ context.Context, model string, dependents bool) error {
	f.loads = append(f.loads, fmt.Sprintf("-%s %v", model, dependents))
	return nil
}

func (f *fleet) Config(model string, version int64) (*inferencepb.ModelConfig, error) {
	return &inferencepb.ModelConfig{Name: model, Platform: "onnxruntime_onnx", MaxBatchSize: 8}, nil
}

func (f *fleet) Explain(model, version string, err error) error {
	if f.loading[model] {
		return api.Errorf(api.CodeModelLoading, "model '%s' is loading", model)
	}
	return err
}

// addSub is the model "simple" of Triton's examples: two inputs of 16 int32, their sum and their difference.
func addSub() *build.Graph { return sums("Add") }

// sums has a first output of the given operator, the second is the difference.
func sums(op string) *build.Graph {
	g := build.New("simple", 17)
	a := g.Input("INPUT0", build.Int32, build.Sym("N"), build.Size(16))
	b := g.Input("INPUT1", build.Int32, build.Sym("N"), build.Size(16))
	g.OpAs("OUTPUT0", op, []string{a, b})
	g.OpAs("OUTPUT1", "Sub", []string{a, b})
	g.Output("OUTPUT0", build.Int32, build.Sym("N"), build.Size(16))
	g.Output("OUTPUT1", build.Int32, build.Sym("N"), build.Size(16))
	return g
}

// identity returns its input, of one variable dimension after the batch.
func identity(name string, t build.DType) *build.Graph {
	g := build.New(name, 17)
	x := g.Input("INPUT0", t, build.Sym("N"), build.Sym("M"))
	g.OpAs("OUTPUT0", "Identity", []string{x})
	g.Output("OUTPUT0", t, build.Sym("N"), build.Sym("M"))
	return g
}

// onDisk is a repository of the model "simple"; what it loads is attached to nothing.
func onDisk(t testing.TB, engine *runtime.Engine) *repository.Repository {
	t.Helper()
	dir := t.TempDir()
	b, err := addSub().Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"1", "3"} {
		if err := os.MkdirAll(filepath.Join(dir, "simple", version), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "simple", version, "model.onnx"), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r, err := repository.New(repository.Config{Dir: dir, WarmupOff: true}, engine, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// serve starts a server with the test models and returns its base URL and fleet; log takes its log.
func serve(t testing.TB, cfg Config, log io.Writer) (*Server, *fleet) {
	t.Helper()
	c, err := cache.New(cache.Config{}.WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	pipe := pipeline.New(c)
	engine := runtime.NewEngine(runtime.Config{})
	attach := func(g *build.Graph, spec pipeline.Spec) {
		t.Helper()
		b, err := g.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if spec.Runtime, err = engine.Read(b); err != nil {
			t.Fatal(err)
		}
		spec.Model, spec.Batcher = g.Name, batcher.Config{}.WithDefaults(2)
		if _, err := pipe.Attach(spec); err != nil {
			t.Fatal(err)
		}
	}
	attach(addSub(), pipeline.Spec{Version: 1, MaxBatch: 8})
	attach(addSub(), pipeline.Spec{Version: 3, MaxBatch: 8})
	attach(identity("floats", build.Float), pipeline.Spec{Version: 1, MaxBatch: 8, RejectNaN: true})
	attach(identity("strings", build.String), pipeline.Spec{Version: 1, MaxBatch: 8, Cached: true})
	attach(identity("alone", build.Float), pipeline.Spec{Version: 1})
	f := &fleet{pipe: pipe, loading: map[string]bool{"slow": true}}

	cfg.HTTPAddr, cfg.GRPCAddr, cfg.MetricsAddr = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	l := logs.New(log, logs.Config{})
	s, err := New(cfg, pipe, f, releases.New(releases.Config{}, onDisk(t, engine), pipe, l), l)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		c.Close()
	})
	return s, f
}

func (s *Server) url(path string) string { return "http://" + s.httpL.Addr().String() + path }

type answer struct {
	status int
	header http.Header
	body   string
	closes bool // the server closes the connection
}

// ask sends one HTTP request; headers are "Key: value".
func ask(t testing.TB, s *Server, method, path, body string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequest(method, s.url(path), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		req.Header.Set(k, v)
	}
	client := http.Client{Transport: &http.Transport{DisableCompression: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer client.CloseIdleConnections()
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{resp.StatusCode, resp.Header, string(b), resp.Close}
}

func ints(from, n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprint(from+i))
	}
	return strings.Join(list, ",")
}

func simpleRequest(rows int, rest string) string {
	return fmt.Sprintf(`{"id":"42","inputs":[{"name":"INPUT0","datatype":"INT32","shape":[%d,16],"data":[%s]},`+
		`{"name":"INPUT1","datatype":"INT32","shape":[%d,16],"data":[%s]}]%s}`, rows, ints(0, 16*rows), rows, ints(100, 16*rows), rest)
}

func TestInferJSON(t *testing.T) {
	s, _ := serve(t, Config{}, io.Discard)
	a := ask(t, s, "POST", "/v2/models/simple/infer", simpleRequest(1, ""))
	want := `{"id":"42","model_name":"simple","model_version":"3","outputs":[` +
		`{"name":"OUTPUT0","datatype":"INT32","shape":[1,16],"data":[100,102,104,106,108,110,112,114,116,118,120,122,124,126,128,130]},` +
		`{"name":"OUTPUT1","datatype":"INT32","shape":[1,16],"data":[-100,-100,-100,-100,-100,-100,-100,-100,-100,-100,-100,-100,-100,-100,-100,-100]}]}`
	if a.status != 200 || a.body != want || a.header.Get("Content-Type") != "application/json" || a.header.Get("X-Request-Id") != "42" {
		t.Errorf("got %d %v\n%s\nwant\n%s", a.status, a.header, a.body, want)
	}
	a = ask(t, s, "POST", "/v2/models/simple/versions/1/infer", simpleRequest(2, `,"outputs":[{"name":"OUTPUT1","parameters":{"classification":2}}]`))
	want = `{"id":"42","model_name":"simple","model_version":"1","outputs":[{"name":"OUTPUT1","datatype":"BYTES","shape":[2,2],"data":["-100:0","-100:1","-100:0","-100:1"]}]}`
	if a.status != 200 || a.body != want {
		t.Errorf("classification: got %d\n%s\nwant\n%s", a.status, a.body, want)
	}
}

func TestInferBinary(t *testing.T) {
	s, _ := serve(t, Config{}, io.Discard)
	head := `{"inputs":[{"name":"INPUT0","datatype":"BYTES","shape":[1,2],"parameters":{"binary_data_size":11}}],"parameters":{"binary_data_output":true}}`
	tail := "\x03\x00\x00\x00a\xffb\x00\x00\x00\x00"
	for _, coding := range []string{"", "gzip", "deflate", "zstd"} {
		for range 2 { // the second is answered from the cache
			body, headers := head+tail, []string{fmt.Sprintf("Inference-Header-Content-Length: %d", len(head))}
			if coding != "" {
				body = string(compress(t, coding, []byte(body)))
				headers = append(headers, "Content-Encoding: "+coding)
			}
			a := ask(t, s, "POST", "/v2/models/strings/infer", body, headers...)
			n := strings.LastIndex(a.body, "]}") + 2
			if a.status != 200 || a.header.Get("Inference-Header-Content-Length") != fmt.Sprint(n) || a.body[n:] != tail ||
				a.header.Get("Content-Type") != "application/octet-stream" || !json.Valid([]byte(a.body[:n])) {
				t.Errorf("%s: %d %v %q", coding, a.status, a.header, a.body)
			}
		}
	}
	raw := ask(t, s, "POST", "/v2/models/floats/infer", "\x00\x00\x80\x3f\x00\x00\x00\x40", "Inference-Header-Content-Length: 0")
	if n := strings.LastIndex(raw.body, "]}") + 2; raw.status != 200 || raw.body[n:] != "\x00\x00\x80\x3f\x00\x00\x00\x40" || !strings.Contains(raw.body, `"shape":[1,2]`) {
		t.Errorf("raw: %d %q", raw.status, raw.body)
	}
}

// TestRefusals: each bad request has its code, its status, an id, and a text that names what is wrong.
func TestRefusals(t *testing.T) {
	var log safeBuffer
	s, _ := serve(t, Config{Service: serviceConfig("secret")}, &log)
	f := func(method, path, body string, code api.Code, text string, headers ...string) {
		t.Helper()
		a := ask(t, s, method, path, body, headers...)
		var e struct {
			Error, Code, RequestID string
			Retryable              *bool
		}
		if err := json.Unmarshal([]byte(strings.Replace(a.body, "request_id", "requestid", 1)), &e); err != nil {
			t.Errorf("%s %s: %q: %v", method, path, a.body, err)
			return
		}
		if e.Code != string(code) || a.status != code.HTTPStatus() || !strings.Contains(e.Error, text) || e.RequestID == "" ||
			e.Retryable == nil || *e.Retryable != code.Retryable() || a.header.Get("X-Request-Id") != e.RequestID ||
			a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: got %d %s\nwant %s %q", method, path, a.status, a.body, code, text)
		}
	}
	infer := "/v2/models/simple/infer"
	f("GET", "/v3", "", api.CodePathNotFound, "Not Found")
	f("GET", "/v2/models/simple/nothing", "", api.CodePathNotFound, "Not Found")
	f("GET", infer, "", api.CodeMethodNotAllowed, "POST")
	f("POST", "/v2/health/live", "", api.CodeMethodNotAllowed, "GET")
	f("POST", "/v2/models/nope/infer", simpleRequest(1, ""), api.CodeModelNotFound, "[request id: 42] Request for unknown model: 'nope' is not found")
	f("POST", "/v2/models/nope/infer", `{}`, api.CodeModelNotFound, "[request id: <id_unknown>] Request for unknown model")
	f("POST", "/v2/models/simple/versions/2/infer", simpleRequest(1, ""), api.CodeModelVersionNotFound, "Request for unknown model: 'simple' version 2 is not found")
	f("POST", "/v2/models/simple/versions/0/infer", simpleRequest(1, ""), api.CodeVersionInvalid, "'0'")
	f("POST", "/v2/models/simple/versions/x/infer", simpleRequest(1, ""), api.CodeVersionInvalid, "'x'")
	f("GET", "/v2/models/simple/versions/99999999999999999999", "", api.CodeVersionInvalid, "")
	f("POST", "/v2/models/slow/infer", simpleRequest(1, ""), api.CodeModelLoading, "loading")
	f("POST", infer, "", api.CodeInvalidJSON, "JSON ends")
	f("POST", infer, simpleRequest(1, "")+"x", api.CodeTrailingBytes, "[request id: 42] 1 bytes")
	f("POST", infer, `{"inputs":[]}`, api.CodeInputMissing, "expected 2 inputs but got 0 inputs for model 'simple'")
	f("POST", infer, simpleRequest(9, ""), api.CodeBatchTooLarge, "inference request batch-size must be <= 8 for 'simple'")
	f("POST", infer, simpleRequest(1, `,"outputs":[{"name":"Z"}]`), api.CodeOutputUnexpected, "unexpected inference output 'Z' for model 'simple'")
	f("POST", infer, simpleRequest(1, `,"parameters":{"timeout":-1}`), api.CodeParameterInvalid, "timeout")
	f("POST", infer, simpleRequest(1, `,"parameters":{"priority":"x"}`), api.CodeParameterInvalid, "priority")
	f("POST", infer, simpleRequest(1, ""), api.CodeParameterInvalid, "X-Request-Timeout-Ms", "X-Request-Timeout-Ms: soon")
	f("POST", infer, strings.Replace(simpleRequest(1, ""), "INPUT1", "INPUT9", 1), api.CodeInputUnexpected, "unexpected inference input 'INPUT9' for model 'simple'")
	f("POST", infer, strings.Replace(simpleRequest(1, ""), "INPUT1", "INPUT0", 1), api.CodeInputDuplicate, "'INPUT0' comes twice")
	f("POST", infer, strings.Replace(simpleRequest(1, ""), "INT32", "INT64", 1), api.CodeDtypeMismatch, "expected datatype INT32, got INT64")
	f("POST", infer, strings.Replace(simpleRequest(1, ""), "[1,16]", "[1,8]", 1), api.CodeShapeMismatch, "unexpected shape for input 'INPUT0' for model 'simple'. Expected [-1,16], got [1,8]")
	f("POST", infer, strings.Replace(simpleRequest(1, ""), "[0,1,", "[0.5,1,", 1), api.CodeValueInvalid, "input 'INPUT0': element 0 is 0.5, not a INT32 value")
	f("POST", infer, strings.Replace(simpleRequest(1, ""), "[0,1,", "[3000000000,1,", 1), api.CodeNumberOutOfRange, "3000000000")
	f("POST", infer, simpleRequest(1, ""), api.CodeHeaderLengthInvalid, "but the body has only", "Inference-Header-Content-Length: 99999")
	f("POST", infer, simpleRequest(1, ""), api.CodeHeaderLengthInvalid, "not a length", "Inference-Header-Content-Length: -1")
	f("POST", infer, simpleRequest(1, ""), api.CodeUnsupportedEncoding, "br", "Content-Encoding: br")
	f("POST", infer, simpleRequest(1, ""), api.CodeDecompressionFailed, "gzip", "Content-Encoding: gzip")
	f("POST", "/v2/models/floats/infer", `{"inputs":[{"name":"INPUT0","datatype":"FP32","shape":[1,2],"data":[1,NaN]}]}`, api.CodeNaNNotAllowed, "input 'INPUT0' for model 'floats': element 1")
	f("GET", "/v2/systemsharedmemory/status", "", api.CodeUnsupported, "shared memory")
	f("POST", "/v2/repository/models/x/load", `{"parameters":{"other":"x"}}`, api.CodeParameterInvalid, "'other'")
	f("POST", "/v2/repository/models/x/load", `{"parameters":{"file:1/model.onnx":"AAAA"}}`, api.CodeParameterInvalid, "'config' is required")
	f("POST", "/v2/repository/models/x/load", `{"parameters":{"config":"{}","file:1/model.onnx":"A"}}`, api.CodeParameterInvalid, "base64")
	f("POST", "/v2/repository/models/..%2Fx/load", "", api.CodePathNotFound, "")
	f("POST", "/v2/repository/models/.x/unload", "", api.CodeModelNameInvalid, "'.x'")
	f("POST", "/v2/repository/models/broken/load", "", api.CodeModelTruncated, "ends too early")
	f("POST", "/v2/repository/models/secretive/load", "", api.CodeInternal, "internal error")
	if a := ask(t, s, "POST", "/v2/repository/models/secretive/load", ""); strings.Contains(a.body, "secret/") || !strings.Contains(log.String(), "/var/secret") {
		t.Errorf("the cause belongs into the log, not into the answer: %s", a.body)
	}
	f("POST", "/v2/repository/models/x/unload", "", api.CodeAdminForbidden, "other sites", "Origin: http://evil.example")
	f("POST", "/v2/repository/models/x/unload", "", api.CodeAdminForbidden, "token is wrong", "Authorization: Bearer x")
	f("POST", "/v2/repository/index", `{"ready":1}`, api.CodeInvalidJSON, "ready is a JSON number, expected true or false")
	f("POST", "/v2/repository/models/x/promote", `{"version":1,"gates":{}}`, api.CodeInvalidJSON, `unknown field "gates"`)
	f("POST", "/v2/repository/models/x/promote", `[1]`, api.CodeInvalidJSON, "it is a JSON array, expected an object")
	f("POST", "/v2/repository/models/x/canary", `{"version":1,"percent":"5"}`, api.CodeInvalidJSON, "percent is a JSON string, expected a number")
	f("POST", "/v2/trace/setting", `{"trace_file":"x"}`, api.CodeParameterInvalid, "trace file location can not be updated through network protocol")
	f("GET", "/v2/models/nope/trace/setting", "", api.CodeModelNotFound, "Request for unknown model : nope")
	f("POST", "/v2/logging", `{"log_file":"x"}`, api.CodeParameterInvalid, "log file location can not be updated through network protocol")
	if !strings.Contains(log.String(), "code=shape_mismatch") || !strings.Contains(log.String(), "request_id=42") {
		t.Error("refusals are not in the log")
	}
}

func TestControl(t *testing.T) {
	s, fl := serve(t, Config{Service: serviceConfig("secret")}, io.Discard)
	f := func(method, path, body, want string, headers ...string) {
		t.Helper()
		a := ask(t, s, method, path, body, headers...)
		if a.status != 200 || a.body != want || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %d %v\n got %s\nwant %s", method, path, a.status, a.header.Get("Content-Type"), a.body, want)
		}
	}
	f("GET", "/v2/health/live", "", `{"live":true}`)
	f("GET", "/v2/health/ready", "", `{"ready":true}`)
	f("GET", "/v2/models/simple/ready", "", `{"ready":true}`)
	f("GET", "/v2", "", `{"name":"n","version":"v","extensions":["classification","sequence","model_repository","model_repository(unload_dependents)","model_configuration","binary_tensor_data","parameters","statistics","trace","logging"]}`)
	f("GET", "/v2/models/simple", "", `{"name":"simple","versions":["1","3"],"platform":"onnxruntime_onnx","inputs":[`+
		`{"name":"INPUT0","datatype":"INT32","shape":[-1,16]},{"name":"INPUT1","datatype":"INT32","shape":[-1,16]}],"outputs":[`+
		`{"name":"OUTPUT0","datatype":"INT32","shape":[-1,16]},{"name":"OUTPUT1","datatype":"INT32","shape":[-1,16]}]}`)
	f("POST", "/v2/repository/index", `{"ready":true}`, `[{"name":"alone","version":"1","state":"READY","reason":""},{"name":"floats","version":"1","state":"READY","reason":""},`+
		`{"name":"simple","version":"1","state":"READY","reason":""},{"name":"simple","version":"3","state":"READY","reason":""},{"name":"strings","version":"1","state":"READY","reason":""}]`)
	f("POST", "/v2/repository/models/x/load", `{"parameters":{"config":"{}","file:1/model.onnx":"AAAA"}}`, `{}`)
	f("POST", "/v2/repository/models/x/unload", `{"parameters":{"unload_dependents":true}}`, `{}`, "Authorization: Bearer secret", "Origin: http://evil.example")
	if got := strings.Join(fl.loads, "; "); got != `x "{}" 1; -x true` {
		t.Errorf("the repository saw %s", got)
	}
	f("GET", "/v2/logging", "", `{"log_error":true,"log_file":"","log_format":"ISO8601","log_info":true,"log_verbose_level":0,"log_warning":true}`)
	f("POST", "/v2/logging", `{"log_warning":false,"log_verbose_level":3}`, `{"log_error":true,"log_file":"","log_format":"ISO8601","log_info":true,"log_verbose_level":3,"log_warning":false}`)
	f("POST", "/v2/trace/setting", `{"trace_level":["TIMESTAMPS"],"trace_rate":"5"}`, `{"log_frequency":"0","trace_count":"-1","trace_file":"","trace_level":["TIMESTAMPS"],"trace_mode":"triton","trace_rate":"5"}`)
	f("POST", "/v2/models/simple/trace/setting", `{"trace_rate":"7"}`, `{"log_frequency":"0","trace_count":"-1","trace_file":"","trace_level":["TIMESTAMPS"],"trace_mode":"triton","trace_rate":"7"}`)
	f("POST", "/v2/models/simple/trace/setting", `{"trace_rate":null}`, `{"log_frequency":"0","trace_count":"-1","trace_file":"","trace_level":["TIMESTAMPS"],"trace_mode":"triton","trace_rate":"5"}`)
	f("POST", "/v2/cache/purge", "", `{}`)

	a := ask(t, s, "GET", "/v2/errors", "")
	if a.status != 200 || !strings.Contains(a.body, `"code":"queue_full","http":503,"grpc":"UNAVAILABLE","retryable":true`) {
		t.Errorf("errors: %d %s", a.status, a.body)
	}
	if a := ask(t, s, "GET", "/v2/openapi.yaml", ""); a.status != 200 || !strings.Contains(a.body, "openapi: 3") {
		t.Errorf("openapi: %d %s", a.status, a.body)
	}
	if a := ask(t, s, "GET", "/v2/models/slow/ready", ""); a.status != 400 || a.body != `{"ready":false}` {
		t.Errorf("a model that loads: %d %s", a.status, a.body)
	}
}

func TestStatisticsAndMetrics(t *testing.T) {
	s, _ := serve(t, Config{}, io.Discard)
	for range 3 {
		ask(t, s, "POST", "/v2/models/simple/versions/1/infer", simpleRequest(2, ""))
	}
	a := ask(t, s, "GET", "/v2/models/simple/versions/1/stats", "")
	var got struct {
		ModelStats []struct {
			Name, Version  string
			LastInference  int64 `json:"last_inference"`
			InferenceCount int64 `json:"inference_count"`
			ExecutionCount int64 `json:"execution_count"`
			InferenceStats map[string]struct{ Count, NS int64 }
			BatchStats     []struct {
				BatchSize    int64 `json:"batch_size"`
				ComputeInfer struct{ Count, NS int64 }
			} `json:"batch_stats"`
		} `json:"model_stats"`
	}
	if err := json.Unmarshal([]byte(strings.NewReplacer("inference_stats", "InferenceStats", "compute_infer", "ComputeInfer").Replace(a.body)), &got); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	m := got.ModelStats[0]
	if m.Name != "simple" || m.Version != "1" || m.InferenceCount != 6 || m.ExecutionCount != 3 || m.LastInference < 1e12 ||
		m.InferenceStats["success"].Count != 3 || m.InferenceStats["success"].NS == 0 || m.InferenceStats["fail"].Count != 0 ||
		len(m.BatchStats) != 1 || m.BatchStats[0].BatchSize != 2 || m.BatchStats[0].ComputeInfer.Count != 3 {
		t.Errorf("%s", a.body)
	}
	all := ask(t, s, "GET", "/v2/models/stats", "")
	if all.status != 200 || strings.Count(all.body, `"name"`) != 5 {
		t.Errorf("all models: %s", all.body)
	}
	resp, err := http.Get("http://" + s.metricsL.Addr().String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	for _, line := range []string{
		`aimass_server_requests_total{code="ok",protocol="http"} 5`,
		`aimass_pipeline_request_duration_seconds_count{model="simple",version="1"} 3`,
		`nv_inference_request_success{model="simple",version="1"} 3`,
		`nv_inference_count{model="simple",version="1"} 6`,
		`nv_inference_exec_count{model="simple",version="1"} 3`,
		`nv_inference_request_failure{model="simple",reason="OTHER",version="1"} 0`,
	} {
		if !bytes.Contains(text, []byte(line+"\n")) {
			t.Errorf("metrics lack %s", line)
		}
	}
	if resp.StatusCode != 200 {
		t.Errorf("metrics: %d", resp.StatusCode)
	}
}

func TestReadinessGoesFirst(t *testing.T) {
	c, _ := cache.New(cache.Config{}.WithDefaults())
	defer c.Close()
	pipe := pipeline.New(c)
	s, err := New(Config{HTTPAddr: "127.0.0.1:0", GRPCAddr: Off, MetricsAddr: Off, Grace: 300 * time.Millisecond}, pipe, &fleet{pipe: pipe}, nil, logs.New(io.Discard, logs.Config{}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	if a := ask(t, s, "GET", "/v2/health/ready", ""); a.status != 200 {
		t.Fatalf("before: %d", a.status)
	}
	cancel()
	end := time.Now().Add(200 * time.Millisecond)
	for a := ask(t, s, "GET", "/v2/health/ready", ""); a.status != 400; a = ask(t, s, "GET", "/v2/health/ready", "") {
		if time.Now().After(end) {
			t.Fatal("still ready after the signal")
		}
	}
	if a := ask(t, s, "GET", "/v2/health/live", ""); a.status != 200 || !a.closes {
		t.Errorf("in the grace time: status %d, closes %v", a.status, a.closes)
	}
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if _, err := http.Get(s.url("/v2/health/live")); err == nil {
		t.Error("still listening after Run")
	}
}

func TestTakenPort(t *testing.T) {
	s, _ := serve(t, Config{}, io.Discard)
	_, err := New(Config{HTTPAddr: s.httpL.Addr().String(), GRPCAddr: Off, MetricsAddr: Off}, s.service.Pipeline(), &fleet{}, nil, logs.New(io.Discard, logs.Config{}))
	if err == nil || !strings.Contains(err.Error(), "--http") {
		t.Errorf("got %v", err)
	}
}
