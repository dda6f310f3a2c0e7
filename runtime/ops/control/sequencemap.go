package control

import (
	"fmt"

	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

func sequenceMap() []*ops.Op {
	return []*ops.Op{{Name: "SequenceMap", Since: 17, MinIn: 1, MaxIn: -1, MinOut: 1, MaxOut: -1,
		Attrs: form.Required(form.Graph("body")), Eval: sequenceMapEval}}
}

func sequenceMapEval(c *ops.Call) error {
	g, err := body(c, "body", len(c.In))
	if err != nil {
		return err
	}
	first, ok := c.In[0].(*tensor.Sequence)
	if !ok {
		return fmt.Errorf("input 0 is %s, expected a sequence", describe(c.In[0]))
	}
	for i, v := range c.In {
		if s, ok := v.(*tensor.Sequence); ok && len(s.Elem) != len(first.Elem) {
			return fmt.Errorf("input %d has %d elements, input 0 has %d", i, len(s.Elem), len(first.Elem))
		}
	}
	if len(c.Node.Out) > len(g.Out) {
		return fmt.Errorf("the body gives %d outputs, expected %d", len(g.Out), len(c.Node.Out))
	}
	out := make([]*tensor.Sequence, len(c.Node.Out))
	for i := range out {
		out[i] = &tensor.Sequence{Of: g.Out[i].Type.DType}
	}
	for k := range first.Elem {
		in := make([]tensor.Value, len(c.In))
		for i, v := range c.In {
			if in[i] = v; v != nil {
				if s, ok := v.(*tensor.Sequence); ok {
					in[i] = s.Elem[k]
				}
			}
		}
		got, err := c.Sub(g, in)
		if err != nil {
			return fmt.Errorf("element %d: %w", k, err)
		}
		for i := range out {
			out[i].Elem = append(out[i].Elem, got[i])
		}
	}
	for i, s := range out {
		c.Set(i, s)
	}
	return nil
}
