package server

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/repository/config"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/native"
	"github.com/aimass/aimass/runtime/tensor"
)

// attachEnsemble serves the ensemble of a config.pbtxt.
func attachEnsemble(t *testing.T, f *fleet, name, text string) error {
	t.Helper()
	file, err := config.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	m, err := file.EnsembleModel()
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := config.Resolve(config.Source{Model: name, File: file, Runtime: m})
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.pipe.Attach(pipeline.Spec{Model: name, Version: 1, Runtime: m, MaxBatch: c.MaxBatch, Cached: c.CacheEnabled, Config: c, Batcher: batcher.Config{}.WithDefaults(2)})
	return err
}

func remoteConfig(addr, model string) string {
	return fmt.Sprintf(`platform: "ensemble" max_batch_size: 8
input { name: "IN" data_type: TYPE_INT32 dims: [ 16 ] }
output { name: "OUT" data_type: TYPE_INT32 dims: [ 16 ] }
ensemble_scheduling {
  step { model_name: "grpc://%s/%s" model_version: -1 input_map { key: "INPUT0" value: "IN" } input_map { key: "INPUT1" value: "IN" } output_map { key: "OUTPUT0" value: "sum" } }
  step { model_name: "simple" model_version: 1 input_map { key: "INPUT0" value: "sum" } input_map { key: "INPUT1" value: "IN" } output_map { key: "OUTPUT1" value: "OUT" } }
}`, addr, model)
}

func TestRemoteStep(t *testing.T) {
	far, farFleet := serve(t, Config{}, io.Discard)
	near, fleet := serve(t, Config{}, io.Discard)
	_, addr, _ := far.Addrs()
	if err := attachEnsemble(t, fleet, "far", remoteConfig(addr, "simple")); err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"inputs":[{"name":"IN","datatype":"INT32","shape":[1,16],"data":[%s]}]}`, ints(5, 16))
	a := ask(t, near, "POST", "/v2/models/far/infer", body)
	if a.status != 200 || !strings.Contains(a.body, `"data":[`+ints(5, 16)+`]`) {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if n := farFleet.pipe.Peek([]byte("simple"), nil).Stats.Success.Count.Load(); n != 1 {
		t.Errorf("the other server answered %d requests", n)
	}
	for name, c := range map[string]struct{ text, want string }{
		"absent": {remoteConfig(addr, "absent"), "Request for unknown model: 'absent' is not found"},
		"types":  {remoteConfig(addr, "floats"), "tensor 'IN' is INT32[-1,16], input 'INPUT0' of model 'floats' takes FP32[-1,-1]"},
	} {
		if err := attachEnsemble(t, fleet, name, c.text); api.CodeOf(err) != api.CodeConfigInvalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestRemoteStepDeadlineAndCancel: a step on a server that accepts and never answers is left
// when the request's time is over, and one whose server is gone fails at once; neither says where it is.
func TestRemoteStepDeadlineAndCancel(t *testing.T) {
	s, fleet := serve(t, Config{}, io.Discard)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := attachEnsemble(t, fleet, "mute", remoteConfig(l.Addr().String(), "simple")); err != nil {
		t.Fatal(err)
	}
	body := func(params string) string {
		return fmt.Sprintf(`{%s"inputs":[{"name":"IN","datatype":"INT32","shape":[1,16],"data":[%s]}]}`, params, ints(5, 16))
	}
	a := ask(t, s, "POST", "/v2/models/mute/infer", body(`"parameters":{"timeout":50000},`))
	if a.status != 503 || !strings.Contains(a.body, `"code":"request_timeout"`) {
		t.Errorf("deadline: %d %s", a.status, a.body)
	}
	v, err := fleet.pipe.Resolve([]byte("mute"), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &pipeline.Call{}
	c.In = []tensor.Tensor{*tensor.New(tensor.Int32, tensor.Shape{1, 16})}
	time.AfterFunc(20*time.Millisecond, cancel)
	if err := v.Infer(ctx, c); api.CodeOf(err) != api.CodeCancelled {
		t.Errorf("cancel: %v", err)
	}
	v.Done()
	port := l.Addr().String()
	l.Close()
	a = ask(t, s, "POST", "/v2/models/mute/infer", body(`"parameters":{"timeout":5000000},`))
	if a.status != 503 || !strings.Contains(a.body, `"code":"step_unavailable"`) || strings.Contains(a.body, port) {
		t.Errorf("gone: %d %s", a.status, a.body)
	}
}

// letters is a model that makes a vector of a text: its length, and 1.
type letters struct{}

func (letters) Inputs() []native.Port { return []native.Port{native.Tensor("text", tensor.String, -1)} }
func (letters) Outputs() []native.Port {
	return []native.Port{native.Tensor("pieces", tensor.Int64, -1), native.Tensor("vector", tensor.Float32, -1, 2)}
}
func (letters) Run(_ context.Context, in []tensor.Value, _ native.Alloc) ([]tensor.Value, error) {
	n := len(in[0].(*tensor.Tensor).Strings()[0])
	return []tensor.Value{tensor.FromSlice([]int64{int64(n)}, 1), tensor.FromSlice([]float32{float32(n), 1}, 1, 2)}, nil
}

// drowsy takes its time.
type drowsy struct{ letters }

func (d drowsy) Run(ctx context.Context, in []tensor.Value, alloc native.Alloc) ([]tensor.Value, error) {
	time.Sleep(300 * time.Millisecond)
	return d.letters.Run(ctx, in, alloc)
}

func attachNative(t *testing.T, f *fleet, name string, code native.Model) {
	t.Helper()
	engine := runtime.NewEngine(runtime.Config{Natives: []native.Entry{{Name: name, New: func(native.Source) (native.Model, error) { return code, nil }}}})
	m, err := engine.Native(name, native.Source{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.pipe.Attach(pipeline.Spec{Model: name, Version: 1, Runtime: m, Batcher: batcher.Config{}.WithDefaults(2)}); err != nil {
		t.Fatal(err)
	}
}

func TestEmbeddings(t *testing.T) {
	s, fleet := serve(t, Config{}, io.Discard)
	attachNative(t, fleet, "letters", letters{})
	var texts []string
	for i := range 200 {
		texts = append(texts, strings.Repeat("x", i+1))
	}
	list, _ := json.Marshal(texts)
	a := ask(t, s, "POST", "/v1/embeddings", `{"model":"letters","input":`+string(list)+`,"user":"u"}`)
	var got struct {
		Object string
		Model  string
		Data   []struct {
			Index     int
			Embedding []float32
		}
		Usage struct {
			Prompt int `json:"prompt_tokens"`
			Total  int `json:"total_tokens"`
		}
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || len(got.Data) != 200 || got.Object != "list" || got.Model != "letters" || got.Usage.Prompt != 20100 || got.Usage.Total != 20100 {
		t.Fatalf("%v, %.200s", err, a.body)
	}
	for i, d := range got.Data {
		if d.Index != i || d.Embedding[0] != float32(i+1) {
			t.Fatalf("text %d got %+v", i, d)
		}
	}
	a = ask(t, s, "POST", "/v1/embeddings", `{"model":"letters","input":"abc","encoding_format":"base64"}`)
	_, rest, _ := strings.Cut(a.body, `"embedding":"`)
	text, _, _ := strings.Cut(rest, `"`)
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != 8 || math.Float32frombits(binary.LittleEndian.Uint32(raw)) != 3 {
		t.Errorf("%v: %s", err, a.body)
	}
	for body, code := range map[string]api.Code{
		`{"model":"letters"}`:                                                   api.CodeFieldMissing,
		`{"input":"a"}`:                                                         api.CodeFieldMissing,
		`{"model":"letters","input":[]}`:                                        api.CodeParameterInvalid,
		`{"model":"letters","input":[[1]]}`:                                     api.CodeParameterInvalid,
		`{"model":"letters","input":["a",""]}`:                                  api.CodeValueInvalid,
		`{"model":"letters","input":"a","encoding_format":"hex"}`:               api.CodeParameterInvalid,
		`{"model":"letters","input":"a","dimensions":1}`:                        api.CodeParameterInvalid,
		`{"model":"simple","input":"a"}`:                                        api.CodeUnsupported,
		`{"model":"absent","input":"a"}`:                                        api.CodeModelNotFound,
		`{"model":"letters","input":` + strings.Repeat(`[`, 200) + `}`:          api.CodeJSONTooDeep,
		`{"model":"letters","input":[` + strings.Repeat(`"a",`, 2048) + `"a"]}`: api.CodeParameterInvalid,
	} {
		a := ask(t, s, "POST", "/v1/embeddings", body)
		var e struct {
			Error struct{ Message, Type, Code string }
			Code  string
			ID    string `json:"request_id"`
		}
		kind := map[bool]string{true: "server_error", false: "invalid_request_error"}[a.status >= 500]
		if err := json.Unmarshal([]byte(a.body), &e); err != nil || e.Code != string(code) || e.Error.Code != string(code) || e.Error.Message == "" ||
			e.Error.Type != kind || e.ID == "" {
			t.Errorf("%.60s: got %d %s, want %s in the form of OpenAI's errors: %v", body, a.status, a.body, code, err)
		}
	}
	attachNative(t, fleet, "drowsy", drowsy{})
	for value, code := range map[string]api.Code{"soon": api.CodeParameterInvalid, "20": api.CodeRequestTimeout} {
		a := ask(t, s, "POST", "/v1/embeddings", `{"model":"drowsy","input":"abc"}`, "X-Request-Timeout-Ms: "+value)
		if !strings.Contains(a.body, `"code":"`+string(code)+`"`) {
			t.Errorf("a timeout of %s: %d %s", value, a.status, a.body)
		}
	}
	if a := ask(t, s, "GET", "/v1/embeddings", ""); a.status != 405 {
		t.Errorf("GET gave %d", a.status)
	}
}

// TestRemoteStepComesBack: however long a step's server was away, soon after it is back requests are answered again.
func TestRemoteStepComesBack(t *testing.T) {
	s, fleet := serve(t, Config{}, io.Discard)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var knocks atomic.Int64
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			knocks.Add(1)
			c.Close()
		}
	}()
	if err := attachEnsemble(t, fleet, "away", remoteConfig(l.Addr().String(), "simple")); err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"inputs":[{"name":"IN","datatype":"INT32","shape":[1,16],"data":[%s]}]}`, ints(5, 16))
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if a := ask(t, s, "POST", "/v2/models/away/infer", body); !strings.Contains(a.body, string(api.CodeStepUnavailable)) {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if n := knocks.Load(); n < 5 {
		t.Errorf("in four seconds the server tried %d times", n)
	}
}
