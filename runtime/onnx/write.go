package onnx

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
	"google.golang.org/protobuf/encoding/protowire"
)

// Marshal writes a model as an ONNX file, which Read reads back to an equal graph. Inputs,
// outputs and values keep their names; a name that two values share is kept by the one
// that comes first. Weights lie in raw_data. A model beyond MaxFile is refused, and so is
// one whose nodes were written for other operator set versions than the model imports
// (bodies of functions may be).
func Marshal(m *graph.Model) ([]byte, error) {
	w := &writer{model: m, names: map[*graph.Value]string{}, taken: map[string]bool{}, written: map[*graph.Value]bool{}}
	for _, v := range slices.Concat(m.In, m.Out) {
		w.names[v], w.taken[v.Name] = v.Name, true
	}
	body, err := w.graph(m.Graph, true)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, len(body)+4096)
	b = appendInt(b, 1, int64(max(m.IR, 3)))
	b = appendStr(b, 2, m.Producer)
	b = appendStr(b, 6, m.Doc)
	b = appendMsg(b, 7, body)
	for _, domain := range sorted(m.Opsets) {
		b = appendMsg(b, 8, appendInt(appendStr(nil, 1, domain), 2, int64(m.Opsets[domain])))
	}
	for _, k := range sorted(m.Meta) {
		b = appendMsg(b, 14, appendStr(appendStr(nil, 1, k), 2, m.Meta[k]))
	}
	if len(b) > MaxFile {
		return nil, problemf(TooLarge, "the model takes %d bytes, and a protobuf ends at 2 GiB", len(b))
	}
	return b, nil
}

type writer struct {
	model   *graph.Model
	names   map[*graph.Value]string
	taken   map[string]bool
	written map[*graph.Value]bool // constants that some graph around holds already
}

// name gives a value's name in the file; an absent value has the empty one.
func (w *writer) name(v *graph.Value) string {
	if v == nil {
		return ""
	}
	name, ok := w.names[v]
	if ok {
		return name
	}
	stem := v.Name
	if stem == "" {
		stem = "value"
	}
	name = stem
	for k := 1; w.taken[name]; k++ {
		name = stem + "_" + strconv.Itoa(k)
	}
	w.names[v], w.taken[name] = name, true
	return name
}

// graph writes GraphProto. Constants are held by the first graph that needs them; nested
// graphs see those of the graphs around them.
func (w *writer) graph(g *graph.Graph, top bool) ([]byte, error) {
	var b []byte
	var consts []*graph.Value
	need := func(v *graph.Value) {
		if v != nil && v.Const != nil && !w.written[v] {
			w.written[v] = true
			consts = append(consts, v)
		}
	}
	for _, n := range g.Nodes {
		for _, v := range n.In {
			need(v)
		}
	}
	// An output is an input of its graph or computed in it: what is constant or comes from
	// around gets there through a node.
	own := map[*graph.Value]bool{}
	for _, v := range g.In {
		own[v] = true
	}
	for _, n := range g.Nodes {
		for _, v := range n.Out {
			own[v] = true
		}
	}
	outs := slices.Clone(g.Out)
	var copies [][]byte
	for i, v := range outs {
		if own[v] {
			continue
		}
		need(v)
		outs[i] = &graph.Value{Name: v.Name, Type: v.Type}
		if t := v.Tensor(); t != nil && v.Type.DType == tensor.Invalid {
			outs[i].Type = graph.TensorType(t.DType, t.Shape...)
		}
		if top {
			w.names[outs[i]] = v.Name // clients know it
			delete(w.names, v)
		}
		copies = append(copies, w.identity(v, outs[i]))
	}
	defer func() {
		for _, v := range consts {
			if !top {
				delete(w.written, v)
			}
		}
	}()
	for _, n := range g.Nodes {
		p, err := w.node(n)
		if err != nil {
			return nil, err
		}
		b = appendMsg(b, 1, p)
	}
	for _, p := range copies {
		b = appendMsg(b, 1, p)
	}
	b = appendStr(b, 2, orElse(g.Name, "graph"))
	for _, v := range consts {
		t := v.Tensor()
		if t == nil {
			return nil, fmt.Errorf("constant %q is no tensor: files hold no other constants", v.Name)
		}
		var err error
		if b, err = appendTensorField(b, 5, w.name(v), t); err != nil {
			return nil, fmt.Errorf("constant %q: %w", v.Name, err)
		}
	}
	for _, v := range g.In {
		b = appendMsg(b, 11, appendValueInfo(nil, w.name(v), v.Type))
	}
	for _, v := range outs {
		b = appendMsg(b, 12, appendValueInfo(nil, w.name(v), v.Type))
	}
	return b, nil
}

func (w *writer) identity(from, to *graph.Value) []byte {
	p := appendStr(nil, 1, w.name(from))
	p = appendStr(p, 2, w.name(to))
	return appendStr(p, 4, "Identity")
}

// node writes NodeProto.
func (w *writer) node(n *graph.Node) ([]byte, error) {
	if have := w.model.Opsets[n.Domain]; have != n.Opset {
		return nil, fmt.Errorf("node %s (%s) is to be read under version %d of its operator set, and the model imports version %d", n.Label(), n.OpName(), n.Opset, have)
	}
	var p []byte
	for _, v := range n.In {
		p = appendName(p, 1, w.name(v))
	}
	for _, v := range n.Out {
		p = appendName(p, 2, w.name(v))
	}
	p = appendStr(p, 3, n.Name)
	p = appendStr(p, 4, n.Op)
	for _, k := range n.Attrs.Names() {
		a, err := w.attr(k, n.Attrs[k])
		if err != nil {
			return nil, fmt.Errorf("node %s (%s), attribute %q: %w", n.Label(), n.OpName(), k, err)
		}
		p = appendMsg(p, 5, a)
	}
	return appendStr(p, 7, n.Domain), nil
}

// attrTypes are the numbers of AttributeProto.AttributeType.
var attrTypes = [...]int64{
	graph.AttrFloat: 1, graph.AttrInt: 2, graph.AttrString: 3, graph.AttrTensor: 4, graph.AttrGraph: 5, graph.AttrFloats: 6,
	graph.AttrInts: 7, graph.AttrStrings: 8, graph.AttrTensors: 9, graph.AttrGraphs: 10, graph.AttrType: 13,
}

// attr writes AttributeProto.
func (w *writer) attr(name string, a *graph.Attr) (p []byte, err error) {
	p = appendStr(p, 1, name)
	switch a.Kind {
	case graph.AttrFloat:
		p = protowire.AppendFixed32(protowire.AppendTag(p, 2, protowire.Fixed32Type), math.Float32bits(a.F))
	case graph.AttrInt:
		p = appendInt(p, 3, a.I)
	case graph.AttrString:
		p = appendName(p, 4, a.S)
	case graph.AttrTensor:
		p, err = appendTensorField(p, 5, "", a.T)
	case graph.AttrGraph:
		p, err = w.graphField(p, 6, a.G)
	case graph.AttrFloats:
		for _, f := range a.Floats {
			p = protowire.AppendFixed32(protowire.AppendTag(p, 7, protowire.Fixed32Type), math.Float32bits(f))
		}
	case graph.AttrInts:
		for _, n := range a.Ints {
			p = protowire.AppendVarint(protowire.AppendTag(p, 8, protowire.VarintType), uint64(n))
		}
	case graph.AttrStrings:
		for _, s := range a.Strings {
			p = appendName(p, 9, s)
		}
	case graph.AttrTensors:
		for _, t := range a.Tensors {
			if p, err = appendTensorField(p, 10, "", t); err != nil {
				break
			}
		}
	case graph.AttrGraphs:
		for _, g := range a.Graphs {
			if p, err = w.graphField(p, 11, g); err != nil {
				break
			}
		}
	case graph.AttrType:
		p = appendMsg(p, 14, appendType(nil, *a.Type))
	default:
		err = fmt.Errorf("BUG: kind %d of an attribute", a.Kind)
	}
	if err != nil {
		return nil, err
	}
	return appendInt(p, 20, attrTypes[a.Kind]), nil
}

func (w *writer) graphField(p []byte, num protowire.Number, g *graph.Graph) ([]byte, error) {
	b, err := w.graph(g, false)
	if err != nil {
		return nil, err
	}
	return appendMsg(p, num, b), nil
}

// appendTensorField writes TensorProto as a field, its elements copied once.
func appendTensorField(b []byte, num protowire.Number, name string, t *tensor.Tensor) ([]byte, error) {
	var p []byte
	for _, d := range t.Shape {
		p = appendInt(p, 1, int64(d))
	}
	p = appendInt(p, 2, t.DType.ONNX())
	p = appendStr(p, 8, name)
	if t.DType == tensor.String {
		for _, s := range t.Strings() {
			p = appendName(p, 6, s)
		}
		return appendMsg(b, num, p), nil
	}
	raw := t.Origin()
	p = protowire.AppendVarint(protowire.AppendTag(p, 9, protowire.BytesType), uint64(len(raw)))
	if len(b)+len(raw) > MaxFile {
		return nil, problemf(TooLarge, "a protobuf ends at 2 GiB")
	}
	b = slices.Grow(b, len(p)+len(raw)+16)
	b = protowire.AppendVarint(protowire.AppendTag(b, num, protowire.BytesType), uint64(len(p)+len(raw)))
	return append(append(b, p...), raw...), nil
}

func appendValueInfo(b []byte, name string, t graph.Type) []byte {
	return appendMsg(appendStr(b, 1, name), 2, appendType(nil, t))
}

// appendType writes TypeProto.
func appendType(b []byte, t graph.Type) []byte {
	elem := func() []byte {
		if t.Elem == nil {
			return nil
		}
		return appendType(nil, *t.Elem)
	}
	switch t.Kind {
	case graph.SequenceKind:
		return appendMsg(b, 4, appendMsg(nil, 1, elem()))
	case graph.MapKind:
		return appendMsg(b, 5, appendMsg(appendInt(nil, 1, t.Key.ONNX()), 2, elem()))
	case graph.OptionalKind:
		return appendMsg(b, 9, appendMsg(nil, 1, elem()))
	}
	p := appendInt(nil, 1, t.DType.ONNX())
	if t.Ranked {
		var dims []byte
		for _, d := range t.Shape {
			var x []byte
			switch {
			case d.Size >= 0:
				x = appendInt(nil, 1, int64(d.Size))
			case d.Symbol != "":
				x = appendStr(nil, 2, d.Symbol)
			}
			dims = appendMsg(dims, 1, x)
		}
		p = appendMsg(p, 2, dims)
	}
	return appendMsg(b, 1, p)
}

func appendInt(b []byte, num protowire.Number, n int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), uint64(n))
}

// appendName writes a string even if it is empty: its place counts.
func appendName(b []byte, num protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), s)
}

func appendStr(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return appendName(b, num, s)
}

func appendMsg(b []byte, num protowire.Number, p []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), p)
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for k := range m {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
