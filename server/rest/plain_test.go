package rest

import (
	"fmt"
	"testing"
	"time"
)

func TestPlain(t *testing.T) {
	f := func(line, headers, body string, want *plain) {
		t.Helper()
		request := fmt.Sprintf("%s\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", line, headers, len(body), body)
		var p plain
		rest, ok := p.target([]byte(request))
		ok = ok && p.headers(rest)
		if ok != (want != nil) {
			t.Errorf("%q: %v", request, ok)
			return
		}
		if !ok {
			return
		}
		timeout, sure := urgency(p.json())
		if p.timeout = shorter(p.timeout, timeout); sure != (want.jsonLen >= 0) {
			t.Errorf("%q: urgency %v", request, sure)
		}
		if sure && (string(p.model) != string(want.model) || string(p.version) != string(want.version) || string(p.tenant) != string(want.tenant) || string(p.id) != string(want.id) || p.timeout != want.timeout) {
			t.Errorf("%q: got %+v", request, p)
		}
	}
	const line = "POST /v2/models/m/infer HTTP/1.1"
	m := plain{model: []byte("m")}
	with := func(d time.Duration) *plain { q := m; q.timeout = d; return &q }
	unsure := &plain{jsonLen: -1}
	f(line, "", `{"inputs":[]}`, &m)
	f("POST /v2/models/m/versions/3/infer HTTP/1.1", "", `{}`, &plain{model: []byte("m"), version: []byte("3")})
	f(line, "X-Request-Timeout-Ms: 5\r\n", `{}`, with(5*time.Millisecond))
	f(line, "x-request-timeout-ms: 5\r\n", `{"parameters":{"timeout":4000}}`, with(4*time.Millisecond))
	f(line, "X-Request-Timeout-Ms:5\r\n", `{"parameters":{"timeout" : 6000}}`, with(5*time.Millisecond))
	f(line, "", `{"parameters":{"timeout":0}}`, &m)
	f(line, "X-Aimass-Tenant: a b\r\nX-Request-Id: r1\r\n", `{}`, &plain{model: []byte("m"), tenant: []byte("a b"), id: []byte("r1")})
	f(line, "Inference-Header-Content-Length: 2\r\n", `{}"timeout":1`, &m)

	// A body that must be parsed to know how urgent it is.
	f(line, "", `{"id":"x"}`, unsure)
	f(line, "", `{"parameters":{"priority":1}}`, unsure)
	f(line, "", `{"inputs":[{"name":"timeout","shape":[1]}]}`, unsure)
	f(line, "", `{"parameters":{"timeout":-1}}`, unsure)

	// What is not plain goes the usual way.
	f(line, "X-Request-Timeout-Ms: 0\r\n", `{}`, nil)
	f(line, "X-Request-Timeout-Ms: 1\r\nX-Request-Timeout-Ms: 2\r\n", `{}`, nil)
	f(line, "X-Request-Id: a\r\nX-Request-Id: b\r\n", `{}`, nil)
	f(line, "X-Route-Key: a\r\nX-Route-Key: b\r\n", `{}`, nil)
	f(line, "X-Request-Id: \x01\r\n", `{}`, nil)
	f(line, "Content-Length: 2\r\n", `{}`, nil)
	f(line, "Accept-Encoding: gzip\r\n", `{}`, nil)
	f(line, "Transfer-Encoding : chunked\r\n", `{}`, nil)
	f(line, " folded: x\r\n", `{}`, nil)
	f(line, "no colon\r\n", `{}`, nil)
	f(line, "Host: twice\r\n", `{}`, nil)
	f(line, "X-Request-Timeout-Ms: x\r\n", `{}`, nil)
	f(line, "Inference-Header-Content-Length: 0\r\n", `{}`, nil)
	f(line, "Inference-Header-Content-Length: 9\r\n", `{}`, nil)
	f(line, "Connection: close\r\n", `{}`, nil)
	f(line, "Expect: 100-continue\r\n", `{}`, nil)
	f(line, "Content-Encoding: gzip\r\n", `{}`, nil)
	f(line, "Transfer-Encoding: chunked\r\n", `{}`, nil)
	f("GET /v2/models/m/infer HTTP/1.1", "", ``, nil)
	f("POST /v2/models/m/infer HTTP/1.0", "", `{}`, nil)
	f("POST /v2/models/m%20/infer HTTP/1.1", "", `{}`, nil)
	f("POST /v2/models/m/ready HTTP/1.1", "", `{}`, nil)
	f("POST /v2/models/m HTTP/1.1", "", `{}`, nil)
	for _, bad := range []string{"", "POST /v2/models/m/infer HTTP/1.1\r\n", "POST /v2/models/m/infer HTTP/1.1\r\n\r\n", "POST /v2/models/m/infer HTTP/1.1\nContent-Length: 2\n\n{}",
		"POST /v2/models/m/infer HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}x", "POST /v2/models/m/infer HTTP/1.1\r\nContent-Length: 2\r\n\r\n{"} {
		var p plain
		if rest, ok := p.target([]byte(bad)); ok && p.headers(rest) {
			t.Errorf("%q was read", bad)
		}
	}
}
