//go:build !race

package server

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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

// TestHitDoesNotAllocate holds an answer from memory, by all bytes from the network and by the body's.
func TestHitDoesNotAllocate(t *testing.T) {
	s, _ := serve(t, Config{}, io.Discard)
	st := s.Service().Pipeline().Cache().Stats()
	f := func(what string, counter *atomic.Int64, ask func()) {
		t.Helper()
		for range 50 {
			ask()
			time.Sleep(time.Millisecond) // the cache takes new entries in the background
		}
		before := counter.Load()
		if n := testing.AllocsPerRun(200, ask); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
		if got := counter.Load() - before; got < 200 {
			t.Errorf("%s: only %d of 200 were such hits", what, got)
		}
	}
	l, buf := connect(t, s), make([]byte, 4096)
	request := []byte(post(inferStrings, stringsBody("a", "")))
	f("all bytes", &st.Wires, func() {
		if _, err := l.Write(request); err != nil {
			t.Fatal(err)
		}
		if n, err := l.Conn.Read(buf); err != nil || !bytes.HasPrefix(buf[:n], []byte("HTTP/1.1 200 ")) {
			t.Fatalf("%q %v", buf[:n], err)
		}
	})
	run := asker(s)
	ctx := run()
	ctx.Request.SetRequestURI(inferStrings)
	ctx.Request.SetBodyString(stringsBody("b", ""))
	ctx.Request.Header.Set("X-Request-Id", "7")
	f("the body's bytes", &st.Bodies, func() {
		if run().Response.StatusCode() != 200 {
			t.Fatal(ctx.Response.String())
		}
	})
}
