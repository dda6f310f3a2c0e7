// Package all puts every operator family into one registry.
package all

import (
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/control"
	"github.com/aimass/aimass/runtime/ops/quant"
	"github.com/aimass/aimass/runtime/ops/seq"
	"github.com/aimass/aimass/runtime/ops/shape"
)

// Registry builds the registry of every operator that aimass knows.
func Registry() *ops.Registry {
	r := ops.NewRegistry()
	control.Register(r)
	quant.Register(r)
	seq.Register(r)
	shape.Register(r)
	return r
}
