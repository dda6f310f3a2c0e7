package server

import (
	"context"
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/runtime/tensor"
	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/features"
	"github.com/aimass/aimass/train/jobs"
)

// trainingRequest asks trainingRunner for a job.
const trainingRequest = `{"trainer":"gbdt","model":"made","target":"b","data":{"csv":"a,b\n1,x\n2,y\n"},"parameters":{"rounds":5}}`

// trainingRunner runs jobs whose child is a shell script, which tells a little and takes half a
// second for a model named slow.
func trainingRunner(t *testing.T) *jobs.Runner {
	t.Helper()
	r := train.Registry{}
	r.Add("gbdt", func(context.Context, train.Job) (train.Result, error) { panic("BUG: the child is a script") })
	script := `echo '{"stage":"trees","step":1,"steps":2}'; echo plain
if grep -q slow "$0/task.json"; then sleep 0.5; fi
echo '{"stage":"done"}'; echo '{"result":{"model":"made","version":1,"metrics":[{"name":"auc","value":0.8}]}}' >"$0/result.json"`
	dir := t.TempDir()
	run, err := jobs.Open(jobs.Config{Dir: filepath.Join(dir, "t"), Repository: dir, Child: []string{"sh", "-c", script}}, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); run.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return run
}

func idOf(t *testing.T, body string) string {
	t.Helper()
	var v struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal([]byte(body), &v); err != nil || v.ID == "" {
		t.Fatalf("no id in %s: %v", body, err)
	}
	return v.ID
}

// attachTable attaches a model of two columns that carries its features: x is 0 to 10 in
// training, and never missing.
func attachTable(t *testing.T, f *fleet) {
	t.Helper()
	attachTableUnder(t, f, features.Warn)
}

func attachTableUnder(t *testing.T, f *fleet, policy features.Policy) {
	t.Helper()
	g := build.New("table", 17)
	x := g.Input("numeric", build.Float, build.Sym("N"), build.Size(1))
	c := g.Input("categorical", build.String, build.Sym("N"), build.Size(1))
	axis := g.Const("axis", []int64{1}, 1)
	g.OpAs("prediction", "Squeeze", []string{x, axis})
	g.OpAs("echo", "Identity", []string{c})
	g.Output("prediction", build.Float, build.Sym("N"))
	g.Output("echo", build.String, build.Sym("N"), build.Size(1))
	b, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	m, err := runtime.NewEngine(runtime.Config{}).Read(b)
	if err != nil {
		t.Fatal(err)
	}
	var values []float64
	for i := range 1001 {
		values = append(values, float64(i)/100)
	}
	s := &features.Schema{Task: "regression", Target: "y", Rows: len(values), Features: make([]features.Feature, 2), Prediction: features.DescribePrediction("prediction", 0, values)}
	s.Features[0].Name, s.Features[0].Tensor = "x", "numeric"
	s.Features[0].DescribeNumbers(values)
	s.Features[1].Name, s.Features[1].Tensor = "c", "categorical"
	s.Features[1].DescribeCodes([]int32{0, 0, 1, -1}, []string{"red", "blue"})
	js, err := s.JSON()
	if err == nil {
		s, err = features.Parse(js)
	}
	if err != nil {
		t.Fatal(err)
	}
	mon, err := features.Bind(s, policy, []features.Port{{Name: "numeric", DType: tensor.Float32}, {Name: "categorical", DType: tensor.String}},
		[]features.Port{{Name: "prediction", DType: tensor.Float32}, {Name: "echo", DType: tensor.String}})
	if err != nil {
		t.Fatal(err)
	}
	spec := pipeline.Spec{Model: "table", Version: 3, MaxBatch: 1000, Runtime: m, Features: mon, Batcher: batcher.Config{}.WithDefaults(2)}
	if _, err := f.pipe.Attach(spec); err != nil {
		t.Fatal(err)
	}
}

func tableRequest(x, c string) string {
	return `{"inputs":[{"name":"numeric","shape":[1,1],"datatype":"FP32","data":[` + x + `]},{"name":"categorical","shape":[1,1],"datatype":"BYTES","data":["` + c + `"]}]}`
}

// TestFeaturePolicy: what training has not seen is counted, and refused where that is asked for.
func TestFeaturePolicy(t *testing.T) {
	for _, policy := range []features.Policy{features.Warn, features.Reject} {
		s, f := serve(t, Config{}, io.Discard)
		attachTableUnder(t, f, policy)
		for _, x := range []struct {
			x, c string
			want api.Code
		}{
			{"5", "red", ""}, {"10.9", "blue", ""}, {"5", "", ""}, // a missing category occurs in training
			{"50", "red", api.CodeFeatureOutOfRange}, {"-1.1", "red", api.CodeFeatureOutOfRange},
			{"NaN", "red", api.CodeFeatureMissing}, {"5", "green", api.CodeFeatureUnknownCategory},
		} {
			a := ask(t, s, "POST", "/v2/models/table/infer", tableRequest(x.x, x.c))
			refused := policy == features.Reject && x.want != ""
			if refused && (a.status != 400 || !strings.Contains(a.body, string(x.want))) || !refused && a.status != 200 {
				t.Errorf("%s: x %s, c %q: %d %s", policy, x.x, x.c, a.status, a.body)
			}
		}
		var d struct {
			Rows     int
			Features []struct {
				Missing    int64 `json:"violations_missing"`
				OutOfRange int64 `json:"violations_out_of_range"`
				Unknown    int64 `json:"violations_unknown_category"`
			}
		}
		a := ask(t, s, "GET", "/v2/models/table/drift", "")
		if err := json.Unmarshal([]byte(a.body), &d); err != nil {
			t.Fatal(err)
		}
		rows := map[features.Policy]int{features.Warn: 7, features.Reject: 3}[policy]
		if x, c := d.Features[0], d.Features[1]; d.Rows != rows || x.Missing != 1 || x.OutOfRange != 2 || c.Unknown != 1 || c.Missing != 0 {
			t.Errorf("%s: %s", policy, a.body)
		}
		m := ask(t, s, "GET", "/v2/models/simple/drift", "")
		if m.status != 404 || !strings.Contains(m.body, string(api.CodeDriftUnavailable)) {
			t.Errorf("a model without features: %d %s", m.status, m.body)
		}
	}
}

// TestTrainingIsForAdmins: neither jobs nor data are shown to others.
func TestTrainingIsForAdmins(t *testing.T) {
	cfg := Config{Service: serviceConfig("0123456789abcdef")}
	cfg.Service.Training = trainingRunner(t)
	s, _ := serve(t, cfg, io.Discard)
	for _, path := range []string{"/v2/train", "/v2/train/jobs", "/v2/train/snapshots", "/v2/train/jobs/x", "/v2/train/jobs/x/logs"} {
		if a := ask(t, s, "GET", path, "", "Authorization: Bearer wrong"); a.status != 403 {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	off, _ := serve(t, Config{}, io.Discard)
	if a := ask(t, off, "GET", "/v2/train/jobs", ""); a.status != 501 {
		t.Errorf("switched off: %d %s", a.status, a.body)
	}
}

// TestTrainingLogIsFollowed: the stream tells what is there, what comes, and the end.
func TestTrainingLogIsFollowed(t *testing.T) {
	cfg := Config{}
	cfg.Service.Training = trainingRunner(t)
	s, _ := serve(t, cfg, io.Discard)
	id := idOf(t, ask(t, s, "POST", "/v2/train/jobs", `{"trainer":"gbdt","model":"slow"}`).body)
	began := time.Now()
	a := ask(t, s, "GET", "/v2/train/jobs/"+id+"/logs?follow=true", "")
	for _, want := range []string{`"stage":"trees"`, `"message":"plain"`, `"stage":"done"`, "id: ", "event: end", `"state":"succeeded"`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the stream lacks %s:\n%s", want, a.body)
		}
	}
	if time.Since(began) < 300*time.Millisecond {
		t.Error("the stream ended before the job")
	}
	for body, code := range map[string]api.Code{
		`{"trainer":"magic"}`:                                    api.CodeTrainerUnknown,
		`{"trainer":"gbdt","colour":"red"}`:                      api.CodeInvalidJSON,
		`{"trainer":"gbdt"} {}`:                                  api.CodeTrailingBytes,
		`{"trainer":"gbdt","parameters":{"a":[1]}}`:              api.CodeTrainingParameterInvalid,
		`{"trainer":"gbdt","data":{"path":"x"}}`:                 api.CodeTrainingDataForbidden,
		`{"trainer":"gbdt","data":{"snapshot":"` + id + `"}}`:    api.CodeSnapshotNotFound,
		`{"trainer":"gbdt","model":"m","data":{"csv":"a,a\n1"}}`: api.CodeTrainingDataUnreadable,
	} {
		if a := ask(t, s, "POST", "/v2/train/jobs", body); a.status < 400 || !strings.Contains(a.body, string(code)) {
			t.Errorf("%s: %d %s, want %s", body, a.status, a.body, code)
		}
	}
	if a := ask(t, s, "GET", "/v2/train/jobs/"+id+"/artefacts/..%2fjob.json", ""); a.status != 404 {
		t.Errorf("a file outside: %d %s", a.status, a.body)
	}
}
