package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	goruntime "runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/cache"
	"github.com/aimass/aimass/cuda/nvml"
	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/repository"
	"github.com/aimass/aimass/repository/bundle"
	"github.com/aimass/aimass/repository/store"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/gpu"
	"github.com/aimass/aimass/server"
	"github.com/aimass/aimass/server/control"
	"github.com/aimass/aimass/server/logs"
	"github.com/aimass/aimass/server/logs/journal"
	"github.com/aimass/aimass/server/metrics"
	"github.com/aimass/aimass/server/releases"
	"github.com/aimass/aimass/server/rest"
	"github.com/aimass/aimass/server/service"
	"github.com/aimass/aimass/server/shm"
	"github.com/aimass/aimass/server/tracing"
)

func newServeCommand() *cobra.Command {
	var file string
	var printConfig, welcome bool
	given := defaultSettings()
	c := &cobra.Command{
		Use:   "serve --models DIR",
		Short: "Serve the models of a folder over HTTP and gRPC",
		Long: "Serve the models of a folder over HTTP and gRPC (the v2 inference protocol).\n\n" +
			"Every setting is a flag, an environment variable (AIMASS_ and the flag's name in capitals, - as _) or a line of the\n" +
			"YAML file --config; a flag goes before the environment, that before the file.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := loadSettings(file, cmd.Flags(), os.Environ())
			if err != nil {
				return err
			}
			if printConfig {
				text, err := s.print()
				fmt.Fprint(cmd.OutOrStdout(), text)
				return err
			}
			if err := s.checkFolders(); err != nil {
				return err
			}
			if s.Threads <= 0 {
				s.Threads = goruntime.GOMAXPROCS(0)
			}
			// A kernel holds its processor until it returns. With one to spare, requests are read
			// and refused meanwhile, and wait where the batcher sees them.
			goruntime.GOMAXPROCS(max(goruntime.GOMAXPROCS(0), s.Threads+1))
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			w := io.Discard
			if welcome {
				w = cmd.OutOrStdout()
			}
			return serve(ctx, s, w)
		},
	}
	given.flags(c.Flags())
	c.Flags().StringVar(&file, "config", "", "a YAML file of settings")
	c.Flags().BoolVar(&printConfig, "print-config", false, "print the settings in force and exit")
	c.Flags().BoolVar(&welcome, "welcome", false, "print what to try once the server is ready")
	return c
}

// serve runs a server until ctx is done.
func serve(ctx context.Context, s settings, welcome io.Writer) error {
	if err := isa.Check(); err != nil {
		return err
	}
	token, err := readToken("--admin-token-file", s.AdminTokenFile)
	if err != nil {
		return err
	}
	cacheConfig := cache.Config{MaxBytes: s.CacheBytes, Second: cache.SecondConfig{URL: s.CacheRedis, TTL: s.CacheRedisTTL, Timeout: s.CacheRedisWait}}.WithDefaults()
	if err := cacheConfig.Validate(); err != nil {
		return err
	}
	hot, err := cache.New(cacheConfig)
	if err != nil {
		return err
	}
	defer hot.Close()
	pipe := pipeline.New(hot)
	engine := runtime.NewEngine(runtime.Config{CPU: cpu.Config{Threads: s.Threads}, Natives: natives(pipe.Predict)})
	cores := s.Threads
	if cores <= 0 {
		cores = goruntime.GOMAXPROCS(0)
	}
	logConfig := logs.Config{Format: s.LogFormat, Access: s.AccessLog, Verbose: s.LogVerbose}
	if err := logConfig.Validate(); err != nil {
		return err
	}
	kept, err := journal.New(journal.Config{Dir: s.LogDir, FileBytes: s.LogFileBytes, KeepBytes: s.LogKeepBytes})
	if err != nil {
		return fmt.Errorf("--log-dir: %w", err)
	}
	defer kept.Close()
	logConfig.Journal = kept
	log := logs.New(os.Stderr, logConfig)
	fatal, err := nvml.ParseXIDs(s.FatalXIDs)
	if err != nil {
		return fmt.Errorf("--fatal-xids: %w", err)
	}
	if err := useDevice(engine, s.Device, gpu.Config{Devices: strings.FieldsFunc(s.GPUs, func(r rune) bool { return r == ',' })}, log.Logger); err != nil {
		return err
	}
	health := watchGPUs(ctx, engine.GPUs(), fatal, log.Logger)
	storage := store.New(store.Config{Dir: s.Models, MaxUpload: s.MaxBundle})
	rc := repository.Config{Dir: s.Models, StrictConfig: s.StrictConfig, Poll: s.Poll, WarmupOff: s.WarmupOff, Storage: storage, Digests: s.CacheRedis != "", MaxBytes: s.ModelBytes}
	if err := s.trust(&rc); err != nil {
		return err
	}
	repo, err := repository.New(rc, engine, log.Logger)
	if err != nil {
		return fmt.Errorf("--models: %w", err)
	}
	if repo.OnDemand() {
		pipe.OnDemand(func(name string) error { return repo.Demand(ctx, name) })
	}
	repo.SetListener(pipeline.NewListener(pipe, batcher.Config{MaxRows: s.MaxBatchRows, MaxQueue: s.MaxQueue}, cores, checks()))
	storage.Clean()
	tracer, err := tracing.New(tracing.Config{Endpoint: s.OTLPEndpoint, Ratio: s.OTLPRatio, Version: version, Log: log.Logger})
	if err != nil {
		return err
	}
	defer closeTracer(tracer)
	ctl := control.New(repo)
	rel := releases.New(releases.Config{Limits: bundle.Limits{Unpacked: 4 * s.MaxBundle}}, repo, pipe, log)
	training, err := s.training(repo, pipe, log.Logger)
	if err != nil {
		return err
	}
	srv, err := server.New(server.Config{
		HTTPAddr: s.HTTP, GRPCAddr: s.GRPC, MetricsAddr: s.Metrics, Grace: s.Grace, DrainTimeout: s.DrainTimeout,
		Service: service.Config{Version: version, AdminToken: token, Tracer: tracer, Training: training, SharedMemory: shm.Config{Allow: s.AllowShm, Prefix: s.ShmPrefix}},
		HTTP:    rest.Config{MaxInput: s.MaxInput, IgnoreClosed: s.IgnoreClosed, MaxUpload: s.TrainUpload},
		Metrics: metrics.Config{NoTritonNames: s.NoTritonNames, GPUs: health},
	}, pipe, ctl, rel, log)
	if err != nil {
		return err
	}
	go func() {
		began := time.Now()
		err := repo.LoadAll(ctx)
		ctl.Loaded()
		if err != nil {
			if ctx.Err() == nil {
				log.Error("no model is served", "code", string(api.CodeOf(err)), "error", err.Error())
			}
			return
		}
		httpAddr, grpcAddr, metricsAddr := srv.Addrs()
		models := len(repo.Index())
		log.Info("serving", "http", httpAddr, "grpc", grpcAddr, "metrics", metricsAddr, "models", models, "start_ms", time.Since(began).Milliseconds())
		if models == 0 {
			log.Warn("no models", "dir", s.Models, "expected", "<model>/<version>/model.onnx")
		}
		fmt.Fprint(welcome, welcomeText(httpAddr, repo, time.Since(began)))
		repo.Watch(ctx)
	}()
	stopTraining := runTrainingJobs(training)
	err = srv.Run(ctx)
	stopTraining()
	return errors.Join(err, closeRepository(repo, s.DrainTimeout), engine.Close())
}

// flushTime bounds the wait for the collector when the server stops.
const flushTime = 5 * time.Second

func closeTracer(t *tracing.Tracer) {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	_ = t.Close(ctx) // spans that can't be sent have been told of
}

func closeRepository(r *repository.Repository, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return r.Close(ctx)
}

// readToken reads the admin token from the file that a flag names; an empty file would admit everybody and is refused.
func readToken(flag, path string) (string, error) {
	if path == "" {
		return "", nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	token := strings.TrimSpace(string(b))
	if len(token) < 16 {
		return "", fmt.Errorf("%s: the token must have at least 16 characters", flag)
	}
	return token, nil
}
