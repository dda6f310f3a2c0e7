package pipeline

import (
	"math"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"

	"github.com/aimass/aimass/repository/release"
)

// Rules say who answers requests that name no version, or name one by an alias. The zero
// value is: the newest version.
type Rules struct {
	// Stable answers requests without a version; 0: the newest does.
	Stable int64
	// Canary answers a share of them, 0 to 1.
	Canary      int64
	CanaryShare float64
	// Shadow gets copies of a share of the stable version's requests.
	Shadow      int64
	ShadowShare float64
	// Tolerance is the relative difference up to which a shadow's numbers count as equal.
	Tolerance float64
	// Aliases are names of versions. They begin with a letter.
	Aliases map[string]int64
}

// RulesOf gives the rules that follow from what was decided about a model.
func RulesOf(s *release.State) Rules {
	r := Rules{Stable: s.Stable, Aliases: s.Names()}
	if s.Canary != nil {
		r.Canary, r.CanaryShare = s.Canary.Version, s.Canary.Percent/100
	}
	if s.Shadow != nil {
		r.Shadow, r.ShadowShare, r.Tolerance = s.Shadow.Version, s.Shadow.Percent/100, s.Shadow.Tolerance
	}
	return r
}

// SetRules makes rules hold for a model, from the next request on.
func (p *Pipeline) SetRules(name string, r Rules) {
	p.mu.Lock()
	p.rules[name] = r
	p.mu.Unlock()
	p.change(name, func(v []*Served) []*Served { return v })
}

// Rules gives what holds for a model. Its Aliases must not be changed.
func (p *Pipeline) Rules(name string) Rules {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rules[name]
}

// routes are rules applied to the versions that serve. A version that doesn't is nil, and
// so is a canary without a share.
type routes struct {
	rules          Rules
	stable, canary *Served
	share          *share
	shadow         *Shadow
	aliases        map[string]*Served
}

// routesOf applies rules; counters of the model before go on counting.
func routesOf(r Rules, versions []*Served, before *model) routes {
	number := func(n int64) *Served {
		for _, v := range versions {
			if v.Version == n {
				return v
			}
		}
		return nil
	}
	out := routes{rules: r, stable: versions[len(versions)-1], aliases: map[string]*Served{}}
	if r.Stable != 0 {
		out.stable = number(r.Stable)
	}
	if r.CanaryShare > 0 {
		out.canary, out.share = number(r.Canary), newShare(r.CanaryShare)
		if before != nil && before.share != nil && before.rules.CanaryShare == r.CanaryShare {
			out.share = before.share
		}
	}
	for name, n := range r.Aliases {
		if v := number(n); v != nil {
			out.aliases[name] = v
		}
	}
	if to := number(r.Shadow); to != nil && r.ShadowShare > 0 && out.stable != nil {
		if before != nil && before.shadow != nil && before.shadow.follows(to, r) {
			out.shadow = before.shadow
		} else {
			out.shadow = newShadow(to, r)
		}
	}
	for _, v := range versions {
		var s *Shadow
		if v == out.stable {
			s = out.shadow
		}
		v.shadow.Store(s)
	}
	return out
}

// unversioned gives the version for a request that names none; nil if the stable one
// doesn't serve.
func (m *model) unversioned(take bool, key string) *Served {
	switch {
	case m.canary == nil || !take:
		return m.stable
	case key == "" && m.share.take(), key != "" && m.share.holds(m.canary, key):
		return m.canary
	}
	return m.stable
}

// share picks a part of a stream of requests: of any n in a row the right number but for
// one or two, since the multiples of the golden ratio spread evenly over a circle.
type share struct {
	limit uint64
	n     atomic.Uint64
}

// golden is 2⁶⁴ divided by the golden ratio, odd.
const golden = 0x9e3779b97f4a7c15

func newShare(part float64) *share {
	s := &share{limit: math.MaxUint64}
	if part < 1 {
		s.limit = uint64(part * (1 << 63) * 2)
	}
	return s
}

// holds says whether a key belongs to the share. Where it stands on the circle follows from the
// canary and the key alone, on every server, so a larger share holds all that a smaller one did;
// and other callers than those of the last canary are the first to get this one.
func (s *share) holds(canary *Served, key string) bool {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.WriteString(canary.Model)
	_, _ = d.WriteString("\x00" + canary.VersionText + "\x00")
	_, _ = d.WriteString(key)
	return d.Sum64() <= s.limit
}

func (s *share) take() bool { return s.n.Add(1)*golden <= s.limit }
