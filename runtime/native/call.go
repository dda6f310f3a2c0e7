package native

import (
	"context"

	"github.com/aimass/aimass/runtime/tensor"
)

// Named is a tensor by the name of its input.
type Named struct {
	Name   string
	Tensor *tensor.Tensor
}

// Caller runs another model of the server, its newest version, for a Model that is made
// of several, and gives the outputs asked for, in that order. The inputs are read until
// it returns; the outputs are the caller's. It is safe for concurrent use. A model that
// calls itself, directly or by way of others, may wait for itself for ever.
type Caller func(ctx context.Context, model string, in []Named, want ...string) ([]*tensor.Tensor, error)
