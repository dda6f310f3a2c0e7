package tensor

import "fmt"

// DType is the type of a tensor's elements.
type DType uint8

// The element types of ONNX (TensorProto.DataType), in an order of our own.
const (
	Invalid DType = iota
	Bool
	Uint8
	Uint16
	Uint32
	Uint64
	Int8
	Int16
	Int32
	Int64
	Float16
	BFloat16
	Float32
	Float64
	String
	Complex64
	Complex128
	Float8E4M3FN
	Float8E4M3FNUZ
	Float8E5M2
	Float8E5M2FNUZ
	Float8E8M0
	Float4E2M1
	Int4
	Uint4
	Int2
	Uint2
	Float6E2M3
	Float6E3M2
	numDTypes
)

type dtypeInfo struct {
	name string // numpy's name where it has one
	v2   string // the name in the v2 inference protocol, "" where it has none
	bits int
}

var dtypes = [numDTypes]dtypeInfo{
	Invalid:        {"invalid", "", 0},
	Bool:           {"bool", "BOOL", 8},
	Uint8:          {"uint8", "UINT8", 8},
	Uint16:         {"uint16", "UINT16", 16},
	Uint32:         {"uint32", "UINT32", 32},
	Uint64:         {"uint64", "UINT64", 64},
	Int8:           {"int8", "INT8", 8},
	Int16:          {"int16", "INT16", 16},
	Int32:          {"int32", "INT32", 32},
	Int64:          {"int64", "INT64", 64},
	Float16:        {"float16", "FP16", 16},
	BFloat16:       {"bfloat16", "BF16", 16},
	Float32:        {"float32", "FP32", 32},
	Float64:        {"float64", "FP64", 64},
	String:         {"string", "BYTES", 0},
	Complex64:      {"complex64", "", 64},
	Complex128:     {"complex128", "", 128},
	Float8E4M3FN:   {"float8e4m3fn", "", 8},
	Float8E4M3FNUZ: {"float8e4m3fnuz", "", 8},
	Float8E5M2:     {"float8e5m2", "", 8},
	Float8E5M2FNUZ: {"float8e5m2fnuz", "", 8},
	Float8E8M0:     {"float8e8m0", "", 8},
	Float4E2M1:     {"float4e2m1", "", 4},
	Int4:           {"int4", "", 4},
	Uint4:          {"uint4", "", 4},
	Int2:           {"int2", "", 2},
	Uint2:          {"uint2", "", 2},
	Float6E2M3:     {"float6e2m3", "", 6},
	Float6E3M2:     {"float6e3m2", "", 6},
}

// String gives the numpy-like name: "float32".
func (d DType) String() string {
	if d >= numDTypes {
		return fmt.Sprintf("dtype(%d)", uint8(d))
	}
	return dtypes[d].name
}

// V2 gives the name in the v2 inference protocol ("FP32"), "" if it has none.
func (d DType) V2() string {
	if d >= numDTypes {
		return ""
	}
	return dtypes[d].v2
}

// ParseV2 is the inverse of V2; ok is false for an unknown name.
func ParseV2(name string) (d DType, ok bool) {
	if name == "" {
		return Invalid, false
	}
	for d := Bool; d < numDTypes; d++ {
		if dtypes[d].v2 == name {
			return d, true
		}
	}
	return Invalid, false
}

// Bits is the width of one element in bits; 0 for String and Invalid.
func (d DType) Bits() int {
	if d >= numDTypes {
		return 0
	}
	return dtypes[d].bits
}

// Bytes is the memory that n elements take. Elements narrower than a byte are packed,
// the first in the low bits, and the last byte is filled up.
func (d DType) Bytes(n int) int { return (n*d.Bits() + 7) / 8 }

// IsFloat reports floating-point types of every width (not complex ones).
func (d DType) IsFloat() bool {
	switch d {
	case Float16, BFloat16, Float32, Float64, Float8E4M3FN, Float8E4M3FNUZ, Float8E5M2, Float8E5M2FNUZ, Float8E8M0, Float4E2M1, Float6E2M3, Float6E3M2:
		return true
	}
	return false
}

// IsInt reports signed and unsigned integers of every width (not Bool).
func (d DType) IsInt() bool { return d.IsSigned() || d.IsUnsigned() }

// IsSigned reports signed integers.
func (d DType) IsSigned() bool {
	switch d {
	case Int8, Int16, Int32, Int64, Int4, Int2:
		return true
	}
	return false
}

// IsUnsigned reports unsigned integers.
func (d DType) IsUnsigned() bool {
	switch d {
	case Uint8, Uint16, Uint32, Uint64, Uint4, Uint2:
		return true
	}
	return false
}
