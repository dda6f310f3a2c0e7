package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/aimass/aimass/appointment/noshow"
	"github.com/aimass/aimass/appointment/wait"
	"github.com/aimass/aimass/compress/job"
	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/jobs"
	"github.com/aimass/aimass/train/tabular"
)

// newTrainers lists the trainers that this binary has, and the compressor, which is one of them.
func newTrainers(site jobs.Site) train.Registry {
	r := train.Registry{}
	r.Add(noshow.TrainerName, noshow.Train)
	r.Add(noshow.RecalibrateName, noshow.Recalibrate)
	r.Add(wait.TrainerName, wait.TrainJob)
	r.AddChecked(job.TrainerName, job.Trainer(site.ModelKeys), job.Check)
	tabular.Add(r, site.Programs)
	return r
}

func newTrainCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "train",
		Short: "Train a model in the foreground and write it to a repository as a new version",
	}
	trainers := newTrainers(jobs.Site{})
	c.AddCommand(newTrainNoshowCommand(trainers), newTrainRecalibrateCommand(trainers), newTrainWaitCommand(trainers))
	for _, t := range tableTrainers {
		c.AddCommand(newTrainTableCommand(t.name, t.short, t.set))
	}
	c.AddCommand(newTrainJobCommand())
	return c
}

// newTrainNoshowCommand trains the no-show model. With --write-csv it writes the
// simulated clinic and trains nothing.
func newTrainNoshowCommand(trainers train.Registry) *cobra.Command {
	job := train.Job{Trainer: noshow.TrainerName}
	var simulate bool
	var writeCSV string
	c := &cobra.Command{
		Use:   "noshow (--data FILE | --simulate) --out REPOSITORY",
		Short: "Train " + noshow.ModelName(noshow.Booking) + ", the probability that a patient does not show up",
		Long: `Train a calibrated gradient boosting model on a file of appointments and write
REPOSITORY/` + noshow.ModelName(noshow.Booking) + `/<next version>/ with model.onnx, model_card.json, model_card.md
and report.html. The file is a CSV, or a zip archive of one, with the columns of
the Vitória data ("Medical Appointment No Shows"). Days are split in time; a
model that misses a gate on the test days is not written.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if writeCSV != "" {
				return writeClinic(writeCSV, job.Seed)
			}
			switch {
			case simulate && job.Data != "":
				return errors.New("--data and --simulate exclude each other")
			case !simulate && job.Data == "":
				return errors.New("--data FILE is missing (or --simulate for a clinic that does not exist)")
			case job.Out == "":
				return errors.New("--out REPOSITORY is missing")
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return runTraining(ctx, trainers, job, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.StringVar(&job.Data, "data", "", "CSV of appointments, or a zip archive of one")
	f.StringVar(&job.Out, "out", "", "repository folder that the new version goes to")
	f.StringVar(&job.SHA256, "sha256", "", "refuse data that do not hash to this")
	f.Uint64Var(&job.Seed, "seed", 1, "seed of every draw")
	f.IntVar(&job.Workers, "workers", 0, "cores to use; 0 means all")
	f.StringToStringVar(&job.Parameters, "set", nil, "trainer's parameters, such as moment=day-of,members=4,without=neighbourhood")
	f.BoolVar(&simulate, "simulate", false, "train on a simulated clinic instead of a file")
	f.StringVar(&writeCSV, "write-csv", "", "write the simulated clinic's CSV to this file and stop")
	return c
}

// newTrainRecalibrateCommand fits a trained no-show model to one clinic.
func newTrainRecalibrateCommand(trainers train.Registry) *cobra.Command {
	job := train.Job{Trainer: noshow.RecalibrateName, Parameters: map[string]string{}}
	var base, model string
	c := &cobra.Command{
		Use:   noshow.RecalibrateName + " --base MODEL/VERSION --data FILE --out REPOSITORY",
		Short: "Fit a trained no-show model to one clinic's own appointments",
		Long: `Keep the trees of a trained version and fit its calibration to one clinic's file of
appointments: the earlier 60 % of the days calibrate, the later ones test. What is not
better than before on the test days is not written.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if base == "" || job.Data == "" || job.Out == "" {
				return errors.New("--base MODEL/VERSION, --data FILE and --out REPOSITORY are needed")
			}
			job.Parameters["base"] = base
			if model != "" {
				job.Parameters["model"] = model
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return runTraining(ctx, trainers, job, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.StringVar(&base, "base", "", "the version of the repository to start from, such as appt-noshow/1")
	f.StringVar(&model, "model", "", "name of the new model; default as the base")
	f.StringVar(&job.Data, "data", "", "CSV of the clinic's appointments, or a zip archive of one")
	f.StringVar(&job.Out, "out", "", "repository folder that the new version goes to")
	f.StringVar(&job.SHA256, "sha256", "", "refuse data that do not hash to this")
	return c
}

// writeClinic writes the simulated clinic as a file.
func writeClinic(path string, seed uint64) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	err = noshow.WriteCSV(out, noshow.Simulate(noshow.DefaultClinic(seed)))
	return errors.Join(err, out.Close())
}

// runTraining runs one job, with progress on errs and the figures on out.
func runTraining(ctx context.Context, trainers train.Registry, job train.Job, out, errs io.Writer) error {
	show := newProgressLine(errs)
	job.Progress = show.event
	res, err := trainers.Run(ctx, job)
	show.end()
	writeMetrics(out, res.Metrics)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "wrote %s in %.1f s\n", filepath.ToSlash(res.Path), res.Took.Seconds())
	return nil
}

// writeMetrics prints a table of figures, or nothing.
func writeMetrics(w io.Writer, metrics []train.Metric) {
	if len(metrics) == 0 {
		return
	}
	fmt.Fprintf(w, "%-18s %8s   %-18s %-14s\n", "figure", "value", "95 % interval", "gate")
	for _, m := range metrics {
		interval, gate := "", m.Gate
		if m.Low < m.High {
			interval = fmt.Sprintf("%.4f to %.4f", m.Low, m.High)
		}
		if gate != "" && m.Passed {
			gate += "  passed"
		} else if gate != "" {
			gate += "  MISSED"
		}
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%-18s %8.4f   %-18s %s", m.Name, m.Value, interval, gate), " "))
	}
}

// progressLine shows events: on a terminal one line that is written over, else
// a line for each stage and now and then one between.
type progressLine struct {
	w        io.Writer
	terminal bool
	stage    string
	drawn    time.Time
	open     bool
}

func newProgressLine(w io.Writer) *progressLine {
	p := &progressLine{w: w}
	if f, ok := w.(*os.File); ok {
		st, err := f.Stat()
		p.terminal = err == nil && st.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// The least time between two lines of one stage, on a terminal and elsewhere.
const (
	redraw = 100 * time.Millisecond
	relog  = 5 * time.Second
)

func (p *progressLine) event(e train.Event) {
	fresh, pause := e.Stage != p.stage, relog
	if p.terminal {
		pause = redraw
	}
	if !fresh && time.Since(p.drawn) < pause {
		return
	}
	if fresh {
		p.end()
	}
	p.stage, p.drawn = e.Stage, time.Now()
	line := e.Stage
	if e.Steps > 0 {
		line += fmt.Sprintf(" %d of at most %d", e.Step, e.Steps)
	}
	if e.Message != "" {
		line += ": " + e.Message
	}
	if !p.terminal {
		fmt.Fprintln(p.w, line)
		return
	}
	fmt.Fprint(p.w, "\r\x1b[K"+line)
	p.open = true
}

// end leaves the line that is written over.
func (p *progressLine) end() {
	if p.open {
		fmt.Fprintln(p.w)
		p.open = false
	}
}
