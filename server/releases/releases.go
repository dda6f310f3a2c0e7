// Package releases answers the calls about versions: bundles in and out, which version is
// stable, canary or shadow, promotion through a gate, rollback, history, and what differs
// between two versions.
//
// Neighbours: rest calls it; repository stores and loads, pipeline routes, pipeline/gate
// measures.
//
// Ownership: readers that are passed in are read until the call returns.
//
// Concurrency: everything is safe for concurrent use, also by several servers on one
// folder. Changes of one model's release are made under a lock of its storage, after what
// they need is loaded: whatever fails leaves what served before.
package releases

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/pipeline"
	"github.com/aimass/aimass/repository"
	"github.com/aimass/aimass/repository/bundle"
	"github.com/aimass/aimass/repository/config"
	"github.com/aimass/aimass/repository/release"
	"github.com/aimass/aimass/server/logs"
)

// Config of the releases.
type Config struct {
	// Limits of bundles.
	Limits bundle.Limits
}

// Releases answers calls about versions.
type Releases struct {
	cfg  Config
	repo *repository.Repository
	pipe *pipeline.Pipeline
	log  *logs.Logs
}

// New makes the releases of a repository whose listener attaches to pipe.
func New(cfg Config, repo *repository.Repository, pipe *pipeline.Pipeline, log *logs.Logs) *Releases {
	cfg.Limits = cfg.Limits.WithDefaults()
	return &Releases{cfg: cfg, repo: repo, pipe: pipe, log: log}
}

// By says who asked, for history and log.
type By struct{ RequestID string }

func (b By) event() release.Event {
	return release.Event{Time: time.Now().UTC().Truncate(time.Millisecond), RequestID: b.RequestID}
}

// Status is what is decided about a model, and how it goes.
type Status struct {
	Model string `json:"model"`
	// Stable is 0 where the newest version answers.
	Stable   int64            `json:"stable"`
	Previous int64            `json:"previous"`
	Canary   *CanaryStatus    `json:"canary,omitempty"`
	Shadow   *ShadowStatus    `json:"shadow,omitempty"`
	Aliases  map[string]int64 `json:"aliases"`
	Versions []VersionStatus  `json:"versions"`
}

// CanaryStatus tells of the version that takes a share of the requests.
type CanaryStatus struct {
	Version int64   `json:"version"`
	Percent float64 `json:"percent"`
}

// ShadowStatus tells of the version that copies are sent to, since this server began to.
type ShadowStatus struct {
	Version         int64   `json:"version"`
	Percent         float64 `json:"percent"`
	Tolerance       float64 `json:"tolerance"`
	Mirrored        int64   `json:"mirrored"`
	Dropped         int64   `json:"dropped"`
	Failed          int64   `json:"failed"`
	Differing       int64   `json:"differing"`
	Values          int64   `json:"values"`
	ValuesDiffering int64   `json:"values_differing"`
	MaxDifference   float64 `json:"max_difference"`
	ServedP50MS     float64 `json:"served_p50_ms"`
	ShadowP50MS     float64 `json:"shadow_p50_ms"`
}

// VersionStatus tells of one version on disk.
type VersionStatus struct {
	Version int64  `json:"version"`
	State   string `json:"state"`
	Reason  string `json:"reason,omitempty"`
	// SHA256, Bytes and Pushed are of versions that came as bundles.
	SHA256 string     `json:"sha256,omitempty"`
	Bytes  int64      `json:"bytes,omitempty"`
	Pushed *time.Time `json:"pushed,omitempty"`
	// Requests and Failures since the version was loaded, and the time that they took.
	Requests int64   `json:"requests"`
	Failures int64   `json:"failures"`
	P50MS    float64 `json:"p50_ms"`
	P99MS    float64 `json:"p99_ms"`
}

// Status tells of a model.
func (r *Releases) Status(model string) (*Status, error) {
	versions, err := r.repo.OnDisk(model)
	if err != nil {
		return nil, err
	}
	s, _, err := r.repo.Released(model)
	if err != nil {
		return nil, err
	}
	out := &Status{Model: model, Stable: s.Stable, Aliases: map[string]int64{}, Versions: []VersionStatus{}}
	for name, v := range s.Aliases {
		out.Aliases[name] = v
	}
	if n := len(s.Past); n > 0 {
		out.Previous = s.Past[n-1]
	}
	if s.Canary != nil {
		out.Canary = &CanaryStatus{s.Canary.Version, s.Canary.Percent}
	}
	if s.Shadow != nil {
		out.Shadow = r.shadowStatus(model, s.Shadow)
	}
	for _, v := range versions {
		out.Versions = append(out.Versions, r.version(model, v))
	}
	return out, nil
}

func (r *Releases) shadowStatus(model string, s *release.Shadow) *ShadowStatus {
	out := &ShadowStatus{Version: s.Version, Percent: s.Percent, Tolerance: s.Tolerance}
	if live := r.pipe.Shadow(model); live != nil && live.Version() == s.Version {
		st := &live.Stats
		out.Mirrored, out.Dropped, out.Failed, out.Differing = st.Mirrored.Load(), st.Dropped.Load(), st.Failed.Load(), st.Differing.Load()
		out.Values, out.ValuesDiffering, out.MaxDifference = st.Values.Load(), st.ValuesDiffering.Load(), st.MaxDifference()
		out.ServedP50MS, out.ShadowP50MS = ms(st.Served.Quantile(0.5)), ms(st.Shadow.Quantile(0.5))
	}
	return out
}

func (r *Releases) version(model string, n int64) VersionStatus {
	state, reason := r.repo.State(model, n)
	v := VersionStatus{Version: n, State: state.String(), Reason: reason}
	if state == repository.Unknown {
		v.State = repository.Unavailable.String() // on disk, and never loaded
	}
	if p := r.origin(model, n); p != nil {
		v.SHA256, v.Bytes, v.Pushed = p.SHA256, p.Bytes, &p.Time
	}
	for _, served := range r.pipe.Versions([]byte(model)) {
		if served.Version == n {
			st := &served.Stats
			v.Requests, v.Failures = st.Success.Count.Load(), st.Fail.Count.Load()
			v.P50MS, v.P99MS = ms(st.RequestHist.Quantile(0.5)), ms(st.RequestHist.Quantile(0.99))
		}
	}
	return v
}

// origin of a version that came as a bundle.
type origin struct {
	SHA256 string    `json:"sha256"`
	Bytes  int64     `json:"bytes"`
	Time   time.Time `json:"time"`
}

func (r *Releases) origin(model string, version int64) *origin {
	o := &origin{}
	if json.Unmarshal(r.repo.Storage().Noted(model, version), o) != nil {
		return nil
	}
	return o
}

// History lists what was done, the latest first; before, if above 0, leaves out what came
// later than that number.
func (r *Releases) History(model string, before int64, limit int) ([]release.Event, error) {
	if _, err := r.repo.OnDisk(model); err != nil {
		return nil, err
	}
	s, _, err := r.repo.Released(model)
	if err != nil {
		return nil, err
	}
	out := []release.Event{}
	for _, e := range slices.Backward(s.History) {
		if (before <= 0 || e.Seq < before) && len(out) < limit {
			out = append(out, e)
		}
	}
	return out, nil
}

// Version reads a version as calls name it: a number, an alias, or stable, canary,
// previous. It must be on disk.
func (r *Releases) Version(model, text string) (int64, error) {
	have, err := r.repo.OnDisk(model)
	if err != nil {
		return 0, err
	}
	n, ok := config.ParseVersion(text)
	if !ok {
		s, _, err := r.repo.Released(model)
		if err != nil {
			return 0, err
		}
		if n = s.Names()[text]; n == 0 {
			return 0, api.Errorf(api.CodeVersionInvalid, "got the version '%.100s', expected a whole number above zero or an alias of model '%s'", text, model)
		}
	}
	if !slices.Contains(have, n) {
		return 0, api.Errorf(api.CodeModelVersionNotFound, "model '%s' has no version %d, it has %v", model, n, have)
	}
	return n, nil
}

// newest serves where nothing is decided; 0 if nothing does.
func (r *Releases) newest(model string) int64 {
	if v := r.repo.Serving(model, 0); v != nil {
		return v.Number
	}
	return 0
}

// load has a version ready.
func (r *Releases) load(ctx context.Context, model string, version int64) error {
	err := r.repo.Refresh(ctx, model, version)
	if err == nil && r.repo.Serving(model, version) == nil {
		err = api.Errorf(api.CodeModelUnavailable, "version %s of model '%s' does not serve", strconv.FormatInt(version, 10), model)
	}
	if err != nil && r.repo.Serving(model, version) != nil {
		return nil // another version failed, which this call is not about
	}
	return err
}

func ms(ns int64) float64 { return float64(ns) / 1e6 }
