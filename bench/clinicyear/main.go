// Command clinicyear plays a simulated year of a clinic under the rules that clinics use
// and under this project's models, and writes the report: clinicyear [-days N] [-seed N] OUT.
// It ends with status 1 if a bar of package year is missed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	goruntime "runtime"
	"time"

	"github.com/aimass/aimass/appointment/year"
)

func main() {
	cfg := year.DefaultConfig()
	flags := flag.NewFlagSet("clinicyear", flag.ExitOnError)
	flags.IntVar(&cfg.Days, "days", cfg.Days, "working days that are counted")
	flags.Uint64Var(&cfg.Seed, "seed", cfg.Seed, "seed of every draw")
	_ = flags.Parse(os.Args[1:])
	if err := run(cfg, flags.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "clinicyear:", err)
		os.Exit(1)
	}
}

// run plays the year and writes report.html and report.md to the folder out.
func run(cfg year.Config, out string) error {
	if out == "" {
		return errors.New("give the folder that the report goes to")
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "clinicyear")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	cfg.Scratch, cfg.Workers = scratch, goruntime.GOMAXPROCS(0)
	began := time.Now()
	r, err := year.Run(ctx, cfg)
	if err != nil {
		return err
	}
	fmt.Printf("%s\nplayed in %.0f s; plots in %s\n", r.Markdown(), time.Since(began).Seconds(), filepath.ToSlash(filepath.Join(out, "report.html")))
	if err := os.WriteFile(filepath.Join(out, "report.md"), []byte(r.Markdown()), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "report.html"), []byte(r.HTML()), 0o644); err != nil {
		return err
	}
	return r.Gate()
}
