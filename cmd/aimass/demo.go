package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/aimass/aimass/appointment/hosted"
	"github.com/aimass/aimass/appointment/noshow"
	"github.com/aimass/aimass/appointment/recommend"
	"github.com/aimass/aimass/appointment/wait"
	"github.com/aimass/aimass/train"
	"github.com/aimass/aimass/train/jobs"
)

// demoSeed decides every draw of the demo models.
const demoSeed = 1

func newDemoCommand() *cobra.Command {
	var out, text string
	c := &cobra.Command{
		Use:   "demo --out REPOSITORY [--text-model DIR]",
		Short: "Write the demo models: a simulated clinic's no-shows, waits, schedules, assignments and recommendations",
		Long: `Write the models of a clinic that does not exist to a repository folder, without a
network: three are trained in seconds, five are algorithms with a configuration and a card. Models
that are there already stay as they are. --text-model adds the sentence encoder of a folder with
model.onnx and tokenizer.json (make zoo), so that recommend takes free text, and around it the
ensemble NAME-embed, which turns texts into vectors in one call (POST /v1/embeddings).`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return errors.New("--out REPOSITORY is missing")
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			if err := writeDemo(ctx, out, cmd.OutOrStdout()); err != nil || text == "" {
				return err
			}
			if err := addTextModel(out, text, cmd.OutOrStdout()); err != nil {
				return err
			}
			return addEmbedding(out, filepath.Base(filepath.Clean(text)), cmd.OutOrStdout())
		},
	}
	c.Flags().StringVar(&out, "out", "", "repository folder that the models go to")
	c.Flags().StringVar(&text, "text-model", "", "folder of a sentence encoder that is served, too")
	return c
}

// writeDemo writes the models that are not there.
func writeDemo(ctx context.Context, out string, w io.Writer) error {
	trainers := newTrainers(jobs.Site{})
	jobs := []struct {
		model, says string
		job         train.Job
	}{
		{noshow.ModelName(noshow.Booking), "on a simulated clinic's appointments", train.Job{Trainer: noshow.TrainerName}},
		{noshow.ModelName(noshow.DayOf), "on the same, as known on the day", train.Job{Trainer: noshow.TrainerName, Parameters: map[string]string{"moment": noshow.DayOf.String()}}},
		{wait.ModelName, "on simulated half-days", train.Job{Trainer: wait.TrainerName, Parameters: map[string]string{"doctors": strconv.Itoa(recommend.DemoDoctors)}}},
	}
	for _, j := range jobs {
		if has(out, j.model) {
			continue
		}
		fmt.Fprintf(w, "training %s %s (seconds)\n", j.model, j.says)
		j.job.Out, j.job.Seed = out, demoSeed
		res, err := trainers.Run(ctx, j.job)
		if err != nil {
			return fmt.Errorf("%s: %w", j.model, err)
		}
		fmt.Fprintf(w, "wrote %s in %.1f s\n", filepath.ToSlash(res.Path), res.Took.Seconds())
	}
	folders, err := hosted.Folders(demoSeed)
	if err != nil {
		return err
	}
	for _, f := range folders {
		if has(out, f.Model) {
			continue
		}
		path, _, err := train.Publish(train.Place{Repository: out, Model: f.Model, Config: f.Config}, func(int) (map[string][]byte, error) { return f.Files, nil })
		if err != nil {
			return fmt.Errorf("%s: %w", f.Model, err)
		}
		fmt.Fprintf(w, "wrote %s\n", filepath.ToSlash(path))
	}
	return nil
}

// addTextModel puts a sentence encoder beside the models, without copying it where the
// file system can link. The model's name is its folder's.
func addTextModel(out, dir string, w io.Writer) error {
	name := filepath.Base(filepath.Clean(dir))
	if has(out, name) {
		return nil
	}
	place := filepath.Join(out, name, "1")
	if err := os.MkdirAll(place, 0o755); err != nil {
		return err
	}
	for _, f := range []string{"tokenizer.json", "model.onnx"} { // the model last: it makes the version
		from, to := filepath.Join(dir, f), filepath.Join(place, f)
		if os.Link(from, to) == nil {
			continue
		}
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, b, 0o644)
		}
		if err != nil {
			return fmt.Errorf("--text-model: %w", errors.Join(err, os.RemoveAll(filepath.Join(out, name))))
		}
	}
	fmt.Fprintf(w, "wrote %s\n", filepath.ToSlash(place))
	return nil
}

// has reports whether a repository has a version of a model.
func has(out, model string) bool {
	entries, _ := os.ReadDir(filepath.Join(out, model))
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && n > 0 && e.IsDir() {
			return true
		}
	}
	return false
}
