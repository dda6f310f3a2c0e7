// Package all puts every operator family into one registry.
package all

import (
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/control"
	"github.com/aimass/aimass/runtime/ops/math"
	"github.com/aimass/aimass/runtime/ops/ml"
	"github.com/aimass/aimass/runtime/ops/quant"
	"github.com/aimass/aimass/runtime/ops/reduce"
	"github.com/aimass/aimass/runtime/ops/seq"
	"github.com/aimass/aimass/runtime/ops/shape"
)

// Registry builds the registry of every operator that aimass knows.
func Registry() *ops.Registry {
	r := ops.NewRegistry()
	math.Register(r)
	reduce.Register(r)
	shape.Register(r)
	ml.Register(r)
	quant.Register(r)
	control.Register(r)
	seq.Register(r)
	return r
}
