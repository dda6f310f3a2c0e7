package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/aimass/aimass/bench/load"
)

// crowd is a model under twice its load.
type crowd struct {
	dir, model  string
	deadline    time.Duration
	connections int
	flags       []string
}

// overload offers twice what the server can take and counts the answers within the deadline. Server and load
// have a core each.
func (r *run) overload() error {
	models := filepath.Join(r.dir, "models")
	crowds := []crowd{{models, "heavy", 50 * time.Millisecond, 1024, nil}, {models, "mlp", 20 * time.Millisecond, 256, nil}}
	dir, err := r.embedModels()
	if err == nil {
		flags := []string{"--output", embedOutput}
		for _, s := range embedShapes() {
			flags = append(flags, "--shape", s)
		}
		crowds = append(crowds, crowd{dir, "minilm", 500 * time.Millisecond, 1024, flags})
	} else {
		fmt.Fprintf(r.out, "NOT RUN: minilm: %v\n\n", err)
	}
	fmt.Fprintf(r.out, "Server and load generator have a core each; open loop, Poisson. The peak is the most answers within the deadline that any rate gave. "+
		"Who finds no free connection within the deadline gives up: with the few connections to mlp the server refuses nobody, with the many to heavy it must, "+
		"and what a refusal costs of the one core (most of it the kernel's) bounds what is left. The floor is what this kernel gives a server that only "+
		"reads and refuses, "+
		"in the same run under the same load: its time to refuse, and the share of the core that it leaves to compute with at twice the peak, to "+
		"that at the peak.\n\n"+
		"| model | deadline | connections | peak/s | offered/s | within the deadline/s | to the peak | refused/s | a refusal takes ms, p50, p99 "+
		"|\n|---|---|---|---|---|---|---|---|---|\n")
	for _, c := range crowds {
		if err := r.crowd(&c); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) crowd(c *crowd) error {
	s, err := r.serve(c.dir, []string{"taskset=0", "GOMAXPROCS=1"}, "--threads", "1")
	if err != nil {
		return err
	}
	defer s.stop()
	closed, err := r.apart(s, c, "--concurrency", "64")
	if err != nil {
		return err
	}
	offer := func(rate float64) (*load.Result, error) {
		return r.apart(s, c, "--rate", fmt.Sprint(rate), "--deadline", c.deadline.String(), "--connections", fmt.Sprint(c.connections), "--warmup", "500ms")
	}
	best, at := 0.0, 0.0
	for _, share := range []float64{0.8, 0.9, 1, 1.1, 1.2, 1.3} {
		res, err := offer(share * closed.RPS)
		if err != nil {
			return err
		}
		if res.GoodRPS > best {
			best, at = res.GoodRPS, share*closed.RPS
		}
	}
	var peak, good, refused, p50, p99 []float64
	var bound, bareRefused, bareP50, bareP99 []float64
	for range max(r.rounds, 5) {
		res, err := offer(at)
		if err != nil {
			return err
		}
		peak = append(peak, res.GoodRPS)
		if res, err = offer(2 * best); err != nil {
			return err
		}
		good = append(good, res.GoodRPS)
		refused = append(refused, float64(res.Errors["deadline_unmeetable"]+res.Errors["queue_full"])/res.Duration)
		p50, p99 = append(p50, float64(res.Refusal.P50)/1e6), append(p99, float64(res.Refusal.P99)/1e6)
		if refused[0] < best/10 {
			continue // the server doesn't refuse what is too much: there is nothing to compare
		}
		once, err := r.floor(s, c, best)
		if err != nil {
			return err
		}
		twice, err := r.floor(s, c, 2*best)
		if err != nil {
			return err
		}
		bound, bareRefused = append(bound, 100*twice.left/once.left), append(bareRefused, twice.refused)
		bareP50, bareP99 = append(bareP50, twice.p50), append(bareP99, twice.p99)
	}
	fmt.Fprintf(r.out, "| %s | %v | %d | %.0f | %.0f | %.0f | %.0f %% (goal 95) | %.0f | %.2f, %.2f (goal 1) |\n", c.model, c.deadline, c.connections,
		median(peak), 2*best, median(good), 100*median(good)/median(peak), median(refused), median(p50), median(p99))
	if len(bound) > 0 {
		fmt.Fprintf(r.out, "| %s, floor | %v | %d | | %.0f | | %.0f %% | %.0f | %.2f, %.2f |\n", c.model, c.deadline, c.connections, 2*best, median(bound),
			median(bareRefused), median(bareP50), median(bareP99))
	}
	return nil
}

// apart runs the load generator on the second core.
func (r *run) apart(s *process, c *crowd, flags ...string) (*load.Result, error) {
	args := []string{"-c", "1", r.binary, "bench", "load", s.http, "--model", c.model, "--json", "--quiet", "--duration", r.duration.String()}
	args = append(append(args, c.flags...), flags...)
	out, err := exec.CommandContext(r.ctx, "taskset", args...).Output()
	res := &load.Result{}
	if json.Unmarshal(out, res) != nil { // a load of which every request was refused has a result, too
		return nil, fmt.Errorf("bench load: %w", err)
	}
	return res, nil
}

// median of values; NaN of none.
func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}
