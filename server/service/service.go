// Package service answers the calls of the v2 protocol apart from how they arrive: rest and rpc turn bytes into its
// calls and its answers into bytes. Control calls are answered with the messages of api/inferencepb, of which rest makes
// JSON; inference goes through Call.
//
// Neighbours: below it pipeline (what a name means now) and a Control (the repository); above it rest, rpc and metrics.
//
// Ownership: a Call's inputs are read until Run returns, its outputs hold until Finish.
//
// Concurrency: a Service is safe for concurrent use, a Call serves one goroutine.
package service

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/server/logs"
	"github.com/aimass/aimass/server/releases"
	"github.com/aimass/aimass/server/shm"
	"github.com/aimass/aimass/server/tracing"
	"github.com/aimass/aimass/train/jobs"
)

// Control is what the server needs of the model repository.
type Control interface {
	// Ready reports whether the models that should serve from the start have been loaded, or have failed to.
	Ready() bool
	// Index lists every model version known and its state.
	Index() []*inferencepb.RepositoryIndexResponse_ModelIndex
	// Load loads or reloads a model. config, if not empty, is the JSON text of a configuration that replaces the one on
	// disk; files, by their path below the model's folder, replace its files.
	Load(ctx context.Context, model, config string, files map[string][]byte) error
	// Unload unloads a model, and with dependents those that are made of it.
	Unload(ctx context.Context, model string, dependents bool) error
	// Config returns the configuration in force of a version that serves.
	Config(model string, version int64) (*inferencepb.ModelConfig, error)
	// Explain turns the pipeline's error about a name that does not serve into what the repository knows about it
	// (loading, failed, unloaded), or returns it as it is.
	Explain(model, version string, err error) error
}

// Config of the service.
type Config struct {
	// Name and Version are what server metadata say. Defaults aimass and dev.
	Name, Version string
	// AdminToken is the bearer token that allows calls which change the server from elsewhere than loopback. Empty: none
	// does.
	AdminToken string
	// Tracer gives requests spans; nil: none.
	Tracer *tracing.Tracer
	// Training keeps and runs training jobs; nil: training is switched off.
	Training *jobs.Runner
	// GPUs tells the dashboard of the devices; nil: there are none.
	GPUs func() []DashboardGPU
	// SharedMemory is the extension of this name, which is off by default.
	SharedMemory shm.Config
}

// Extensions of the protocol that work here.
var extensions = []string{"classification", "sequence", "model_repository", "model_repository(unload_dependents)", "model_configuration",
	"binary_tensor_data", "parameters", "statistics", "trace", "logging"}

// Service answers calls.
type Service struct {
	cfg      Config
	pipe     *pipeline.Pipeline
	control  Control
	releases *releases.Releases
	log      *logs.Logs
	draining atomic.Bool
	trace    traces
	shared   *shm.Registry
	// Counts are the answers by code.
	Counts Counts
}

// New makes a service.
func New(cfg Config, pipe *pipeline.Pipeline, control Control, rel *releases.Releases, log *logs.Logs) *Service {
	if cfg.Name == "" {
		cfg.Name = "aimass"
	}
	if cfg.Version == "" {
		cfg.Version = "dev"
	}
	s := &Service{cfg: cfg, pipe: pipe, control: control, releases: rel, log: log, shared: shm.New(cfg.SharedMemory.WithDefaults())}
	s.Counts.init()
	return s
}

// Log returns the server's log.
func (s *Service) Log() *logs.Logs { return s.log }

// Releases returns what answers calls about versions.
func (s *Service) Releases() *releases.Releases { return s.releases }

// Training returns what keeps and runs training jobs; it may be nil.
func (s *Service) Training() *jobs.Runner { return s.cfg.Training }

// Pipeline returns what the service routes to.
func (s *Service) Pipeline() *pipeline.Pipeline { return s.pipe }

// Drain makes the server say that it is not ready, while it goes on answering.
func (s *Service) Drain() { s.draining.Store(true) }

// Draining reports whether Drain was called.
func (s *Service) Draining() bool { return s.draining.Load() }

// Observed reports whether single requests are looked at: by the access log or by traces. Then none may be answered
// without passing Call.Run and the log.
func (s *Service) Observed() bool {
	return s.log.WantsAccess() || s.trace.active.Load() || s.cfg.Tracer != nil
}

// Tracer gives requests spans; it may be nil.
func (s *Service) Tracer() *tracing.Tracer { return s.cfg.Tracer }

// Ready reports whether the server wants requests.
func (s *Service) Ready() bool { return !s.draining.Load() && s.control.Ready() }

// Metadata describes the server.
func (s *Service) Metadata() *inferencepb.ServerMetadataResponse {
	list := extensions
	if s.cfg.SharedMemory.Allow {
		list = append(slices.Clone(list), "system_shared_memory")
	}
	return &inferencepb.ServerMetadataResponse{Name: s.cfg.Name, Version: s.cfg.Version, Extensions: list}
}

// Resolve finds the version that serves a name: by its number, an alias, or with an empty
// version the one that is due. The caller calls Done on it.
func (s *Service) Resolve(name, version []byte) (*pipeline.Served, error) {
	return s.resolveFor(name, version, "")
}

// resolveFor is Resolve for a caller with a key, see pipeline.ResolveFor.
func (s *Service) resolveFor(name, version []byte, route string) (*pipeline.Served, error) {
	byNumber := len(version) == 0 || validVersion(version)
	if !byNumber && version[0] <= '9' {
		return nil, badVersion(version)
	}
	v, err := s.pipe.ResolveFor(name, version, route)
	if err != nil {
		if !byNumber && api.CodeOf(err) == api.CodeModelVersionNotFound {
			return nil, badVersion(version)
		}
		return nil, s.control.Explain(string(name), string(version), err)
	}
	return v, nil
}

func badVersion(version []byte) error {
	return api.Errorf(api.CodeVersionInvalid, "model version '%s' is not a whole number above zero, and no alias of the model that serves", version)
}

func validVersion(v []byte) bool {
	if len(v) > 19 || v[0] == '0' {
		return false
	}
	for _, c := range v {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
