package graph

import (
	"sort"

	"github.com/aimass/aimass/runtime/tensor"
)

// AttrKind says which field of an Attr is meant.
type AttrKind uint8

// The kinds of attribute.
const (
	AttrFloat AttrKind = iota + 1
	AttrInt
	AttrString
	AttrTensor
	AttrGraph
	AttrFloats
	AttrInts
	AttrStrings
	AttrTensors
	AttrGraphs
	AttrType
)

// Attr is an attribute's value.
type Attr struct {
	Kind    AttrKind
	F       float32
	I       int64
	S       string
	T       *tensor.Tensor
	G       *Graph
	Floats  []float32
	Ints    []int64
	Strings []string
	Tensors []*tensor.Tensor
	Graphs  []*Graph
	Type    *Type
}

// Attrs are a node's attributes by name. The getters give the default where the
// attribute is absent or of another kind (readers have checked kinds by then).
type Attrs map[string]*Attr

// Has reports whether the attribute is given.
func (a Attrs) Has(name string) bool { return a[name] != nil }

// Int gives an integer attribute.
func (a Attrs) Int(name string, def int64) int64 {
	if x := a[name]; x != nil && x.Kind == AttrInt {
		return x.I
	}
	return def
}

// Float gives a float attribute.
func (a Attrs) Float(name string, def float32) float32 {
	if x := a[name]; x != nil && x.Kind == AttrFloat {
		return x.F
	}
	return def
}

// Str gives a string attribute.
func (a Attrs) Str(name, def string) string {
	if x := a[name]; x != nil && x.Kind == AttrString {
		return x.S
	}
	return def
}

// Ints gives a list of integers, nil if absent. The result is shared.
func (a Attrs) Ints(name string) []int64 {
	if x := a[name]; x != nil {
		return x.Ints
	}
	return nil
}

// Floats gives a list of floats, nil if absent. The result is shared.
func (a Attrs) Floats(name string) []float32 {
	if x := a[name]; x != nil {
		return x.Floats
	}
	return nil
}

// Strs gives a list of strings, nil if absent. The result is shared.
func (a Attrs) Strs(name string) []string {
	if x := a[name]; x != nil {
		return x.Strings
	}
	return nil
}

// Tensor gives a tensor attribute, nil if absent.
func (a Attrs) Tensor(name string) *tensor.Tensor {
	if x := a[name]; x != nil {
		return x.T
	}
	return nil
}

// Graph gives a graph attribute, nil if absent.
func (a Attrs) Graph(name string) *Graph {
	if x := a[name]; x != nil {
		return x.G
	}
	return nil
}

// Names are the attributes' names, sorted.
func (a Attrs) Names() []string {
	out := make([]string, 0, len(a))
	for k := range a {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// IntAttr makes an integer attribute.
func IntAttr(i int64) *Attr { return &Attr{Kind: AttrInt, I: i} }

// FloatAttr makes a float attribute.
func FloatAttr(f float32) *Attr { return &Attr{Kind: AttrFloat, F: f} }

// StrAttr makes a string attribute.
func StrAttr(s string) *Attr { return &Attr{Kind: AttrString, S: s} }

// IntsAttr makes a list of integers.
func IntsAttr(v ...int64) *Attr { return &Attr{Kind: AttrInts, Ints: v} }

// TensorAttr makes a tensor attribute.
func TensorAttr(t *tensor.Tensor) *Attr { return &Attr{Kind: AttrTensor, T: t} }
