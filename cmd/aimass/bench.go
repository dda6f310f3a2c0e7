package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/aimass/aimass/bench/model"
	"github.com/aimass/aimass/kernels/isa"
)

func newBenchCommand() *cobra.Command {
	c := &cobra.Command{Use: "bench", Short: "Measure models and servers"}
	c.AddCommand(newBenchModelCommand(), newBenchPeakCommand(), newBenchMixedCommand(), newBenchBusyCommand(), newBenchSimCommand(), newBenchLoadCommand(), newBenchSweepCommand())
	return c
}

func newBenchModelCommand() *cobra.Command {
	o := model.Options{}
	var asJSON bool
	c := &cobra.Command{
		Use:   "model MODEL.onnx",
		Short: "Time a model in process",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Model = args[0]
			r, err := model.Run(o)
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			if asJSON {
				b, err := json.Marshal(r)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(w, string(b))
				return err
			}
			us := func(ns int64) float64 { return float64(ns) / 1e3 }
			fmt.Fprintf(w, "%s\n  %d thread(s), %s, %d runs\n  load  %12.1f µs\n  best  %12.1f µs\n  p50   %12.1f µs\n  p99   %12.1f µs\n  peak memory %.1f MB\n",
				r.Model, r.Threads, r.ISA, r.Runs, us(r.LoadNS), us(r.BestNS), us(r.P50NS), us(r.P99NS), float64(r.PeakRSS)/1e6)
			return nil
		},
	}
	f := c.Flags()
	f.StringArrayVar(&o.Shapes, "shape", nil, "an input's shape as name=1x128[:dtype]; repeat for each input")
	f.StringVar(&o.Inputs, "inputs", "", "take the inputs from a test_data_set folder")
	f.IntVar(&o.Threads, "threads", 1, "threads to use")
	f.DurationVar(&o.Duration, "duration", 3*time.Second, "how long to run")
	f.BoolVar(&asJSON, "json", false, "print one line of JSON")
	return c
}

func newBenchPeakCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "peak",
		Short: "Measure what one thread can do at most: fused multiply-adds a second",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l := isa.Current().Level
			best := 0.0
			for range 5 {
				best = max(best, isa.PeakGFLOPS(l))
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%.1f GFLOP/s, float32, %s\n", best, l)
			return err
		},
	}
}
