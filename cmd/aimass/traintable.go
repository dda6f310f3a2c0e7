package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/jobs"
)

// tableTrainers tell what each trainer of tables does.
var tableTrainers = []struct{ name, short, set string }{
	{"gbdt", "gradient boosted trees: two classes, several, regression or a quantile", "rounds=500,leaves=31,monotone=age:+1"},
	{"command", "a model by a program that the configuration names", "program=NAME,depth=3"},
	{"mlp", "a multilayer perceptron with entity embeddings for categories", "epochs=40,learning_rate=0.001"},
	{"linear", "a linear, logistic or multinomial model with an elastic net", "alpha=0.001,l1_ratio=0.5"},
}

// newTrainTableCommand trains a model on a CSV.
func newTrainTableCommand(name, short, example string) *cobra.Command {
	job := train.Job{Trainer: name}
	var types, missing []string
	var file string
	c := &cobra.Command{
		Use:   name + " --data FILE --target COLUMN --out REPOSITORY",
		Short: "Train " + short,
		Long: `Train ` + short + `
on a CSV file with a header, and write REPOSITORY/MODEL/<next version>/ with model.onnx,
features.json (schema and statistics, by which the server checks inputs and tells drift),
model_card.md, model_card.json and report.json.

Columns of numbers are numeric features, others categorical ones; --type says otherwise. Empty
fields, NA, NaN, null, None and ? are missing values. A part of the rows is held out: to stop
early, to calibrate, and to measure the figures that are printed. docs/training.md has the
parameters of --set.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case job.Data == "":
				return errors.New("--data FILE is missing")
			case job.Columns.Target == "":
				return errors.New("--target COLUMN is missing")
			case job.Out == "":
				return errors.New("--out REPOSITORY is missing")
			}
			if job.Model == "" {
				job.Model = strings.TrimSuffix(filepath.Base(job.Data), filepath.Ext(job.Data))
			}
			job.Columns.Types = map[string]string{}
			for _, t := range types {
				i := strings.LastIndexByte(t, '=')
				if i < 0 {
					return fmt.Errorf("--type %q: expected COLUMN=numeric, COLUMN=categorical or COLUMN=ignore", t)
				}
				job.Columns.Types[t[:i]] = t[i+1:]
			}
			if cmd.Flags().Changed("missing") {
				job.Columns.Missing = missing
			}
			s := defaultSettings()
			if file != "" {
				var err error
				if s, err = loadSettings(file, cmd.Flags(), nil); err != nil {
					return err
				}
			}
			trainers := newTrainers(s.site())
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return runTraining(ctx, trainers, job, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.StringVar(&job.Data, "data", "", "CSV file with a header")
	f.StringVar(&job.Columns.Target, "target", "", "the column to predict")
	f.StringVar(&job.Out, "out", "", "repository folder that the new version goes to")
	f.StringVar(&job.Model, "model", "", "the model's name; default: the file's without its ending")
	f.StringArrayVar(&types, "type", nil, "COLUMN=numeric, =categorical or =ignore, for a column that is not to be inferred; may be repeated")
	f.StringVar(&job.Columns.Weight, "weight", "", "column of the rows' weights")
	f.StringVar(&job.Columns.Order, "order", "", "column that orders the rows, such as a date: the last are tested on")
	f.StringVar(&job.Columns.Group, "group", "", "column of which no value is both trained and tested on, such as a patient")
	f.StringSliceVar(&missing, "missing", nil, "texts that stand for a missing value, instead of the usual ones")
	f.StringVar(&job.SHA256, "sha256", "", "refuse data that do not hash to this")
	f.Uint64Var(&job.Seed, "seed", 1, "seed of every draw")
	f.IntVar(&job.Workers, "workers", 0, "cores to use; 0 means all")
	f.StringToStringVar(&job.Parameters, "set", nil, "trainer's parameters, such as "+example)
	if name == "command" {
		f.StringVar(&file, "config", "", "the YAML file of settings of aimass serve, whose train-programs names the programs")
	}
	return c
}

// newTrainJobCommand is what the server starts to run a job; it is not for people.
func newTrainJobCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "run-job DIR",
		Short:  "Run a job of the server, which starts this itself",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM)
			defer stop()
			err := jobs.Work(ctx, args[0], newTrainers)
			if err != nil {
				fmt.Fprintln(cmd.ErrOrStderr(), "aimass:", err)
				os.Exit(jobs.ExitCode(err))
			}
			return nil
		},
	}
}
