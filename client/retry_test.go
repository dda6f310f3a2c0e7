package client_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/client"
)

var quick = client.Retry{Attempts: 4, Base: time.Millisecond, Max: 20 * time.Millisecond}

func x1() []client.Tensor { return []client.Tensor{client.Float32("x", []int{1}, []float32{1})} }

func TestRetriesRetryableCodes(t *testing.T) {
	f := &fake{before: func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if n < 3 {
			fail(w, 503, "queue_full", true)
		}
		return n < 3
	}}
	c := start(t, f, client.Options{Retry: quick})
	if _, err := c.Infer(context.Background(), &client.Request{Model: "m", Inputs: x1()}); err != nil {
		t.Fatal(err)
	}
	if f.count() != 3 {
		t.Errorf("%d attempts", f.count())
	}
}

func TestErrorsAreTyped(t *testing.T) {
	f := func(want api.Code, retryable bool, attempts int, id string, h http.HandlerFunc) {
		t.Helper()
		fk := &fake{before: func(_ int, w http.ResponseWriter, r *http.Request) bool { h(w, r); return true }}
		c := start(t, fk, client.Options{Retry: quick})
		_, err := c.Infer(context.Background(), &client.Request{Model: "m", Inputs: x1()})
		var e *client.Error
		var ae *api.Error
		if !errors.As(err, &e) || !errors.As(err, &ae) {
			t.Fatalf("%v is a %T", err, err)
		}
		if e.Code() != want || api.CodeOf(err) != want || ae.Code() != want || e.Retryable != retryable || e.RequestID != id {
			t.Errorf("%+v: code %s, want %s", e, e.Code(), want)
		}
		if e.Attempts != attempts || fk.count() != attempts {
			t.Errorf("%s: %d attempts told, %d made, want %d", want, e.Attempts, fk.count(), attempts)
		}
	}
	f("queue_full", true, 4, "r-1", func(w http.ResponseWriter, _ *http.Request) { fail(w, 503, "queue_full", true) })
	f("shape_mismatch", false, 1, "r-1", func(w http.ResponseWriter, _ *http.Request) { fail(w, 400, "shape_mismatch", false) })
	// The answer's own word goes before the table; a newer server's code is kept.
	f("queue_full", false, 1, "r-1", func(w http.ResponseWriter, _ *http.Request) { fail(w, 503, "queue_full", false) })
	f("code_of_tomorrow", true, 4, "r-1", func(w http.ResponseWriter, _ *http.Request) { fail(w, 503, "code_of_tomorrow", true) })
	// Other servers: an error without a code, and a proxy's page.
	f(api.CodeMalformedRequest, false, 1, "", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(400)
		w.Write([]byte(`{"error":"[request id: <id_unknown>] no"}`))
	})
	f(api.CodeModelUnavailable, true, 4, "proxy-7", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Request-Id", "proxy-7")
		w.WriteHeader(502)
		w.Write([]byte("<html>Bad\n Gateway</html>"))
	})
	f(api.CodeInternal, false, 1, "", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", 307) })
}

func TestErrorText(t *testing.T) {
	c := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fail(w, 400, "shape_mismatch", false) }), client.Options{})
	_, err := c.ServerMetadata(context.Background())
	if err == nil || err.Error() != "shape_mismatch: the text (request r-1)" {
		t.Errorf("%v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	var at []time.Time
	f := &fake{before: func(n int, w http.ResponseWriter, _ *http.Request) bool {
		at = append(at, time.Now())
		if n == 1 {
			w.Header().Set("Retry-After", "1")
			fail(w, 503, "queue_full", true)
		}
		return n == 1
	}}
	c := start(t, f, client.Options{Retry: client.Retry{Base: time.Millisecond, Max: 2 * time.Second}})
	if _, err := c.Infer(context.Background(), &client.Request{Model: "m", Inputs: x1()}); err != nil {
		t.Fatal(err)
	}
	if gap := at[1].Sub(at[0]); gap < time.Second {
		t.Errorf("the second attempt came after %v, the server asked for 1 s", gap)
	}
}

// TestNoPointInWaiting: a pause beyond what the caller or Max allows gives the error at once.
func TestNoPointInWaiting(t *testing.T) {
	f := func(o client.Retry, timeout time.Duration) {
		t.Helper()
		fk := &fake{before: func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Retry-After", "30")
			fail(w, 503, "shutting_down", true)
			return true
		}}
		c := start(t, fk, client.Options{Retry: o})
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		began := time.Now()
		_, err := c.Infer(ctx, &client.Request{Model: "m", Inputs: x1()})
		if api.CodeOf(err) != "shutting_down" || api.RetryAfter(err) != 30*time.Second {
			t.Errorf("%v, retry after %v", err, api.RetryAfter(err))
		}
		if fk.count() != 1 || time.Since(began) > 5*time.Second {
			t.Errorf("%d attempts in %v", fk.count(), time.Since(began))
		}
	}
	f(client.Retry{Max: 2 * time.Second}, time.Minute)
	f(client.Retry{Max: time.Hour}, 10*time.Second)
}

func TestContextEndsTheCall(t *testing.T) {
	fk := &fake{before: func(_ int, _ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done()
		return true
	}}
	c := start(t, fk, client.Options{Retry: quick, Timeout: 50 * time.Millisecond})
	_, err := c.Infer(context.Background(), &client.Request{Model: "m", Inputs: x1()})
	if !errors.Is(err, context.DeadlineExceeded) || api.CodeOf(err) != api.CodeRequestTimeout {
		t.Errorf("default timeout: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err = c.Infer(ctx, &client.Request{Model: "m", Inputs: x1()}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if fk.count() != 2 {
		t.Errorf("%d attempts, want 2", fk.count())
	}
}

// TestBrokenConnection: what breaks before an answer is repeated, but not a step of a sequence.
func TestBrokenConnection(t *testing.T) {
	f := func(params map[string]any, attempts int) {
		t.Helper()
		fk := &fake{before: func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				conn.Close()
			}
			return true
		}}
		c := start(t, fk, client.Options{Retry: quick})
		if _, err := c.Infer(context.Background(), &client.Request{Model: "m", Inputs: x1(), Parameters: params}); err == nil {
			t.Error("no error")
		}
		if fk.count() != attempts {
			t.Errorf("%v: %d attempts, want %d", params, fk.count(), attempts)
		}
	}
	f(nil, 4)
	f(map[string]any{"sequence_id": 5, "sequence_start": true}, 1)
}

func TestServerThatComesBack(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	c, err := client.New(addr, client.Options{Retry: client.Retry{Attempts: 50, Base: 20 * time.Millisecond, Max: 40 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s := &http.Server{Handler: &fake{}}
	defer s.Close()
	time.AfterFunc(60*time.Millisecond, func() {
		if l, err := net.Listen("tcp", addr); err == nil {
			s.Serve(l)
		}
	})
	if _, err := c.Infer(context.Background(), &client.Request{Model: "m", Inputs: x1()}); err != nil {
		t.Errorf("%v", err)
	}
}

// Calls in a row share one connection; calls at once have one each, and the next calls have
// the same ones. The server holds each answer back until all callers have asked, so that how
// many connections there are does not depend on who is fast.
func TestConnectionsAreReused(t *testing.T) {
	const callers = 32
	var mu sync.Mutex
	conns := map[string]int{}
	var held []chan struct{} // requests that wait for the others
	together := false
	f := &fake{before: func(n int, w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		conns[r.RemoteAddr]++
		if together {
			wait := make(chan struct{})
			if held = append(held, wait); len(held) == callers {
				for _, c := range held {
					close(c)
				}
				held = nil
			}
			mu.Unlock()
			<-wait
			mu.Lock()
		}
		mu.Unlock()
		if n%3 == 0 {
			fail(w, 400, "shape_mismatch", false) // errors keep the connection too
		}
		return n%3 == 0
	}}
	c := start(t, f, client.Options{})
	for range 30 {
		c.Infer(context.Background(), &client.Request{Model: "m", Inputs: x1()})
	}
	if len(conns) != 1 {
		t.Errorf("%d connections for calls in a row", len(conns))
	}
	together = true
	for range 10 {
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() { c.Infer(context.Background(), &client.Request{Model: "m", Inputs: x1()}) })
		}
		wg.Wait()
	}
	if len(conns) != callers {
		t.Errorf("%d connections for %d callers", len(conns), callers)
	}
}

func TestNew(t *testing.T) {
	f := func(url string) {
		t.Helper()
		if _, err := client.New(url, client.Options{}); err == nil || !strings.Contains(err.Error(), "expected a URL such as") {
			t.Errorf("%q: %v", url, err)
		}
	}
	f("")
	f("ftp://host")
	f("http://")
	f("http://host/?a=b")
	f("http://host:port")
	s := httptest.NewServer(http.StripPrefix("/prefix", &fake{}))
	defer s.Close()
	c, err := client.New(s.URL+"/prefix/", client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Infer(context.Background(), &client.Request{Model: "m", Inputs: x1()}); err != nil {
		t.Error(err)
	}
}
