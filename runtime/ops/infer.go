package ops

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// inferLimit bounds a result that Infer computes; shape arithmetic is far below.
const inferLimit = 1 << 20

// Infer says what is known of a node's outputs before it runs: by its shape rule, and by
// Eval where all inputs are constant, nothing is nested and the result is small.
func Infer(o *Op, n *graph.Node, in []Info) ([]Info, error) {
	c := &ShapeCall{Node: n, In: in, Out: make([]Info, len(n.Out))}
	if o.Shape != nil {
		if err := o.Shape(c); err != nil {
			return nil, err
		}
	}
	constant := !o.Impure && len(n.Subgraphs()) == 0 && !(len(in) > 0 && BytesAtRest(n, in[0].Tensor()))
	for i, v := range n.In {
		constant = constant && (v == nil || in[i].Const != nil)
	}
	for i := range c.Out {
		c.Out[i].Present = n.Out[i] != nil
		if x := c.Out[i]; x.Known && x.DType != tensor.String && x.DType.Bytes(x.Shape.Elements()) > inferLimit {
			constant = false
		}
	}
	if !constant || complete(c.Out) {
		return c.Out, nil
	}
	call := &Call{Node: n, In: make([]tensor.Value, len(in)), Out: make([]tensor.Value, len(n.Out)), MaxBytes: inferLimit}
	for i := range in {
		call.In[i] = in[i].Const
	}
	if err := o.Eval(call); err != nil {
		return nil, err
	}
	for i, v := range n.Out {
		if v == nil {
			continue
		}
		if i >= len(call.Out) || call.Out[i] == nil {
			return nil, fmt.Errorf("output %d was not computed", i)
		}
		c.Out[i] = ConstInfo(call.Out[i])
	}
	return c.Out, nil
}

// BytesAtRest reports a DequantizeLinear of weights that rest in bytes, which is left to the
// device: it may compute with them as they are, and could not see them any more in floats.
func BytesAtRest(n *graph.Node, weights *tensor.Tensor) bool {
	return n.Domain == "" && n.Op == "DequantizeLinear" && weights != nil && (weights.DType == tensor.Int8 || weights.DType == tensor.Uint8) && weights.Rank() > 1
}

// complete reports whether every wanted output is constant already.
func complete(out []Info) bool {
	for _, x := range out {
		if x.Present && x.Const == nil {
			return false
		}
	}
	return true
}

// MaxConstants bounds the constants of one inference over a graph, which may have many
// nodes: its callers add up with Size.
const MaxConstants = 256 << 20

// Size is the memory of the constant, 0 if there is none.
func (i Info) Size() int {
	t := i.Tensor()
	if t == nil {
		return 0
	}
	return t.Size() + 16*len(t.Strings())
}

// ConstInfo describes a constant.
func ConstInfo(v tensor.Value) Info {
	if t, ok := v.(*tensor.Tensor); ok {
		return Info{Present: true, DType: t.DType, Known: true, Shape: t.Shape, Const: t}
	}
	return Info{Present: true, Const: v}
}
