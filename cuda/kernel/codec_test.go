package kernel

import "github.com/aimass/aimass/cuda"

// encode uploads numbers as elements of a type.
func (b *bench) encode(dtype string, v []float64) cuda.Ptr {
	f := make([]float32, len(v))
	for i := range v {
		f[i] = float32(v[i])
	}
	switch dtype {
	case "f32":
		return put(b, f)
	case "f16":
		return put(b, halves(f))
	case "f64":
		return put(b, v)
	case "i32":
		return put(b, convert[int32](f))
	case "i64":
		return put(b, convert[int64](f))
	case "u8":
		return put(b, convert[uint8](f))
	case "i8":
		return put(b, convert[int8](f))
	}
	panic("BUG: no type " + dtype)
}

func numbersOf[T int8 | uint8 | int32 | int64 | float32 | float64](v []T) []float64 {
	out := make([]float64, len(v))
	for i := range v {
		out[i] = float64(v[i])
	}
	return out
}

// decode downloads elements of a type as numbers.
func (b *bench) decode(dtype string, p cuda.Ptr, n int) []float64 {
	switch dtype {
	case "f32":
		return numbersOf(get[float32](b, p, n))
	case "f16":
		return numbersOf(floats(get[uint16](b, p, n)))
	case "f64":
		return get[float64](b, p, n)
	case "i32":
		return numbersOf(get[int32](b, p, n))
	case "i64":
		return numbersOf(get[int64](b, p, n))
	case "u8", "bool":
		return numbersOf(get[uint8](b, p, n))
	case "i8":
		return numbersOf(get[int8](b, p, n))
	}
	panic("BUG: no type " + dtype)
}
