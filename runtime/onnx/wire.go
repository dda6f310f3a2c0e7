package onnx

import (
	"errors"
	"fmt"
	"io"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// field is one decoded field of a message; which of the members is valid follows from typ.
type field struct {
	num protowire.Number
	typ protowire.Type
	n   uint64 // varint, fixed32, fixed64
	b   []byte // length-delimited, a slice of the input
}

func (f field) str() string { return string(f.b) }

// each calls do for every field of a message. The error says what was being read.
func each(what string, b []byte, do func(field) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return malformed(what, n)
		}
		b = b[n:]
		f := field{num: num, typ: typ}
		switch typ {
		case protowire.VarintType:
			f.n, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(b)
			f.n = uint64(v)
		case protowire.Fixed64Type:
			f.n, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			f.b, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return malformed(what, n)
		}
		b = b[n:]
		if err := do(f); err != nil {
			return err
		}
	}
	return nil
}

// modelMessage names the outermost message: only what ends too early there is a file cut
// short, anything further in is damage.
const modelMessage = "model"

func malformed(what string, code int) error {
	kind, err := Malformed, protowire.ParseError(code)
	if what != modelMessage {
		return problemf(kind, "%s: malformed protobuf (truncated or damaged): %w", what, err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		kind = Truncated
	}
	return problemf(kind, "%s: malformed protobuf (no ONNX file, or truncated or damaged): %w", what, err)
}

// varints appends the values of a repeated integer field, packed or not.
func varints(dst []int64, f field) ([]int64, error) {
	if f.typ != protowire.BytesType {
		return append(dst, int64(f.n)), nil
	}
	for b := f.b; len(b) > 0; {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return nil, malformed("packed integers", n)
		}
		dst, b = append(dst, int64(v)), b[n:]
	}
	return dst, nil
}

// floats appends the values of a repeated float field, packed or not.
func floats(dst []float32, f field) ([]float32, error) {
	if f.typ != protowire.BytesType {
		return append(dst, math.Float32frombits(uint32(f.n))), nil
	}
	if len(f.b)%4 != 0 {
		return nil, fmt.Errorf("packed floats: %d bytes are no multiple of 4", len(f.b))
	}
	for b := f.b; len(b) > 0; b = b[4:] {
		v, _ := protowire.ConsumeFixed32(b)
		dst = append(dst, math.Float32frombits(v))
	}
	return dst, nil
}

// doubles appends the values of a repeated double field, packed or not.
func doubles(dst []float64, f field) ([]float64, error) {
	if f.typ != protowire.BytesType {
		return append(dst, math.Float64frombits(f.n)), nil
	}
	if len(f.b)%8 != 0 {
		return nil, fmt.Errorf("packed doubles: %d bytes are no multiple of 8", len(f.b))
	}
	for b := f.b; len(b) > 0; b = b[8:] {
		v, _ := protowire.ConsumeFixed64(b)
		dst = append(dst, math.Float64frombits(v))
	}
	return dst, nil
}
