//go:build !linux

package child

// Groups and Group are Linux's.
type Groups struct{}

// OpenGroups has nothing to open elsewhere than on Linux.
func OpenGroups(string) (*Groups, error) { return nil, ErrNoGroups }

// Dir is empty.
func (g *Groups) Dir() string { return "" }

// New makes no group.
func (g *Groups) New(Limits) (*Group, error) { return nil, ErrNoGroups }

// Group is never made.
type Group struct{ Dir string }

// OutOfMemory is false.
func (g *Group) OutOfMemory() bool { return false }

// Close does nothing.
func (g *Group) Close() {}
