package server

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
	pb "github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/server/rest"
)

// slow attaches a model whose requests wait for company before they run, with or without a cache.
func slow(t *testing.T, f *fleet, name string, cached bool) *pipeline.Served {
	t.Helper()
	spec := f.pipe.Peek([]byte("strings"), nil).Spec
	spec.Model, spec.Cached, spec.Batcher = name, cached, batcher.Config{Delay: time.Minute, MaxRows: 64}.WithDefaults(1)
	v, err := f.pipe.Attach(spec)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// until waits for a condition and returns how long it took.
func until(t *testing.T, what string, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > 10*time.Second {
			t.Fatal("in vain: " + what)
		}
		time.Sleep(100 * time.Microsecond)
	}
	return time.Since(began)
}

const soon = 10 * time.Millisecond

// TestGoneClients: a request that waits leaves its place soon after its client has gone, and never runs.
func TestGoneClients(t *testing.T) {
	s, f := serve(t, Config{}, io.Discard)
	request := func(model string) string { return post("/v2/models/"+model+"/infer", stringsBody("a", "")) }
	g := dial(t, s)
	ways := map[string]func(model string) (leave func()){
		"closed": func(m string) func() { l := connect(t, s); l.send(request(m)); return func() { l.Close() } },
		"half-closed": func(m string) func() {
			l := connect(t, s)
			l.send(request(m))
			return func() { l.Conn.(interface{ CloseWrite() error }).CloseWrite() }
		},
		"reset": func(m string) func() {
			l := connect(t, s)
			l.send(request(m))
			return func() { l.Conn.(interface{ SetLinger(int) error }).SetLinger(0); l.Close() }
		},
		"second request": func(m string) func() {
			l := connect(t, s)
			if a := l.ask(request("strings")); a.status != 200 {
				t.Error(a.body)
			}
			l.send(request(m))
			return func() { l.Close() }
		},
		"gRPC": func(m string) func() {
			ctx, cancel := context.WithCancel(context.Background())
			go pb.NewGRPCInferenceServiceClient(g).ModelInfer(ctx, &pb.ModelInferRequest{ModelName: m,
				Inputs:           []*pb.ModelInferRequest_InferInputTensor{{Name: "INPUT0", Datatype: "BYTES", Shape: []int64{1, 1}}},
				RawInputContents: [][]byte{{1, 0, 0, 0, 'a'}}})
			return cancel
		},
	}
	for _, cached := range []bool{false, true} {
		for way, begin := range ways {
			v := slow(t, f, strings.ReplaceAll(way, " ", "")+map[bool]string{true: "-cached"}[cached], cached)
			waiting := func() int64 { return v.Queue().Waiting.Load() }
			best := time.Hour
			for range 8 {
				leave := begin(v.Model)
				until(t, way+": a request waits", func() bool { return waiting() == 1 })
				leave()
				best = min(best, until(t, way+": the place is free", func() bool { return waiting() == 0 }))
			}
			if best > soon {
				t.Errorf("%s: the place was free after %v", way, best)
			}
			if st := v.Queue(); st.Executions.Load() != 0 || st.Cancelled.Load() != 8 {
				t.Errorf("%s: %d executed, %d cancelled", way, st.Executions.Load(), st.Cancelled.Load())
			}
		}
	}
	cancelled := int64(0)
	s.Service().Counts.Each(func(protocol, code string, n int64) {
		if code == string(api.CodeCancelled) {
			cancelled += n
		}
	})
	if cancelled != 80 {
		t.Errorf("%d answers counted as cancelled, want 80", cancelled)
	}
}

// TestGoneLeader: of equal requests the one that runs for all may leave; another takes over.
func TestGoneLeader(t *testing.T) {
	s, f := serve(t, Config{}, io.Discard)
	v := slow(t, f, "slow", true)
	request := post("/v2/models/slow/infer", stringsBody("a", ""))
	waiting := func() int64 { return v.Queue().Waiting.Load() }
	first, second := connect(t, s), connect(t, s)
	first.send(request)
	until(t, "a request waits", func() bool { return waiting() == 1 })
	second.send(request)
	until(t, "both are in", func() bool { return v.Stats.Pending.Load() == 2 })
	time.Sleep(soon)
	first.Close()
	until(t, "the first is refused", func() bool { return v.Queue().Cancelled.Load() == 1 })
	until(t, "the second waits", func() bool { return waiting() == 1 })
	second.Close()
	until(t, "nobody waits", func() bool { return waiting() == 0 && v.Stats.Pending.Load() == 0 })
}

// TestIgnoreClosed: clients that close the sending half are answered where the configuration says so.
func TestIgnoreClosed(t *testing.T) {
	s, f := serve(t, Config{HTTP: rest.Config{IgnoreClosed: true}}, io.Discard)
	spec := f.pipe.Peek([]byte("strings"), nil).Spec
	spec.Model, spec.Cached, spec.Batcher = "slow", false, batcher.Config{Delay: 100 * time.Millisecond, MaxRows: 64}.WithDefaults(1)
	if _, err := f.pipe.Attach(spec); err != nil {
		t.Fatal(err)
	}
	l := connect(t, s)
	l.send(post("/v2/models/slow/infer", stringsBody("a", "")))
	if err := l.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if a := l.receive(); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
}
