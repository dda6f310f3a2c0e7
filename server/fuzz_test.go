package server

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/server/rest"
)

// FuzzHTTP: whatever comes, the answer is a success or an error of the table with its status and body, and the server
// goes on.
func FuzzHTTP(f *testing.F) {
	binaryBody, _ := binaryRequest()
	f.Add("POST", "/v2/models/simple/infer", []byte(simpleRequest(1, "")), "", "")
	f.Add("POST", "/v2/models/simple/infer", []byte(binaryBody), "210", "")
	f.Add("POST", "/v2/models/floats/infer", []byte("\x00\x00\x80\x3f"), "0", "")
	f.Add("POST", "/v2/models/strings/versions/1/infer", []byte(`{"inputs":[{"name":"INPUT0","shape":[1,1],"datatype":"BYTES","data":["a"]}]}`), "", "gzip")
	f.Add("POST", "/v2/repository/models/x/load", []byte(`{"parameters":{"config":"{}","file:1/model.onnx":"AAAA"}}`), "", "")
	f.Add("POST", "/v2/trace/setting", []byte(`{"trace_level":["TIMESTAMPS"],"trace_rate":"5"}`), "", "")
	f.Add("POST", "/v2/logging", []byte(`{"log_verbose_level":3,"log_info":true}`), "", "zstd")
	f.Add("GET", "/v2/models/simple/stats", []byte{}, "", "")
	f.Add("POST", "/v2/systemsharedmemory/region/r/register", []byte(`{"key":"/k","offset":0,"byte_size":64}`), "", "")
	s, _ := serve(f, Config{}, io.Discard)
	h := rest.New(rest.Config{MaxInput: 1 << 16}.WithDefaults(), s.Service())
	f.Fuzz(func(t *testing.T, method, path string, body []byte, jsonLen, coding string) {
		ctx := new(fasthttp.RequestCtx)
		ctx.Init(new(fasthttp.Request), nil, nil)
		ctx.Request.Header.SetMethod(method)
		ctx.Request.SetRequestURI(path)
		ctx.Request.SetBody(body)
		if jsonLen != "" {
			ctx.Request.Header.Set("Inference-Header-Content-Length", jsonLen)
		}
		if coding != "" {
			ctx.Request.Header.Set("Content-Encoding", coding)
		}
		h.Serve(ctx)
		status, answer := ctx.Response.StatusCode(), ctx.Response.Body()
		if status == 200 || strings.Contains(string(answer), `{"ready":false}`) {
			return
		}
		var e struct{ Error, Code string }
		if err := json.Unmarshal(answer, &e); err != nil {
			t.Fatalf("%d %q: %v", status, answer, err)
		}
		if c := api.Code(e.Code); !c.Known() || c.HTTPStatus() != status || c == api.CodeInternal {
			t.Fatalf("%d %q", status, answer)
		}
	})
}
