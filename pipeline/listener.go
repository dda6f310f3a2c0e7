package pipeline

import (
	"maps"
	"slices"
	"sync"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/repository"
	"github.com/aimass/aimass/repository/config"
	"github.com/aimass/aimass/repository/release"
	"github.com/aimass/aimass/runtime/inspect"
	"github.com/aimass/aimass/train/features"
)

// Listener attaches what a repository has ready and detaches what is gone. It is a
// repository.Listener.
type Listener struct {
	pipe     *Pipeline
	defaults batcher.Config
	cores    int
	checks   map[string]Check
	mu       sync.Mutex
	served   map[*repository.Version]*Served
}

// NewListener connects a repository to a pipeline. A model's configuration overrides
// the batcher's defaults; cores is the number of batches of one model that run at once
// where neither says so. checks are those that a configuration may name as its parameter
// "check".
func NewListener(p *Pipeline, defaults batcher.Config, cores int, checks map[string]Check) *Listener {
	return &Listener{pipe: p, defaults: defaults, cores: cores, checks: checks, served: map[*repository.Version]*Served{}}
}

// Ready implements repository.Listener.
func (l *Listener) Ready(v *repository.Version) error {
	spec := l.spec(v)
	if name := v.Config.Parameters[checkName]; name != "" {
		if spec.Check = l.checks[name]; spec.Check == nil {
			return api.Errorf(api.CodeConfigInvalid, "%v: got %q, expected one of %v", v.Config.At("parameters"), name, slices.Sorted(maps.Keys(l.checks)))
		}
	}
	var err error
	if spec.Features, err = monitor(v); err != nil {
		return err
	}
	s, err := l.pipe.Attach(spec)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.served[v] = s
	l.mu.Unlock()
	return nil
}

// monitor makes the monitor of a version that carries its features; nil without, or where its
// configuration switches it off. A model whose tensors have another shape outside has none.
func monitor(v *repository.Version) (*features.Monitor, error) {
	policy, err := features.ParsePolicy(v.Config.Parameters[features.PolicyParameter])
	if err != nil || policy == features.Off {
		return nil, err
	}
	b, err := v.Read(features.FileName)
	if err != nil {
		return nil, nil
	}
	schema, err := features.Parse(b)
	if err != nil {
		return nil, err
	}
	ports := func(list []config.Port) []features.Port {
		out := make([]features.Port, len(list))
		for i, p := range list {
			out[i] = features.Port{Name: p.Name, DType: p.DType}
		}
		return out
	}
	return features.Bind(schema, policy, ports(v.Config.Inputs), ports(v.Config.Outputs))
}

// LastUse implements repository.LastUser.
func (l *Listener) LastUse(v *repository.Version) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.served[v]
	if s == nil {
		return 0
	}
	return s.Stats.LastInference.Load()
}

// Gone implements repository.Listener.
func (l *Listener) Gone(v *repository.Version) {
	l.mu.Lock()
	s := l.served[v]
	delete(l.served, v)
	l.mu.Unlock()
	if s != nil {
		l.pipe.Detach(s)
	}
}

// rejectNaN is the parameter of config.pbtxt that refuses NaN and infinities.
const rejectNaN = "reject_nan"

// checkName is the parameter of config.pbtxt that names a Check of the values.
const checkName = "check"

// Release implements repository.Listener.
func (l *Listener) Release(model string, s *release.State) { l.pipe.SetRules(model, RulesOf(s)) }

func (l *Listener) spec(v *repository.Version) Spec {
	c := v.Config
	b := l.defaults
	set := func(to *int, n int) {
		if n > 0 {
			*to = n
		}
	}
	if b.Instances == 0 && c.Instances == 0 && v.Warm && !v.Runtime.OnGPU() {
		b.Instances = max(l.cores/inspect.SpreadOf(v.Runtime).Cores, 1)
	}
	set(&b.Instances, c.Instances)
	set(&b.MaxQueue, c.MaxQueue)
	if c.MaxBatch > 0 && (b.MaxRows == 0 || c.MaxBatch < b.MaxRows) {
		b.MaxRows = c.MaxBatch
	}
	b.Delay = c.QueueDelay
	if n := len(c.PreferredBatch); n > 0 {
		b.Preferred = c.PreferredBatch[n-1]
	}
	return Spec{
		Model: v.Model, Version: v.Number, Runtime: v.Runtime, Inputs: ports(c.Inputs), Outputs: ports(c.Outputs),
		MaxBatch: c.MaxBatch, Alone: !c.Batched, Cached: c.CacheEnabled, RejectNaN: c.Parameters[rejectNaN] == "true", Timeout: c.Timeout,
		Batcher: b.WithDefaults(l.cores), Config: c, Digest: v.Digest,
	}
}

func ports(list []config.Port) []Port {
	out := make([]Port, len(list))
	for i, p := range list {
		out[i] = Port{Name: p.Name, DType: p.DType, Shape: p.Shape, Optional: p.Optional, Labels: p.Labels, Hidden: p.Hidden}
		if p.Reshaped {
			out[i].Reshape = p.Reshape
			if out[i].Reshape == nil {
				out[i].Reshape = []int64{}
			}
		}
	}
	return out
}
