package load

import (
	"bytes"
	"strings"
	"testing"
)

var answers = []string{
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 13\r\nRetry-After: 1\r\n\r\n{\"code\":\"q\"}\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
	"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 204 No Content\r\n\r\n",
}

func TestAnswersInPieces(t *testing.T) {
	for _, text := range answers {
		for size := 1; size <= len(text); size++ {
			var r response
			rest, done := []byte(text), false
			for len(rest) > 0 && !done {
				piece := rest[:min(size, len(rest))]
				used, d, err := r.feed(piece)
				if err != nil || used != len(piece) {
					t.Fatalf("%q by %d: %v, %d of %d taken", text, size, err, used, len(piece))
				}
				rest, done = rest[used:], d
			}
			if !done || len(rest) > 0 {
				t.Fatalf("%q by %d: done %v with %d left", text, size, done, len(rest))
			}
			if strings.Contains(text, "503") && (r.status != 503 || string(r.body) != "{\"code\":\"q\"}\n") {
				t.Fatalf("%q by %d: status %d, body %q", text, size, r.status, r.body)
			}
		}
	}
}

func FuzzResponse(f *testing.F) {
	for _, a := range answers {
		f.Add([]byte(a), 3)
	}
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), 1)
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n"), 7)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		whole, pieces := response{}, response{}
		used, done, err := whole.feed(b)
		if used > len(b) || err == nil && !done && used != len(b) {
			t.Fatalf("%d of %d bytes taken, done %v", used, len(b), done)
		}
		cut = min(max(cut, 0), len(b))
		n, doneHalf, err2 := pieces.feed(b[:cut])
		if err2 == nil && !doneHalf {
			var k int
			k, doneHalf, err2 = pieces.feed(b[n:])
			n += k
		}
		if (err == nil) != (err2 == nil) || err == nil && (done != doneHalf || done && n != used || whole.status != pieces.status || !bytes.Equal(whole.body, pieces.body)) {
			t.Fatalf("whole: %d %v %v, cut at %d: %d %v %v", used, done, err, cut, n, doneHalf, err2)
		}
	})
}

func TestKnee(t *testing.T) {
	closed := []Point{{Concurrency: 1, GoodRPS: 100, P50: 10, P99: 12}, {Concurrency: 2, GoodRPS: 195, P50: 10, P99: 12}, {Concurrency: 4, GoodRPS: 300, P50: 13, P99: 20}, {Concurrency: 8, GoodRPS: 310, P50: 26, P99: 50}}
	if k := knee(closed); k != 2 {
		t.Errorf("knee of a closed loop at %d, want 2", k)
	}
	open := []Point{{Rate: 100, GoodRPS: 100, P50: 10, P99: 12}, {Rate: 200, GoodRPS: 200, P50: 11, P99: 20}, {Rate: 300, GoodRPS: 299, P50: 30, P99: 90}, {Rate: 400, GoodRPS: 310, P50: 500, P99: 900}}
	if k := knee(open); k != 1 {
		t.Errorf("knee of an open loop at %d, want 1", k)
	}
	if k := knee([]Point{{Errors: 5}}); k != -1 {
		t.Errorf("knee of nothing at %d", k)
	}
}

func TestReportsStandAlone(t *testing.T) {
	r := &Result{URL: "http://x/<b>", Models: []string{"m<script>"}, Loop: "open", Rate: 5, Requests: 3, Errors: map[string]int64{"queue_full": 1}, ErrorTexts: map[string]string{"queue_full": "<i>"},
		Percentiles: [][2]float64{{0, 1e6}, {0.5, 2e6}, {0.99, 9e6}}, Windows: []Window{{End: 1, RPS: 3, P50: 2e6, P99: 9e6}, {End: 2, RPS: 4, P50: 2e6, P99: 8e6}},
		Server: []Stages{{Model: "m", Version: "1", Executions: 2, Queue: 3, Infer: 5, Batches: []BatchCount{{Rows: 1, Count: 4}, {Rows: 8, Count: 2}}}}}
	s := &SweepResult{Points: []Point{{Concurrency: 1, RPS: 10, P50: 1e6, P99: 2e6}, {Concurrency: 2, RPS: 15, P50: 2e6, P99: 5e6, Knee: true}}, Knee: 1}
	for name, write := range map[string]func(*bytes.Buffer) error{"run": func(b *bytes.Buffer) error { return r.HTML(b) }, "sweep": func(b *bytes.Buffer) error { return s.HTML(b) },
		"empty": func(b *bytes.Buffer) error { return (&Result{}).HTML(b) }} {
		var b bytes.Buffer
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		for _, bad := range []string{"<script", "<i>", "<b>", "src=", "@import", "NaN", "Inf\""} {
			if strings.Contains(text, bad) {
				t.Errorf("%s: the page has %q", name, bad)
			}
		}
		if !strings.Contains(text, "<svg") || !strings.Contains(text, "</html>") {
			t.Errorf("%s: no plot or no end: %.200s", name, text)
		}
	}
	var b bytes.Buffer
	if s.HTML(&b); !strings.Contains(b.String(), "knee</text>") {
		t.Error("the knee is not marked")
	}
}
