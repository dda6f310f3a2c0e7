package client

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"
)

// DType is the type of a tensor's elements, by its name in the protocol.
type DType string

// The types. FP16 and BF16 travel as their 16 bits, BYTES are strings of any bytes.
const (
	BOOL   DType = "BOOL"
	UINT8  DType = "UINT8"
	UINT16 DType = "UINT16"
	UINT32 DType = "UINT32"
	UINT64 DType = "UINT64"
	INT8   DType = "INT8"
	INT16  DType = "INT16"
	INT32  DType = "INT32"
	INT64  DType = "INT64"
	FP16   DType = "FP16"
	BF16   DType = "BF16"
	FP32   DType = "FP32"
	FP64   DType = "FP64"
	BYTES  DType = "BYTES"
)

// Size is the length of one element in bytes; 0 for BYTES and for a type that the protocol does not have.
func (d DType) Size() int {
	switch d {
	case BOOL, UINT8, INT8:
		return 1
	case UINT16, INT16, FP16, BF16:
		return 2
	case UINT32, INT32, FP32:
		return 4
	case UINT64, INT64, FP64:
		return 8
	}
	return 0
}

// Tensor is an input or output. The elements lie in row-major order.
type Tensor struct {
	Name  string
	DType DType
	Shape []int

	data []byte   // little-endian; all types but BYTES
	strs []string // BYTES
}

// Number is any Go type that has a type in the protocol.
type Number interface {
	bool | uint8 | uint16 | uint32 | uint64 | int8 | int16 | int32 | int64 | float32 | float64
}

// Of makes an input of elements of any Go type that the protocol has; the shape says how many there are.
func Of[T Number](name string, shape []int, v []T) Tensor {
	return Tensor{Name: name, DType: dtypeOf[T](), Shape: shape, data: bytesOf(v)}
}

// Float32 makes an input of type FP32.
func Float32(name string, shape []int, v []float32) Tensor { return Of(name, shape, v) }

// Float64 makes an input of type FP64.
func Float64(name string, shape []int, v []float64) Tensor { return Of(name, shape, v) }

// Int32 makes an input of type INT32.
func Int32(name string, shape []int, v []int32) Tensor { return Of(name, shape, v) }

// Int64 makes an input of type INT64.
func Int64(name string, shape []int, v []int64) Tensor { return Of(name, shape, v) }

// Bool makes an input of type BOOL.
func Bool(name string, shape []int, v []bool) Tensor { return Of(name, shape, v) }

// Strings makes an input of type BYTES. The strings may hold any bytes, in JSON valid UTF-8 only.
func Strings(name string, shape []int, v []string) Tensor {
	if v == nil {
		v = []string{}
	}
	return Tensor{Name: name, DType: BYTES, Shape: shape, strs: v}
}

// Raw makes an input of the little-endian bytes of its elements, of any type but BYTES. It is the way to send FP16 and BF16.
func Raw(name string, d DType, shape []int, data []byte) Tensor {
	return Tensor{Name: name, DType: d, Shape: shape, data: data}
}

// elements is the number of elements of a shape; ok is false for a negative extent or a number beyond an int.
func elements(shape []int) (n int, ok bool) {
	n = 1
	for _, d := range shape {
		if d < 0 || d > 0 && n > math.MaxInt/d {
			return 0, false
		}
		n *= d
	}
	return n, true
}

// check verifies that the elements fill the shape.
func (t *Tensor) check() error {
	n, ok := elements(t.Shape)
	if !ok {
		return fmt.Errorf("%q: the shape %v is not valid", t.Name, t.Shape)
	}
	if t.DType == BYTES {
		if len(t.strs) != n {
			return fmt.Errorf("%q: the shape %v takes %d strings, there are %d", t.Name, t.Shape, n, len(t.strs))
		}
		return nil
	}
	size := t.DType.Size()
	if size == 0 {
		return fmt.Errorf("%q: the protocol has no datatype %q", t.Name, t.DType)
	}
	if n > math.MaxInt/size || len(t.data) != n*size {
		return fmt.Errorf("%q: %s%v takes %d elements of %d bytes, there are %d bytes", t.Name, t.DType, t.Shape, n, size, len(t.data))
	}
	return nil
}

func dtypeOf[T Number]() DType {
	var z T
	switch any(z).(type) {
	case bool:
		return BOOL
	case uint8:
		return UINT8
	case uint16:
		return UINT16
	case uint32:
		return UINT32
	case uint64:
		return UINT64
	case int8:
		return INT8
	case int16:
		return INT16
	case int32:
		return INT32
	case int64:
		return INT64
	case float32:
		return FP32
	}
	return FP64
}

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// bytesOf views elements as little-endian bytes, or copies them on a machine of the other kind.
func bytesOf[T Number](v []T) []byte {
	if len(v) == 0 {
		return []byte{}
	}
	size := int(unsafe.Sizeof(v[0]))
	b := unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), len(v)*size)
	if littleEndian || size == 1 {
		return b
	}
	c := append([]byte(nil), b...)
	swapBytes(c, size)
	return c
}

func swapBytes(b []byte, size int) {
	for ; len(b) >= size; b = b[size:] {
		for i, j := 0, size-1; i < j; i, j = i+1, j-1 {
			b[i], b[j] = b[j], b[i]
		}
	}
}
