package release

import (
	"slices"

	"github.com/aimass/aimass/api"
)

// Each change takes an Event that says when, and under which request; the rest of it is
// filled here and noted in the history.

// Pin makes the version that serves stable, if none is.
func (s *State) Pin(version int64, e Event) {
	if s.Stable != 0 || version == 0 {
		return
	}
	s.Stable = version
	e.Action, e.Version = ActionPin, version
	s.note(e)
}

// Push notes a version that came as a bundle.
func (s *State) Push(version int64, e Event) {
	e.Action, e.Version = ActionPush, version
	s.note(e)
}

// Promote makes a version stable. What was stable is remembered for Rollback; a canary
// or shadow of the same version ends.
func (s *State) Promote(version int64, e Event) {
	e.Action, e.Version, e.From = ActionPromote, version, s.Stable
	if s.Stable != 0 && s.Stable != version {
		s.Past = append(s.Past, s.Stable)
		if n := len(s.Past); n > maxPast {
			s.Past = slices.Clone(s.Past[n-maxPast:])
		}
	}
	s.Stable = version
	s.end(version)
	s.note(e)
}

// end ends canary and shadow of a version.
func (s *State) end(version int64) {
	if s.Canary != nil && s.Canary.Version == version {
		s.Canary = nil
	}
	if s.Shadow != nil && s.Shadow.Version == version {
		s.Shadow = nil
	}
}

// Rollback undoes the last step: a canary that takes requests ends, else the version
// that was stable before is so again.
func (s *State) Rollback(e Event) error {
	e.Action, e.From = ActionRollback, s.Stable
	n := len(s.Past)
	switch {
	case s.Canary != nil:
		e.Version = s.Stable
		s.Canary = nil
	case n > 0:
		s.Stable, s.Past = s.Past[n-1], s.Past[:n-1]
		e.Version = s.Stable
		s.end(s.Stable)
	default:
		return api.Errorf(api.CodeRollbackImpossible, "no version was stable before")
	}
	s.note(e)
	return nil
}

// SetCanary gives a version a share of the requests, or with 0 percent takes it away.
func (s *State) SetCanary(version int64, percent float64, e Event) error {
	switch {
	case !(percent >= 0 && percent <= 100):
		return api.Errorf(api.CodeReleaseInvalid, "percent is %v, expected 0 to 100", percent)
	case percent == 0:
		version, s.Canary = 0, nil
	case s.Stable == 0:
		return api.Errorf(api.CodeReleaseInvalid, "the model has no stable version beside which a canary could serve: promote one")
	case version == s.Stable:
		return api.Errorf(api.CodeReleaseInvalid, "version %d is stable already", version)
	default:
		s.Canary = &Split{Version: version, Percent: percent}
	}
	e.Action, e.Version, e.Percent = ActionCanary, version, percent
	s.note(e)
	return nil
}

// SetShadow sends a version copies of a share of the requests, or with 0 percent none.
func (s *State) SetShadow(version int64, percent, tolerance float64, e Event) error {
	switch {
	case !(percent >= 0 && percent <= 100):
		return api.Errorf(api.CodeReleaseInvalid, "percent is %v, expected 0 to 100", percent)
	case !(tolerance >= 0):
		return api.Errorf(api.CodeReleaseInvalid, "tolerance is %v, expected 0 or more", tolerance)
	case percent == 0:
		version, s.Shadow = 0, nil
	case version == s.Stable:
		return api.Errorf(api.CodeReleaseInvalid, "version %d is stable: it can't be its own shadow", version)
	default:
		s.Shadow = &Shadow{Version: version, Percent: percent, Tolerance: tolerance}
	}
	e.Action, e.Version, e.Percent = ActionShadow, version, percent
	s.note(e)
	return nil
}

// SetAlias gives a version a name, or with version 0 takes the name away.
func (s *State) SetAlias(name string, version int64, e Event) error {
	switch name {
	case Stable, Canary, Previous:
		return api.Errorf(api.CodeAliasInvalid, "the name '%s' is kept by promote, canary and rollback", name)
	}
	if !validAlias(name) {
		return api.Errorf(api.CodeAliasInvalid, "got the alias %.100q, expected at most 64 letters, digits, _ and -, a letter first", name)
	}
	e.Alias = name
	if version == 0 {
		old, ok := s.Aliases[name]
		if !ok {
			return api.Errorf(api.CodeAliasNotFound, "there is no alias '%s'", name)
		}
		delete(s.Aliases, name)
		e.Action, e.Version = ActionUnalias, old
		s.note(e)
		return nil
	}
	if s.Aliases == nil {
		s.Aliases = map[string]int64{}
	}
	if _, known := s.Aliases[name]; !known && len(s.Aliases) >= maxAliases {
		return api.Errorf(api.CodeAliasInvalid, "the model has %d aliases, more are not allowed", maxAliases)
	}
	s.Aliases[name] = version
	e.Action, e.Version = ActionAlias, version
	s.note(e)
	return nil
}
