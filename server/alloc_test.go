//go:build !race

package server

import (
	"strconv"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// TestPredictDoesNotAllocate holds the whole way of a request from its body to its answer, in a model that does not
// allocate either.
func TestPredictDoesNotAllocate(t *testing.T) {
	head := `{"inputs":[{"name":"INPUT0","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}}],"outputs":[{"name":"OUTPUT0","parameters":{"binary_data":true}}]}`
	f := func(name, body string, jsonLen int) {
		t.Helper()
		run := predictor(t, body, jsonLen)
		prepare := func() *fasthttp.RequestCtx { return run() }
		ctx := prepare()
		ctx.Request.SetRequestURI("/v2/models/floats/infer")
		ctx.Request.SetBodyString(body)
		if jsonLen >= 0 {
			ctx.Request.Header.Set("Inference-Header-Content-Length", strconv.Itoa(jsonLen))
		}
		for range 10 {
			if ctx = run(); ctx.Response.StatusCode() != 200 || !strings.Contains(string(ctx.Response.Body()), "OUTPUT0") {
				t.Fatalf("%s: %s", name, ctx.Response.String())
			}
		}
		if n := testing.AllocsPerRun(200, func() { run() }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	f("JSON", `{"id":"7","inputs":[{"name":"INPUT0","shape":[1,2],"datatype":"FP32","data":[1.5,2]}]}`, -1)
	f("binary", head+"\x00\x00\x80\x3f\x00\x00\x80\x3f", len(head))
}
