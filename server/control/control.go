// Package control lets the server's control calls act on a repository: load, unload,
// list, explain.
//
// Neighbours: service calls it, repository does the work.
//
// Concurrency: a Control is safe for concurrent use.
package control

import (
	"context"
	"strconv"
	"sync/atomic"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/repository"
)

// Control is a service.Control over a repository.
type Control struct {
	repo  *repository.Repository
	ready atomic.Bool
}

// New makes the control of a repository that has loaded nothing yet.
func New(r *repository.Repository) *Control { return &Control{repo: r} }

// Loaded says that the models which should serve from the start have loaded or failed.
func (c *Control) Loaded() { c.ready.Store(true) }

// Ready implements service.Control.
func (c *Control) Ready() bool { return c.ready.Load() }

// Index implements service.Control.
func (c *Control) Index() []*inferencepb.RepositoryIndexResponse_ModelIndex {
	list := c.repo.Index()
	out := make([]*inferencepb.RepositoryIndexResponse_ModelIndex, len(list))
	for i, e := range list {
		out[i] = &inferencepb.RepositoryIndexResponse_ModelIndex{Name: e.Name, State: e.State.String(), Reason: e.Reason}
		if e.Version > 0 {
			out[i].Version = strconv.FormatInt(e.Version, 10)
		}
	}
	return out
}

// Load implements service.Control.
func (c *Control) Load(ctx context.Context, model, config string, files map[string][]byte) error {
	var o *repository.Override
	if config != "" || len(files) > 0 {
		o = &repository.Override{Files: files}
		if config != "" {
			o.Config = []byte(config)
		}
	}
	return c.repo.Load(ctx, model, o)
}

// Unload implements service.Control.
func (c *Control) Unload(ctx context.Context, model string, dependents bool) error {
	return c.repo.Unload(ctx, model, dependents)
}

// Config implements service.Control.
func (c *Control) Config(model string, version int64) (*inferencepb.ModelConfig, error) {
	v := c.repo.Serving(model, version)
	if v == nil {
		return nil, api.Errorf(api.CodeModelUnavailable, "model '%s' version %d does not serve", model, version)
	}
	return v.Config.Proto, nil
}

// Explain implements service.Control.
func (c *Control) Explain(model, version string, err error) error {
	number := int64(0)
	if version != "" && version[0] <= '9' {
		n, perr := strconv.ParseInt(version, 10, 64)
		if perr != nil || n <= 0 {
			return err
		}
		number = n
	}
	state, reason := c.repo.State(model, number)
	switch state {
	case repository.Loading:
		return api.Errorf(api.CodeModelLoading, "Request for unknown model: '%s' is not found: it is being loaded, try again in a moment", model)
	case repository.Unavailable, repository.Unloading:
		if reason == "" {
			reason = "it is being unloaded"
		}
		return api.Errorf(api.CodeModelUnavailable, "Request for unknown model: '%s' has no available versions: %s", model, reason)
	}
	return err
}
