package server

import (
	"io"
	"strconv"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/aimass/aimass/server/rest"
)

// predictor returns a function that answers one request as the HTTP server does, but for the connection.
func predictor(t testing.TB, body string, jsonLen int) func() *fasthttp.RequestCtx {
	s, _ := serve(t, Config{}, io.Discard)
	h := rest.New(rest.Config{}.WithDefaults(), s.Service())
	ctx := new(fasthttp.RequestCtx)
	ctx.Init(new(fasthttp.Request), nil, nil)
	ctx.Request.Header.SetMethod("POST")
	ctx.Request.SetRequestURI("/v2/models/simple/infer")
	ctx.Request.SetBodyString(body)
	if jsonLen >= 0 {
		ctx.Request.Header.Set("Inference-Header-Content-Length", strconv.Itoa(jsonLen))
	}
	return func() *fasthttp.RequestCtx {
		ctx.Response.Reset()
		h.Serve(ctx)
		return ctx
	}
}

func binaryRequest() (string, int) {
	head := `{"inputs":[{"name":"INPUT0","shape":[1,16],"datatype":"INT32","parameters":{"binary_data_size":64}},` +
		`{"name":"INPUT1","shape":[1,16],"datatype":"INT32","parameters":{"binary_data_size":64}}],"parameters":{"binary_data_output":true}}`
	return head + string(make([]byte, 128)), len(head)
}

func BenchmarkPredict(b *testing.B) {
	f := func(name, body string, jsonLen int) {
		b.Run(name, func(b *testing.B) {
			run := predictor(b, body, jsonLen)
			b.ReportAllocs()
			for b.Loop() {
				if ctx := run(); ctx.Response.StatusCode() != 200 {
					b.Fatal(ctx.Response.String())
				}
			}
		})
	}
	f("JSON", simpleRequest(1, ""), -1)
	body, n := binaryRequest()
	f("binary", body, n)
}
