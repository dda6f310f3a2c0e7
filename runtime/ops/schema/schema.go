// Package schema has the words in which operators list their attributes, and shape rules
// that many families share.
//
// Neighbours: the operator families below runtime/ops use it; it imports runtime/ops.
// Everything here is a pure function and safe for concurrent use.
package schema

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

func list(k graph.AttrKind, names []string) []ops.Attr {
	out := make([]ops.Attr, len(names))
	for i, n := range names {
		required := n[len(n)-1] == '!'
		if required {
			n = n[:len(n)-1]
		}
		out[i] = ops.Attr{Name: n, Kind: k, Required: required}
	}
	return out
}

// Int lists integer attributes; a name that ends in "!" is required.
func Int(names ...string) []ops.Attr { return list(graph.AttrInt, names) }

// Float lists float attributes, as Int does.
func Float(names ...string) []ops.Attr { return list(graph.AttrFloat, names) }

// Str lists string attributes, as Int does.
func Str(names ...string) []ops.Attr { return list(graph.AttrString, names) }

// Ints lists attributes that are lists of integers, as Int does.
func Ints(names ...string) []ops.Attr { return list(graph.AttrInts, names) }

// Floats lists attributes that are lists of floats, as Int does.
func Floats(names ...string) []ops.Attr { return list(graph.AttrFloats, names) }

// Strs lists attributes that are lists of strings, as Int does.
func Strs(names ...string) []ops.Attr { return list(graph.AttrStrings, names) }

// Tensor lists tensor attributes, as Int does.
func Tensor(names ...string) []ops.Attr { return list(graph.AttrTensor, names) }

// Join puts attribute lists together.
func Join(lists ...[]ops.Attr) []ops.Attr {
	var out []ops.Attr
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

// Since gives copies of an operator for further opset versions under which it means
// the same.
func Since(o ops.Op, versions ...int) []*ops.Op {
	out := make([]*ops.Op, len(versions))
	for i, v := range versions {
		c := o
		c.Since = v
		out[i] = &c
	}
	return out
}

// Same is the shape rule of operators whose first output has the first input's type and
// shape.
func Same(c *ops.ShapeCall) error {
	if !c.Has(0) {
		return fmt.Errorf("input 0 is missing")
	}
	if c.In[0].Known {
		c.Set(0, c.In[0].DType, c.In[0].Shape)
	} else {
		c.SetType(0, c.In[0].DType)
	}
	return nil
}

// SameAs is Same with an element type of its own.
func SameAs(d tensor.DType) func(*ops.ShapeCall) error {
	return func(c *ops.ShapeCall) error {
		if c.Has(0) && c.In[0].Known {
			c.Set(0, d, c.In[0].Shape)
		} else {
			c.SetType(0, d)
		}
		return nil
	}
}

// Broadcast is the shape rule of operators whose output 0 has the element type d (that
// of the first input if d is Invalid) and the shape to which the inputs listed broadcast.
func Broadcast(d tensor.DType, inputs ...int) func(*ops.ShapeCall) error {
	return func(c *ops.ShapeCall) error {
		dt := d
		if dt == tensor.Invalid {
			dt = c.In[inputs[0]].DType
		}
		var s tensor.Shape
		for k, i := range inputs {
			if !c.Has(i) || !c.In[i].Known {
				c.SetType(0, dt)
				return nil
			}
			if k == 0 {
				s = c.In[i].Shape
				continue
			}
			var err error
			if s, err = tensor.Broadcast(s, c.In[i].Shape); err != nil {
				return err
			}
		}
		c.Set(0, dt, s)
		return nil
	}
}
