package main

import (
	"fmt"
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
	// decisive is how many times as long the rounds take that count: in one of a second a single pause of the machine is the p99.
	decisive = 3
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
	measure := func(o load.Options, times time.Duration) (*load.Result, error) {
		o.URL, o.Duration, o.Warmup = s.http, times*r.duration/2, r.duration/8
		p, err := load.New(r.ctx, o)
		if err != nil {
			return nil, err
		}
		defer p.Close()
		return p.Run(r.ctx, nil)
	}
	peak, err := measure(load.Options{Models: names[:1], Concurrency: inFlight}, 1)
	if err != nil {
		return err
	}
	p99 := func(times time.Duration) func(name string) (float64, error) {
		return func(name string) (float64, error) {
			res, err := measure(load.Options{Models: []string{name}, Rate: untunedLoad * peak.RPS}, times)
			if err != nil {
				return 0, err
			}
			return float64(res.Latency.P99) / 1e6, nil
		}
	}
	rounds := max(r.rounds, untunedRounds)
	swept, err := interleaved(rounds, names[:1+len(handDelays)], p99(1))
	if err != nil {
		return err
	}
	best := 1
	for i := range handDelays {
		if swept[1+i] < swept[best] {
			best = 1 + i
		}
	}
	// The least of five medians is low by chance, too: the delay that was chosen has to show its worth again.
	again, err := interleaved(rounds, []string{names[0], names[best]}, p99(decisive))
	if err != nil {
		return err
	}
	low := [2][]float64{}
	for range rounds {
		for i, name := range []string{"untuned", "single"} {
			res, err := measure(load.Options{Models: []string{name}, Concurrency: 1}, 1)
			if err != nil {
				return err
			}
			low[i] = append(low[i], float64(res.Latency.P50)/1e3)
		}
	}
	fmt.Fprintf(r.out, "heavy at %.0f requests/s, %.0f %% of the peak, medians of %d interleaved rounds: p99 %.2f ms without any setting; with a fixed delay",
		untunedLoad*peak.RPS, 100*untunedLoad, rounds, swept[0])
	for i, d := range handDelays {
		fmt.Fprintf(r.out, " of %v %.2f,", d, swept[1+i])
	}
	fmt.Fprintf(r.out, " of which %v is the best. Then, by turns with that alone, %d longer rounds: %.2f and %.2f ms, %.2f× (goal 1.2).\n\nOne request at a "+
		"time: p50 %.0f µs at best, and %.0f µs where requests can't share a batch: batching adds %.0f µs (goal 50).\n",
		handDelays[best-1], rounds, again[0], again[1], again[0]/again[1], slices.Min(low[0]), slices.Min(low[1]), slices.Min(low[0])-slices.Min(low[1]))
	return nil
}

// interleaved measures each name once a round, and gives their medians.
func interleaved(rounds int, names []string, measure func(name string) (float64, error)) ([]float64, error) {
	values := make([][]float64, len(names))
	for range rounds {
		for i, name := range names {
			v, err := measure(name)
			if err != nil {
				return nil, err
			}
			values[i] = append(values[i], v)
		}
	}
	medians := make([]float64, len(names))
	for i := range values {
		medians[i] = median(values[i])
	}
	return medians, nil
}
