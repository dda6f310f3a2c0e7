package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/aimass/aimass/bench/load"
)

func newBenchLoadCommand() *cobra.Command {
	o := load.Options{}
	var asJSON, quiet bool
	var html string
	c := &cobra.Command{
		Use:   "load URL --model M",
		Short: "Put load on a server and measure it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("rate") && cmd.Flags().Changed("concurrency") {
				return errors.New("give --concurrency (closed loop) or --rate (open loop), not both")
			}
			o.URL = args[0]
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return runLoad(ctx, cmd, o, html, asJSON, quiet)
		},
	}
	f := c.Flags()
	loadFlags(f, &o)
	f.IntVar(&o.Concurrency, "concurrency", 1, "closed loop: requests always in flight")
	f.Float64Var(&o.Rate, "rate", 0, "open loop: requests a second")
	f.BoolVar(&asJSON, "json", false, "print one line of JSON")
	f.BoolVar(&quiet, "quiet", false, "no progress on stderr")
	f.StringVar(&html, "html", "", "write a report to this file")
	return c
}

func loadFlags(f *pflag.FlagSet, o *load.Options) {
	f.StringArrayVar(&o.Models, "model", nil, "model, perhaps with its share as M=WEIGHT; repeat for several")
	f.StringArrayVar(&o.Tenants, "tenant", nil, "tenant (X-Aimass-Tenant), perhaps with its share; repeat for several")
	f.StringVar(&o.Protocol, "protocol", "http-bin", "http-json, http-bin or grpc")
	f.StringArrayVar(&o.Shapes, "shape", nil, "an input's shape as name=1x128, where the model leaves it open; repeat for each input")
	f.StringArrayVar(&o.Outputs, "output", nil, "output to ask for; repeat for several (default all)")
	f.IntVar(&o.Batch, "batch", 1, "rows in a request")
	f.IntVar(&o.Distinct, "distinct", 64, "different bodies, sent in turn")
	f.StringVar(&o.Arrival, "arrival", "poisson", "open loop: poisson, constant, or trace:FILE")
	f.DurationVar(&o.Duration, "duration", 10*time.Second, "how long")
	f.DurationVar(&o.Warmup, "warmup", 0, "how long to run before measuring")
	f.DurationVar(&o.Timeout, "timeout", 30*time.Second, "how long to wait for an answer")
	f.DurationVar(&o.Deadline, "deadline", 0, "send this timeout along with each request, and count later answers as not good")
	f.IntVar(&o.Connections, "connections", 0, "open loop: most connections (default 1024, gRPC 4)")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of inputs and arrivals")
}

func runLoad(ctx context.Context, cmd *cobra.Command, o load.Options, html string, asJSON, quiet bool) error {
	p, err := load.New(ctx, o)
	if err != nil {
		return unreached(err, o.URL, "the argument URL")
	}
	defer p.Close()
	var progress func(load.Window)
	if !quiet {
		progress = func(w load.Window) {
			fmt.Fprintf(cmd.ErrOrStderr(), "%4.0f s  %8.0f/s  p50 %.3f ms  p99 %.3f ms  %d in flight  %d errors\n",
				w.End, w.RPS, float64(w.P50)/1e6, float64(w.P99)/1e6, w.InFlight, w.Errors)
		}
	}
	r, err := p.Run(ctx, progress)
	if err != nil {
		return err
	}
	if err := writeLoadReport(html, r.HTML); err != nil {
		return err
	}
	if asJSON {
		err = json.NewEncoder(cmd.OutOrStdout()).Encode(r)
	} else {
		r.Text(cmd.OutOrStdout())
	}
	if err == nil && r.Requests == 0 {
		err = fmt.Errorf("no request was answered: %d errors", r.ErrorCount())
	}
	return err
}

func writeLoadReport(file string, write func(io.Writer) error) error {
	if file == "" {
		return nil
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func newBenchSweepCommand() *cobra.Command {
	o := load.SweepOptions{}
	var asJSON bool
	var html string
	c := &cobra.Command{
		Use:   "sweep URL --model M",
		Short: "Find where a server's latency begins to rise",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.URL = args[0]
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			w := cmd.OutOrStdout()
			if asJSON {
				w = cmd.ErrOrStderr()
			}
			load.PointHeader(w)
			r, err := load.Sweep(ctx, o, func(p load.Point) { p.Text(w) })
			if err != nil {
				return unreached(err, o.URL, "the argument URL")
			}
			if r.Knee >= 0 {
				fmt.Fprint(w, "knee: ")
				r.Points[r.Knee].Text(w)
			}
			if err := writeLoadReport(html, r.HTML); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(r)
			}
			return nil
		},
	}
	f := c.Flags()
	loadFlags(f, &o.Options)
	f.IntSliceVar(&o.Concurrencies, "concurrencies", nil, "points of a closed loop (default: doubling until throughput stops rising)")
	f.Float64SliceVar(&o.Rates, "rates", nil, "points of an open loop, in requests a second")
	f.BoolVar(&asJSON, "json", false, "print one line of JSON")
	f.StringVar(&html, "html", "", "write a report to this file")
	f.Lookup("duration").DefValue = "3s"
	o.Duration = 3 * time.Second
	return c
}
