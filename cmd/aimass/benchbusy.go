package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/aimass/aimass/bench/model"
)

func newBenchBusyCommand() *cobra.Command {
	o := model.BusyOptions{}
	var asJSON bool
	c := &cobra.Command{
		Use:   "busy MODEL.onnx",
		Short: "Time several copies of a model that are busy at the same time beside one alone",
		Long: `Load a model several times and keep every copy busy, in process; then do the same
with one copy and one caller that has all cores; in turn, for some rounds. What is
told is the calls that all copies answered as a part of those that one answered
alone: what is lost where models share the cores.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Model = args[0]
			r, err := model.Busy(o)
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
			fmt.Fprintf(w, "%s, %s\n  alone, %d thread(s)  %10.1f/s\n  %d × %d caller(s), %d thread(s) each  %10.1f/s\n  together answer %.3f of what one alone does\n",
				r.Model, r.ISA, r.Cores, r.AlonePS, r.Copies, r.Callers, r.Threads, r.BusyPS, r.Aggregate)
			return nil
		},
	}
	f := c.Flags()
	f.StringArrayVar(&o.Shapes, "shape", nil, "an input's shape as name=1x128[:dtype]; repeat for each input")
	f.StringVar(&o.Inputs, "inputs", "", "take the inputs from a test_data_set folder")
	f.IntVar(&o.Cores, "cores", 0, "cores to use (0: all)")
	f.IntVar(&o.Copies, "copies", 2, "models: how often the model is loaded")
	f.IntVar(&o.Callers, "callers", 1, "callers of each copy")
	f.IntVar(&o.Threads, "threads", 0, "threads that a call may use (0: all)")
	f.IntVar(&o.Rounds, "rounds", 9, "rounds; the median counts")
	f.DurationVar(&o.Duration, "duration", 300*time.Millisecond, "how long each of the two parts of a round takes")
	f.BoolVar(&asJSON, "json", false, "print one line of JSON")
	return c
}
