package releases

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/pipeline/gate"
	"github.com/aimass/aimass/repository/release"
)

// change changes a model's release state under its lock. What change is given is the
// state at that time, also of what another server on the same folder did.
func (r *Releases) change(model string, change func(*release.State) error) error {
	return r.repo.Storage().Update(model, func(old []byte) ([]byte, error) {
		s, err := release.Decode(old)
		if err != nil {
			return nil, err
		}
		if err := change(s); err != nil {
			return nil, err
		}
		return s.Encode()
	})
}

// apply changes the state and has this server follow it.
func (r *Releases) apply(ctx context.Context, model string, change func(*release.State) error) (*Status, error) {
	if err := r.change(model, change); err != nil {
		return nil, err
	}
	if err := r.repo.Refresh(ctx, model, 0); err != nil {
		// It is decided; what it names was loaded before. A version that nobody asked for failed.
		r.log.Warn("a version did not load after a change of the release", "model", model, "error", err.Error())
	}
	return r.Status(model)
}

// Promotion says what to promote, and through which gate.
type Promotion struct {
	// Version is a number or an alias; empty means the canary.
	Version string
	// Gate has the held-out set and what to measure; nil: the set of the model's folder, if
	// it has one.
	Gate *Gate
	// Force promotes without a gate.
	Force bool
}

// Promoted is what a promotion did.
type Promoted struct {
	*Status
	Gate *gate.Result `json:"gate,omitempty"`
}

// Promote makes a version the stable one, if it passes the gate. It is loaded before
// anything changes; requests in flight end where they began.
func (r *Releases) Promote(ctx context.Context, model string, p Promotion, by By) (*Promoted, error) {
	if p.Version == "" {
		p.Version = release.Canary
	}
	before, _, err := r.repo.Released(model)
	if err != nil {
		return nil, err
	}
	if p.Version == release.Canary && before.Canary == nil {
		if _, err := r.repo.OnDisk(model); err != nil {
			return nil, err
		}
		return nil, api.Errorf(api.CodeVersionInvalid, "got no version to promote, and model '%s' has no canary that would be meant: name a version", model)
	}
	version, err := r.Version(model, p.Version)
	if err != nil {
		return nil, err
	}
	serving := before.Stable
	if serving == 0 {
		serving = r.newest(model)
	}
	if err := r.load(ctx, model, version); err != nil {
		return nil, err
	}
	out := &Promoted{}
	e := by.event()
	e.Forced = p.Force
	if !p.Force && serving != 0 && serving != version {
		if out.Gate, err = r.gate(ctx, model, serving, version, p.Gate); err != nil {
			return nil, err
		}
		if out.Gate != nil {
			if e.Gate, err = json.Marshal(out.Gate); err != nil {
				return nil, err
			}
		}
	}
	if g := out.Gate; g != nil && !g.Passed {
		r.log.Warn("promotion refused by its gate", "model", model, "version", version, "request_id", by.RequestID, "gate", string(e.Gate))
		return nil, api.Errorf(api.CodeGateFailed, "version %d has %s %.6g on %d held-out rows, version %d %.6g: the difference lies between %+.4g and %+.4g (%.0f %%), and -%.4g is allowed",
			version, g.Metric, g.Candidate, g.Rows, serving, g.Stable, g.Low, g.High, 100*g.Confidence, g.Margin)
	}
	out.Status, err = r.apply(ctx, model, func(s *release.State) error {
		if s.Stable != before.Stable {
			return api.Errorf(api.CodeReleaseConflict, "version %d became stable while version %d was measured against %d", s.Stable, version, before.Stable)
		}
		if serving != version {
			s.Pin(serving, by.event())
		}
		s.Promote(version, e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.log.Info("version promoted", "model", model, "version", version, "from", serving, "request_id", by.RequestID, "forced", p.Force, "gate", string(e.Gate))
	return out, nil
}

// Rollback undoes the last step: ends a canary, or makes the version stable that was so
// before.
func (r *Releases) Rollback(ctx context.Context, model string, by By) (*Status, error) {
	have, err := r.repo.OnDisk(model)
	if err != nil {
		return nil, err
	}
	s, _, err := r.repo.Released(model)
	if err != nil {
		return nil, err
	}
	next := s.Clone()
	if err := next.Rollback(by.event()); err != nil {
		return nil, err
	}
	if err := needs(have, next.Stable); err != nil {
		return nil, api.Errorf(api.CodeRollbackImpossible, "the version to go back to is gone: %s", api.Message(err))
	}
	if err := r.load(ctx, model, next.Stable); err != nil {
		return nil, err
	}
	out, err := r.apply(ctx, model, func(now *release.State) error {
		if now.Stable != s.Stable || (now.Canary == nil) != (s.Canary == nil) {
			return api.Errorf(api.CodeReleaseConflict, "the release changed while version %d was loaded", next.Stable)
		}
		return now.Rollback(by.event())
	})
	if err == nil {
		r.log.Info("rolled back", "model", model, "version", next.Stable, "from", s.Stable, "request_id", by.RequestID)
	}
	return out, err
}

func needs(have []int64, version int64) error {
	for _, v := range have {
		if v == version {
			return nil
		}
	}
	return api.Errorf(api.CodeModelVersionNotFound, "there is no version %d, there are %v", version, have)
}

// SetCanary gives a version a share of the requests without a version; 0 percent ends it.
func (r *Releases) SetCanary(ctx context.Context, model, version string, percent float64, by By) (*Status, error) {
	return r.assign(ctx, model, version, percent != 0, func(s *release.State, v int64) error {
		if s.Stable == 0 {
			s.Pin(r.other(model, v), by.event())
		}
		return s.SetCanary(v, percent, by.event())
	}, by, fmt.Sprintf("canary %v %%", percent))
}

// other is the newest version that serves beside v, 0 if none does.
func (r *Releases) other(model string, v int64) int64 {
	newest := int64(0)
	for _, s := range r.pipe.Versions([]byte(model)) {
		if s.Version != v {
			newest = max(newest, s.Version)
		}
	}
	return newest
}

// SetShadow sends a version copies of a share of the stable version's requests; 0 percent
// ends it.
func (r *Releases) SetShadow(ctx context.Context, model, version string, percent, tolerance float64, by By) (*Status, error) {
	return r.assign(ctx, model, version, percent != 0, func(s *release.State, v int64) error {
		if s.Stable == 0 {
			s.Pin(r.other(model, v), by.event())
		}
		return s.SetShadow(v, percent, tolerance, by.event())
	}, by, fmt.Sprintf("shadow %v %%", percent))
}

// SetAlias gives a version a name; an empty version takes it away.
func (r *Releases) SetAlias(ctx context.Context, model, name, version string, by By) (*Status, error) {
	return r.assign(ctx, model, version, version != "", func(s *release.State, v int64) error {
		return s.SetAlias(name, v, by.event())
	}, by, "alias "+name)
}

// assign loads the version that a change is about, if it is about one, and makes it.
func (r *Releases) assign(ctx context.Context, model, version string, about bool, change func(*release.State, int64) error, by By, what string) (*Status, error) {
	v := int64(0)
	var err error
	if about {
		if v, err = r.Version(model, version); err != nil {
			return nil, err
		}
		s, _, err := r.repo.Released(model)
		if err != nil {
			return nil, err
		}
		// Before anything is loaded, so that what is refused costs nothing.
		if err := change(s.Clone(), v); err != nil {
			return nil, err
		}
		if err := r.load(ctx, model, v); err != nil {
			return nil, err
		}
	} else if _, err := r.repo.OnDisk(model); err != nil {
		return nil, err
	}
	out, err := r.apply(ctx, model, func(s *release.State) error { return change(s, v) })
	if err == nil {
		r.log.Info("release changed", "model", model, "version", v, "change", what, "request_id", by.RequestID)
	}
	return out, err
}
