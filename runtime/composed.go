package runtime

import (
	"context"
	"errors"

	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/tensor"
)

// Composed makes a model that has ports and nothing to run: other models compute its
// outputs, as the pipeline puts them together.
func Composed(in, out []Port) *Model {
	return &Model{Inputs: in, Outputs: out, Batch: Batch{Reason: "each step is batched by its own model"}, program: composed{}}
}

type composed struct{}

var errComposed = errors.New("the model is made of others and can't run by itself")

func (composed) Run(context.Context, *device.Call) error { return errComposed }
func (composed) Prepare([]tensor.Value) error            { return nil }
func (composed) WeightBytes() (owned, mapped int64)      { return 0, 0 }
func (composed) Close() error                            { return nil }
