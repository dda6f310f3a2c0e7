package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/cache"
	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/server"
)

type tmpControl struct{ p *pipeline.Pipeline }

func (tmpControl) Ready() bool { return true }
func (c tmpControl) Index() (out []*inferencepb.RepositoryIndexResponse_ModelIndex) {
	c.p.Each(func(s *pipeline.Served) {
		out = append(out, &inferencepb.RepositoryIndexResponse_ModelIndex{Name: s.Model, Version: s.VersionText, State: "READY"})
	})
	return
}
func (tmpControl) Load(ctx context.Context, model, config string, files map[string][]byte) error {
	return nil
}
func (tmpControl) Unload(ctx context.Context, model string, dependents bool) error { return nil }
func (tmpControl) Config(model string, version int64) (*inferencepb.ModelConfig, error) {
	return &inferencepb.ModelConfig{Name: model, MaxBatchSize: 4096}, nil
}
func (tmpControl) Explain(model, version string, err error) error { return err }

func newServeCommand() *cobra.Command {
	var dir string
	cfg := server.Config{}
	c := &cobra.Command{Use: "serve", RunE: func(cmd *cobra.Command, args []string) error {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		ch, err := cache.New(cache.Config{}.WithDefaults())
		if err != nil {
			return err
		}
		p := pipeline.New(ch)
		e := runtime.NewEngine(runtime.Config{})
		fs, _ := filepath.Glob(dir + "/*/*/model.onnx")
		for _, f := range fs {
			m, err := e.Open(f)
			if err != nil {
				return err
			}
			v, _ := strconv.ParseInt(filepath.Base(filepath.Dir(f)), 10, 64)
			s := pipeline.Spec{Model: filepath.Base(filepath.Dir(filepath.Dir(f))), Version: v, Runtime: m, Batcher: batcher.Config{}.WithDefaults(2)}
			if m.Batch.Rows {
				s.MaxBatch = 4096
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(filepath.Dir(f)), "config.pbtxt")); err == nil {
				s.Cached = true
			}
			if _, err := p.Attach(s); err != nil {
				return err
			}
		}
		srv, err := server.New(cfg, p, tmpControl{p}, os.Stderr)
		if err != nil {
			return err
		}
		return srv.Run(ctx)
	}}
	c.Flags().StringVar(&dir, "models", "", "")
	c.Flags().StringVar(&cfg.HTTPAddr, "http", "", "")
	c.Flags().StringVar(&cfg.GRPCAddr, "grpc", "", "")
	c.Flags().StringVar(&cfg.MetricsAddr, "metrics", "", "")
	return c
}
