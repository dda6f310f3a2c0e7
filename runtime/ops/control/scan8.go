package control

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/layout"
	"github.com/aimass/aimass/runtime/tensor"
)

// scanBatched is opset 8's Scan: axis 0 of every value is the batch, axis 1 of the
// scanned inputs the sequence, whose length may differ by batch.
func scanBatched(c *ops.Call) error {
	s, err := newScanner(c, c.In[1:], c.Node.Attrs.Ints("directions"))
	if err != nil {
		return err
	}
	batch := -1
	for i, v := range c.In[1:] {
		t, ok := v.(*tensor.Tensor)
		if !ok || t.Rank() < 1 || i >= s.states && t.Rank() < 2 {
			return fmt.Errorf("input %d is %s, expected a tensor with a batch axis (and a sequence axis if scanned)", i+1, describe(v))
		}
		if batch >= 0 && t.Shape[0] != batch {
			return fmt.Errorf("input %d is %v, expected a batch of %d", i+1, t, batch)
		}
		batch = t.Shape[0]
	}
	for i := range s.axes {
		s.axes[i] = 1
	}
	if err := s.measure(); err != nil {
		return err
	}
	lens := make([]int64, batch)
	for i := range lens {
		lens[i] = int64(s.length)
	}
	if c.Has(0) {
		if lens, err = form.IntsOf(c, 0); err != nil {
			return err
		}
		if len(lens) != batch {
			return fmt.Errorf("%d sequence lengths for a batch of %d", len(lens), batch)
		}
	}
	whole := newCollectors(c, len(s.g.Out))
	for b, n := range lens {
		if n < 0 || n > int64(s.length) {
			return fmt.Errorf("sequence length %d of at most %d", n, s.length)
		}
		if err := s.runBatch(whole, b, int(n)); err != nil {
			return fmt.Errorf("batch %d: %w", b, err)
		}
	}
	for i := range whole {
		if err := whole[i].stack(c, i, 0, false, s.g.Out[i]); err != nil {
			return err
		}
	}
	return nil
}

// runBatch scans one batch and adds its states and its collected outputs, filled up with
// zeros to the longest sequence.
func (s *scanner) runBatch(whole []collector, b, n int) error {
	state := make([]tensor.Value, s.states)
	for i := range state {
		state[i] = layout.At(s.c.T(1+i), 0, b)
	}
	rows := make([]*tensor.Tensor, len(s.inputs))
	for i, t := range s.inputs {
		rows[i] = layout.At(t, 0, b)
	}
	collected, err := s.run(state, n, func(i, t int) *tensor.Tensor { return layout.At(rows[i], 0, t) })
	if err != nil {
		return err
	}
	for i, v := range state {
		if err := whole[i].add(v); err != nil {
			return fmt.Errorf("output %d %w", i, err)
		}
	}
	for k := range collected {
		like := collected[k].like(s.g.Out[s.states+k])
		shape := layout.Insert(like.Shape, 0, s.length)
		if err := shape.Check(); err != nil {
			return err
		}
		if size := like.DType.Bytes(shape.Elements()); size > collected[k].limit {
			return ops.TooLargef("output %d takes %d bytes, more than %d", s.states+k, size, collected[k].limit)
		}
		t := tensor.New(like.DType, shape)
		if n > 0 {
			layout.Stack(t, collected[k].parts, 0)
		}
		if err := whole[s.states+k].add(t); err != nil {
			return fmt.Errorf("output %d %w", s.states+k, err)
		}
	}
	return nil
}
