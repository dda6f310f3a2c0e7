// Package build writes ONNX files: whoever makes a model in Go (a trainer, a
// compressor, a test) describes its graph here and gets the bytes of a
// ModelProto.
//
// It takes plain Go values and knows nothing of our own graph representation,
// so that any room may use it; reading is the matter of runtime/onnx. It checks
// what makes a file malformed (a name used before it exists or made twice, a
// tensor whose data disagree with its shape), not what operators mean.
//
// A Graph keeps the slices it is given until Encode returns and is for one
// goroutine at a time.
//
// Source: onnx.proto of ONNX 1.19, https://github.com/onnx/onnx.
package build

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// DType is TensorProto.DataType.
type DType int32

// The element types that this package writes.
const (
	Float   DType = 1
	Uint8   DType = 2
	Int8    DType = 3
	Int32   DType = 6
	Int64   DType = 7
	String  DType = 8
	Bool    DType = 9
	Float16 DType = 10
	Double  DType = 11
)

// Dim is one dimension of an input or output: a size or, where Name is set, a
// symbol.
type Dim struct {
	Size int64
	Name string
}

// Size is a fixed dimension.
func Size(n int64) Dim { return Dim{Size: n} }

// Sym is a symbolic dimension.
func Sym(name string) Dim { return Dim{Name: name} }

// Value is a typed input or output.
type Value struct {
	Name  string
	Type  DType
	Shape []Dim
	Doc   string
}

// Attr is an attribute of a node. Make it with the functions named for what it
// holds.
type Attr struct {
	name  string
	kind  int32
	value any
}

// AttributeProto.AttributeType.
const (
	attrFloat   = 1
	attrInt     = 2
	attrString  = 3
	attrTensor  = 4
	attrFloats  = 6
	attrInts    = 7
	attrStrings = 8
)

// F is a float attribute; I, S, T, Fs, Is and Ss are int, string, tensor and
// the lists.
func F(name string, v float32) Attr    { return Attr{name, attrFloat, v} }
func I(name string, v int64) Attr      { return Attr{name, attrInt, v} }
func S(name, v string) Attr            { return Attr{name, attrString, v} }
func T(name string, v Tensor) Attr     { return Attr{name, attrTensor, v} }
func Fs(name string, v []float32) Attr { return Attr{name, attrFloats, v} }
func Is(name string, v ...int64) Attr  { return Attr{name, attrInts, v} }
func Ss(name string, v ...string) Attr { return Attr{name, attrStrings, v} }
func (a Attr) String() string          { return fmt.Sprintf("%s=%v", a.name, a.value) }

// Tensor is a constant. Data is []float32, []float64, []int32, []int64, []int8,
// []uint8, []bool, []string, or []uint16 for the bits of Float16.
type Tensor struct {
	Name string
	Dims []int64
	Data any
}

// Node is a call of an operator.
type Node struct {
	Name, Domain, Op string
	Inputs, Outputs  []string
	Attrs            []Attr
}

// Graph collects the parts of a model.
type Graph struct {
	Name string
	Doc  string
	// Opsets gives the version of each operator domain, "" the standard one.
	Opsets map[string]int64
	// IR is the ir_version of the file.
	IR int64
	// Producer and Version are who wrote it.
	Producer, Version string
	// Metadata becomes metadata_props, in the order of the keys.
	Metadata map[string]string

	inputs, outputs []Value
	nodes           []Node
	tensors         []Tensor
	errs            []error
	taken           map[string]bool
	fresh           int
}

// New begins a model of IR 8 with the given version of the standard operators.
func New(name string, opset int64) *Graph {
	return &Graph{Name: name, Opsets: map[string]int64{"": opset}, IR: 8, Producer: "aimass", taken: map[string]bool{"": true}}
}

func (g *Graph) fail(format string, args ...any) {
	g.errs = append(g.errs, fmt.Errorf("onnx build: "+format, args...))
}

func (g *Graph) claim(name, what string) {
	if name == "" {
		g.fail("%s without a name", what)
	} else if g.taken[name] {
		g.fail("%s %q: the name is taken", what, name)
	}
	g.taken[name] = true
}

// Input declares an input and returns its name.
func (g *Graph) Input(name string, t DType, shape ...Dim) string {
	g.claim(name, "input")
	g.inputs = append(g.inputs, Value{Name: name, Type: t, Shape: shape})
	return name
}

// Output declares that the value of that name is an output. It must exist when
// Encode is called.
func (g *Graph) Output(name string, t DType, shape ...Dim) {
	if slices.ContainsFunc(g.outputs, func(v Value) bool { return v.Name == name }) {
		g.fail("output %q twice", name)
	}
	g.outputs = append(g.outputs, Value{Name: name, Type: t, Shape: shape})
}

// Const adds an initializer and returns its name. No dims mean a scalar, whose
// data have one element.
func (g *Graph) Const(name string, data any, dims ...int64) string {
	g.claim(name, "constant")
	t := Tensor{Name: name, Dims: dims, Data: data}
	if err := t.check(); err != nil {
		g.errs = append(g.errs, err)
	}
	g.tensors = append(g.tensors, t)
	return name
}

// Op adds a node of the standard domain with one output of a fresh name, which
// it returns. Inputs must exist; "" leaves an optional one out.
func (g *Graph) Op(op string, inputs []string, attrs ...Attr) string {
	return g.OpAs(g.Fresh(op), op, inputs, attrs...)
}

// OpAs is Op with the name of the output given.
func (g *Graph) OpAs(output, op string, inputs []string, attrs ...Attr) string {
	g.Add(Node{Op: op, Inputs: inputs, Outputs: []string{output}, Attrs: attrs})
	return output
}

// Add adds a node of any domain with any number of outputs.
func (g *Graph) Add(n Node) {
	if n.Name == "" {
		n.Name = fmt.Sprintf("%s_%d", n.Op, len(g.nodes))
	}
	for _, in := range n.Inputs {
		if !g.taken[in] {
			g.fail("node %q: input %q does not exist yet", n.Name, in)
		}
	}
	if _, ok := g.Opsets[n.Domain]; !ok {
		g.fail("node %q: the domain %q has no version in Opsets", n.Name, n.Domain)
	}
	for i, a := range n.Attrs {
		for _, b := range n.Attrs[:i] {
			if a.name == b.name {
				g.fail("node %q: attribute %q twice", n.Name, a.name)
			}
		}
		if t, ok := a.value.(Tensor); ok {
			if err := t.check(); err != nil {
				g.errs = append(g.errs, err)
			}
		}
	}
	for _, out := range n.Outputs {
		if out != "" {
			g.claim(out, "output of a node")
		}
	}
	g.nodes = append(g.nodes, n)
}

// Fresh makes up a value name that is not taken yet.
func (g *Graph) Fresh(stem string) string {
	for {
		name := fmt.Sprintf("%s_%d", stem, g.fresh)
		g.fresh++
		if !g.taken[name] {
			return name
		}
	}
}

// check compares the data with the shape.
func (t *Tensor) check() error {
	n := int64(1)
	for _, d := range t.Dims {
		if d < 0 || d > 0 && n > math.MaxInt64/d {
			return fmt.Errorf("onnx build: tensor %q has the shape %v", t.Name, t.Dims)
		}
		n *= d
	}
	_, have, err := t.elements()
	if err != nil {
		return err
	}
	if int64(have) != n {
		return fmt.Errorf("onnx build: tensor %q has %d elements, its shape %v has %d", t.Name, have, t.Dims, n)
	}
	return nil
}

func (t *Tensor) elements() (DType, int, error) {
	switch d := t.Data.(type) {
	case []float32:
		return Float, len(d), nil
	case []float64:
		return Double, len(d), nil
	case []int32:
		return Int32, len(d), nil
	case []int64:
		return Int64, len(d), nil
	case []int8:
		return Int8, len(d), nil
	case []uint8:
		return Uint8, len(d), nil
	case []uint16:
		return Float16, len(d), nil
	case []bool:
		return Bool, len(d), nil
	case []string:
		return String, len(d), nil
	}
	return 0, 0, fmt.Errorf("onnx build: tensor %q holds %T, which is no element type", t.Name, t.Data)
}

// Encode gives the bytes of the ModelProto, or all that was wrong with the
// graph. It may be called again.
func (g *Graph) Encode() ([]byte, error) {
	errs := slices.Clone(g.errs)
	for _, o := range g.outputs {
		if !g.taken[o.Name] {
			errs = append(errs, fmt.Errorf("onnx build: output %q is made by no node", o.Name))
		}
	}
	if len(g.outputs) == 0 {
		errs = append(errs, errors.New("onnx build: the graph has no output"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return g.appendModel(nil), nil
}
