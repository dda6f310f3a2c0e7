package rpc

import (
	"encoding/binary"
	"math"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/api/inferencepb"
	"github.com/aimass/aimass/runtime/tensor"
)

// typedContents turns an input's typed values into little-endian bytes, or strings for BYTES.
func typedContents(model string, in *inferencepb.ModelInferRequest_InferInputTensor, d tensor.DType, shape tensor.Shape) ([]byte, []string, error) {
	v := in.GetContents()
	w := &contentsWriter{want: shape.Elements()}
	switch d {
	case tensor.Bool:
		if w.room(len(v.GetBoolContents()), 1) {
			for _, x := range v.BoolContents {
				b := byte(0)
				if x {
					b = 1
				}
				w.out = append(w.out, b)
			}
		}
	case tensor.Int8, tensor.Int16, tensor.Int32:
		narrow(w, v.GetIntContents(), d)
	case tensor.Uint8, tensor.Uint16, tensor.Uint32:
		narrow(w, v.GetUintContents(), d)
	case tensor.Int64:
		if w.room(len(v.GetInt64Contents()), 8) {
			for _, x := range v.Int64Contents {
				w.out = binary.LittleEndian.AppendUint64(w.out, uint64(x))
			}
		}
	case tensor.Uint64:
		if w.room(len(v.GetUint64Contents()), 8) {
			for _, x := range v.Uint64Contents {
				w.out = binary.LittleEndian.AppendUint64(w.out, x)
			}
		}
	case tensor.Float32:
		if w.room(len(v.GetFp32Contents()), 4) {
			for _, x := range v.Fp32Contents {
				w.out = binary.LittleEndian.AppendUint32(w.out, math.Float32bits(x))
			}
		}
	case tensor.Float64:
		if w.room(len(v.GetFp64Contents()), 8) {
			for _, x := range v.Fp64Contents {
				w.out = binary.LittleEndian.AppendUint64(w.out, math.Float64bits(x))
			}
		}
	case tensor.String:
		var strs []string
		if w.room(len(v.GetBytesContents()), 0) {
			strs = make([]string, w.want)
			for i, x := range v.BytesContents {
				strs[i] = string(x)
			}
			return nil, strs, nil
		}
	default:
		return nil, nil, api.Errorf(api.CodeUnsupported, "input '%s' for model '%s': %s has no typed contents, send raw_input_contents", in.Name, model, d.V2())
	}
	switch {
	case w.outOfRange >= 0 && w.fits:
		return nil, nil, api.Errorf(api.CodeNumberOutOfRange, "input '%s' for model '%s': element %d is out of range for %s", in.Name, model, w.outOfRange, d.V2())
	case !w.fits:
		return nil, nil, api.Errorf(api.CodeSizeMismatch, "input '%s' for model '%s': got %d elements in the contents field of %s, shape %v needs %d",
			in.Name, model, w.got, d.V2(), shape, w.want)
	}
	return w.out, nil, nil
}

type contentsWriter struct {
	want, got  int
	fits       bool
	outOfRange int
	out        []byte
}

// room compares the number of values with what the shape needs before memory is taken.
func (w *contentsWriter) room(got, width int) bool {
	w.got, w.fits, w.outOfRange = got, got == w.want, -1
	if w.fits && width > 0 {
		w.out = make([]byte, 0, got*width)
	}
	return w.fits
}

// narrow writes 32-bit values as integers of d's width.
func narrow[T int32 | uint32](w *contentsWriter, list []T, d tensor.DType) {
	width := d.Bytes(1)
	if !w.room(len(list), width) {
		return
	}
	shift := 64 - 8*width
	for i, x := range list {
		v := int64(x)
		back := v << shift >> shift
		if d.IsUnsigned() {
			back = int64(uint64(v) << shift >> shift)
		}
		if back != v && w.outOfRange < 0 {
			w.outOfRange = i
		}
		switch width {
		case 1:
			w.out = append(w.out, byte(v))
		case 2:
			w.out = binary.LittleEndian.AppendUint16(w.out, uint16(v))
		default:
			w.out = binary.LittleEndian.AppendUint32(w.out, uint32(v))
		}
	}
}
