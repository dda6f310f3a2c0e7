package server

import (
	"fmt"
	"io"
	"regexp"
	"testing"

	"google.golang.org/grpc/metadata"

	pb "github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/runtime"
)

// TestRouteKey: a caller's key keeps it on one side of a canary, the same over HTTP and gRPC;
// callers without one go on being shared out by request.
func TestRouteKey(t *testing.T) {
	s, f := serve(t, Config{}, io.Discard)
	b, err := addSub().Encode()
	if err != nil {
		t.Fatal(err)
	}
	for version := range int64(2) {
		m, err := runtime.NewEngine(runtime.Config{}).Read(b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.pipe.Attach(pipeline.Spec{Model: "twice", Version: version + 1, MaxBatch: 8, Runtime: m, Batcher: batcher.Config{}.WithDefaults(2)}); err != nil {
			t.Fatal(err)
		}
	}
	f.pipe.SetRules("twice", pipeline.Rules{Stable: 1, Canary: 2, CanaryShare: 0.5})
	version := regexp.MustCompile(`"model_version":"(\d)"`)
	body := simpleRequest(1, "")
	over := func(headers ...string) string {
		a := ask(t, s, "POST", "/v2/models/twice/infer", body, headers...)
		found := version.FindStringSubmatch(a.body)
		if found == nil {
			t.Fatal(a.body)
		}
		return found[1]
	}
	rpc := pb.NewGRPCInferenceServiceClient(dial(t, s))
	q := simpleGRPC()
	q.ModelName, q.ModelVersion = "twice", ""
	seen := map[string]int{}
	for i := range 24 {
		key := fmt.Sprintf("caller-%d", i)
		first := over("X-Route-Key: " + key)
		seen[first]++
		for range 3 {
			if v := over("X-Route-Key: " + key); v != first {
				t.Fatalf("%s went from version %s to %s", key, first, v)
			}
		}
		r, err := rpc.ModelInfer(metadata.AppendToOutgoingContext(t.Context(), "x-route-key", key), q)
		if err != nil || r.ModelVersion != first {
			t.Fatalf("%s: version %s over HTTP, %s over gRPC: %v", key, first, r.GetModelVersion(), err)
		}
	}
	if seen["1"] == 0 || seen["2"] == 0 {
		t.Errorf("the keys all went one way: %v", seen)
	}
	clear(seen)
	for range 20 {
		seen[over()]++
	}
	if seen["2"] < 9 || seen["2"] > 11 {
		t.Errorf("without a key: %v of 20", seen)
	}
}
