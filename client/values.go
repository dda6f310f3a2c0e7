package client

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/aimass/aimass/internal/half"
)

// Values returns the elements of a tensor whose type is exactly that of T, as a copy.
func Values[T Number](t *Tensor) ([]T, error) {
	if want := dtypeOf[T](); t.DType != want {
		return nil, fmt.Errorf("client: tensor %q is %s, not %s", t.Name, t.DType, want)
	}
	if t.DType == BOOL {
		out := make([]T, len(t.data))
		for i, b := range t.data {
			any(out).([]bool)[i] = b != 0
		}
		return out, nil
	}
	out := make([]T, len(t.data)/t.DType.Size())
	if len(out) > 0 {
		b := bytesOf(out) // a view on the machines that matter; elsewhere a copy
		copy(b, t.data)
		if !littleEndian {
			fill(out, t.data)
		}
	}
	return out, nil
}

// fill decodes element by element, on big-endian machines.
func fill[T Number](out []T, data []byte) {
	size := len(data) / len(out)
	for i := range out {
		e := data[i*size:]
		switch p := any(&out[i]).(type) {
		case *uint8:
			*p = e[0]
		case *int8:
			*p = int8(e[0])
		case *uint16:
			*p = binary.LittleEndian.Uint16(e)
		case *int16:
			*p = int16(binary.LittleEndian.Uint16(e))
		case *uint32:
			*p = binary.LittleEndian.Uint32(e)
		case *int32:
			*p = int32(binary.LittleEndian.Uint32(e))
		case *uint64:
			*p = binary.LittleEndian.Uint64(e)
		case *int64:
			*p = int64(binary.LittleEndian.Uint64(e))
		case *float32:
			*p = math.Float32frombits(binary.LittleEndian.Uint32(e))
		case *float64:
			*p = math.Float64frombits(binary.LittleEndian.Uint64(e))
		}
	}
}

// Float32s returns the elements of FP32, and of FP16 and BF16 widened, which loses nothing.
func (t *Tensor) Float32s() ([]float32, error) {
	switch t.DType {
	case FP16, BF16:
		widen := half.ToFloat32
		if t.DType == BF16 {
			widen = half.BrainToFloat32
		}
		out := make([]float32, len(t.data)/2)
		for i := range out {
			out[i] = widen(binary.LittleEndian.Uint16(t.data[2*i:]))
		}
		return out, nil
	}
	return Values[float32](t)
}

// Float64s returns the elements of any floating-point type, widened.
func (t *Tensor) Float64s() ([]float64, error) {
	if t.DType == FP64 {
		return Values[float64](t)
	}
	v, err := t.Float32s()
	if err != nil {
		return nil, fmt.Errorf("client: tensor %q is %s, not of a floating-point type", t.Name, t.DType)
	}
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = float64(x)
	}
	return out, nil
}

// Int64s returns the elements of any integer type, widened. A UINT64 beyond an int64 is an error.
func (t *Tensor) Int64s() ([]int64, error) {
	switch t.DType {
	case INT64:
		return Values[int64](t)
	case UINT64:
		for i := 7; i < len(t.data); i += 8 {
			if t.data[i] >= 0x80 {
				return nil, fmt.Errorf("client: tensor %q: element %d does not fit in an int64", t.Name, i/8)
			}
		}
		v, err := Values[uint64](t)
		return widenInts(v), err
	case INT32:
		v, err := Values[int32](t)
		return widenInts(v), err
	case UINT32:
		v, err := Values[uint32](t)
		return widenInts(v), err
	case INT16:
		v, err := Values[int16](t)
		return widenInts(v), err
	case UINT16:
		v, err := Values[uint16](t)
		return widenInts(v), err
	case INT8:
		v, err := Values[int8](t)
		return widenInts(v), err
	case UINT8:
		v, err := Values[uint8](t)
		return widenInts(v), err
	}
	return nil, fmt.Errorf("client: tensor %q is %s, not of an integer type", t.Name, t.DType)
}

func widenInts[T uint8 | uint16 | uint32 | uint64 | int8 | int16 | int32](v []T) []int64 {
	out := make([]int64, len(v))
	for i, x := range v {
		out[i] = int64(x)
	}
	return out
}

// Bools returns the elements of BOOL.
func (t *Tensor) Bools() ([]bool, error) { return Values[bool](t) }

// Strings returns the elements of BYTES.
func (t *Tensor) Strings() ([]string, error) {
	if t.DType != BYTES {
		return nil, fmt.Errorf("client: tensor %q is %s, not BYTES", t.Name, t.DType)
	}
	return append([]string{}, t.strs...), nil
}

// Bytes is the tensor's own memory, little-endian, nil for BYTES: the caller must not change it.
func (t *Tensor) Bytes() []byte { return t.data }
