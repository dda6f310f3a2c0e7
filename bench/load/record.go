package load

import (
	"sync"
	"time"

	"github.com/aimass/aimass/internal/hist"
)

// Latency sums up durations, in nanoseconds.
type Latency struct {
	Mean int64 `json:"mean"`
	P50  int64 `json:"p50"`
	P90  int64 `json:"p90"`
	P95  int64 `json:"p95"`
	P99  int64 `json:"p99"`
	P999 int64 `json:"p99_9"`
	Max  int64 `json:"max"`
}

func latencyOf(h *hist.Fine) Latency {
	return Latency{h.Mean(), h.Quantile(0.5), h.Quantile(0.9), h.Quantile(0.95), h.Quantile(0.99), h.Quantile(0.999), h.Max()}
}

// Window is what one second of a run saw.
type Window struct {
	// End is in seconds since the run began.
	End      float64 `json:"end_s"`
	Requests int64   `json:"requests"`
	Errors   int64   `json:"errors"`
	RPS      float64 `json:"rps"`
	P50      int64   `json:"p50_ns"`
	P99      int64   `json:"p99_ns"`
	InFlight int     `json:"in_flight"`
}

// TargetResult is one model under one tenant.
type TargetResult struct {
	Model    string  `json:"model"`
	Tenant   string  `json:"tenant,omitempty"`
	Requests int64   `json:"requests"`
	Errors   int64   `json:"errors"`
	Latency  Latency `json:"latency_ns"`
}

// recorder counts answers. It may be used by several goroutines.
type recorder struct {
	mu       sync.Mutex
	all      hist.Fine
	window   hist.Fine
	targets  []hist.Fine
	refused  hist.Fine // from sending to the answer, of requests refused for want of capacity
	bad      []int64
	errors   map[string]int64
	samples  map[string]string // an error text for each code
	good     int64
	deadline int64

	began, windowBegan int64
	windowErrors       int64
	windows            []Window
	progress           func(Window)
}

func newRecorder(targets int, deadline time.Duration, progress func(Window)) *recorder {
	return &recorder{targets: make([]hist.Fine, targets), bad: make([]int64, targets), errors: map[string]int64{}, samples: map[string]string{},
		deadline: int64(deadline), progress: progress}
}

func (r *recorder) begin(now int64) { r.began, r.windowBegan = now, now }

// ok counts an answer that took so long since it was meant to start.
func (r *recorder) ok(target int, took int64) {
	r.mu.Lock()
	r.all.Observe(took)
	r.window.Observe(took)
	if len(r.targets) > 1 {
		r.targets[target].Observe(took)
	}
	if r.deadline == 0 || took <= r.deadline {
		r.good++
	}
	r.mu.Unlock()
}

// fail counts an error by its code.
func (r *recorder) fail(target int, code, text string) {
	r.mu.Lock()
	r.errors[code]++
	if _, seen := r.samples[code]; !seen && text != "" {
		r.samples[code] = text
	}
	r.bad[target]++
	r.windowErrors++
	r.mu.Unlock()
}

// refuse counts an answer that refused a request, and how long after sending it came.
func (r *recorder) refuse(target int, code, text string, took int64) {
	if code == "queue_full" || code == "deadline_unmeetable" {
		r.mu.Lock()
		r.refused.Observe(took)
		r.mu.Unlock()
	}
	r.fail(target, code, text)
}

// tick closes a window once a second.
func (r *recorder) tick(now int64, inFlight int) {
	if now-r.windowBegan >= int64(time.Second) {
		r.flush(now, inFlight)
	}
}

// flush closes the window.
func (r *recorder) flush(now int64, inFlight int) {
	r.mu.Lock()
	w := Window{End: float64(now-r.began) / 1e9, Requests: int64(r.window.Count()), Errors: r.windowErrors, InFlight: inFlight,
		RPS: float64(r.window.Count()) * 1e9 / float64(now-r.windowBegan), P50: r.window.Quantile(0.5), P99: r.window.Quantile(0.99)}
	r.windows = append(r.windows, w)
	r.window.Reset()
	r.windowErrors, r.windowBegan = 0, now
	r.mu.Unlock()
	if r.progress != nil {
		r.progress(w)
	}
}
