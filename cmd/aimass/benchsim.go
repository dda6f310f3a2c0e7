package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/aimass/aimass/bench/sim"
)

// simOptions of `aimass bench sim`.
type simOptions struct {
	seed     uint64
	seconds  float64
	asJSON   bool
	trace    string
	faster   float64
	first    time.Duration
	each     time.Duration
	deadline time.Duration
	workers  int
	rows     int
}

func newBenchSimCommand() *cobra.Command {
	o := simOptions{}
	c := &cobra.Command{
		Use:   "sim",
		Short: "Replay traces against the batching policy under a virtual clock",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.trace != "" {
				return o.replay(cmd.OutOrStdout())
			}
			return o.suite(cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.Uint64Var(&o.seed, "seed", 1, "seed of the traces and of the run times")
	f.Float64Var(&o.seconds, "seconds", 10, "longest trace, in virtual seconds")
	f.BoolVar(&o.asJSON, "json", false, "print one line of JSON")
	f.StringVar(&o.trace, "trace", "", "play this file (Azure Functions CSV, or CSV with a column timestamp) instead of the suite")
	f.Float64Var(&o.faster, "faster", 1, "play the trace so many times as fast")
	f.DurationVar(&o.first, "first", 4*time.Millisecond, "run time of a batch of one row, for --trace")
	f.DurationVar(&o.each, "each", 200*time.Microsecond, "run time of each further row, for --trace")
	f.DurationVar(&o.deadline, "deadline", 100*time.Millisecond, "deadline of requests that the trace gives none; 0 means none")
	f.IntVar(&o.workers, "workers", 2, "batches at a time, for --trace")
	f.IntVar(&o.rows, "max-rows", 64, "rows in a batch, for --trace")
	return c
}

func (o *simOptions) suite(w, progress io.Writer) error {
	lines := w
	if o.asJSON {
		lines = progress
	}
	sim.Header(lines)
	r := sim.Suite(o.seed, o.seconds, func(out sim.Outcome) { sim.Line(lines, &out) })
	r.Summary(lines)
	if o.asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	return nil
}

func (o *simOptions) replay(w io.Writer) error {
	if o.workers < 1 || o.rows < 1 || o.first <= 0 || o.each < 0 {
		return fmt.Errorf("--workers, --max-rows and --first must be positive, --each not negative")
	}
	f, err := os.Open(o.trace)
	if err != nil {
		return err
	}
	defer f.Close()
	t, err := sim.Read(f, rand.New(rand.NewPCG(o.seed, 0)), o.faster)
	if err != nil {
		return fmt.Errorf("%s: %w", o.trace, err)
	}
	for i := range t {
		if t[i].Deadline == 0 && o.deadline > 0 {
			t[i].Deadline = t[i].At + int64(o.deadline)
		}
	}
	c := sim.Case{Name: "trace", Trace: t, Machine: sim.Machine{Workers: o.workers, MaxRows: o.rows, Noise: 0.05, Seed: o.seed,
		Models: []sim.Model{sim.Affine(float64(o.first), float64(o.each))}}}
	if s := float64(t.Length()) / float64(time.Second); s > 0 {
		c.Load = float64(len(t)) / s / sim.Peak(&c.Machine)
	}
	out := sim.Play(&c)
	if o.asJSON {
		return json.NewEncoder(w).Encode(out)
	}
	sim.Header(w)
	sim.Line(w, &out)
	return nil
}
