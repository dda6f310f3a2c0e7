package tracing

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
)

// collector keeps what is exported.
type collector struct {
	mu    sync.Mutex
	spans []map[string]any
	fail  bool
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	var in struct {
		ResourceSpans []struct {
			Resource   struct{ Attributes []map[string]any }
			ScopeSpans []struct{ Spans []map[string]any }
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/json" || json.Unmarshal(b, &in) != nil || len(in.ResourceSpans) != 1 {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	c.spans = append(c.spans, in.ResourceSpans[0].ScopeSpans[0].Spans...)
}

func newTracer(t *testing.T, c *collector, ratio float64) *Tracer {
	t.Helper()
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	tr, err := New(Config{Endpoint: s.URL + "/", Ratio: ratio, Version: "v"})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func closeNow(t *testing.T, tr *Tracer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := tr.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

const caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestSpans(t *testing.T) {
	c := &collector{}
	tr := newTracer(t, c, 0) // the caller decides
	s := tr.Start("POST infer", caller, "vendor=1")
	s.Set("aimass.model", "m")
	s.SetInt("http.response.status_code", 503)
	s.Stage("queue", time.Unix(1, 5), 7, "aimass.batch_rows", 3)
	if s.TraceID() != "0af7651916cd43dd8448eb211c80319c" || !strings.HasPrefix(s.Parent(), "00-0af7651916cd43dd8448eb211c80319c-") || strings.Contains(s.Parent(), "b7ad6b") {
		t.Errorf("%s %s", s.TraceID(), s.Parent())
	}
	s.End(api.Errorf(api.CodeQueueFull, "full"))
	closeNow(t, tr)
	if len(c.spans) != 2 {
		t.Fatal(c.spans)
	}
	stage, root := c.spans[0], c.spans[1]
	if stage["parentSpanId"] != root["spanId"] || root["parentSpanId"] != "b7ad6b7169203331" || stage["traceId"] != root["traceId"] ||
		stage["startTimeUnixNano"] != "1000000005" || stage["endTimeUnixNano"] != "1000000012" || root["traceState"] != "vendor=1" || root["kind"] != 2.0 {
		t.Errorf("%v\n%v", stage, root)
	}
	text, _ := json.Marshal(root)
	for _, want := range []string{`"code":2`, `"message":"full"`, `{"key":"error.type","value":{"stringValue":"queue_full"}}`, `{"key":"http.response.status_code","value":{"intValue":"503"}}`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}

func TestParents(t *testing.T) {
	tr := newTracer(t, &collector{}, 0)
	defer closeNow(t, tr)
	f := func(parent string, traced bool) {
		t.Helper()
		if got := tr.Start("x", parent, "") != nil; got != traced {
			t.Errorf("%q: traced %v", parent, got)
		}
	}
	f(caller, true)
	f("01"+caller[2:]+"-more", true) // a later version may add fields
	f(caller[:len(caller)-1]+"0", false)
	for _, bad := range []string{"", "x", caller + "0", caller + "-00", "ff" + caller[2:], strings.ToUpper(caller), strings.Replace(caller, "-", "_", 1),
		"00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", strings.Replace(caller, "0a", "zz", 1)} {
		f(bad, false)
	}
}

func TestRatio(t *testing.T) {
	for ratio, want := range map[float64]int{0: 0, 0.25: 2500, 1: 10000} {
		tr := newTracer(t, &collector{}, ratio)
		n := 0
		for range 10000 {
			if tr.Start("x", "", "") != nil {
				n++
			}
		}
		if n < want-300 || n > want+300 {
			t.Errorf("ratio %v: %d of 10000", ratio, n)
		}
		closeNow(t, tr)
	}
}

// TestOff: nil tracers and spans do nothing, and a collector that fails holds nobody up.
func TestOff(t *testing.T) {
	tr, err := New(Config{})
	if err != nil || tr != nil {
		t.Fatal(tr, err)
	}
	s := tr.Start("x", caller, "")
	s.Set("a", "b")
	s.SetInt("a", 1)
	s.Stage("x", time.Now(), 1)
	s.End(nil)
	if s != nil || s.TraceID()+s.Parent() != "" || tr.Close(context.Background()) != nil || From(With(context.Background(), nil)) != nil {
		t.Error("a nil span says something")
	}
	for _, bad := range []Config{{Endpoint: "ftp://x"}, {Endpoint: "nonsense"}, {Endpoint: "http://x", Ratio: 2}} {
		if _, err := New(bad); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
	broken := newTracer(t, &collector{fail: true}, 1)
	for range 3 * maxWaiting {
		broken.Start("x", "", "").End(nil)
	}
	closeNow(t, broken)
}
