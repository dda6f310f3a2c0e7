package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// lockedBuffer is written by the server and read by the test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startServer serves a folder on a free port until the test ends and gives its address.
func startServer(t *testing.T, models string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := defaultSettings()
	s.Models, s.HTTP, s.GRPC, s.Metrics, s.Grace = models, "127.0.0.1:0", "off", "off", 0
	said, done := &lockedBuffer{}, make(chan error, 1)
	go func() { done <- serve(ctx, s, said) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	at := regexp.MustCompile(`at http://(\S+)`)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if m := at.FindStringSubmatch(said.String()); m != nil {
			return m[1]
		}
	}
	t.Fatalf("not ready in a minute:\n%s", said.String())
	return ""
}

// answer is what the predict endpoint says, for good or ill.
type answer struct {
	Outputs []struct {
		Name string
		Data []any
	}
	Error, Code string
	Retryable   bool
}

func (a *answer) output(name string) []any {
	for _, o := range a.Outputs {
		if o.Name == name {
			return o.Data
		}
	}
	return nil
}

func infer(t *testing.T, addr, model, body string) (int, *answer) {
	t.Helper()
	r, err := http.Post("http://"+addr+"/v2/models/"+model+"/infer", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := &answer{}
	// NaN is how the server writes a float that JSON has no form for.
	if err := json.Unmarshal(bytes.ReplaceAll(b, []byte("NaN"), []byte("null")), a); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return r.StatusCode, a
}

// need is a request to recommend.
func need(patient, need, extra, earliest string) string {
	return fmt.Sprintf(`{"inputs":[{"name":"patient","shape":[1],"datatype":"BYTES","data":[%q]},{"name":"need","shape":[1],"datatype":"BYTES","data":[%q]},%s
		{"name":"earliest","shape":[1],"datatype":"BYTES","data":[%q]},{"name":"urgency","shape":[1],"datatype":"FP32","data":[1]}]}`, patient, need, extra, earliest)
}

const textInput = `{"name":"text","shape":[1],"datatype":"BYTES","data":["my chest hurts"]},`

func TestAddTextModel(t *testing.T) {
	from, out := filepath.Join(t.TempDir(), "encoder"), t.TempDir()
	if err := os.MkdirAll(from, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := addTextModel(out, from, io.Discard); err == nil {
		t.Error("an empty folder was taken")
	}
	if entries, _ := os.ReadDir(out); len(entries) != 0 {
		t.Errorf("a failure left %v", entries)
	}
	for _, f := range []string{"model.onnx", "tokenizer.json"} {
		if err := os.WriteFile(filepath.Join(from, f), []byte(f), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := addTextModel(out, from, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(out, "encoder", "1", "tokenizer.json")); err != nil || string(b) != "tokenizer.json" {
		t.Errorf("%q: %v", b, err)
	}
}

// TestDemoModelsServe writes the demo models, serves them and asks each over HTTP.
func TestDemoModelsServe(t *testing.T) {
	dir := t.TempDir()
	if err := writeDemo(context.Background(), dir, io.Discard); err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	if err := writeDemo(context.Background(), dir, &again); err != nil || again.Len() != 0 {
		t.Errorf("a second time: %v, %q", err, again.String())
	}
	for _, m := range []string{"appt-noshow", "appt-noshow-day", "appt-wait", "appt-schedule", "appt-schedule-fair", "appt-day", "appt-assign", "recommend"} {
		for _, f := range []string{"model_card.json", "model_card.md"} {
			if st, err := os.Stat(filepath.Join(dir, m, "1", f)); err != nil || st.Size() < 200 {
				t.Errorf("%s/1/%s: %v", m, f, err)
			}
		}
	}
	addr := startServer(t, dir)
	const at = "2026-03-02T09:00:00+01:00"
	status, a := infer(t, addr, "recommend", need("p-007", "general", "", at))
	if status != 200 || len(a.output("doctor")) != 5 || a.output("doctor")[4] == "" || !strings.HasPrefix(a.output("start")[0].(string), "2026-03-") {
		t.Errorf("recommend: %d %+v", status, a)
	}
	status, a = infer(t, addr, "recommend", need("nobody", "mind", "", at))
	if status != 200 || a.output("doctor")[1] == "" || a.output("doctor")[4] != "" || a.output("p_noshow")[4] != nil {
		t.Errorf("fewer than five doctors: %d %+v", status, a)
	}
	f := func(model, body string, wantStatus int, wantCode string) {
		t.Helper()
		if status, a := infer(t, addr, model, body); status != wantStatus || a.Code != wantCode {
			t.Errorf("%s: %d %q (%s), want %d %q", model, status, a.Code, a.Error, wantStatus, wantCode)
		}
	}
	f("recommend", need("p-007", "", textInput, at), 503, "model_unavailable")
	f("recommend", need("p-007", "teeth", "", at), 400, "appt_unknown_need")
	f("recommend", need("p-007", "general", "", "2026-03-02T09:00:00"), 400, "appt_timestamp_zone")
	const session = `{"inputs":[{"name":"service_mean","shape":[1,2],"datatype":"FP32","data":[10,12]},{"name":"service_cv","shape":[1,2],"datatype":"FP32","data":[0.5,0.5]},
		{"name":"p_noshow","shape":[1,2],"datatype":"FP32","data":[0.1,%v]},{"name":"mask","shape":[1,2],"datatype":"BOOL","data":[true,true]},
		{"name":"session_minutes","shape":[1],"datatype":"INT32","data":[30]},{"name":"grid","shape":[1],"datatype":"INT32","data":[5]},
		{"name":"weights","shape":[1,3],"datatype":"FP32","data":[1,1,1]},{"name":"fixed_order","shape":[1],"datatype":"BOOL","data":[true]}]}`
	f("appt-schedule", fmt.Sprintf(session, .2), 200, "")
	f("appt-schedule", fmt.Sprintf(session, 1.2), 400, "appt_bad_probability")
	const booking = `{"inputs":[{"name":"numeric","shape":[1,17],"datatype":"FP32","data":[%v,0,%v,0,9.5,1,6,0,0,0,0,0,3,%v,0,40,1]},{"name":"neighbourhood","shape":[1],"datatype":"INT64","data":[%d]}]}`
	f("appt-noshow", fmt.Sprintf(booking, 34, 12, 1, 7), 200, "")
	f("appt-noshow", fmt.Sprintf(booking, 34, 12, 1, 9999), 200, "") // an unknown neighbourhood is no error
	f("appt-noshow", fmt.Sprintf(booking, 121, 12, 1, 7), 400, "appt_bad_age")
	f("appt-noshow", fmt.Sprintf(booking, 34, -1, 1, 7), 400, "appt_booked_after_day")
	f("appt-noshow", fmt.Sprintf(booking, 34, 12, 4, 7), 400, "appt_bad_history")
	f("appt-noshow", fmt.Sprintf(booking, "NaN", 12, 1, 7), 400, "appt_not_finite")
	f("appt-wait", `{"inputs":[{"name":"session","shape":[1,9],"datatype":"FP32","data":[3,16,10,15,1,150,40,12,8]}]}`, 200, "")
	f("appt-wait", `{"inputs":[{"name":"session","shape":[1,9],"datatype":"FP32","data":[3,16,10,16,1,150,40,12,8]}]}`, 400, "appt_bad_plan")
	f("appt-wait", `{"inputs":[{"name":"session","shape":[1,8],"datatype":"FP32","data":[3,16,10,15,1,150,40,12]}]}`, 400, "shape_mismatch")
}
