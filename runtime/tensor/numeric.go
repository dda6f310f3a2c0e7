package tensor

import (
	"fmt"

	"github.com/aimass/aimass/internal/half"
)

// Float64s widens the elements of a real numeric tensor (Bool gives 0 and 1). A Float64
// tensor is shared, any other copied. Int64 and Uint64 beyond 2⁵³ are rounded.
func Float64s(t *Tensor) ([]float64, error) {
	if t.DType == Float64 {
		return Data[float64](t), nil
	}
	return widen[float64](t)
}

// Float32s is Float64s for float32; wider types are rounded.
func Float32s(t *Tensor) ([]float32, error) {
	if t.DType == Float32 {
		return Data[float32](t), nil
	}
	return widen[float32](t)
}

// Int64s gives the elements of an integer or Bool tensor as int64; an Int64 tensor is
// shared. Uint64 wraps.
func Int64s(t *Tensor) ([]int64, error) {
	if t.DType == Int64 {
		return Data[int64](t), nil
	}
	if !t.DType.IsInt() && t.DType != Bool {
		return nil, fmt.Errorf("expected integers, got %v", t)
	}
	return widen[int64](t)
}

type wide interface{ float32 | float64 | int64 }

func widen[W wide](t *Tensor) ([]W, error) {
	out := make([]W, t.Elements())
	switch t.DType {
	case Bool:
		for i, v := range Data[bool](t) {
			if v {
				out[i] = 1
			}
		}
	case Uint8:
		widenFrom[uint8](out, t)
	case Uint16:
		widenFrom[uint16](out, t)
	case Uint32:
		widenFrom[uint32](out, t)
	case Uint64:
		widenFrom[uint64](out, t)
	case Int8:
		widenFrom[int8](out, t)
	case Int16:
		widenFrom[int16](out, t)
	case Int32:
		widenFrom[int32](out, t)
	case Int64:
		widenFrom[int64](out, t)
	case Float32:
		widenFrom[float32](out, t)
	case Float64:
		widenFrom[float64](out, t)
	case Float16:
		for i, v := range Data[uint16](t) {
			out[i] = W(half.ToFloat32(v))
		}
	case BFloat16:
		for i, v := range Data[uint16](t) {
			out[i] = W(half.BrainToFloat32(v))
		}
	default:
		if NarrowTable(t.DType) == nil {
			return nil, fmt.Errorf("expected numbers, got %v", t)
		}
		widenNarrow(out, t)
	}
	return out, nil
}

func widenFrom[T uint8 | uint16 | uint32 | uint64 | int8 | int16 | int32 | int64 | float32 | float64, W wide](out []W, t *Tensor) {
	for i, v := range Data[T](t) {
		out[i] = W(v)
	}
}

// StoreFloat32s writes v into a floating-point tensor of as many elements, rounding to
// nearest even where it is narrower; types of 8 bits and less saturate, E8M0 rounds up.
func StoreFloat32s(t *Tensor, v []float32) error {
	switch t.DType {
	case Float32:
		copy(Data[float32](t), v)
	case Float64:
		for i, d := 0, Data[float64](t); i < len(d); i++ {
			d[i] = float64(v[i])
		}
	case Float16:
		for i, d := 0, Data[uint16](t); i < len(d); i++ {
			d[i] = half.FromFloat32(v[i])
		}
	case BFloat16:
		for i, d := 0, Data[uint16](t); i < len(d); i++ {
			d[i] = half.BrainFromFloat32(v[i])
		}
	default:
		return StoreFloats(t, v, true, RoundUp)
	}
	return nil
}

// StoreFloat64s is StoreFloat32s from float64, rounding once.
func StoreFloat64s(t *Tensor, v []float64) error {
	if t.DType == Float64 {
		copy(Data[float64](t), v)
		return nil
	}
	return StoreFloats(t, v, true, RoundUp)
}
