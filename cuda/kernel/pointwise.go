package kernel

import (
	"fmt"
	"slices"

	"github.com/aimass/aimass/cuda"
	"github.com/aimass/aimass/cuda/kernels"
	"github.com/aimass/aimass/kernels/act"
)

// UnaryName gives the table's name of an act.Func; ok is false for act.None.
func UnaryName(f act.Func) (name string, ok bool) {
	for i := range kernels.Unaries {
		if u := &kernels.Unaries[i]; u.Func == f && f != act.None {
			return u.Name, true
		}
	}
	return "", false
}

// HasBinary reports whether the table in cuda/kernels has the function for the element type ("f32", "i32", "i64", "u8").
func HasBinary(name, dtype string) bool {
	b := binaryNamed(name)
	return b != nil && slices.Contains(b.Types, dtype)
}

// HasCast reports whether the conversion exists. A bool is read as "u8".
func HasCast(from, to string) bool {
	return slices.Contains(kernels.Casts(), kernels.Cast{From: from, To: to})
}

func unaryNamed(name string) *kernels.Unary {
	for i := range kernels.Unaries {
		if kernels.Unaries[i].Name == name {
			return &kernels.Unaries[i]
		}
	}
	return nil
}

func binaryNamed(name string) *kernels.Binary {
	for i := range kernels.Binaries {
		if kernels.Binaries[i].Name == name {
			return &kernels.Binaries[i]
		}
	}
	return nil
}

// Unary is y = f(x; A, B) over N contiguous float32; y may be x. The result is float32, or
// a byte for functions that ask (is_nan).
type Unary struct {
	Name string // of the table in cuda/kernels
	X, Y cuda.Ptr
	N    int64
	A, B float32
}

// AppendUnary appends the Launch of u.
func AppendUnary(dst []cuda.Launch, u Unary) ([]cuda.Launch, error) {
	f := unaryNamed(u.Name)
	if f == nil {
		return dst, limit("the function %q", u.Name)
	}
	blocks, err := linearBlocks(u.N, f.Heavy || f.Bool)
	if err != nil || blocks == 0 {
		return dst, err
	}
	return append(dst, launch("unary_gen", "unary_"+u.Name, blocks, threads, u.X, u.Y, u.N, u.A, u.B)), nil
}

func linearBlocks(n int64, single bool) (int64, error) {
	each := int64(4 * threads)
	if single {
		each = threads
	}
	if n < 0 || ceilDiv(n, each) > maxGridX {
		return 0, limit("%d elements", n)
	}
	return ceilDiv(n, each), nil
}

// Binary is z = f(x, y) with a contiguous z of shape Dims; x and y have strides, 0 where they
// repeat (BroadcastStrides). z may be x or y where that one has z's strides and element size.
type Binary struct {
	Name     string
	DType    string // "f32", "i32", "i64", "u8"
	X, Y, Z  cuda.Ptr
	Dims     []int
	StridesX []int64
	StridesY []int64
}

// sizes are the bytes of an element.
var sizes = map[string]int64{"f32": 4, "f16": 2, "f64": 8, "i32": 4, "i64": 8, "u8": 1, "i8": 1, "bool": 1}

// AppendBinary appends the Launches of b.
func AppendBinary(dst []cuda.Launch, b Binary) ([]cuda.Launch, error) {
	f := binaryNamed(b.Name)
	if f == nil || !slices.Contains(f.Types, b.DType) {
		return dst, limit("the function %q of %s", b.Name, b.DType)
	}
	n, ok := elements(b.Dims...)
	if !ok {
		return dst, limit("a tensor of %v", b.Dims)
	}
	if n == 0 {
		return dst, nil
	}
	walk := box{wide(b.Dims), [][]int64{b.StridesX, b.StridesY, dense(b.Dims)}}
	if m := walk.merged(); b.DType == "f32" && len(m.dims) <= 1 {
		step := func(o int) int64 {
			if len(m.dims) == 0 {
				return 0
			}
			return m.strides[o][0]
		}
		if x, y := step(0), step(1); x&^1 == 0 && y&^1 == 0 {
			blocks, err := linearBlocks(n, f.Heavy || f.Bool)
			if err != nil {
				return dst, err
			}
			return append(dst, launch("binary_gen", "linear_"+b.Name, blocks, threads, b.X, b.Y, b.Z, n, x, y)), nil
		}
	}
	in := sizes[b.DType]
	out := in
	if f.Bool {
		out = 1
	}
	err := walk.each(4, func(part box, at []int64) {
		values := append([]any{b.X + cuda.Ptr(at[0]*in), b.Y + cuda.Ptr(at[1]*in), b.Z + cuda.Ptr(at[2]*out)}, part.parameters(2)...)
		dst = append(dst, launch("binary_gen", "binary_"+b.Name+"_"+b.DType, ceilDiv(part.elements(), threads), threads, values...))
	})
	return dst, err
}

// Where is z = condition ? x : y with a contiguous z of shape Dims; the condition is bytes.
type Where struct {
	Size               int // bytes an element of x, y and z: 1, 4 or 8
	C, X, Y, Z         cuda.Ptr
	Dims               []int
	StridesC           []int64
	StridesX, StridesY []int64
}

// AppendWhere appends the Launches of w.
func AppendWhere(dst []cuda.Launch, w Where) ([]cuda.Launch, error) {
	n, ok := elements(w.Dims...)
	if !ok || w.Size != 1 && w.Size != 4 && w.Size != 8 {
		return dst, limit("where over %v elements of %d bytes", w.Dims, w.Size)
	}
	if n == 0 {
		return dst, nil
	}
	size := int64(w.Size)
	walk := box{wide(w.Dims), [][]int64{w.StridesC, w.StridesX, w.StridesY, dense(w.Dims)}}
	err := walk.each(4, func(part box, at []int64) {
		values := append([]any{w.C + cuda.Ptr(at[0]), w.X + cuda.Ptr(at[1]*size), w.Y + cuda.Ptr(at[2]*size), w.Z + cuda.Ptr(at[3]*size)}, part.parameters(3)...)
		dst = append(dst, launch("where", fmt.Sprintf("where_%d", size), ceilDiv(part.elements(), threads), threads, values...))
	})
	return dst, err
}

// AppendCast appends the Launch that converts n contiguous elements. From and to are "f32",
// "f16", "f64", "i32", "i64", "u8", "i8"; to may be "bool", which is read as "u8".
func AppendCast(dst []cuda.Launch, from, to string, x, y cuda.Ptr, n int64) ([]cuda.Launch, error) {
	if !HasCast(from, to) {
		return dst, limit("a conversion from %s to %s", from, to)
	}
	blocks, err := linearBlocks(n, true)
	if err != nil || blocks == 0 {
		return dst, err
	}
	return append(dst, launch("cast_gen", "cast_"+from+"_"+to, blocks, threads, x, y, n)), nil
}
