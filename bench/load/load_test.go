package load

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	goruntime "runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/aimass/aimass/api/inferencepb"
)

const metadataText = `{"name":"m","inputs":[{"name":"x","datatype":"FP32","shape":[-1,4]},{"name":"mask","datatype":"INT64","shape":[-1]}]}`

// fake is a server of one model whose answers a test decides.
type fake struct {
	*httptest.Server
	served atomic.Int64
	tenant [2]atomic.Int64
}

func newFake(t *testing.T, infer func(n int64, w http.ResponseWriter, body []byte)) *fake {
	f := &fake{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v2/models/m":
			io.WriteString(w, metadataText)
		case strings.HasSuffix(r.URL.Path, "/stats"):
			n := f.served.Load()
			fmt.Fprintf(w, `{"model_stats":[{"name":"m","version":"1","inference_count":%d,"execution_count":%d,"inference_stats":{"success":{"count":%d,"ns":%d},"queue":{"count":%d,"ns":%d}},"batch_stats":[{"batch_size":2,"compute_infer":{"count":%d,"ns":%d}}]}]}`,
				2*n, n, n, 5000*n, n, 2000*n, n, 1000*n)
		case strings.HasSuffix(r.URL.Path, "/infer"):
			body, _ := io.ReadAll(r.Body)
			switch r.Header.Get("X-Aimass-Tenant") {
			case "a":
				f.tenant[0].Add(1)
			case "b":
				f.tenant[1].Add(1)
			}
			infer(f.served.Add(1), w, body)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(f.Close)
	return f
}

func do(t *testing.T, o Options) *Result {
	t.Helper()
	if o.Models == nil {
		o.Models = []string{"m"}
	}
	p, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	r, err := p.Run(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestClosedLoopCountsWhatTheServerServed(t *testing.T) {
	f := newFake(t, func(_ int64, w http.ResponseWriter, body []byte) {
		if !bytes.Contains(body, []byte(`"shape":[3,4]`)) || !bytes.Contains(body, []byte(`"data":[`)) {
			t.Errorf("body %.200s", body)
		}
		time.Sleep(2 * time.Millisecond)
		io.WriteString(w, `{"outputs":[]}`)
	})
	r := do(t, Options{URL: f.URL, Protocol: "http-json", Concurrency: 4, Batch: 3, Duration: 400 * time.Millisecond})
	if n := f.served.Load(); r.Requests == 0 || n-r.Requests < 0 || n-r.Requests > 4 || r.ErrorCount() != 0 {
		t.Errorf("%d answers counted, %d served, errors %v", r.Requests, n, r.Errors)
	}
	if r.Latency.P50 < int64(2*time.Millisecond) {
		t.Errorf("p50 %d ns of answers that take 2 ms", r.Latency.P50)
	}
	if len(r.Server) != 1 || r.Server[0].Executions < uint64(r.Requests) || r.Server[0].Queue != 2 || r.Server[0].Total != 5 || len(r.Server[0].Batches) != 1 || r.Server[0].Batches[0].Rows != 2 {
		t.Errorf("server's stages %+v", r.Server)
	}
}

// TestStallIsNotOmitted: a server that stops for a while makes every request late that
// should have been sent meanwhile.
func TestStallIsNotOmitted(t *testing.T) {
	var gate atomic.Int64
	f := newFake(t, func(n int64, w http.ResponseWriter, _ []byte) {
		if n == 50 {
			gate.Store(time.Now().Add(300 * time.Millisecond).UnixNano())
		}
		if g := gate.Load(); g != 0 {
			time.Sleep(time.Until(time.Unix(0, g)))
		}
		io.WriteString(w, `{}`)
	})
	r := do(t, Options{URL: f.URL, Rate: 500, Arrival: "constant", Duration: time.Second, Connections: 8})
	if r.Requests < 495 || r.ErrorCount() != 0 {
		t.Errorf("%d answers of 500, errors %v", r.Requests, r.Errors)
	}
	// 150 of 500 requests fall into the stall; the tenth percentile from the top waited most of it.
	if r.Latency.P90 < int64(180*time.Millisecond) {
		t.Errorf("p90 %v beside a stall of 300 ms", time.Duration(r.Latency.P90))
	}
}

func TestErrorsByCode(t *testing.T) {
	f := newFake(t, func(n int64, w http.ResponseWriter, _ []byte) {
		switch n % 4 {
		case 0:
			w.WriteHeader(503)
			io.WriteString(w, `{"error":"Exceeds maximum queue size","code":"queue_full"}`)
		case 1:
			w.WriteHeader(500)
			io.WriteString(w, strings.Repeat("x", 100000))
		case 2:
			w.(http.Flusher).Flush() // chunked
			io.WriteString(w, `{"a":`)
			w.(http.Flusher).Flush()
			io.WriteString(w, `1}`)
		default:
			w.Header().Set("Connection", "close")
			io.WriteString(w, `{}`)
		}
	})
	r := do(t, Options{URL: f.URL, Concurrency: 3, Duration: 300 * time.Millisecond})
	n := f.served.Load()
	if q := r.Errors["queue_full"]; q < n/4-4 || r.ErrorTexts["queue_full"] != "Exceeds maximum queue size" {
		t.Errorf("queue_full %d of %d: %v", q, n, r.ErrorTexts)
	}
	if r.Errors["http_500"] < n/4-4 || len(r.Errors) != 2 || r.Requests < n/2-4 {
		t.Errorf("%d served, %d answers, errors %v", n, r.Requests, r.Errors)
	}
}

func TestTimeoutAndDeadServer(t *testing.T) {
	f := newFake(t, func(n int64, w http.ResponseWriter, body []byte) {
		if !bytes.Contains(body, []byte(`"timeout":50000`)) {
			t.Errorf("body %.100s", body)
		}
		if n%2 == 0 {
			time.Sleep(400 * time.Millisecond)
		}
		io.WriteString(w, `{}`)
	})
	o := Options{URL: f.URL, Models: []string{"m"}, Concurrency: 2, Duration: 300 * time.Millisecond, Timeout: 60 * time.Millisecond, Deadline: 50 * time.Millisecond}
	r := do(t, o)
	if r.Errors["client_timeout"] == 0 || r.Requests == 0 {
		t.Errorf("%d answers, errors %v", r.Requests, r.Errors)
	}
	p, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	f.CloseClientConnections()
	f.Listener.Close()
	if r, err = p.Run(t.Context(), nil); err != nil || r.Requests != 0 || r.ErrorCount() == 0 || r.ErrorCount() > 1000 {
		t.Errorf("of a dead server: %v, %d answers, errors %v", err, r.Requests, r.Errors)
	}
}

func TestSharesOfTenants(t *testing.T) {
	f := newFake(t, func(_ int64, w http.ResponseWriter, _ []byte) { io.WriteString(w, `{}`) })
	r := do(t, Options{URL: f.URL, Tenants: []string{"a=3", "b"}, Concurrency: 2, Duration: 300 * time.Millisecond})
	a, b := float64(f.tenant[0].Load()), float64(f.tenant[1].Load())
	if a+b < 100 || a/b < 2 || a/b > 4.5 {
		t.Errorf("%v and %v requests of tenants with shares 3 and 1", a, b)
	}
	if len(r.Targets) != 2 || r.Targets[0].Requests+r.Targets[1].Requests != r.Requests || r.Targets[0].Tenant != "a" {
		t.Errorf("targets %+v of %d", r.Targets, r.Requests)
	}
}

// TestNoGarbageInTheLoop runs against a server that makes none either.
func TestNoGarbageInTheLoop(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f := newFake(t, nil)
	p, err := New(t.Context(), Options{URL: f.URL, Models: []string{"m"}, Concurrency: 2, Duration: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	size := len(p.targets[0].bodies[0])
	for _, b := range p.targets[0].bodies {
		if len(b) != size {
			t.Fatal("bodies differ in length")
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				r, buf, answer := bufio.NewReader(c), make([]byte, size), []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
				for {
					if _, err := io.ReadFull(r, buf); err != nil {
						return
					}
					c.Write(answer)
				}
			}()
		}
	}()
	p.address = l.Addr().String()
	d, err := newHTTPDriver(p)
	if err != nil && goruntime.GOOS != "linux" {
		t.Skipf("NOT RUN: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	rec := newRecorder(1, 0, nil)
	if _, err := d.run(t.Context(), newRecorder(1, 0, nil), 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	if _, err := d.run(t.Context(), rec, 300*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	goruntime.ReadMemStats(&after)
	if n := rec.all.Count(); n < 100 || float64(after.Mallocs-before.Mallocs) > 0.2*float64(n) {
		t.Errorf("%d allocations in %d requests", after.Mallocs-before.Mallocs, n)
	}
}

type grpcFake struct {
	inferencepb.UnimplementedGRPCInferenceServiceServer
	served atomic.Int64
}

func (f *grpcFake) ModelMetadata(context.Context, *inferencepb.ModelMetadataRequest) (*inferencepb.ModelMetadataResponse, error) {
	return &inferencepb.ModelMetadataResponse{Name: "m", Inputs: []*inferencepb.ModelMetadataResponse_TensorMetadata{{Name: "x", Datatype: "FP32", Shape: []int64{-1, 4}}}}, nil
}

func (f *grpcFake) ModelInfer(_ context.Context, r *inferencepb.ModelInferRequest) (*inferencepb.ModelInferResponse, error) {
	if len(r.RawInputContents) != 1 || len(r.RawInputContents[0]) != 16 {
		return nil, fmt.Errorf("inputs %v", r)
	}
	f.served.Add(1)
	return &inferencepb.ModelInferResponse{ModelName: r.ModelName}, nil
}

func TestGRPC(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &grpcFake{}
	s := grpc.NewServer()
	inferencepb.RegisterGRPCInferenceServiceServer(s, f)
	go s.Serve(l)
	defer s.Stop()
	for _, o := range []Options{{Concurrency: 4}, {Rate: 300}} {
		o.URL, o.Protocol, o.Duration = l.Addr().String(), "grpc", 300*time.Millisecond
		before := f.served.Load()
		r := do(t, o)
		if n := f.served.Load() - before; r.Requests == 0 || n-r.Requests < 0 || n-r.Requests > 4 || r.ErrorCount() != 0 {
			t.Errorf("%s loop: %d answers, %d served, errors %v", r.Loop, r.Requests, n, r.ErrorTexts)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	f := newFake(t, nil)
	for _, o := range []Options{
		{URL: f.URL}, {URL: f.URL, Models: []string{"absent"}}, {URL: "://", Models: []string{"m"}}, {URL: "https://x", Models: []string{"m"}},
		{URL: f.URL + "/v2", Models: []string{"m"}}, {URL: f.URL, Models: []string{"m=-1"}}, {URL: f.URL, Models: []string{"m"}, Protocol: "smtp"},
		{URL: f.URL, Models: []string{"m"}, Arrival: "sometimes"}, {URL: f.URL, Models: []string{"m"}, Rate: -1},
		{URL: f.URL, Models: []string{"m"}, Shapes: []string{"y=1x4"}}, {URL: f.URL, Models: []string{"m"}, Tenants: []string{"a\r\nb"}},
	} {
		if _, err := New(t.Context(), o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}
