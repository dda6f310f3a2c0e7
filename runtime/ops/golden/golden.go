// Package golden runs recorded cases of operators: attributes, inputs and the outputs of
// a reference, in one gzipped JSON file a family (testdata/golden.json.gz, written by
// testdata/record.py beside it).
//
// Neighbours: the tests of the operator families. It is test support and no part of the
// server. Not safe for concurrent use beyond what testing.T allows.
package golden

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// Case is one recorded application of an operator.
type Case struct {
	Name   string          `json:"name"`
	Domain string          `json:"domain"`
	Op     string          `json:"op"`
	Opset  int             `json:"opset"`
	Attrs  map[string]Attr `json:"attrs"`
	In     []*Value        `json:"in"`
	Out    []*Value        `json:"out"`
	RTol   float64         `json:"rtol"`
	ATol   float64         `json:"atol"`
	Fails  bool            `json:"fails"` // the reference refuses the case
}

// Attr is an attribute: exactly one field is set.
type Attr struct {
	F       *float32  `json:"f,omitempty"`
	NaN     bool      `json:"nan,omitempty"` // the float NaN
	I       *int64    `json:"i,omitempty"`
	S       *string   `json:"s,omitempty"`
	T       *Value    `json:"t,omitempty"`
	Floats  []float32 `json:"floats,omitempty"`
	Ints    []int64   `json:"ints,omitempty"`
	Strings []string  `json:"strings,omitempty"`
	Bits    string    `json:"bits,omitempty"` // floats as base64 of little-endian float32
}

// Value is a tensor, a map (Keys and Values) or a sequence.
type Value struct {
	DType   string   `json:"d,omitempty"`
	Shape   []int    `json:"s,omitempty"`
	Data    string   `json:"b,omitempty"` // base64 of the raw elements
	Strings []string `json:"strs,omitempty"`
	Keys    *Value   `json:"keys,omitempty"`
	Values  *Value   `json:"vals,omitempty"`
	Seq     []*Value `json:"seq,omitempty"`
}

// Load reads a file of cases.
func Load(path string) ([]Case, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var cases []Case
	if err := json.NewDecoder(z).Decode(&cases); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return cases, nil
}

// Run runs every case of a file as a subtest against the operators that register adds:
// the shape rule must agree with what Eval gives, and Eval with the recorded outputs. A
// case that the reference refuses must err.
func Run(t *testing.T, path string, register func(*ops.Registry)) {
	t.Helper()
	cases, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatalf("%s holds no case", path)
	}
	r := ops.NewRegistry()
	register(r)
	for i := range cases {
		c := &cases[i]
		t.Run(c.Name, func(t *testing.T) { c.run(t, r) })
	}
	t.Logf("%d cases of %s", len(cases), path)
}

func (c *Case) run(t *testing.T, r *ops.Registry) {
	n := &graph.Node{Name: c.Name, Op: c.Op, Domain: c.Domain, Opset: c.Opset, Attrs: graph.Attrs{}}
	for k, a := range c.Attrs {
		x, err := a.attr()
		if err != nil {
			t.Fatal(err)
		}
		n.Attrs[k] = x
	}
	in := make([]tensor.Value, len(c.In))
	infos := make([]ops.Info, len(c.In))
	for i, v := range c.In {
		n.In = append(n.In, nil)
		if v == nil {
			continue
		}
		x, err := v.value()
		if err != nil {
			t.Fatal(err)
		}
		in[i], n.In[i] = x, &graph.Value{}
		infos[i] = ops.Info{Present: true, Const: x}
		if y, ok := x.(*tensor.Tensor); ok {
			infos[i].DType, infos[i].Shape, infos[i].Known = y.DType, y.Shape, true
		}
	}
	for _, v := range c.Out {
		if v == nil {
			n.Out = append(n.Out, nil)
		} else {
			n.Out = append(n.Out, &graph.Value{})
		}
	}
	if c.Fails {
		c.mustFail(t, r, n, in, infos)
		return
	}
	op, err := r.Resolve(n)
	if err != nil {
		t.Fatal(err)
	}
	call := &ops.Call{Node: n, In: in, Out: make([]tensor.Value, len(c.Out))}
	if err := op.Eval(call); err != nil {
		t.Fatal(err)
	}
	if op.Shape != nil {
		if err := checkShape(op, n, infos, call.Out); err != nil {
			t.Error(err)
		}
	}
	for i, v := range c.Out {
		if v == nil {
			continue
		}
		want, err := v.value()
		if err != nil {
			t.Fatal(err)
		}
		if err := Close(call.Out[i], want, c.RTol, c.ATol); err != nil {
			t.Errorf("output %d: %v", i, err)
		}
	}
}

// mustFail holds that the schema, the shape rule or Eval refuses the case.
func (c *Case) mustFail(t *testing.T, r *ops.Registry, n *graph.Node, in []tensor.Value, infos []ops.Info) {
	op, err := r.Resolve(n)
	if err != nil {
		return
	}
	if op.Shape != nil && op.Shape(&ops.ShapeCall{Node: n, In: infos, Out: make([]ops.Info, len(c.Out))}) != nil {
		return
	}
	if err := op.Eval(&ops.Call{Node: n, In: in, Out: make([]tensor.Value, len(c.Out))}); err == nil {
		t.Error("passed, but the reference refuses it")
	}
}

// checkShape holds the shape rule, with and without constants, to what Eval made.
func checkShape(op *ops.Op, n *graph.Node, in []ops.Info, got []tensor.Value) error {
	for _, constants := range []bool{true, false} {
		infos := append([]ops.Info(nil), in...)
		if !constants {
			for i := range infos {
				infos[i].Const = nil
			}
		}
		s := &ops.ShapeCall{Node: n, In: infos, Out: make([]ops.Info, len(got))}
		if err := op.Shape(s); err != nil {
			return fmt.Errorf("shape rule: %w", err)
		}
		for i, o := range s.Out {
			y, ok := got[i].(*tensor.Tensor)
			if !ok || !o.Present {
				continue
			}
			if o.DType != y.DType {
				return fmt.Errorf("shape rule: output %d is %v, Eval made %v", i, o.DType, y)
			}
			if o.Known && !o.Shape.Equal(y.Shape) {
				return fmt.Errorf("shape rule: output %d is %v, Eval made %v", i, o.Shape, y)
			}
		}
	}
	return nil
}

func (a Attr) attr() (*graph.Attr, error) {
	switch {
	case a.F != nil:
		return graph.FloatAttr(*a.F), nil
	case a.NaN:
		return graph.FloatAttr(float32(math.NaN())), nil
	case a.I != nil:
		return graph.IntAttr(*a.I), nil
	case a.S != nil:
		return graph.StrAttr(*a.S), nil
	case a.T != nil:
		v, err := a.T.value()
		if err != nil {
			return nil, err
		}
		x, ok := v.(*tensor.Tensor)
		if !ok {
			return nil, fmt.Errorf("attribute is a %T, not a tensor", v)
		}
		return graph.TensorAttr(x), nil
	case a.Bits != "":
		raw, err := base64.StdEncoding.DecodeString(a.Bits)
		if err != nil {
			return nil, err
		}
		x, err := tensor.FromBytes(tensor.Float32, tensor.Shape{len(raw) / 4}, raw)
		if err != nil {
			return nil, err
		}
		return &graph.Attr{Kind: graph.AttrFloats, Floats: tensor.Data[float32](x)}, nil
	case a.Strings != nil:
		return &graph.Attr{Kind: graph.AttrStrings, Strings: a.Strings}, nil
	case a.Floats != nil:
		return &graph.Attr{Kind: graph.AttrFloats, Floats: a.Floats}, nil
	}
	return graph.IntsAttr(a.Ints...), nil
}

func (v *Value) value() (tensor.Value, error) {
	switch {
	case v.Keys != nil:
		k, err := v.Keys.value()
		if err != nil {
			return nil, err
		}
		x, err := v.Values.value()
		if err != nil {
			return nil, err
		}
		return &tensor.Map{Keys: k.(*tensor.Tensor), Values: x}, nil
	case v.Seq != nil:
		s := &tensor.Sequence{}
		for _, e := range v.Seq {
			x, err := e.value()
			if err != nil {
				return nil, err
			}
			s.Elem = append(s.Elem, x)
		}
		return s, nil
	case v.DType == "string":
		return tensor.FromStrings(append([]string{}, v.Strings...), append([]int{}, v.Shape...)...), nil
	}
	raw, err := base64.StdEncoding.DecodeString(v.Data)
	if err != nil {
		return nil, err
	}
	for d := tensor.Bool; d < tensor.DType(64); d++ {
		if d.String() == v.DType {
			return tensor.FromBytes(d, append(tensor.Shape{}, v.Shape...), raw)
		}
	}
	return nil, fmt.Errorf("element type %q is unknown", v.DType)
}

// Close compares two values: equal kinds, types and shapes, and elements within
// |got−want| ≤ atol + rtol·|want|; NaN equals NaN. Integers, booleans and strings must be
// equal unless atol ≥ 1.
func Close(got, want tensor.Value, rtol, atol float64) error {
	switch w := want.(type) {
	case *tensor.Tensor:
		g, ok := got.(*tensor.Tensor)
		if !ok {
			return fmt.Errorf("got a %T, want a tensor", got)
		}
		return closeTensors(g, w, rtol, atol)
	case *tensor.Map:
		g, ok := got.(*tensor.Map)
		if !ok {
			return fmt.Errorf("got a %T, want a map", got)
		}
		if err := closeTensors(g.Keys, w.Keys, 0, 0); err != nil {
			return fmt.Errorf("keys: %w", err)
		}
		return Close(g.Values, w.Values, rtol, atol)
	case *tensor.Sequence:
		g, ok := got.(*tensor.Sequence)
		if !ok || len(g.Elem) != len(w.Elem) {
			return fmt.Errorf("got %T, want a sequence of %d", got, len(w.Elem))
		}
		for i := range w.Elem {
			if err := Close(g.Elem[i], w.Elem[i], rtol, atol); err != nil {
				return fmt.Errorf("element %d: %w", i, err)
			}
		}
	}
	return nil
}

func closeTensors(g, w *tensor.Tensor, rtol, atol float64) error {
	if g.DType != w.DType || !g.Shape.Equal(w.Shape) {
		return fmt.Errorf("got %v, want %v", g, w)
	}
	if w.DType == tensor.String {
		for i, s := range w.Strings() {
			if g.Strings()[i] != s {
				return fmt.Errorf("element %d is %q, want %q", i, g.Strings()[i], s)
			}
		}
		return nil
	}
	if !w.DType.IsFloat() && atol < 1 && bytes.Equal(g.Bytes(), w.Bytes()) {
		return nil
	}
	a, err := tensor.Float64s(g)
	if err != nil {
		return err
	}
	b, err := tensor.Float64s(w)
	if err != nil {
		return err
	}
	bad, first := 0, ""
	for i := range b {
		x, y := a[i], b[i]
		if x == y || math.IsNaN(x) && math.IsNaN(y) || math.Abs(x-y) <= atol+rtol*math.Abs(y) {
			continue
		}
		if bad++; bad == 1 {
			first = fmt.Sprintf("element %d is %v, want %v", i, x, y)
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d elements differ: %s", bad, len(b), first)
	}
	return nil
}
