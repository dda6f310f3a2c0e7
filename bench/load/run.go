package load

import (
	"context"
	"time"
)

// Result of a load.
type Result struct {
	URL         string   `json:"url"`
	Models      []string `json:"models"`
	Protocol    string   `json:"protocol"`
	Loop        string   `json:"loop"` // closed or open
	Concurrency int      `json:"concurrency,omitempty"`
	// Rate is what was offered, in requests a second.
	Rate     float64 `json:"rate,omitempty"`
	Batch    int     `json:"batch"`
	Duration float64 `json:"duration_s"`
	// Requests were answered with success, Good of them within the deadline.
	Requests int64            `json:"requests"`
	Good     int64            `json:"good"`
	Errors   map[string]int64 `json:"errors"`
	// ErrorTexts has an example for each code.
	ErrorTexts map[string]string `json:"error_texts,omitempty"`
	RPS        float64           `json:"throughput_rps"`
	GoodRPS    float64           `json:"goodput_rps"`
	Latency    Latency           `json:"latency_ns"`
	// Refusal is how long it took from sending a request to the answer that it is refused for want of
	// capacity (HTTP).
	Refusal Latency `json:"refusal_latency_ns"`
	// Late is how far behind its plan the open loop ever was in sending, in nanoseconds; it is part
	// of the latencies.
	Late    int64          `json:"send_late_max_ns"`
	Windows []Window       `json:"windows"`
	Targets []TargetResult `json:"targets,omitempty"`
	// Percentiles are points of the distribution: share and nanoseconds.
	Percentiles [][2]float64 `json:"percentiles"`
	Server      []Stages     `json:"server,omitempty"`
}

// driver sends requests until end and then waits for what is in flight.
type driver interface {
	run(ctx context.Context, rec *recorder, length time.Duration) (late int64, err error)
	close()
}

// Run runs the load once; progress, if not nil, hears of every second.
func (p *Plan) Run(ctx context.Context, progress func(Window)) (*Result, error) {
	d, err := p.driver()
	if err != nil {
		return nil, err
	}
	defer d.close()
	if p.o.Warmup > 0 {
		if _, err := d.run(ctx, newRecorder(len(p.targets), 0, nil), p.o.Warmup); err != nil {
			return nil, err
		}
	}
	before, _ := p.statistics(ctx) // a server may have none
	rec := newRecorder(len(p.targets), p.o.Deadline, progress)
	began := time.Now()
	late, err := d.run(ctx, rec, p.o.Duration)
	if err != nil {
		return nil, err
	}
	took := min(time.Since(began), p.o.Duration)
	if last := rec.began + int64(took); last-rec.windowBegan > int64(100*time.Millisecond) {
		rec.flush(last, 0)
	}
	after, _ := p.statistics(ctx)
	r := p.result(rec, took)
	r.Late = late
	r.Server = stages(before, after)
	return r, nil
}

func (p *Plan) driver() (driver, error) {
	if p.o.Protocol == "grpc" {
		return newGRPCDriver(p)
	}
	return newHTTPDriver(p)
}

func (p *Plan) result(rec *recorder, took time.Duration) *Result {
	o := &p.o
	r := &Result{URL: o.URL, Models: o.Models, Protocol: o.Protocol, Loop: "closed", Batch: o.Batch, Duration: took.Seconds(),
		Requests: int64(rec.all.Count()), Good: rec.good, Errors: rec.errors, ErrorTexts: rec.samples, Latency: latencyOf(&rec.all), Refusal: latencyOf(&rec.refused), Windows: rec.windows}
	if o.open() {
		r.Loop, r.Rate = "open", o.Rate
	} else {
		r.Concurrency = o.Concurrency
	}
	r.RPS, r.GoodRPS = float64(r.Requests)/took.Seconds(), float64(r.Good)/took.Seconds()
	for q := 0.0; q < 0.9999995; q += (1 - q) / 10 {
		r.Percentiles = append(r.Percentiles, [2]float64{q, float64(rec.all.Quantile(q))})
		if (1-q)*float64(r.Requests) < 1 {
			break
		}
	}
	for i := range p.targets {
		t := TargetResult{Model: p.targets[i].Model, Tenant: p.targets[i].Tenant, Errors: rec.bad[i]}
		h := &rec.all
		if len(p.targets) > 1 {
			h = &rec.targets[i]
		}
		t.Requests, t.Latency = int64(h.Count()), latencyOf(h)
		r.Targets = append(r.Targets, t)
	}
	return r
}

// ErrorCount sums the errors of all codes.
func (r *Result) ErrorCount() (n int64) {
	for _, c := range r.Errors {
		n += c
	}
	return n
}
