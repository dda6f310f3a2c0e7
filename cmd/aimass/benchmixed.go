package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/aimass/aimass/bench/model"
)

func newBenchMixedCommand() *cobra.Command {
	o := model.MixedOptions{}
	var asJSON bool
	c := &cobra.Command{
		Use:   "mixed MODEL.onnx",
		Short: "Time sequences of mixed length in process: alone, padded, and without padding",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Model = args[0]
			r, err := model.Mixed(o)
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			if asJSON {
				b, err := json.Marshal(r)
				if err == nil {
					fmt.Fprintln(w, string(b))
				}
				return err
			}
			row := func(name string, ns int64, tokens int) {
				fmt.Fprintf(w, "  %-16s %8.1f ms  %8.1f sequences/s  %6d tokens computed\n", name, float64(ns)/1e6, float64(r.Sequences)/float64(ns)*1e9, tokens)
			}
			fmt.Fprintf(w, "%s\n  %d sequences, %d tokens; batches of %d, %d thread(s), best of %d\n", r.Model, r.Sequences, r.Tokens, o.Batch, o.Threads, o.Rounds)
			row("each alone", r.AloneNS, r.Tokens)
			row("padded batches", r.PaddedNS, r.Padded)
			row("without padding", r.RaggedNS, r.Tokens)
			fmt.Fprintf(w, "  without padding is %.2f times as fast as padded; least cosine to the answers alone %.7f\n", r.Speedup, r.MinCosine)
			return nil
		},
	}
	f := c.Flags()
	f.IntVar(&o.Sequences, "sequences", 256, "how many sequences to draw")
	f.IntVar(&o.Batch, "batch", 16, "sequences that run together")
	f.IntVar(&o.Threads, "threads", 1, "threads to use")
	f.IntVar(&o.Rounds, "rounds", 3, "rounds, of which the best counts")
	f.Float64Var(&o.Median, "median", 24, "median of the lengths, which are log-normal")
	f.Float64Var(&o.Sigma, "sigma", 0.7, "standard deviation of their logarithm")
	f.IntVar(&o.Shortest, "shortest", 8, "shortest length")
	f.IntVar(&o.Longest, "longest", 128, "longest length")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the lengths and values")
	f.BoolVar(&asJSON, "json", false, "print one line of JSON")
	return c
}
