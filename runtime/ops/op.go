package ops

import (
	"errors"
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// Op is one operator, as of one opset version.
type Op struct {
	Name   string
	Domain string // "" is ai.onnx
	// Since is the first opset version this form is for; it holds until another Op of
	// the name with a greater Since. Removed, if not 0, is the first version without it.
	Since, Removed int
	// MinIn..MaxIn and MinOut..MaxOut bound the number of inputs and outputs; −1 as a
	// maximum means any number.
	MinIn, MaxIn, MinOut, MaxOut int
	// Attrs lists every attribute that the form knows. One that is not listed is
	// refused when the model loads, for ignoring it could change the answer.
	Attrs []Attr
	// Shape computes the outputs' types and shapes from the inputs'. It may leave an
	// output unknown if the shape depends on data that is not constant. Nil means that
	// outputs are known only when run.
	Shape func(*ShapeCall) error
	// Eval computes the outputs.
	Eval func(*Call) error
	// Bind, where it is set, is Eval in two steps: it does once what depends on the
	// node's attributes alone (trees, dictionaries, expressions) and gives the function
	// for the rest. It errs on attributes that contradict each other. Eval stays valid
	// and gives the same answers; see Bound.
	Bind func(*graph.Node) (func(*Call) error, error)
	// Impure marks operators whose answer is not a function of the inputs (random
	// numbers): they are never folded or shared.
	Impure bool
}

// Attr is one entry of an operator's attribute schema.
type Attr struct {
	Name     string
	Kind     graph.AttrKind
	Required bool
}

// Bound makes an Eval of a Bind, for operators that are defined by the latter.
func Bound(bind func(*graph.Node) (func(*Call) error, error)) func(*Call) error {
	return func(c *Call) error {
		run, err := bind(c.Node)
		if err != nil {
			return err
		}
		return run(c)
	}
}

// Info is what is known of a value before the graph runs.
type Info struct {
	Present bool // false for an optional input that is left out
	DType   tensor.DType
	Known   bool // Shape is valid
	Shape   tensor.Shape
	// Const is the value itself where it is constant under the shapes at hand.
	Const tensor.Value
}

// Tensor is the constant tensor, nil if the value is not a constant tensor.
func (i Info) Tensor() *tensor.Tensor {
	t, _ := i.Const.(*tensor.Tensor)
	return t
}

// ShapeCall asks for the outputs' shapes of one node.
type ShapeCall struct {
	Node *graph.Node
	In   []Info
	Out  []Info
}

// Has reports whether input i is given.
func (c *ShapeCall) Has(i int) bool { return i < len(c.In) && c.In[i].Present }

// Known reports whether inputs 0..n−1 that are given have known shapes.
func (c *ShapeCall) Known(n int) bool {
	for i := 0; i < n && i < len(c.In); i++ {
		if c.In[i].Present && !c.In[i].Known {
			return false
		}
	}
	return true
}

// Set states output i. It is ignored for an output that is not wanted.
func (c *ShapeCall) Set(i int, d tensor.DType, s tensor.Shape) {
	if i < len(c.Out) {
		c.Out[i] = Info{Present: true, DType: d, Known: true, Shape: s}
	}
}

// SetType states only the element type of output i.
func (c *ShapeCall) SetType(i int, d tensor.DType) {
	if i < len(c.Out) {
		c.Out[i] = Info{Present: true, DType: d}
	}
}

// Subrun runs a nested graph: in are its formal inputs in order; captured values come
// from around. It is given by the device.
type Subrun func(g *graph.Graph, in []tensor.Value) ([]tensor.Value, error)

// Call is one application of an operator.
type Call struct {
	Node *graph.Node
	In   []tensor.Value // nil where an optional input is left out
	Out  []tensor.Value // to be set by Eval; entries for outputs not wanted are ignored
	// Sub runs a nested graph (If, Loop, Scan).
	Sub Subrun
	// Alloc makes zeroed outputs where the device wants them; nil means the heap.
	Alloc func(i int, d tensor.DType, s tensor.Shape) *tensor.Tensor
	// MaxBytes bounds one output; 0 means DefaultMaxBytes.
	MaxBytes int
}

// DefaultMaxBytes bounds the memory of one output tensor, so that a hostile shape is an
// error instead of an exhausted machine.
const DefaultMaxBytes = 8 << 30

// ErrTooLarge is what errors.Is finds in an error about a value that would take more memory
// than a run may.
var ErrTooLarge = errors.New("too large")

type tooLarge struct{ error }

func (tooLarge) Is(target error) bool { return target == ErrTooLarge }

// TooLargef makes an ErrTooLarge with a text of its own.
func TooLargef(format string, args ...any) error { return tooLarge{fmt.Errorf(format, args...)} }

// Has reports whether input i is given.
func (c *Call) Has(i int) bool { return i < len(c.In) && c.In[i] != nil }

// T is input i as a tensor, nil if it is left out. It panics if the value is of another
// kind; the executor turns that into an error naming the node.
func (c *Call) T(i int) *tensor.Tensor {
	if !c.Has(i) {
		return nil
	}
	t, ok := c.In[i].(*tensor.Tensor)
	if !ok {
		panic(fmt.Sprintf("input %d is a %T, not a tensor", i, c.In[i]))
	}
	return t
}

// Wanted reports whether output i is asked for.
func (c *Call) Wanted(i int) bool {
	return i < len(c.Node.Out) && c.Node.Out[i] != nil
}

// Output makes the zeroed tensor of output i and sets it. The shape is kept.
func (c *Call) Output(i int, d tensor.DType, s tensor.Shape) (*tensor.Tensor, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	limit := c.MaxBytes
	if limit == 0 {
		limit = DefaultMaxBytes
	}
	n := s.Elements()
	if d == tensor.String {
		n *= 16
	} else {
		n = d.Bytes(n)
	}
	if n > limit {
		return nil, TooLargef("output %d would be %v%v, beyond the limit of %d bytes", i, d, s, limit)
	}
	var t *tensor.Tensor
	if c.Alloc != nil {
		t = c.Alloc(i, d, s)
	}
	if t == nil {
		t = tensor.New(d, s)
	}
	c.Set(i, t)
	return t, nil
}

// Set gives output i a value made elsewhere.
func (c *Call) Set(i int, v tensor.Value) {
	for len(c.Out) <= i {
		c.Out = append(c.Out, nil)
	}
	c.Out[i] = v
}
