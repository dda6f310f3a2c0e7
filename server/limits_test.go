package server

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aimass/aimass/server/rest"
)

// raw sends bytes over a connection of its own and returns the status and body of the answer.
func raw(t *testing.T, s *Server, send func(w io.Writer)) (int, string) {
	t.Helper()
	c, err := net.Dial("tcp", s.httpL.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	go func() {
		w := bufio.NewWriterSize(c, 64<<10)
		send(w)
		w.Flush()
	}()
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func chunked(path string, chunks func(put func(string))) func(io.Writer) {
	return func(w io.Writer) {
		fmt.Fprintf(w, "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", path)
		chunks(func(text string) { fmt.Fprintf(w, "%x\r\n%s\r\n", len(text), text) })
		io.WriteString(w, "0\r\n\r\n")
	}
}

func TestBodyLimits(t *testing.T) {
	const limit = 1 << 20
	s, _ := serve(t, Config{HTTP: rest.Config{MaxInput: limit, MaxChunks: 100}}, io.Discard)
	infer := "/v2/models/simple/infer"
	f := func(what string, send func(io.Writer), status int, text string) {
		t.Helper()
		got, body := raw(t, s, send)
		if got != status || !strings.Contains(body, text) {
			t.Errorf("%s: %d %.300s", what, got, body)
		}
	}
	sized := func(n int, body string, headers string) func(io.Writer) {
		return func(w io.Writer) {
			fmt.Fprintf(w, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n%s", infer, n, headers, body)
		}
	}
	padded := simpleRequest(1, "") + strings.Repeat(" ", limit)
	exact := padded[:limit]
	f("at the limit", sized(limit, exact, ""), 200, "OUTPUT0")
	f("above the limit", sized(limit+1, exact+" ", ""), 400,
		fmt.Sprintf("Request JSON size of %d bytes exceeds the maximum allowed value of %d bytes. Use --http-max-input-size to increase the limit.", limit+1, limit))
	f("far above the limit", sized(50*limit, strings.Repeat(" ", 50*limit), ""), 400, "body_too_large")
	f("above the limit in chunks", chunked(infer, func(put func(string)) {
		for range 5 {
			put(exact[:limit/4])
		}
	}), 400, "body_too_large")
	f("a bomb", func(w io.Writer) {
		b := compress(t, "gzip", bytes.Repeat([]byte{' '}, 100*limit))
		fmt.Fprintf(w, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", infer, len(b), b)
	}, 400, "body_too_large")

	request := simpleRequest(1, "")
	f("in chunks", chunked(infer, func(put func(string)) {
		for len(request) > 50 {
			put(request[:50])
			request = request[50:]
		}
		put(request)
	}), 200, "OUTPUT0")
	f("many tiny chunks", chunked(infer, func(put func(string)) {
		for range 101 {
			put(" ")
		}
	}), 400, "too_many_chunks")
	f("a million tiny chunks", chunked(infer, func(put func(string)) {
		for range 1000000 {
			put("a")
		}
	}), 400, "too_many_chunks")
	f("a broken chunk", func(w io.Writer) {
		fmt.Fprintf(w, "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc", infer)
	}, 400, "malformed_request")
	f("lines without CR", func(w io.Writer) { io.WriteString(w, "GET /v2/health/live HTTP/1.1\nHost: x\n\n") }, 400, "malformed_request")
	f("no HTTP at all", func(w io.Writer) { io.WriteString(w, "hello\r\n\r\n") }, 400, "malformed_request")
	f("huge headers", func(w io.Writer) {
		fmt.Fprintf(w, "GET /v2 HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("a", 1<<20))
	}, 400, "malformed_request")
	if a := ask(t, s, "GET", "/v2/health/live", ""); a.status != 200 {
		t.Errorf("afterwards: %d", a.status)
	}
}

// TestKeepAlive: requests on one connection follow each other, the refused ones too.
func TestKeepAlive(t *testing.T) {
	s, _ := serve(t, Config{}, io.Discard)
	c, err := net.Dial("tcp", s.httpL.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	r := bufio.NewReader(c)
	for i := range 20 {
		body, want := simpleRequest(1, ""), 200
		if i%3 == 1 {
			body, want = strings.Repeat("x", 20000), 400
		}
		fmt.Fprintf(c, "POST /v2/models/simple/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		io.Copy(io.Discard, resp.Body)
		if resp.StatusCode != want || resp.Close {
			t.Errorf("request %d: %d, close %v", i, resp.StatusCode, resp.Close)
		}
	}
}

func TestResponseCompression(t *testing.T) {
	s, _ := serve(t, Config{HTTP: rest.Config{CompressFrom: 100}}, io.Discard)
	for _, coding := range []string{"gzip", "deflate", "zstd"} {
		a := ask(t, s, "POST", "/v2/models/simple/infer", simpleRequest(4, ""), "Accept-Encoding: "+coding)
		if a.status != 200 || a.header.Get("Content-Encoding") != coding {
			t.Errorf("%s: %d %v", coding, a.status, a.header)
			continue
		}
		if got := decompress(t, coding, []byte(a.body)); !bytes.Contains(got, []byte(`"OUTPUT1"`)) {
			t.Errorf("%s: %q", coding, got)
		}
	}
}
