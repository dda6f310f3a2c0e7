package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/gpu"
	"github.com/aimass/aimass/runtime/verify"
)

func newVerifyCommand() *cobra.Command {
	var device string
	var asJSON, verbose bool
	c := &cobra.Command{
		Use:   "verify DIR…",
		Short: "Run ONNX-standard test folders and compare with the expected outputs",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, dirs []string) error {
			engine := runtime.NewEngine(runtime.Config{KeepMaps: true})
			if err := useDevice(engine, device, gpu.Config{NoHost: true}, slog.New(slog.DiscardHandler)); err != nil {
				return err
			}
			return errors.Join(runVerify(cmd, engine, dirs, asJSON, verbose), engine.Close())
		},
	}
	c.Flags().StringVar(&device, "device", "cpu", "device to run on: cpu, cuda, or auto for GPUs where there are any")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a case before the last line")
	c.Flags().BoolVar(&verbose, "verbose", false, "print every case, not only those that failed or were skipped")
	return c
}

func runVerify(cmd *cobra.Command, engine *runtime.Engine, dirs []string, asJSON, verbose bool) error {
	count := map[verify.Outcome]int{}
	for _, dir := range dirs {
		cases, err := verify.Find(dir)
		if err != nil {
			return err
		}
		for i, c := range cases {
			r := verify.Run(engine, c)
			count[r.Outcome]++
			if asJSON {
				b, err := json.Marshal(r)
				if err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), string(b))
			}
			if verbose || r.Outcome != verify.Passed {
				fmt.Fprintf(cmd.ErrOrStderr(), "[%d/%d] %s %s%s\n", i+1, len(cases), r.Outcome, r.Case, because(r))
			}
		}
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%d passed, %d failed, %d skipped\n", count[verify.Passed], count[verify.Failed], count[verify.Skipped])
	if count[verify.Failed] > 0 {
		return fmt.Errorf("%d cases failed", count[verify.Failed])
	}
	if count[verify.Passed] == 0 {
		return errors.New("no case was found")
	}
	return nil
}

func because(r verify.Result) string {
	if r.Reason == "" {
		return ""
	}
	return ": " + r.Reason
}
