package pipeline

import (
	"fmt"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/cache"
)

// Pipeline routes names to versions.
type Pipeline struct {
	cache   *cache.Cache
	demand  func(name string) error // loads a model that does not serve; nil: none can be
	remotes remotes
	mu      sync.Mutex // writers only
	table   atomic.Pointer[map[string]*model]
	rules   map[string]Rules // guarded by mu
}

// model is what a name means: its versions in rising order, and who gets which request.
// It is replaced, not changed.
type model struct {
	versions []*Served
	routes
}

// New makes an empty pipeline.
func New(c *cache.Cache) *Pipeline {
	p := &Pipeline{cache: c, rules: map[string]Rules{}}
	p.table.Store(&map[string]*model{})
	return p
}

// Cache gives the prediction cache.
func (p *Pipeline) Cache() *cache.Cache { return p.cache }

// Resolve finds the version that serves a name now: the one asked for by number or alias,
// or with an empty version the one whose turn it is: the stable one, the canary for its
// share, or without rules the newest. The caller must call Done on it. Unknown names and
// versions are api errors; whether a model is loading is the repository's to say.
func (p *Pipeline) Resolve(name []byte, version []byte) (*Served, error) {
	return p.ResolveFor(name, version, "")
}

// ResolveFor is Resolve for a caller whose key, unless empty, decides whether the canary
// answers: the same caller gets the same version as long as the canary's share stays, and one
// that the canary answers keeps it when the share grows.
func (p *Pipeline) ResolveFor(name, version []byte, key string) (*Served, error) {
	v, err := p.resolve(name, version, key)
	if err == nil || p.demand == nil {
		return v, err
	}
	// What was loaded may have left again, to make room, before it is held here.
	for range demandTries {
		if p.demand(string(name)) != nil {
			break
		}
		if v, err = p.resolve(name, version, key); err == nil {
			return v, nil
		}
	}
	return nil, err
}

// demandTries bounds how often a request has its model loaded.
const demandTries = 16

// OnDemand says what loads models that are asked for and do not serve. It is called once,
// before anything is resolved.
func (p *Pipeline) OnDemand(load func(name string) error) { p.demand = load }

func (p *Pipeline) resolve(name, version []byte, key string) (*Served, error) {
	for {
		m := (*p.table.Load())[string(name)]
		if m == nil {
			return nil, api.Errorf(api.CodeModelNotFound, "Request for unknown model: '%s' is not found", name)
		}
		v := m.find(version, true, key)
		if v == nil && len(version) == 0 {
			return nil, api.Errorf(api.CodeModelUnavailable, "Request for unknown model: '%s' has no available versions: version %d, which is its stable one, does not serve: load it, or have another serve by rollback or promote", name, m.rules.Stable)
		}
		if v == nil {
			return nil, api.Errorf(api.CodeModelVersionNotFound, "Request for unknown model: '%s' version %s is not found", name, version)
		}
		if v.acquire() {
			return v, nil
		}
		// The version was retired between the two looks at the table: look again.
	}
}

// Peek finds what Resolve would, without a reference: the caller may count and compare, but
// run nothing. It returns nil where Resolve fails, and where requests are shared out or
// copied, so that each must be resolved and run.
func (p *Pipeline) Peek(name []byte, version []byte) *Served {
	m := (*p.table.Load())[string(name)]
	if m == nil || len(version) == 0 && m.canary != nil || m.shadow != nil {
		return nil
	}
	return m.find(version, false, "")
}

// find gives nil for what isn't there; take counts the request for the canary's share,
// unless its key decides.
func (m *model) find(version []byte, take bool, key string) *Served {
	if len(version) == 0 {
		return m.unversioned(take, key)
	}
	if version[0] > '9' {
		return m.aliases[string(version)]
	}
	for _, v := range m.versions {
		if v.VersionText == string(version) {
			return v
		}
	}
	return nil
}

// Each calls f for every version served, sorted by name and version.
func (p *Pipeline) Each(f func(*Served)) {
	t := *p.table.Load()
	names := make([]string, 0, len(t))
	for n := range t {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		for _, v := range t[n].versions {
			f(v)
		}
	}
}

// Traffic tells how many requests for the versions served were begun since these came, and how
// many are being answered.
func (p *Pipeline) Traffic() (begun, pending int64) {
	for _, m := range *p.table.Load() {
		for _, v := range m.versions {
			n := v.Stats.Pending.Load()
			pending += n
			begun += n + v.Stats.Success.Count.Load() + v.Stats.Fail.Count.Load()
		}
	}
	return begun, pending
}

// Versions lists the versions served of a model, rising; nil if there is none.
func (p *Pipeline) Versions(name []byte) []*Served {
	if m := (*p.table.Load())[string(name)]; m != nil {
		return m.versions
	}
	return nil
}

// Attach makes a version visible, in place of one of the same number; that one goes on
// serving those who hold it until Detach has returned for it.
func (p *Pipeline) Attach(s Spec) (*Served, error) {
	for _, port := range slices.Concat(s.Runtime.Inputs, s.Runtime.Outputs) {
		if !servable(port.Type) || port.Type.DType.V2() == "" {
			return nil, api.Errorf(api.CodeModelInvalid, "model '%s': tensor '%s' has type %v, which the v2 protocol can't carry", s.Model, port.Name, port.Type)
		}
	}
	if err := s.Batcher.Validate(); err != nil {
		return nil, fmt.Errorf("model %s: %w", s.Model, err)
	}
	var e *ensemble
	if s.Config != nil && len(s.Config.Steps) > 0 {
		var err error
		if e, err = p.compose(s.Model, s.Config); err != nil {
			return nil, err
		}
	}
	v := newServed(s, p.cache, e)
	p.change(s.Model, func(old []*Served) []*Served {
		keep := make([]*Served, 0, len(old)+1)
		for _, o := range old {
			if o.Version != s.Version {
				keep = append(keep, o)
			}
		}
		keep = append(keep, v)
		sort.Slice(keep, func(i, j int) bool { return keep[i].Version < keep[j].Version })
		return keep
	})
	return v, nil
}

// Detach takes a version out, if it is still in, and returns when nobody uses it.
func (p *Pipeline) Detach(v *Served) {
	p.change(v.Model, func(old []*Served) []*Served {
		return slices.DeleteFunc(slices.Clone(old), func(o *Served) bool { return o == v })
	})
	v.retire()
}

// change replaces a model's list of versions.
func (p *Pipeline) change(name string, f func([]*Served) []*Served) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := *p.table.Load()
	next := make(map[string]*model, len(old)+1)
	for k, v := range old {
		next[k] = v
	}
	var versions []*Served
	if m := old[name]; m != nil {
		versions = m.versions
	}
	if versions = f(versions); len(versions) > 0 {
		next[name] = &model{versions: versions, routes: routesOf(p.rules[name], versions, old[name])}
	} else {
		delete(next, name)
	}
	p.table.Store(&next)
	p.renew(name)
}

// renew makes the answers that are remembered of what is made of a model, at any depth,
// unreachable: they were that model's as it was. p.mu is held and the table shows the change, so
// that a request which still finds the old generation can only put its answer where nobody looks.
func (p *Pipeline) renew(name string) {
	changed, renewed := map[string]bool{name: true}, map[*Served]bool{}
	for {
		n := len(renewed)
		for _, m := range *p.table.Load() {
			for _, v := range m.versions {
				if !renewed[v] && v.Model != name && v.restsOn(changed) {
					renewed[v], changed[v.Model] = true, true
					v.generation.Store(p.cache.Generation())
				}
			}
		}
		if len(renewed) == n {
			return
		}
	}
}

// restsOn reports whether the version may ask one of the models for its answers.
func (v *Served) restsOn(models map[string]bool) bool {
	e, ok := v.next.(*ensemble)
	if !ok {
		for name := range models {
			if v.Runtime.Asks(name) {
				return true
			}
		}
		return false
	}
	for _, s := range e.steps {
		if s.remote == nil && models[s.model] {
			return true
		}
	}
	return false
}
