package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/aimass/aimass/internal/child"
	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/repository"
	"github.com/aimass/aimass/server"
	"github.com/aimass/aimass/train/jobs"
)

// training opens the training jobs, nil where they are switched off.
func (s *settings) training(repo *repository.Repository, pipe *pipeline.Pipeline, log *slog.Logger) (*jobs.Runner, error) {
	models, err := filepath.Abs(s.Models)
	if err != nil {
		return nil, err
	}
	dir := s.TrainDir
	switch dir {
	case server.Off:
		return nil, nil
	case "":
		dir = models + ".train"
	}
	site := s.site()
	if site.Groups, err = s.controlGroups(log); err != nil {
		return nil, err
	}
	return jobs.Open(jobs.Config{
		Dir: dir, Repository: models, DataDir: s.TrainData, Parallel: s.TrainParallel, Workers: s.trainWorkers(), Site: site,
		Share: s.TrainShare, Traffic: pipe.Traffic,
		Loaded: func(ctx context.Context, model string) error { return repo.Load(ctx, model, nil) },
	}, newTrainers(site), log)
}

// trainWorkers leaves serving a core where there are several. Those that there are is what models
// are computed on: GOMAXPROCS is higher in a server.
func (s *settings) trainWorkers() int {
	if s.TrainWorkers != 0 {
		return s.TrainWorkers
	}
	return max(1, s.Threads-1)
}

// site is what the settings let jobs use.
func (s *settings) site() jobs.Site {
	return jobs.Site{Programs: s.TrainPrograms, ModelKeys: s.ModelKeys}
}

// auto is a setting that the machine decides.
const auto = "auto"

// controlGroups finds the folder of control groups for training programs, "" for none.
func (s *settings) controlGroups(log *slog.Logger) (string, error) {
	if s.TrainCgroup == server.Off || len(s.TrainPrograms) == 0 {
		return "", nil
	}
	dir := s.TrainCgroup
	if dir == auto {
		dir = ""
	}
	groups, err := child.OpenGroups(dir)
	switch {
	case err == nil:
		log.Info("control groups hold the limits of training programs", "folder", groups.Dir())
		return groups.Dir(), nil
	case s.TrainCgroup == auto:
		log.Info("the limits of training programs are held without control groups", "reason", err.Error())
		return "", nil
	default:
		return "", fmt.Errorf("--train-cgroup: %w", err)
	}
}

// runTrainingJobs runs the jobs until stop is called, which waits for their children.
func runTrainingJobs(r *jobs.Runner) (stop func()) {
	if r == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	return func() { cancel(); <-done }
}
