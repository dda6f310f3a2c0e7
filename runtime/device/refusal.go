package device

import (
	"context"
	"errors"

	"github.com/aimass/aimass/runtime/ops"
)

// Refusal is the error of a Run whose inputs a node can't compute with: an index beyond the end of a table, two
// lengths that do not go together. Neither the device nor the model is to blame, and the same call fails again.
type Refusal struct {
	Err error // names the node
	// Shapes: the inputs' shapes do not go together, whatever their values are.
	Shapes bool
}

// Error gives the cause's text.
func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap gives the cause.
func (r *Refusal) Unwrap() error { return r.Err }

// Refused makes a Refusal of what an operator's checks of its inputs return. What says of itself that it is none
// stays as it is: the end of the caller's patience, a form that is not supported, too little memory.
func Refused(err error, shapes bool) error {
	for _, other := range []error{context.Canceled, context.DeadlineExceeded, ops.ErrUnsupported, ops.ErrTooLarge} {
		if errors.Is(err, other) {
			return err
		}
	}
	return &Refusal{Err: err, Shapes: shapes}
}
