package control

import "github.com/aimass/aimass/runtime/ops"

// Register adds the operators of this package.
func Register(r *ops.Registry) {
	for _, f := range []func() []*ops.Op{ifElse, loop, scan, sequenceMap} {
		r.Add(f()...)
	}
}
