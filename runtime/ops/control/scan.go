package control

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/ops/layout"
	"github.com/aimass/aimass/runtime/tensor"
)

func scan() []*ops.Op {
	shape := func(c *ops.ShapeCall) error {
		if g := c.Node.Attrs.Graph("body"); g != nil {
			for i := range c.Out {
				if i < len(g.Out) {
					declare(c, i, g.Out[i])
				}
			}
		}
		return nil
	}
	common := form.Join(form.Required(form.Graph("body")), form.Required(form.Int("num_scan_inputs")))
	return []*ops.Op{
		{Name: "Scan", Since: 8, MinIn: 2, MaxIn: -1, MinOut: 1, MaxOut: -1, Shape: shape, Eval: scanBatched,
			Attrs: form.Join(common, form.Ints("directions"))},
		{Name: "Scan", Since: 9, MinIn: 1, MaxIn: -1, MinOut: 1, MaxOut: -1, Shape: shape, Eval: scanEval,
			Attrs: form.Join(common, form.Ints("scan_input_axes", "scan_input_directions", "scan_output_axes", "scan_output_directions"))},
	}
}

// scanner is one Scan: states first, scanned inputs after them.
type scanner struct {
	c       *ops.Call
	g       *graph.Graph
	states  int
	inputs  []*tensor.Tensor
	axes    []int
	reverse []bool
	length  int
}

// newScanner reads what both forms share; values are all inputs but sequence_lens.
func newScanner(c *ops.Call, values []tensor.Value, directions []int64) (*scanner, error) {
	m := c.Node.Attrs.Int("num_scan_inputs", 0)
	if m < 1 || m > int64(len(values)) {
		return nil, fmt.Errorf("num_scan_inputs is %d, the node has %d states and scanned inputs", m, len(values))
	}
	g, err := body(c, "body", len(values))
	if err != nil {
		return nil, err
	}
	s := &scanner{c: c, g: g, states: len(values) - int(m), length: -1, axes: make([]int, m)}
	if len(g.Out) < s.states || len(c.Node.Out) > len(g.Out) {
		return nil, fmt.Errorf("the body gives %d outputs for %d states and %d outputs", len(g.Out), s.states, len(c.Node.Out))
	}
	for i, v := range values[s.states:] {
		t, ok := v.(*tensor.Tensor)
		if !ok {
			return nil, fmt.Errorf("scanned input %d is a %T, not a tensor", i, v)
		}
		s.inputs = append(s.inputs, t)
	}
	if s.reverse, err = flags(directions, int(m)); err != nil {
		return nil, err
	}
	return s, nil
}

func flags(v []int64, n int) ([]bool, error) {
	if len(v) != 0 && len(v) != n {
		return nil, fmt.Errorf("directions %v, expected %d of them", v, n)
	}
	out := make([]bool, n)
	for i, d := range v {
		if d != 0 && d != 1 {
			return nil, fmt.Errorf("directions %v, expected 0 and 1", v)
		}
		out[i] = d == 1
	}
	return out, nil
}

// measure finds the number of iterations from the scanned inputs' extents.
func (s *scanner) measure() error {
	for i, t := range s.inputs {
		n := t.Shape[s.axes[i]]
		if s.length >= 0 && n != s.length {
			return fmt.Errorf("scanned input %d has %d elements along its axis, input 0 has %d", i, n, s.length)
		}
		s.length = n
	}
	return nil
}

// run does n iterations; pick gives scanned input i in iteration t.
func (s *scanner) run(state []tensor.Value, n int, pick func(i, t int) *tensor.Tensor) ([]collector, error) {
	collected := newCollectors(s.c, len(s.g.Out)-s.states)
	for t := range n {
		in := append([]tensor.Value{}, state...)
		for i := range s.inputs {
			at := t
			if s.reverse[i] {
				at = n - 1 - t
			}
			in = append(in, pick(i, at))
		}
		out, err := s.c.Sub(s.g, in)
		if err != nil {
			return nil, fmt.Errorf("iteration %d: %w", t, err)
		}
		copy(state, out[:s.states])
		for k := range collected {
			if err := collected[k].add(out[s.states+k]); err != nil {
				return nil, fmt.Errorf("iteration %d: output %d %w", t, s.states+k, err)
			}
		}
	}
	return collected, nil
}

func scanEval(c *ops.Call) error {
	a := c.Node.Attrs
	s, err := newScanner(c, c.In, a.Ints("scan_input_directions"))
	if err != nil {
		return err
	}
	axes := a.Ints("scan_input_axes")
	if len(axes) != 0 && len(axes) != len(s.inputs) {
		return fmt.Errorf("scan_input_axes %v, expected %d", axes, len(s.inputs))
	}
	for i, t := range s.inputs {
		axis := int64(0)
		if len(axes) > 0 {
			axis = axes[i]
		}
		if s.axes[i], err = tensor.Axis(axis, t.Rank()); err != nil {
			return fmt.Errorf("scanned input %d: %w", i, err)
		}
	}
	if err := s.measure(); err != nil {
		return err
	}
	state := append([]tensor.Value{}, c.In[:s.states]...)
	collected, err := s.run(state, s.length, func(i, t int) *tensor.Tensor { return layout.At(s.inputs[i], s.axes[i], t) })
	if err != nil {
		return err
	}
	for i, v := range state {
		c.Set(i, v)
	}
	reverse, err := flags(a.Ints("scan_output_directions"), len(collected))
	if err != nil {
		return err
	}
	outAxes := a.Ints("scan_output_axes")
	if len(outAxes) != 0 && len(outAxes) != len(collected) {
		return fmt.Errorf("scan_output_axes %v, expected %d", outAxes, len(collected))
	}
	for k := range collected {
		axis := int64(0)
		if len(outAxes) > 0 {
			axis = outAxes[k]
		}
		if err := collected[k].stack(c, s.states+k, axis, reverse[k], s.g.Out[s.states+k]); err != nil {
			return fmt.Errorf("output %d: %w", s.states+k, err)
		}
	}
	return nil
}
