// Package all puts every operator family into one registry.
package all

import (
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/contrib"
	"github.com/aimass/aimass/runtime/ops/control"
	"github.com/aimass/aimass/runtime/ops/image"
	"github.com/aimass/aimass/runtime/ops/math"
	"github.com/aimass/aimass/runtime/ops/ml"
	"github.com/aimass/aimass/runtime/ops/nn"
	"github.com/aimass/aimass/runtime/ops/optim"
	"github.com/aimass/aimass/runtime/ops/quant"
	"github.com/aimass/aimass/runtime/ops/ragged"
	"github.com/aimass/aimass/runtime/ops/random"
	"github.com/aimass/aimass/runtime/ops/reduce"
	"github.com/aimass/aimass/runtime/ops/rnn"
	"github.com/aimass/aimass/runtime/ops/seq"
	"github.com/aimass/aimass/runtime/ops/shape"
	"github.com/aimass/aimass/runtime/ops/signal"
	"github.com/aimass/aimass/runtime/ops/text"
)

// Registry builds the registry of every operator that aimass knows.
func Registry() *ops.Registry {
	r := ops.NewRegistry()
	contrib.Register(r)
	control.Register(r)
	image.Register(r)
	math.Register(r)
	ml.Register(r)
	nn.Register(r)
	optim.Register(r)
	quant.Register(r)
	ragged.Register(r)
	random.Register(r)
	reduce.Register(r)
	rnn.Register(r)
	seq.Register(r)
	shape.Register(r)
	signal.Register(r)
	text.Register(r)
	return r
}
