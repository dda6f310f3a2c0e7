// Package release holds what is decided about a model's versions: which one answers,
// which takes a share of the requests, which is compared beside it, what names they have
// and how all this came about.
//
//	stable     answers requests that name no version; moved by Promote and Rollback
//	canary     takes a share of them
//	shadow     gets copies of some, whose answers are compared and thrown away
//	aliases    names that a request may use in place of a version
//
// A State without a stable version decides nothing: the newest version answers.
//
// Neighbours: repository/store keeps the State as JSON, repository loads the versions
// that it names, pipeline follows it, server/control changes it.
//
// Ownership: a State is plain data; methods that change one change the receiver.
//
// Concurrency: none; who shares a State copies it.
package release

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/aimass/aimass/api"
)

// format is what a State's JSON says of itself.
const format = 1

// Bounds of what is remembered.
const (
	maxHistory = 1000
	maxPast    = 50
	maxAliases = 100
)

// State of one model.
type State struct {
	Format int `json:"format"`
	// Stable answers requests without a version; 0: the newest does.
	Stable int64 `json:"stable,omitempty"`
	// Past are the versions that were stable before, the latest last.
	Past    []int64          `json:"past,omitempty"`
	Canary  *Split           `json:"canary,omitempty"`
	Shadow  *Shadow          `json:"shadow,omitempty"`
	Aliases map[string]int64 `json:"aliases,omitempty"`
	History []Event          `json:"history,omitempty"`
}

// Split is a version that takes a share of the requests.
type Split struct {
	Version int64   `json:"version"`
	Percent float64 `json:"percent"`
}

// Shadow is a version that copies of requests are sent to.
type Shadow struct {
	Version int64   `json:"version"`
	Percent float64 `json:"percent"`
	// Tolerance is the relative difference up to which numbers count as equal.
	Tolerance float64 `json:"tolerance"`
}

// Event is an entry of the history.
type Event struct {
	Seq    int64     `json:"seq"`
	Time   time.Time `json:"time"`
	Action string    `json:"action"`
	// Version is what the action was about, From what was stable before.
	Version   int64   `json:"version,omitempty"`
	From      int64   `json:"from,omitempty"`
	Alias     string  `json:"alias,omitempty"`
	Percent   float64 `json:"percent,omitempty"`
	Forced    bool    `json:"forced,omitempty"`
	RequestID string  `json:"request_id,omitempty"`
	// Gate is what the gate of a promotion measured.
	Gate json.RawMessage `json:"gate,omitempty"`
}

// The actions of events.
const (
	ActionPush     = "push"
	ActionPin      = "pin" // what served was made stable, so that a push changes nothing
	ActionPromote  = "promote"
	ActionRollback = "rollback"
	ActionAlias    = "alias"
	ActionUnalias  = "unalias"
	ActionCanary   = "canary"
	ActionShadow   = "shadow"
)

// The names that the State keeps itself; a request may use them like aliases.
const (
	Stable   = "stable"
	Canary   = "canary"
	Previous = "previous"
)

// Decode reads a State; no bytes are an empty one.
func Decode(b []byte) (*State, error) {
	s := &State{Format: format}
	if len(b) == 0 {
		return s, nil
	}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, api.Wrap(api.CodeReleaseStateInvalid, err, "the model's release file can't be understood")
	}
	if err := s.check(); err != "" {
		return nil, api.Errorf(api.CodeReleaseStateInvalid, "the model's release file can't be understood: %s", err)
	}
	return s, nil
}

// Encode writes a State.
func (s *State) Encode() ([]byte, error) {
	b, err := json.MarshalIndent(s, "", " ")
	return append(b, '\n'), err
}

func (s *State) check() string {
	share := func(p float64) bool { return p >= 0 && p <= 100 }
	switch {
	case s.Format != format:
		return "it has another format"
	case s.Stable < 0 || slices.ContainsFunc(s.Past, func(v int64) bool { return v <= 0 }):
		return "a version is not above zero"
	case s.Canary != nil && (s.Canary.Version <= 0 || !share(s.Canary.Percent) || s.Stable == 0):
		return "the canary"
	case s.Shadow != nil && (s.Shadow.Version <= 0 || !share(s.Shadow.Percent) || !(s.Shadow.Tolerance >= 0)):
		return "the shadow"
	}
	for name, v := range s.Aliases {
		if v <= 0 || !validAlias(name) {
			return "an alias"
		}
	}
	return ""
}

// Clone copies a State.
func (s *State) Clone() *State {
	c := *s
	c.Past, c.History = slices.Clone(s.Past), slices.Clone(s.History)
	c.Aliases = maps.Clone(s.Aliases)
	if s.Canary != nil {
		x := *s.Canary
		c.Canary = &x
	}
	if s.Shadow != nil {
		x := *s.Shadow
		c.Shadow = &x
	}
	return &c
}

// Versions lists, rising, the versions that the State wants loaded.
func (s *State) Versions() []int64 {
	var out []int64
	add := func(v int64) {
		if v > 0 {
			out = append(out, v)
		}
	}
	add(s.Stable)
	if n := len(s.Past); n > 0 {
		add(s.Past[n-1])
	}
	if s.Canary != nil {
		add(s.Canary.Version)
	}
	if s.Shadow != nil {
		add(s.Shadow.Version)
	}
	for _, v := range s.Aliases {
		add(v)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Names gives every name that stands for a version.
func (s *State) Names() map[string]int64 {
	out := map[string]int64{}
	maps.Copy(out, s.Aliases)
	if s.Stable > 0 {
		out[Stable] = s.Stable
	}
	if s.Canary != nil {
		out[Canary] = s.Canary.Version
	}
	if n := len(s.Past); n > 0 {
		out[Previous] = s.Past[n-1]
	}
	return out
}

// note appends an event to the history.
func (s *State) note(e Event) {
	if n := len(s.History); n > 0 {
		e.Seq = s.History[n-1].Seq + 1
	} else {
		e.Seq = 1
	}
	s.History = append(s.History, e)
	if n := len(s.History); n > maxHistory {
		s.History = slices.Clone(s.History[n-maxHistory:])
	}
}

// validAlias: what can't be mistaken for a version or garble a path.
func validAlias(name string) bool {
	if name == "" || len(name) > 64 {
		return false
	}
	for i, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || !(c >= '0' && c <= '9' || c == '_' || c == '-')) {
			return false
		}
	}
	return true
}
