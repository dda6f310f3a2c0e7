package tensor

// onnxTypes are the numbers of TensorProto.DataType, by our DType.
var onnxTypes = [numDTypes]int64{
	Float32: 1, Uint8: 2, Int8: 3, Uint16: 4, Int16: 5, Int32: 6, Int64: 7, String: 8, Bool: 9,
	Float16: 10, Float64: 11, Uint32: 12, Uint64: 13, Complex64: 14, Complex128: 15, BFloat16: 16,
	Float8E4M3FN: 17, Float8E4M3FNUZ: 18, Float8E5M2: 19, Float8E5M2FNUZ: 20,
	Uint4: 21, Int4: 22, Float4E2M1: 23, Float8E8M0: 24, Uint2: 25, Int2: 26,
	Float6E2M3: 27, Float6E3M2: 28,
}

// onnxNames are the names of TensorProto.DataType; opset 1 spells Cast's target so.
var onnxNames = map[string]DType{
	"FLOAT": Float32, "UINT8": Uint8, "INT8": Int8, "UINT16": Uint16, "INT16": Int16, "INT32": Int32,
	"INT64": Int64, "STRING": String, "BOOL": Bool, "FLOAT16": Float16, "DOUBLE": Float64,
	"UINT32": Uint32, "UINT64": Uint64, "COMPLEX64": Complex64, "COMPLEX128": Complex128, "BFLOAT16": BFloat16,
}

// FromONNX gives the element type of a TensorProto.DataType number; ok is false for 0
// and for numbers that stand for nothing here.
func FromONNX(n int64) (d DType, ok bool) {
	for d := Bool; d < numDTypes; d++ {
		if onnxTypes[d] == n && n != 0 {
			return d, true
		}
	}
	return Invalid, false
}

// FromONNXName is FromONNX for the name of the enumerator ("FLOAT16").
func FromONNXName(name string) (d DType, ok bool) {
	d, ok = onnxNames[name]
	return d, ok
}

// ONNX is the TensorProto.DataType number, 0 for Invalid.
func (d DType) ONNX() int64 {
	if d >= numDTypes {
		return 0
	}
	return onnxTypes[d]
}
