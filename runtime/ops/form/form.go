// Package form holds what the operator families write again and again: entries of
// attribute schemas, common shape rules, integer inputs, and float views of tensors.
//
// Neighbours: every sub-package of runtime/ops may use it; it knows runtime/ops,
// runtime/tensor and runtime/graph.
//
// Ownership: Load shares the tensor's memory where no conversion is needed, so its
// result is read-only; Sink's slice may be the output's own memory. Concurrency: all
// functions are free of state.
package form

import (
	"fmt"

	"github.com/aimass/aimass/internal/half"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// Float declares optional float attributes.
func Float(names ...string) []ops.Attr { return attrs(graph.AttrFloat, names) }

// Int declares optional integer attributes.
func Int(names ...string) []ops.Attr { return attrs(graph.AttrInt, names) }

// Str declares optional string attributes.
func Str(names ...string) []ops.Attr { return attrs(graph.AttrString, names) }

// Floats declares optional lists of floats.
func Floats(names ...string) []ops.Attr { return attrs(graph.AttrFloats, names) }

// Ints declares optional lists of integers.
func Ints(names ...string) []ops.Attr { return attrs(graph.AttrInts, names) }

// Strs declares optional lists of strings.
func Strs(names ...string) []ops.Attr { return attrs(graph.AttrStrings, names) }

// Graph declares optional sub-graphs.
func Graph(names ...string) []ops.Attr { return attrs(graph.AttrGraph, names) }

// Type declares optional types of values.
func Type(names ...string) []ops.Attr { return attrs(graph.AttrType, names) }

// Consumed declares consumed_inputs, which opset 1 gave to many operators and which
// changes nothing.
func Consumed() []ops.Attr { return Ints("consumed_inputs") }

func attrs(k graph.AttrKind, names []string) []ops.Attr {
	out := make([]ops.Attr, len(names))
	for i, n := range names {
		out[i] = ops.Attr{Name: n, Kind: k}
	}
	return out
}

// Required marks the attributes as required.
func Required(list []ops.Attr) []ops.Attr {
	out := append([]ops.Attr(nil), list...)
	for i := range out {
		out[i].Required = true
	}
	return out
}

// Join puts lists of attributes together.
func Join(lists ...[]ops.Attr) []ops.Attr {
	var out []ops.Attr
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

// Same states that output 0 has the type and shape of input 0.
func Same(c *ops.ShapeCall) error {
	if c.Has(0) {
		Like(c, 0, c.In[0].DType, 0)
	}
	return nil
}

// Like states that output o has type d and the shape of input i.
func Like(c *ops.ShapeCall, o int, d tensor.DType, i int) {
	if c.Has(i) && c.In[i].Known {
		c.Set(o, d, c.In[i].Shape)
		return
	}
	c.SetType(o, d)
}

// Broadcast states that output 0 has type d and the shape that inputs from..to−1 give
// together by numpy's rule.
func Broadcast(c *ops.ShapeCall, d tensor.DType, from, to int) error {
	var s tensor.Shape
	for i := from; i < to; i++ {
		if !c.Has(i) {
			continue
		}
		if !c.In[i].Known {
			c.SetType(0, d)
			return nil
		}
		var err error
		if s, err = tensor.Broadcast(s, c.In[i].Shape); err != nil {
			return err
		}
	}
	if s == nil {
		s = tensor.Shape{}
	}
	c.Set(0, d, s)
	return nil
}

// Real lists the types that floating-point operators compute in: float32 for it and
// everything narrower, float64 for itself.
type Real interface{ float32 | float64 }

// Load gives the elements of a real tensor as T; it shares memory where T is the
// element type itself.
func Load[T Real](t *tensor.Tensor) ([]T, error) {
	var z T
	switch any(z).(type) {
	case float32:
		v, err := tensor.Float32s(t)
		if err != nil {
			return nil, err
		}
		return any(v).([]T), nil
	default:
		v, err := tensor.Float64s(t)
		if err != nil {
			return nil, err
		}
		return any(v).([]T), nil
	}
}

// Sink gives a slice to compute the elements of a floating-point tensor into, and the
// function that stores them with rounding when they are complete.
func Sink[T Real](t *tensor.Tensor) ([]T, func() error) {
	var z T
	switch any(z).(type) {
	case float32:
		if t.DType == tensor.Float32 {
			return any(tensor.Data[float32](t)).([]T), func() error { return nil }
		}
		v := make([]float32, t.Elements())
		return any(v).([]T), func() error { return tensor.StoreFloat32s(t, v) }
	default:
		if t.DType == tensor.Float64 {
			return any(tensor.Data[float64](t)).([]T), func() error { return nil }
		}
		v := make([]float64, t.Elements())
		return any(v).([]T), func() error { return tensor.StoreFloat64s(t, v) }
	}
}

// IsReal reports the floating-point types that arithmetic operators take.
func IsReal(d tensor.DType) bool {
	return d == tensor.Float32 || d == tensor.Float64 || d == tensor.Float16 || d == tensor.BFloat16
}

// NeedReal refuses tensors that are not of a floating-point type with arithmetic.
func NeedReal(what string, t *tensor.Tensor) error {
	if t == nil {
		return fmt.Errorf("%s is missing", what)
	}
	if !IsReal(t.DType) {
		return fmt.Errorf("%s: expected a floating-point tensor, got %v", what, t)
	}
	return nil
}

// Rounder rounds a value to a floating-point type, for operators that the standard
// defines as a chain of roundings.
func Rounder(d tensor.DType) func(float64) float64 {
	switch d {
	case tensor.Float16:
		return func(v float64) float64 {
			return float64(half.ToFloat32(half.FromFloat32(float32(v))))
		}
	case tensor.BFloat16:
		return func(v float64) float64 {
			return float64(half.BrainToFloat32(half.BrainFromFloat32(float32(v))))
		}
	case tensor.Float32:
		return func(v float64) float64 { return float64(float32(v)) }
	}
	return func(v float64) float64 { return v }
}
