package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
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

// serve runs a server until ctx is done. It makes the rooms in the order in which they depend on each other.
func serve(ctx context.Context, s settings, welcome io.Writer) error {
	if err := isa.Check(); err != nil {
		return err
	}
	token, err := readToken("--admin-token-file", s.AdminTokenFile)
	if err != nil {
		return err
	}
	hot, err := s.openCache()
	if err != nil {
		return err
	}
	defer hot.Close()
	log, kept, err := s.openLog()
	if err != nil {
		return err
	}
	defer kept.Close()
	pipe := pipeline.New(hot)
	engine := runtime.NewEngine(runtime.Config{CPU: cpu.Config{Threads: s.Threads}, Natives: natives(pipe.Predict)})
	health, err := s.openGPUs(ctx, engine, log.Logger)
	if err != nil {
		return err
	}
	repo, err := s.openRepository(ctx, engine, pipe, log.Logger)
	if err != nil {
		return err
	}
	tracer, err := tracing.New(tracing.Config{Endpoint: s.OTLPEndpoint, Ratio: s.OTLPRatio, Version: version, Log: log.Logger})
	if err != nil {
		return err
	}
	defer closeTracer(tracer)
	training, err := s.training(repo, pipe, log.Logger)
	if err != nil {
		return err
	}
	ctl := control.New(repo)
	rel := releases.New(releases.Config{Limits: bundle.Limits{Unpacked: 4 * s.MaxBundle}}, repo, pipe, log)
	srv, err := server.New(server.Config{
		HTTPAddr: s.HTTP, GRPCAddr: s.GRPC, MetricsAddr: s.Metrics, Grace: s.Grace, DrainTimeout: s.DrainTimeout,
		Service: service.Config{Version: version, AdminToken: token, Tracer: tracer, Training: training,
			SharedMemory: shm.Config{Allow: s.AllowShm, Prefix: s.ShmPrefix}},
		HTTP:    rest.Config{MaxInput: s.MaxInput, IgnoreClosed: s.IgnoreClosed, MaxUpload: s.TrainUpload},
		Metrics: metrics.Config{NoTritonNames: s.NoTritonNames, GPUs: health},
	}, pipe, ctl, rel, log)
	if err != nil {
		return err
	}
	go s.loadModels(ctx, repo, ctl, srv, log.Logger, welcome)
	stopTraining := runTrainingJobs(training)
	err = srv.Run(ctx)
	stopTraining()
	return errors.Join(err, closeRepository(repo, s.DrainTimeout), engine.Close())
}

func (s *settings) openCache() (*cache.Cache, error) {
	c := cache.Config{MaxBytes: s.CacheBytes, Second: cache.SecondConfig{URL: s.CacheRedis, TTL: s.CacheRedisTTL, Timeout: s.CacheRedisWait}}.WithDefaults()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return cache.New(c)
}

// openLog opens the log, which writes to stderr and to the journal; the caller closes the journal.
func (s *settings) openLog() (*logs.Logs, *journal.Journal, error) {
	c := logs.Config{Format: s.LogFormat, Access: s.AccessLog, Verbose: s.LogVerbose}
	err := c.Validate()
	if err != nil {
		return nil, nil, err
	}
	if c.Journal, err = journal.New(journal.Config{Dir: s.LogDir, FileBytes: s.LogFileBytes, KeepBytes: s.LogKeepBytes}); err != nil {
		return nil, nil, fmt.Errorf("--log-dir: %w", err)
	}
	return logs.New(os.Stderr, c), c.Journal, nil
}

// openGPUs gives the engine its GPUs and has their health watched until ctx is done; nil where there are none.
func (s *settings) openGPUs(ctx context.Context, engine *runtime.Engine, log *slog.Logger) (*metrics.GPUs, error) {
	fatal, err := nvml.ParseXIDs(s.FatalXIDs)
	if err != nil {
		return nil, fmt.Errorf("--fatal-xids: %w", err)
	}
	named := strings.FieldsFunc(s.GPUs, func(r rune) bool { return r == ',' })
	if err := useDevice(engine, s.Device, gpu.Config{Devices: named}, log); err != nil {
		return nil, err
	}
	return watchGPUs(ctx, engine.GPUs(), fatal, log), nil
}

// openRepository opens the folder of models, whose versions the pipeline is told of. Nothing is loaded yet.
func (s *settings) openRepository(ctx context.Context, engine *runtime.Engine, pipe *pipeline.Pipeline, log *slog.Logger) (*repository.Repository, error) {
	storage := store.New(store.Config{Dir: s.Models, MaxUpload: s.MaxBundle})
	c := repository.Config{Dir: s.Models, StrictConfig: s.StrictConfig, Poll: s.Poll, WarmupOff: s.WarmupOff, Storage: storage,
		Digests: s.CacheRedis != "", MaxBytes: s.ModelBytes}
	if err := s.trust(&c); err != nil {
		return nil, err
	}
	repo, err := repository.New(c, engine, log)
	if err != nil {
		return nil, fmt.Errorf("--models: %w", err)
	}
	if repo.OnDemand() {
		pipe.OnDemand(func(name string) error { return repo.Demand(ctx, name) })
	}
	cores := s.Threads
	if cores <= 0 {
		cores = goruntime.GOMAXPROCS(0)
	}
	repo.SetListener(pipeline.NewListener(pipe, batcher.Config{MaxRows: s.MaxBatchRows, MaxQueue: s.MaxQueue}, cores, checks()))
	storage.Clean()
	return repo, nil
}

// loadModels loads what the repository holds, says so, and then follows its changes until ctx is done.
func (s *settings) loadModels(ctx context.Context, repo *repository.Repository, ctl *control.Control, srv *server.Server, log *slog.Logger, welcome io.Writer) {
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
