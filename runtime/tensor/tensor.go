package tensor

import (
	"fmt"
	"unsafe"
)

// Number lists the Go types that stand for an element type in memory. Float16 and
// BFloat16 are seen as uint16, the 8-bit floats as uint8.
type Number interface {
	~bool | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~int8 | ~int16 | ~int32 | ~int64 | ~float32 | ~float64 | ~complex64 | ~complex128
}

// Tensor is a dense row-major array of one element type. Numeric data are
// little-endian in memory; strings are Go strings, not necessarily UTF-8.
// DType and Shape may be read freely and must not be changed after creation.
type Tensor struct {
	DType DType
	Shape Shape
	data  []byte
	strs  []string
	late  *late // of data that are misaligned or a lender's; nil otherwise
}

// New makes a zeroed tensor. The shape must have passed Check; it is kept, not copied.
func New(d DType, s Shape) *Tensor {
	n := s.Elements()
	if d == String {
		return &Tensor{DType: d, Shape: s, strs: make([]string, n)}
	}
	return &Tensor{DType: d, Shape: s, data: Aligned(d.Bytes(n))}
}

// Aligned allocates n zeroed bytes that begin on an 8-byte boundary.
func Aligned(n int) []byte {
	if n == 0 {
		return []byte{}
	}
	w := make([]uint64, (n+7)/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(&w[0])), n)
}

// FromBytes views data as a numeric tensor; its length must fit the shape exactly.
// It shares data unless they are misaligned for the element type: then it copies, large ones
// when they are first asked for.
func FromBytes(d DType, s Shape, data []byte) (*Tensor, error) { return fromBytes(d, s, data, nil) }

func fromBytes(d DType, s Shape, data []byte, of Lender) (*Tensor, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if d == String || d.Bits() == 0 {
		return nil, fmt.Errorf("a tensor of type %v has no raw bytes", d)
	}
	if want := d.Bytes(s.Elements()); len(data) != want {
		return nil, fmt.Errorf("%v%v takes %d bytes, got %d", d, s, want, len(data))
	}
	misaligned := len(data) > 0 && uintptr(unsafe.Pointer(&data[0]))%uintptr(align(d)) != 0
	if of != nil || misaligned && len(data) >= Large {
		return &Tensor{DType: d, Shape: s, data: data, late: &late{of: of, misaligned: misaligned}}, nil
	}
	if misaligned {
		data = append(Aligned(len(data))[:0], data...)
	}
	return &Tensor{DType: d, Shape: s, data: data}, nil
}

func align(d DType) int {
	switch b := d.Bits(); {
	case b <= 8:
		return 1
	case b >= 64:
		return 8
	default:
		return b / 8
	}
}

// FromSlice views v as a tensor of the element type that matches T (uint16 is Uint16:
// use FromBytes for half floats). It panics if the length does not fit the shape.
func FromSlice[T Number](v []T, shape ...int) *Tensor {
	s := Shape(shape)
	if s.Elements() != len(v) {
		panic(fmt.Sprintf("BUG: %d elements for shape %v", len(v), s))
	}
	t := &Tensor{DType: dtypeOf[T](), Shape: s, data: []byte{}}
	if len(v) > 0 {
		t.data = unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), len(v)*int(unsafe.Sizeof(v[0])))
	}
	return t
}

// FromStrings views v as a String tensor. It panics if the length does not fit.
func FromStrings(v []string, shape ...int) *Tensor {
	s := Shape(shape)
	if s.Elements() != len(v) {
		panic(fmt.Sprintf("BUG: %d strings for shape %v", len(v), s))
	}
	return &Tensor{DType: String, Shape: s, strs: v}
}

// Scalar makes a rank-0 tensor.
func Scalar[T Number](v T) *Tensor { return FromSlice([]T{v}) }

func dtypeOf[T Number]() DType {
	var z T
	switch any(z).(type) {
	case bool:
		return Bool
	case uint8:
		return Uint8
	case uint16:
		return Uint16
	case uint32:
		return Uint32
	case uint64:
		return Uint64
	case int8:
		return Int8
	case int16:
		return Int16
	case int32:
		return Int32
	case int64:
		return Int64
	case float32:
		return Float32
	case float64:
		return Float64
	case complex64:
		return Complex64
	case complex128:
		return Complex128
	}
	panic(fmt.Sprintf("BUG: no element type for %T", z))
}

// Data views the elements as a slice of T, whose size must be the element's. Types
// narrower than a byte are seen as []uint8, still packed. It shares the memory.
func Data[T Number](t *Tensor) []T {
	var z T
	size := int(unsafe.Sizeof(z))
	if bits := t.DType.Bits(); bits == 0 || max(bits, 8) != size*8 {
		panic(fmt.Sprintf("BUG: %v seen as %T", t.DType, z))
	}
	data := t.Bytes()
	if len(data) == 0 {
		return []T{}
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&data[0])), len(data)/size)
}

// Bytes is the memory of a numeric tensor, shared; nil for String.
func (t *Tensor) Bytes() []byte {
	if t.late != nil {
		return t.late.aligned(t.data)
	}
	return t.data
}

// Strings are the elements of a String tensor, shared; nil for others.
func (t *Tensor) Strings() []string { return t.strs }

// Elements is the number of elements.
func (t *Tensor) Elements() int { return t.Shape.Elements() }

// Rank is the number of axes.
func (t *Tensor) Rank() int { return len(t.Shape) }

// Reshaped views the same elements under another shape of equal size.
// It panics if the sizes differ.
func (t *Tensor) Reshaped(s Shape) *Tensor {
	if s.Elements() != t.Elements() {
		panic(fmt.Sprintf("BUG: %v reshaped to %v", t.Shape, s))
	}
	return &Tensor{DType: t.DType, Shape: s, data: t.data, strs: t.strs, late: t.late}
}

// View points t at other memory, reusing the struct: the hot path's way to make a
// tensor without allocation. data must be aligned and of the exact length.
func (t *Tensor) View(d DType, s Shape, data []byte) {
	t.DType, t.Shape, t.data, t.strs, t.late = d, s, data, nil, nil
}

// ViewStrings is View for a String tensor.
func (t *Tensor) ViewStrings(s Shape, v []string) {
	t.DType, t.Shape, t.data, t.strs, t.late = String, s, nil, v, nil
}

// Rows views rows [from,to) of the outermost axis. The element width must be whole
// bytes and the rank at least 1.
func (t *Tensor) Rows(from, to int) *Tensor {
	s := t.Shape.Clone()
	n := 0
	if s[0] > 0 {
		n = t.Elements() / s[0]
	}
	s[0] = to - from
	if t.DType == String {
		return &Tensor{DType: String, Shape: s, strs: t.strs[from*n : to*n]}
	}
	w := t.DType.Bytes(n)
	return &Tensor{DType: t.DType, Shape: s, data: t.Bytes()[from*w : to*w]}
}

// Clone copies the tensor with its memory.
func (t *Tensor) Clone() *Tensor {
	c := &Tensor{DType: t.DType, Shape: t.Shape.Clone()}
	if t.DType == String {
		c.strs = append([]string{}, t.strs...)
		return c
	}
	c.data = append(Aligned(len(t.data))[:0], t.Origin()...)
	return c
}

// String prints type and shape: "float32[2,3]".
func (t *Tensor) String() string {
	if t == nil {
		return "none"
	}
	return t.DType.String() + t.Shape.String()
}
