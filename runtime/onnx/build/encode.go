package build

import (
	"encoding/binary"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

func appendString(b []byte, field protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

func appendInt(b []byte, field protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), uint64(v))
}

// appendMessage writes what fill appends as one length-delimited field.
func appendMessage(b []byte, field protowire.Number, fill func(b []byte) []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), fill(nil))
}

// sortedKeys makes the file depend on the content alone.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// appendModel writes ModelProto.
func (g *Graph) appendModel(b []byte) []byte {
	b = appendInt(b, 1, g.IR)
	b = appendString(b, 2, g.Producer)
	b = appendString(b, 3, g.Version)
	b = appendString(b, 6, g.Doc)
	b = appendMessage(b, 7, g.appendGraph)
	for _, domain := range sortedKeys(g.Opsets) {
		b = appendMessage(b, 8, func(b []byte) []byte {
			return appendInt(appendString(b, 1, domain), 2, g.Opsets[domain])
		})
	}
	for _, k := range sortedKeys(g.Metadata) {
		b = appendMessage(b, 14, func(b []byte) []byte {
			return appendString(appendString(b, 1, k), 2, g.Metadata[k])
		})
	}
	return b
}

// appendGraph writes GraphProto.
func (g *Graph) appendGraph(b []byte) []byte {
	for i := range g.nodes {
		b = appendMessage(b, 1, g.nodes[i].append)
	}
	b = appendString(b, 2, g.Name)
	for i := range g.tensors {
		b = appendMessage(b, 5, g.tensors[i].append)
	}
	for i := range g.inputs {
		b = appendMessage(b, 11, g.inputs[i].append)
	}
	for i := range g.outputs {
		b = appendMessage(b, 12, g.outputs[i].append)
	}
	return b
}

// append writes NodeProto. Empty names of inputs and outputs keep their place.
func (n *Node) append(b []byte) []byte {
	for _, s := range n.Inputs {
		b = protowire.AppendString(protowire.AppendTag(b, 1, protowire.BytesType), s)
	}
	for _, s := range n.Outputs {
		b = protowire.AppendString(protowire.AppendTag(b, 2, protowire.BytesType), s)
	}
	b = appendString(b, 3, n.Name)
	b = appendString(b, 4, n.Op)
	for i := range n.Attrs {
		b = appendMessage(b, 5, n.Attrs[i].append)
	}
	return appendString(b, 7, n.Domain)
}

// append writes AttributeProto.
func (a *Attr) append(b []byte) []byte {
	b = appendString(b, 1, a.name)
	switch v := a.value.(type) {
	case float32:
		b = protowire.AppendFixed32(protowire.AppendTag(b, 2, protowire.Fixed32Type), math.Float32bits(v))
	case int64:
		b = appendInt(b, 3, v)
	case string:
		b = protowire.AppendString(protowire.AppendTag(b, 4, protowire.BytesType), v)
	case Tensor:
		b = appendMessage(b, 5, v.append)
	case []float32:
		for _, f := range v {
			b = protowire.AppendFixed32(protowire.AppendTag(b, 7, protowire.Fixed32Type), math.Float32bits(f))
		}
	case []int64:
		for _, n := range v {
			b = appendInt(b, 8, n)
		}
	case []string:
		for _, s := range v {
			b = protowire.AppendString(protowire.AppendTag(b, 9, protowire.BytesType), s)
		}
	}
	return appendInt(b, 20, int64(a.kind))
}

// append writes TensorProto. Strings go into string_data, all else into
// raw_data, which is little-endian.
func (t *Tensor) append(b []byte) []byte {
	for _, d := range t.Dims {
		b = appendInt(b, 1, d)
	}
	dtype, _, err := t.elements()
	if err != nil {
		panic("BUG: " + err.Error())
	}
	b = appendInt(b, 2, int64(dtype))
	if s, ok := t.Data.([]string); ok {
		for _, v := range s {
			b = protowire.AppendString(protowire.AppendTag(b, 6, protowire.BytesType), v)
		}
		return appendString(b, 8, t.Name)
	}
	b = appendString(b, 8, t.Name)
	b = protowire.AppendTag(b, 9, protowire.BytesType)
	return protowire.AppendBytes(b, t.raw())
}

func (t *Tensor) raw() []byte {
	var raw []byte
	switch d := t.Data.(type) {
	case []float32:
		raw = make([]byte, 0, 4*len(d))
		for _, v := range d {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
		}
	case []float64:
		for _, v := range d {
			raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(v))
		}
	case []int32:
		for _, v := range d {
			raw = binary.LittleEndian.AppendUint32(raw, uint32(v))
		}
	case []int64:
		for _, v := range d {
			raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
		}
	case []uint16:
		for _, v := range d {
			raw = binary.LittleEndian.AppendUint16(raw, v)
		}
	case []int8:
		for _, v := range d {
			raw = append(raw, byte(v))
		}
	case []uint8:
		raw = d
	case []bool:
		for _, v := range d {
			var x byte
			if v {
				x = 1
			}
			raw = append(raw, x)
		}
	}
	return raw
}

// append writes ValueInfoProto with a tensor type.
func (v *Value) append(b []byte) []byte {
	b = appendString(b, 1, v.Name)
	b = appendMessage(b, 2, func(b []byte) []byte {
		return appendMessage(b, 1, func(b []byte) []byte {
			b = appendInt(b, 1, int64(v.Type))
			return appendMessage(b, 2, func(b []byte) []byte {
				for _, d := range v.Shape {
					b = appendMessage(b, 1, d.append)
				}
				return b
			})
		})
	})
	return appendString(b, 3, v.Doc)
}

// append writes TensorShapeProto.Dimension.
func (d Dim) append(b []byte) []byte {
	if d.Name != "" {
		return appendString(b, 2, d.Name)
	}
	return appendInt(b, 1, d.Size)
}
