package runtime

import (
	"errors"

	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/gpu"
	"github.com/aimass/aimass/runtime/tensor"
)

// Explain tells how the model lies on the GPUs and runs inputs of these types and shapes,
// whose elements are not looked at.
func (m *Model) Explain(in []tensor.Value) (*gpu.Explanation, error) {
	return gpu.Explain(m.program, in)
}

// Describe tells how the model runs inputs of these types and shapes on the CPU: the steps,
// what each replaces, and the memory. The elements are not looked at. A native model has
// no steps to tell of, which is an error.
func (m *Model) Describe(in []tensor.Value) (*cpu.Description, error) {
	if m.Graph == nil {
		return nil, errors.New("a native model is Go code: it has no graph")
	}
	return cpu.Describe(m.program, in)
}
