package main

import (
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/aimass/aimass/appointment/wait"
	"github.com/aimass/aimass/train"
)

// newTrainWaitCommand trains the waiting-time model on simulated half-days.
func newTrainWaitCommand(trainers train.Registry) *cobra.Command {
	job := train.Job{Trainer: wait.TrainerName}
	c := &cobra.Command{
		Use:   "wait --out REPOSITORY",
		Short: "Train " + wait.ModelName + ", how long patients of a planned session wait",
		Long: `Train quantile trees on the half-days of a simulated clinic, correct them on
half-days that they have not seen and measure on others. The model goes to
REPOSITORY/` + wait.ModelName + `/<next version>/ with its card; one that misses a gate is
not written.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if job.Out == "" {
				return errors.New("--out REPOSITORY is missing")
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return runTraining(ctx, trainers, job, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := c.Flags()
	f.StringVar(&job.Out, "out", "", "repository folder that the new version goes to")
	f.Uint64Var(&job.Seed, "seed", 1, "seed of every draw")
	f.IntVar(&job.Workers, "workers", 0, "cores to use; 0 means all")
	f.StringToStringVar(&job.Parameters, "set", nil, "trainer's parameters, such as doctors=20,train_days=3000")
	return c
}
