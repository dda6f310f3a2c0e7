package repository

// State is what the index says of a version.
type State uint8

// The states. Unknown is that of a version or model which is not there at all.
const (
	Unknown State = iota
	Unavailable
	Unloading
	Loading
	Ready
)

// String gives the protocol's name.
func (s State) String() string {
	switch s {
	case Unavailable:
		return "UNAVAILABLE"
	case Unloading:
		return "UNLOADING"
	case Loading:
		return "LOADING"
	case Ready:
		return "READY"
	}
	return "UNKNOWN"
}

// slot is one version number of one model. Its state follows from what is the case, so
// that no two notions of it can disagree. Its methods are called with Repository.mu held.
type slot struct {
	serving *Version
	loading bool
	leaving map[*Version]chan struct{} // out of the served set and still in use; closed when not
	reason  string                     // why it is not ready, or why the last load failed
}

func (s *slot) state() State {
	switch {
	case s.serving != nil:
		return Ready
	case s.loading:
		return Loading
	case len(s.leaving) > 0:
		return Unloading
	}
	return Unavailable
}

// begin starts a load.
func (s *slot) begin() {
	if s.loading {
		panic("BUG: a version is loaded twice at once")
	}
	s.loading, s.reason = true, ""
}

// fail ends a load; what served still does.
func (s *slot) fail(reason string) {
	if !s.loading {
		panic("BUG: a load fails that never began")
	}
	s.loading, s.reason = false, reason
}

// install ends a load; the version that it replaces, if any, drains.
func (s *slot) install(v *Version) (old *Version) {
	if !s.loading {
		panic("BUG: a version is installed without a load")
	}
	old, s.serving, s.loading, s.reason = s.serving, v, false, ""
	s.leave(old)
	return old
}

func (s *slot) leave(v *Version) {
	if v == nil {
		return
	}
	if s.leaving == nil {
		s.leaving = map[*Version]chan struct{}{}
	}
	s.leaving[v] = make(chan struct{})
}

// retire takes the serving version out; it drains.
func (s *slot) retire(reason string) (old *Version) {
	if s.serving == nil {
		panic("BUG: a version is retired that doesn't serve")
	}
	old, s.serving, s.reason = s.serving, nil, reason
	s.leave(old)
	return old
}

// drained ends the use of a version that was replaced or retired.
func (s *slot) drained(v *Version) {
	done := s.leaving[v]
	if done == nil {
		panic("BUG: a version is drained twice")
	}
	delete(s.leaving, v)
	close(done)
}
