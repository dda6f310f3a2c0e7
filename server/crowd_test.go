package server

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/batcher"
)

// TestTurnedAway: under overload a refusal is written without parsing the request, and nobody can tell the
// difference: by headers, body, counters and log.
func TestTurnedAway(t *testing.T) {
	var log safeBuffer
	s, f := serve(t, Config{}, &log)
	spec := f.pipe.Peek([]byte("strings"), nil).Spec
	spec.Model, spec.Cached, spec.Batcher = "full", false, batcher.Config{Delay: time.Minute, MaxRows: 64, MaxQueue: 1}.WithDefaults(1)
	v, err := f.pipe.Attach(spec)
	if err != nil {
		t.Fatal(err)
	}
	waits := connect(t, s)
	waits.send(post("/v2/models/full/infer", stringsBody("a", "")))
	until(t, "a request waits", func() bool { return v.Queue().Waiting.Load() == 1 })

	id := regexp.MustCompile(`"request_id":"[0-9a-f]{16}"`)
	normal := func(a answer) string {
		h := maps.Clone(a.header)
		delete(h, "Date")
		if got := h.Get("X-Request-Id"); len(got) == 16 {
			h.Set("X-Request-Id", "")
			if !strings.Contains(a.body, got) {
				t.Errorf("the id of header %s is not in %s", got, a.body)
			}
		}
		return fmt.Sprint(a.status, a.closes, h, id.ReplaceAllString(a.body, "ID"))
	}
	asked := int64(0)
	f1 := func(want int, request string, times int) (out []string) {
		t.Helper()
		l := connect(t, s)
		for range times {
			asked++
			a := l.ask(request)
			if a.status != want {
				t.Fatalf("%d %s", a.status, a.body)
			}
			if n := normal(a); len(out) == 0 || out[len(out)-1] != n {
				out = append(out, n)
			}
		}
		return out
	}
	const path = "/v2/models/full/infer"
	plain := post(path, stringsBody("b", ""))
	for name, request := range map[string]string{
		"plain": plain, "with id": post(path, stringsBody("b", ""), "X-Request-Id: one"), "id in the body": post(path, stringsBody("b", `,"id":"two"`)),
		"timeout": post(path, stringsBody("b", `,"parameters":{"timeout":5000000}`)), "header": post(path, stringsBody("b", ""), "X-Request-Timeout-Ms: 5000"),
		"version": post("/v2/models/full/versions/1/infer", stringsBody("b", "")),
	} {
		if got := f1(503, request, 60); len(got) != 1 {
			t.Errorf("%s: %d different answers:\n%s", name, len(got), strings.Join(got, "\n"))
		}
	}
	if n := v.Queue().Rejected.Load(); n != asked {
		t.Errorf("%d refusals are counted, want %d", n, asked)
	}
	total := int64(0)
	s.Service().Counts.Each(func(protocol, code string, n int64) {
		if code == string(api.CodeQueueFull) {
			total += n
		}
	})
	if total != asked || v.Stats.Fail.Count.Load() != asked {
		t.Errorf("%d answers with the code, %d failures, want %d", total, v.Stats.Fail.Count.Load(), asked)
	}
	if n := int64(strings.Count(log.String(), "code=queue_full")); n == 0 || n == asked {
		t.Errorf("%d of %d refusals have a line in the log", n, asked)
	}
	// What can be answered is, on the same connection and in between.
	l := connect(t, s)
	for range 30 {
		if a := l.ask(plain); a.status != 503 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if a := l.ask(post(inferStrings, stringsBody("c", ""))); a.status != 200 || !strings.Contains(a.body, `"c"`) {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if a := l.ask("GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	// Two requests at once, and one in pieces, are not mistaken for one.
	l.send(plain + plain + plain[:40])
	for range 2 {
		if a := l.receive(); a.status != 503 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	l.send(plain[40:])
	if a := l.receive(); a.status != 503 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	waits.Close()
	until(t, "the place is free", func() bool { return v.Queue().Waiting.Load() == 0 })
}
