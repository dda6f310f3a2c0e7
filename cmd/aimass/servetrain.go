package main

import (
	"context"
	"log/slog"
	"path/filepath"

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
	return jobs.Open(jobs.Config{
		Dir: dir, Repository: models, DataDir: s.TrainData, Parallel: s.TrainParallel, Workers: s.trainWorkers(), Site: s.site(),
		Share: s.TrainShare, Traffic: pipe.Traffic,
		Loaded: func(ctx context.Context, model string) error { return repo.Load(ctx, model, nil) },
	}, newTrainers(s.site()), log)
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
