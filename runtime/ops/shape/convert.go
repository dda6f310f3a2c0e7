package shape

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/aimass/aimass/runtime/tensor"
)

type castOptions struct {
	saturate bool
	round    tensor.RoundMode
}

// convert writes the elements of src into dst, a tensor of as many, by Cast's rules.
func convert(dst, src *tensor.Tensor, o castOptions) error {
	switch src.DType {
	case tensor.Bool:
		v := make([]uint8, src.Elements())
		for i, b := range tensor.Data[bool](src) {
			if b {
				v[i] = 1
			}
		}
		return fromInts(dst, v, o, true)
	case tensor.Uint8:
		return fromInts(dst, tensor.Data[uint8](src), o, false)
	case tensor.Uint16:
		return fromInts(dst, tensor.Data[uint16](src), o, false)
	case tensor.Uint32:
		return fromInts(dst, tensor.Data[uint32](src), o, false)
	case tensor.Uint64:
		return fromInts(dst, tensor.Data[uint64](src), o, false)
	case tensor.Int8:
		return fromInts(dst, tensor.Data[int8](src), o, false)
	case tensor.Int16:
		return fromInts(dst, tensor.Data[int16](src), o, false)
	case tensor.Int32:
		return fromInts(dst, tensor.Data[int32](src), o, false)
	case tensor.Int64:
		return fromInts(dst, tensor.Data[int64](src), o, false)
	case tensor.Int4, tensor.Uint4, tensor.Int2, tensor.Uint2:
		v, err := tensor.Int64s(src)
		if err != nil {
			return err
		}
		return fromInts(dst, v, o, false)
	case tensor.Float64:
		return fromFloats(dst, tensor.Data[float64](src), o, tensor.Float64)
	case tensor.String:
		return fromStrings(dst, src.Strings(), o)
	}
	v, err := tensor.Float32s(src)
	if err != nil {
		return err
	}
	return fromFloats(dst, v, o, src.DType)
}

type integer interface {
	int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64
}

func fromInts[S integer](dst *tensor.Tensor, v []S, o castOptions, isBool bool) error {
	switch dst.DType {
	case tensor.Float32:
		each(tensor.Data[float32](dst), v)
	case tensor.Int32:
		each(tensor.Data[int32](dst), v)
	case tensor.Int64:
		each(tensor.Data[int64](dst), v)
	case tensor.String:
		var zero S
		for i, d := 0, dst.Strings(); i < len(d); i++ {
			switch {
			case isBool && v[i] != 0:
				d[i] = "True"
			case isBool:
				d[i] = "False"
			case zero-1 > 0:
				d[i] = strconv.FormatUint(uint64(v[i]), 10)
			default:
				d[i] = strconv.FormatInt(int64(v[i]), 10)
			}
		}
	default:
		if dst.DType.IsFloat() {
			w := make([]float64, len(v))
			each(w, v)
			return tensor.StoreFloats(dst, w, o.saturate, o.round)
		}
		w := make([]int64, len(v))
		each(w, v)
		return tensor.StoreInt64s(dst, w)
	}
	return nil
}

func each[D integer | float32 | float64, S integer | float32 | float64](dst []D, v []S) {
	for i := range dst {
		dst[i] = D(v[i])
	}
}

func fromFloats[S float32 | float64](dst *tensor.Tensor, v []S, o castOptions, from tensor.DType) error {
	switch dst.DType {
	case tensor.Bool:
		for i, d := 0, tensor.Data[bool](dst); i < len(d); i++ {
			d[i] = v[i] != 0
		}
	case tensor.Int32:
		each(tensor.Data[int32](dst), v)
	case tensor.Int64:
		each(tensor.Data[int64](dst), v)
	case tensor.Uint64:
		for i, d := 0, tensor.Data[uint64](dst); i < len(d); i++ {
			if v[i] < 0 {
				d[i] = uint64(int64(v[i]))
			} else {
				d[i] = uint64(v[i])
			}
		}
	case tensor.String:
		for i, d := 0, dst.Strings(); i < len(d); i++ {
			d[i] = floatText(float64(v[i]), from)
		}
	default:
		if dst.DType.IsFloat() {
			return tensor.StoreFloats(dst, v, o.saturate, o.round)
		}
		w := make([]int64, len(v))
		each(w, v)
		return tensor.StoreInt64s(dst, w)
	}
	return nil
}

// floatText prints as numpy 2 does: the shortest digits that read back as the same number
// of the type, with an exponent below 1e-4 and from a bound on that its precision sets.
func floatText(f float64, d tensor.DType) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	bound, e := 1e3, ""
	switch d {
	case tensor.Float64:
		bound, e = 1e16, strconv.FormatFloat(f, 'e', -1, 64)
	case tensor.Float32:
		bound, e = 1e6, strconv.FormatFloat(f, 'e', -1, 32)
	default:
		e = shortest(f, d)
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= bound) {
		return e
	}
	digits, _ := strconv.ParseFloat(e, 64)
	s := strconv.FormatFloat(digits, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// shortest gives the fewest digits that round to f in a type narrower than float32.
func shortest(f float64, d tensor.DType) string {
	for prec := range 9 {
		s := strconv.FormatFloat(f, 'e', prec, 64)
		t := tensor.New(d, tensor.Shape{1})
		v, err := strconv.ParseFloat(s, 64)
		if err != nil || tensor.StoreFloat64s(t, []float64{v}) != nil {
			break
		}
		if back, err := tensor.Float64s(t); err == nil && back[0] == f {
			return s
		}
	}
	return strconv.FormatFloat(f, 'e', -1, 32)
}

func fromStrings(dst *tensor.Tensor, v []string, o castOptions) error {
	if dst.DType == tensor.Bool {
		for i, d := 0, tensor.Data[bool](dst); i < len(d); i++ {
			b, err := parseBool(strings.TrimSpace(v[i]))
			if err != nil {
				return fmt.Errorf("element %d: %w", i, err)
			}
			d[i] = b
		}
		return nil
	}
	if dst.DType.IsFloat() {
		bits := 64
		if dst.DType == tensor.Float32 {
			bits = 32
		}
		w := make([]float64, len(v))
		for i, s := range v {
			f, err := parseFloat(strings.TrimSpace(s), bits)
			if err != nil {
				return fmt.Errorf("element %d: %w", i, err)
			}
			w[i] = f
		}
		return tensor.StoreFloats(dst, w, o.saturate, o.round)
	}
	w := make([]int64, len(v))
	for i, s := range v {
		n, err := parseInt(strings.TrimSpace(s))
		if err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
		w[i] = n
	}
	return tensor.StoreInt64s(dst, w)
}

func parseFloat(s string, bits int) (float64, error) {
	f, err := strconv.ParseFloat(s, bits)
	if err != nil && !math.IsInf(f, 0) {
		return 0, fmt.Errorf("%q is no number", s)
	}
	return f, nil
}

// parseInt takes integers and, truncating them, numbers with a fraction or an exponent.
func parseInt(s string) (int64, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, nil
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return int64(n), nil
	}
	f, err := parseFloat(s, 64)
	return int64(f), err
}

func parseBool(s string) (bool, error) {
	switch {
	case strings.EqualFold(s, "true"):
		return true, nil
	case strings.EqualFold(s, "false"):
		return false, nil
	}
	f, err := parseFloat(s, 64)
	return f != 0, err
}
