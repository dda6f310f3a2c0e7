package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/aimass/aimass/bench/load"
)

// handDelays are the fixed delays among which a user would look for the best.
var handDelays = []time.Duration{200 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond}

const (
	untunedLoad   = 0.7 // of the peak
	untunedRounds = 5
)

// untuned compares a model without any setting with copies whose delay is fixed, and what batching costs where there is nothing
// to batch.
func (r *run) untuned() error {
	dir := filepath.Join(r.dir, "untuned")
	b, err := os.ReadFile(filepath.Join(r.dir, "models", "heavy", "1", "model.onnx"))
	if err != nil {
		return err
	}
	names := []string{"untuned"}
	configs := []string{""}
	for _, d := range handDelays {
		names = append(names, fmt.Sprint("delay", d.Microseconds()))
		configs = append(configs, fmt.Sprintf("dynamic_batching { max_queue_delay_microseconds: %d }\n", d.Microseconds()))
	}
	names, configs = append(names, "single"), append(configs, "max_batch_size: 1\n")
	for i, name := range names {
		if err := writeModel(dir, name, b, configs[i]); err != nil {
			return err
		}
	}
	s, err := r.serve(dir, nil)
	if err != nil {
		return err
	}
	defer s.stop()
	measure := func(o load.Options) (*load.Result, error) {
		o.URL, o.Duration, o.Warmup = s.http, r.duration/2, r.duration/8
		p, err := load.New(r.ctx, o)
		if err != nil {
			return nil, err
		}
		defer p.Close()
		return p.Run(r.ctx, nil)
	}
	peak, err := measure(load.Options{Models: names[:1], Concurrency: inFlight})
	if err != nil {
		return err
	}
	p99 := make([][]float64, len(handDelays)+1)
	low := [2][]float64{}
	for range max(r.rounds, untunedRounds) {
		for i := range p99 {
			res, err := measure(load.Options{Models: names[i : i+1], Rate: untunedLoad * peak.RPS})
			if err != nil {
				return err
			}
			p99[i] = append(p99[i], float64(res.Latency.P99)/1e6)
		}
		for i, name := range []string{"untuned", "single"} {
			res, err := measure(load.Options{Models: []string{name}, Concurrency: 1})
			if err != nil {
				return err
			}
			low[i] = append(low[i], float64(res.Latency.P50)/1e3)
		}
	}
	fmt.Fprintf(r.out, "heavy at %.0f requests/s, %.0f %% of the peak, medians of %d interleaved rounds: p99 %.2f ms without any setting; with a fixed delay", untunedLoad*peak.RPS, 100*untunedLoad, len(p99[0]), median(p99[0]))
	best := math.Inf(1)
	for i, d := range handDelays {
		best = min(best, median(p99[i+1]))
		fmt.Fprintf(r.out, " of %v %.2f,", d, median(p99[i+1]))
	}
	fmt.Fprintf(r.out, " so %.2f× the best of these (goal 1.2).\n\nOne request at a time: p50 %.0f µs at best, and %.0f µs where requests can't share a batch: batching adds %.0f µs (goal 50).\n",
		median(p99[0])/best, slices.Min(low[0]), slices.Min(low[1]), slices.Min(low[0])-slices.Min(low[1]))
	return nil
}
