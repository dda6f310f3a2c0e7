package server

import (
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aimass/aimass/batcher"
)

// TestLane: from its second request on, a connection's plain requests are answered without an HTTP server's general
// work, and nobody can tell the difference. Accept-Encoding keeps a request out of the lane.
func TestLane(t *testing.T) {
	s, f := serve(t, Config{}, io.Discard)
	spec := f.pipe.Peek([]byte("strings"), nil).Spec
	spec.Model, spec.Cached, spec.MaxBatch = "plain", false, 8
	if _, err := f.pipe.Attach(spec); err != nil {
		t.Fatal(err)
	}
	text := func(a answer) string {
		h := maps.Clone(a.header)
		delete(h, "Date")
		if id := h.Get("X-Request-Id"); a.status != 200 && len(id) == 16 {
			h.Set("X-Request-Id", "")
			a.body = strings.ReplaceAll(a.body, id, "")
		}
		return fmt.Sprintf("%d %v %v %q", a.status, a.closes, h, a.body)
	}
	binary := `{"inputs":[{"name":"INPUT0","datatype":"FP32","shape":[1,2],"parameters":{"binary_data_size":8}}],"outputs":[{"name":"OUTPUT0","parameters":{"binary_data":true}}]}`
	l := connect(t, s)
	l.ask("GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
	f1 := func(path, body string, headers ...string) {
		t.Helper()
		want := text(l.ask(post(path, body, append(headers, "Accept-Encoding: identity")...)))
		for range 3 {
			if got := text(l.ask(post(path, body, headers...))); got != want {
				t.Errorf("%s %s\n got %s\nwant %s", path, body, got, want)
			}
		}
	}
	const path = "/v2/models/plain/infer"
	f1(path, stringsBody("a", ""))
	f1(path, stringsBody("ü\\u0000", `,"id":"one"`))
	f1(path, stringsBody("a", ""), "X-Request-Id: two")
	f1(path, stringsBody("a", `,"id":"one","parameters":{"timeout":60000000,"priority":0}`), "X-Request-Id: two", "X-Aimass-Tenant: t", "X-Request-Timeout-Ms: 60000")
	f1("/v2/models/simple/infer", simpleRequest(2, ""))
	f1("/v2/models/simple/versions/1/infer", simpleRequest(2, ""))
	f1("/v2/models/floats/infer", binary+"\x00\x00\x80\x3f\x00\x00\x00\x40", fmt.Sprint("Inference-Header-Content-Length: ", len(binary)))
	// Errors: of the request, of the model, of the name.
	f1(path, `{"inputs":[]}`)
	f1(path, `{`)
	f1(path, stringsBody("a", `,"parameters":{"priority":7}`))
	f1(path, stringsBody("a", `,"outputs":[{"name":"x"}]`))
	f1("/v2/models/simple/versions/7/infer", simpleRequest(2, ""))
	f1("/v2/models/nobody/infer", simpleRequest(2, ""))
	f1("/v2/models/floats/infer", binary+"\x00\x00\xc0\x7f\x00\x00\x00\x40", fmt.Sprint("Inference-Header-Content-Length: ", len(binary)))

	// It is the lane that answers: it writes this header before the length.
	l.send(post("/v2/models/floats/infer", binary+"\x00\x00\x80\x3f\x00\x00\x00\x40", fmt.Sprint("Inference-Header-Content-Length: ", len(binary))))
	time.Sleep(10 * time.Millisecond)
	head, _ := l.r.Peek(200)
	if !strings.Contains(string(head), "\r\nInference-Header-Content-Length: ") || strings.Index(string(head), "Content-Length: ") < strings.Index(string(head), "Inference-Header") {
		t.Errorf("got %q", head)
	}
}

// TestLaneUnderShutdown: a request in the lane is answered though the server is stopping.
func TestLaneUnderShutdown(t *testing.T) {
	s, f := serve(t, Config{}, io.Discard)
	spec := f.pipe.Peek([]byte("strings"), nil).Spec
	spec.Model, spec.Cached, spec.Batcher = "slow", false, batcher.Config{Delay: 300 * time.Millisecond, MaxRows: 64}.WithDefaults(1)
	v, err := f.pipe.Attach(spec)
	if err != nil {
		t.Fatal(err)
	}
	l := connect(t, s)
	request := post("/v2/models/slow/infer", stringsBody("a", ""))
	l.ask(request)
	l.send(request)
	until(t, "a request waits", func() bool { return v.Queue().Waiting.Load() == 1 })
	s.Service().Drain()
	if err := s.drain(); err != nil {
		t.Error(err)
	}
	if a := l.receive(); a.status != 200 {
		t.Errorf("%+v", a)
	}
}
