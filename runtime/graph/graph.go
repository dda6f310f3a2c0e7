package graph

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/aimass/aimass/runtime/tensor"
)

// Kind says what a value is.
type Kind uint8

// The kinds of value in ONNX.
const (
	TensorKind Kind = iota
	SequenceKind
	MapKind
	OptionalKind
)

// Dim is one extent of a declared shape: a number, or unknown (Size −1) with the name
// that the model gives it, if any. Equal names promise nothing: models in the wild use
// one name for extents that differ.
type Dim struct {
	Size   int
	Symbol string
}

// Type is a value's declared type. For a tensor Ranked says whether Shape is known at
// all; Elem is the inner type of sequences, optionals and of a map's values, Key the
// type of a map's keys.
type Type struct {
	Kind   Kind
	DType  tensor.DType
	Ranked bool
	Shape  []Dim
	Elem   *Type
	Key    tensor.DType
}

// String prints "float32[N,3,?,?]".
func (t Type) String() string {
	switch t.Kind {
	case SequenceKind:
		return "seq(" + t.inner() + ")"
	case OptionalKind:
		return "optional(" + t.inner() + ")"
	case MapKind:
		return "map(" + t.Key.String() + "," + t.inner() + ")"
	}
	if !t.Ranked {
		return t.DType.String()
	}
	d := make([]string, len(t.Shape))
	for i, x := range t.Shape {
		switch {
		case x.Size >= 0:
			d[i] = strconv.Itoa(x.Size)
		case x.Symbol != "":
			d[i] = x.Symbol
		default:
			d[i] = "?"
		}
	}
	return t.DType.String() + "[" + strings.Join(d, ",") + "]"
}

func (t Type) inner() string {
	if t.Elem == nil {
		return "?"
	}
	return t.Elem.String()
}

// TensorType declares a tensor with a wholly known shape.
func TensorType(d tensor.DType, shape ...int) Type {
	t := Type{DType: d, Ranked: true, Shape: make([]Dim, len(shape))}
	for i, n := range shape {
		t.Shape[i] = Dim{Size: n}
	}
	return t
}

// Value is an edge: one thing computed, given or constant.
type Value struct {
	Name string
	Type Type
	// Const is set for initialisers and folded values.
	Const tensor.Value
	// Def is the node that computes the value, nil for inputs and constants.
	Def *Node
}

// Tensor is the constant tensor of v, nil if v is absent, not constant or no tensor.
func (v *Value) Tensor() *tensor.Tensor {
	if v == nil {
		return nil
	}
	t, _ := v.Const.(*tensor.Tensor)
	return t
}

// Node applies one operator.
type Node struct {
	Name   string // as in the file; may be empty
	Op     string
	Domain string   // "" is ai.onnx
	Opset  int      // version of Domain under which the node is to be read
	In     []*Value // nil where an optional input is left out
	Out    []*Value // nil where an optional output is not wanted
	Attrs  Attrs
}

// Label names the node in errors: its name if it has one, else its first output's.
func (n *Node) Label() string {
	if n.Name != "" {
		return n.Name
	}
	for _, o := range n.Out {
		if o != nil && o.Name != "" {
			return "→" + o.Name
		}
	}
	return "(unnamed)"
}

// OpName prints the operator with its domain, as "ai.onnx.ml.Scaler" or "Add".
func (n *Node) OpName() string { return Qualified(n.Domain, n.Op) }

// Qualified joins domain and operator; the standard's own domain stays unwritten.
func Qualified(domain, op string) string {
	if domain == "" {
		return op
	}
	return domain + "." + op
}

// Subgraphs are the graphs in the node's attributes, in order of the attributes' names.
func (n *Node) Subgraphs() []*Graph {
	var out []*Graph
	for _, k := range n.Attrs.Names() {
		a := n.Attrs[k]
		if a.G != nil {
			out = append(out, a.G)
		}
		out = append(out, a.Graphs...)
	}
	return out
}

// Graph is a model's body or a nested body. Nodes are in topological order.
type Graph struct {
	Name  string
	In    []*Value
	Out   []*Value
	Nodes []*Node
}

// Captures are the values that g or graphs inside it use but do not define themselves,
// constants left out, in order of first use.
func (g *Graph) Captures() []*Value {
	var out []*Value
	seen := map[*Value]bool{}
	var walk func(g *Graph)
	walk = func(g *Graph) {
		for _, v := range g.In {
			seen[v] = true
		}
		use := func(v *Value) {
			if v != nil && v.Const == nil && !seen[v] {
				seen[v] = true
				out = append(out, v)
			}
		}
		for _, n := range g.Nodes {
			for _, v := range n.In {
				use(v)
			}
			for _, s := range n.Subgraphs() {
				walk(s)
			}
			for _, v := range n.Out {
				seen[v] = true
			}
		}
		for _, v := range g.Out {
			use(v)
		}
	}
	walk(g)
	return out
}

// Model is a whole model: the main graph and what the file says about itself.
type Model struct {
	*Graph
	// Opsets is the version imported of each domain ("" is ai.onnx).
	Opsets   map[string]int
	IR       int
	Producer string
	Doc      string
	Meta     map[string]string
}

// Users maps each value to the nodes of g (nested graphs included, as the node that
// holds them) that read it.
func (g *Graph) Users() map[*Value][]*Node {
	u := map[*Value][]*Node{}
	for _, n := range g.Nodes {
		for _, v := range n.In {
			if v != nil {
				u[v] = append(u[v], n)
			}
		}
		for _, s := range n.Subgraphs() {
			for _, v := range s.Captures() {
				u[v] = append(u[v], n)
			}
		}
	}
	return u
}

// Replace lets all that reads a key of with, in g or in graphs inside it, read what that
// stands for, from key to key to the end.
func (g *Graph) Replace(with map[*Value]*Value) {
	if len(with) == 0 {
		return
	}
	swap := func(list []*Value) {
		for i, v := range list {
			for with[v] != nil {
				v = with[v]
			}
			list[i] = v
		}
	}
	swap(g.Out)
	for _, n := range g.Nodes {
		swap(n.In)
		for _, s := range n.Subgraphs() {
			s.Replace(with)
		}
	}
}

// Walk calls f for each node of g and, after it, for those of its nested graphs.
func (g *Graph) Walk(f func(*Node) error) error {
	for _, n := range g.Nodes {
		if err := f(n); err != nil {
			return err
		}
		for _, s := range n.Subgraphs() {
			if err := s.Walk(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// Check verifies what every pass and device relies on: each value used is an input, a
// constant, captured from around, or computed by an earlier node; computed once only.
func (g *Graph) Check() error {
	return g.check(map[*Value]bool{})
}

func (g *Graph) check(known map[*Value]bool) error {
	mine := make([]*Value, 0, len(g.In))
	define := func(v *Value) error {
		if v == nil {
			return nil
		}
		if known[v] {
			return fmt.Errorf("graph %q: value %q is defined twice", g.Name, v.Name)
		}
		known[v] = true
		mine = append(mine, v)
		return nil
	}
	defer func() {
		for _, v := range mine {
			delete(known, v)
		}
	}()
	for _, v := range g.In {
		if err := define(v); err != nil {
			return err
		}
	}
	for _, n := range g.Nodes {
		for _, v := range n.In {
			if v != nil && v.Const == nil && !known[v] {
				return fmt.Errorf("graph %q: node %s (%s) reads %q before it is computed", g.Name, n.Label(), n.OpName(), v.Name)
			}
		}
		for _, s := range n.Subgraphs() {
			if err := s.check(known); err != nil {
				return err
			}
		}
		for _, v := range n.Out {
			if err := define(v); err != nil {
				return err
			}
		}
	}
	for _, v := range g.Out {
		if v.Const == nil && !known[v] {
			return fmt.Errorf("graph %q: output %q is never computed", g.Name, v.Name)
		}
	}
	return nil
}
