package runtime

import (
	"context"
	"fmt"

	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/pass"
	"github.com/aimass/aimass/runtime/tensor"
)

// Ragged runs sequences of different length of one model together, one behind the other and
// without padding.
type Ragged struct {
	// MaxLength is the longest sequence that the model takes, 0 if any.
	MaxLength int
	// First marks the outputs that have one row for each sequence; the others have one for
	// each token.
	First   []bool
	program device.Program
}

// proveRagged makes the form of a model that takes sequences of different length, if it has
// one.
func (e *Engine) proveRagged(m *Model, reg *ops.Registry) {
	if !m.Batch.Rows {
		m.Batch.Ragged = "rows of different requests don't run together"
		return
	}
	if m.gpu {
		m.Batch.Ragged = "on GPUs the sequences of a batch have one length"
		return
	}
	form, reason := pass.Ragged(m.Graph.Graph, reg)
	if m.Batch.Ragged = reason; form == nil {
		return
	}
	program, err := e.cpu.CompileForm(form.Graph, m.program)
	if err != nil {
		m.Batch.Ragged = err.Error()
		return
	}
	m.Ragged = &Ragged{MaxLength: form.MaxLength, First: form.First, program: program}
}

// Tokens is how many tokens Run takes for sequences of so many altogether: some more, so
// that few plans serve all batches. What is in the rest doesn't matter.
func (r *Ragged) Tokens(n int) int {
	step := 32
	for step*8 < n {
		step *= 2
	}
	return (n + step - 1) / step * step
}

// Run computes call.Out from inputs of the shape [1, Tokens(sum of lengths), …]. Outputs have
// the shape [1, tokens, …], those of First [sequences, …].
func (r *Ragged) Run(ctx context.Context, call *device.Call, lengths []int) error {
	used, total := 0, 0
	for _, n := range lengths {
		used += n
	}
	if len(call.In) > 0 {
		total = call.In[0].(*tensor.Tensor).Shape[1]
	}
	if used > total {
		return fmt.Errorf("the sequences have %d tokens, the inputs %d", used, total)
	}
	// The tokens beyond the sequences' are sequences of one.
	positions := tensor.New(tensor.Int64, tensor.Shape{total})
	at := tensor.Data[int64](positions)
	for _, n := range lengths {
		for i := range n {
			at[i] = int64(i)
		}
		at = at[n:]
	}
	call.In = append(call.In, positions)
	err := r.program.Run(ctx, call)
	call.In = call.In[:len(call.In)-1]
	if err != nil {
		return err
	}
	for i, first := range r.First {
		if t, ok := call.Out[i].(*tensor.Tensor); ok && first {
			call.Out[i] = pick(t, lengths)
		}
	}
	return nil
}

// pick takes the rows of the sequences' first tokens.
func pick(t *tensor.Tensor, lengths []int) *tensor.Tensor {
	shape := t.Shape.Clone()
	shape[0] = len(lengths)
	out := tensor.New(t.DType, shape)
	row := t.DType.Bytes(shape[1:].Elements())
	from := 0
	for i, n := range lengths {
		copy(out.Bytes()[i*row:(i+1)*row], t.Bytes()[from*row:])
		from += n
	}
	return out
}
