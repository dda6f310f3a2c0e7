package rest

import (
	"encoding/base64"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/aimass/aimass/api"
)

// appendMessage appends a protobuf message as JSON in the form that clients of the v2 protocol expect: fields by their
// names in the proto, every scalar, list and map even where it is empty, 64-bit integers as numbers, enums by name.
// Messages and members of a oneof that are not set are left out.
func appendMessage(dst []byte, m proto.Message) []byte { return appendReflect(dst, m.ProtoReflect()) }

func appendReflect(dst []byte, m protoreflect.Message) []byte {
	dst = append(dst, '{')
	fields := m.Descriptor().Fields()
	first := true
	for i := range fields.Len() {
		f := fields.Get(i)
		if !m.Has(f) && (f.ContainingOneof() != nil || f.Message() != nil && !f.IsList() && !f.IsMap()) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, '"')
		dst = append(dst, f.Name()...)
		dst = append(dst, `":`...)
		switch v := m.Get(f); {
		case f.IsMap():
			dst = appendMap(dst, f, v.Map())
		case f.IsList():
			dst = appendList(dst, f, v.List())
		default:
			dst = appendValue(dst, f, v)
		}
	}
	return append(dst, '}')
}

func appendList(dst []byte, f protoreflect.FieldDescriptor, l protoreflect.List) []byte {
	dst = append(dst, '[')
	for i := range l.Len() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendValue(dst, f, l.Get(i))
	}
	return append(dst, ']')
}

// appendMap writes keys in order, so that equal answers are equal bytes.
func appendMap(dst []byte, f protoreflect.FieldDescriptor, m protoreflect.Map) []byte {
	var keys []protoreflect.MapKey
	m.Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
		keys = append(keys, k)
		return true
	})
	slices.SortFunc(keys, func(a, b protoreflect.MapKey) int { return strings.Compare(a.String(), b.String()) })
	dst = append(dst, '{')
	for i, k := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = api.AppendJSONEscaped(dst, k.String())
		dst = append(dst, `":`...)
		dst = appendValue(dst, f.MapValue(), m.Get(k))
	}
	return append(dst, '}')
}

func appendValue(dst []byte, f protoreflect.FieldDescriptor, v protoreflect.Value) []byte {
	switch f.Kind() {
	case protoreflect.MessageKind:
		return appendReflect(dst, v.Message())
	case protoreflect.BoolKind:
		return strconv.AppendBool(dst, v.Bool())
	case protoreflect.EnumKind:
		dst = append(dst, '"')
		if e := f.Enum().Values().ByNumber(v.Enum()); e != nil {
			dst = append(dst, e.Name()...)
		} else {
			dst = strconv.AppendInt(dst, int64(v.Enum()), 10)
		}
		return append(dst, '"')
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		return strconv.AppendUint(dst, v.Uint(), 10)
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		return strconv.AppendInt(dst, v.Int(), 10)
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		bits := 64
		if f.Kind() == protoreflect.FloatKind {
			bits = 32
		}
		x := v.Float()
		if math.IsInf(x, 0) || math.IsNaN(x) {
			return append(dst, "null"...)
		}
		return strconv.AppendFloat(dst, x, 'g', -1, bits)
	}
	dst = append(dst, '"')
	if f.Kind() == protoreflect.BytesKind {
		dst = base64.StdEncoding.AppendEncode(dst, v.Bytes())
	} else {
		dst = api.AppendJSONEscaped(dst, v.String())
	}
	return append(dst, '"')
}
