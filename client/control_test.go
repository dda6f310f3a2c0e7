package client_test

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/client"
)

// answers are what a server says, by path.
var answers = map[string]string{
	"/v2":                            `{"name":"aimass","version":"1","extensions":["binary_tensor_data"],"new":1}`,
	"/v2/models/m%20x":               `{"name":"m x","versions":["1","2"],"platform":"p","inputs":[{"name":"i","datatype":"FP32","shape":[-1,3]}],"outputs":[]}`,
	"/v2/models/m/versions/2/config": `{"name":"m","max_batch_size":8,"input":[{"name":"i","data_type":"TYPE_FP32","dims":[3]}],"dynamic_batching":{},"new":{}}`,
	"/v2/models/stats":               `{"model_stats":[{"name":"m","version":"1","inference_count":5,"inference_stats":{"success":{"count":4,"ns":99}},"batch_stats":[{"batch_size":2,"compute_infer":{"count":1,"ns":3}}],"memory_usage":[{"type":"CPU","id":0,"byte_size":77}]}]}`,
	"/v2/models/m/stats":             `{"model_stats":[]}`,
	"/v2/repository/index":           `[{"name":"m","version":"1","state":"READY","reason":""},{"name":"n","version":"","state":"UNAVAILABLE","reason":"load_failed"}]`,
	"/v2/errors":                     string(api.AppendTable(nil)),
}

func TestControlCalls(t *testing.T) {
	var last struct{ method, path, body string }
	c := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 4096)
		n, _ := r.Body.Read(b)
		last.method, last.path, last.body = r.Method, r.URL.EscapedPath(), string(b[:n])
		if a, ok := answers[last.path]; ok {
			w.Write([]byte(a))
		} else {
			w.Write([]byte(`{}`))
		}
	}), client.Options{})
	ctx := context.Background()
	same := func(got any, err error, want any) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got)\n%s", d)
		}
	}
	sent := func(method, path, body string) {
		t.Helper()
		if last.method != method || last.path != path {
			t.Errorf("%s %s was sent, want %s %s", last.method, last.path, method, path)
		}
		var a, b any
		json.Unmarshal([]byte(last.body), &a)
		json.Unmarshal([]byte(body), &b)
		if !reflect.DeepEqual(a, b) {
			t.Errorf("body %s, want %s", last.body, body)
		}
	}
	meta, err := c.ServerMetadata(ctx)
	same(meta, err, &client.ServerMetadata{Name: "aimass", Version: "1", Extensions: []string{"binary_tensor_data"}})
	model, err := c.ModelMetadata(ctx, "m x", "")
	same(model, err, &client.ModelMetadata{Name: "m x", Versions: []string{"1", "2"}, Platform: "p",
		Inputs: []client.Port{{Name: "i", DType: client.FP32, Shape: []int64{-1, 3}}}, Outputs: []client.Port{}})
	cfg, err := c.ModelConfig(ctx, "m", "2")
	if err != nil || cfg.MaxBatchSize != 8 || cfg.Input[0].Dims[0] != 3 || cfg.GetDynamicBatching() == nil {
		t.Errorf("config %v, %v", cfg, err)
	}
	stats, err := c.Statistics(ctx, "", "")
	same(stats, err, []client.ModelStatistics{{Name: "m", Version: "1", InferenceCount: 5,
		InferenceStats: client.InferStatistics{Success: client.Duration{Count: 4, NS: 99}},
		BatchStats:     []client.BatchStatistics{{BatchSize: 2, ComputeInfer: client.Duration{Count: 1, NS: 3}}},
		MemoryUsage:    []client.Memory{{Type: "CPU", ByteSize: 77}}}})
	stats, err = c.Statistics(ctx, "m", "")
	same(stats, err, []client.ModelStatistics{})
	index, err := c.Index(ctx, true)
	same(index, err, []client.ModelState{{Name: "m", Version: "1", State: "READY"}, {Name: "n", State: "UNAVAILABLE", Reason: "load_failed"}})
	sent("POST", "/v2/repository/index", `{"ready":true}`)
	table, err := c.Errors(ctx)
	if err != nil || len(table) != len(api.Table()) || table[0].Code != string(api.Table()[0].Code) || table[0].GRPC == "" || table[0].Action == "" {
		t.Errorf("%d rows, %v", len(table), err)
	}
	same(nil, c.Load(ctx, "a/b", nil), nil)
	sent("POST", "/v2/repository/models/a%2Fb/load", `{"parameters":{}}`)
	same(nil, c.Load(ctx, "m", &client.LoadOptions{Config: "{}", Files: map[string][]byte{"1/model.onnx": []byte("abc")}}), nil)
	sent("POST", "/v2/repository/models/m/load", `{"parameters":{"config":"{}","file:1/model.onnx":"YWJj"}}`)
	same(nil, c.Unload(ctx, "m", true), nil)
	sent("POST", "/v2/repository/models/m/unload", `{"parameters":{"unload_dependents":true}}`)
	same(nil, c.PurgeCache(ctx), nil)
	sent("POST", "/v2/cache/purge", `{}`)
	for _, err := range []error{c.Load(ctx, "", nil), c.Unload(ctx, "", false)} {
		if err == nil || !strings.Contains(err.Error(), "name is empty") {
			t.Errorf("no name: %v", err)
		}
	}
}

func TestHealth(t *testing.T) {
	status, body := 200, ""
	c := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		w.Write([]byte(body))
	}), client.Options{Retry: quick})
	f := func(s int, b string, want bool, code api.Code) {
		t.Helper()
		status, body = s, b
		ok, err := c.Ready(context.Background())
		if ok != want || api.CodeOf(err) != code {
			t.Errorf("%d %q: ready %v, %v", s, b, ok, err)
		}
		ok, err = c.ModelReady(context.Background(), "m", "1")
		if ok != want || api.CodeOf(err) != code {
			t.Errorf("model, %d %q: ready %v, %v", s, b, ok, err)
		}
	}
	f(200, `{"ready":true}`, true, "")
	f(200, "", true, "")
	f(400, `{"ready":false}`, false, "")
	f(400, "", false, "")
	f(503, "", false, "")
	f(400, `{"error":"no such model","code":"model_not_found"}`, false, "model_not_found")
	f(404, "", false, api.CodePathNotFound)
	f(500, "", false, api.CodeInternal)
}
