package kernel

import (
	"fmt"

	"github.com/aimass/aimass/cuda"
	"github.com/aimass/aimass/kernels/act"
)

// ByteOutput says what the int32 sums of a GemmInt8 become.
type ByteOutput int

// The outputs: the sums themselves; float32, sum·ScaleA·ScaleB + Bias through Act; bytes, that over ScaleC
// plus ZeroC, saturated.
const (
	OutputInt32 ByteOutput = iota
	OutputFloat
	OutputByte
)

// GemmInt8 is (A − ZeroA)·(B − ZeroB)ᵀ with exact sums: A is [M, K] and B [N, K] (weights are
// turned around once, when they are loaded), bytes signed or unsigned. Zero points and
// scales are pointers to device memory of one value, or, where a flag says so, of a value a row or column; 0 stands for
// none, or for 1.
type GemmInt8 struct {
	M, N, K              int
	A, B, C              cuda.Ptr
	LDA, LDB, LDC        int64 // 0: contiguous
	UnsignedA, UnsignedB bool
	UnsignedC            bool
	ZeroA, ZeroB         cuda.Ptr
	ZeroRow, ZeroCol     bool // ZeroA holds a value a row, ZeroB one a column
	// SumsB, if the caller has it (AppendByteSums of B, once for weights), saves a launch.
	SumsB          cuda.Ptr
	Output         ByteOutput
	ScaleA, ScaleB cuda.Ptr
	ScaleCol       bool // ScaleB holds a value a column
	ScaleC, ZeroC  cuda.Ptr
	Bias           cuda.Ptr // float32 a column
	Act            act.Act
	Scratch        cuda.Ptr // Workspace() bytes
}

// The flags of cuda/kernels/gemm_int8.cu.
const (
	byteUnsignedA uint32 = 1 << iota
	byteUnsignedB
	byteVec
	byteZeroRow
	byteZeroCol
	byteScaleCol
	byteUnsignedC
)

// needsSums reports which sums the zero points ask for. Unsigned bytes are shifted by
// 128, which makes a zero point of every one.
func (g *GemmInt8) needsSums() (rows, cols bool) {
	return g.ZeroB != 0 || g.UnsignedB, (g.ZeroA != 0 || g.UnsignedA) && g.SumsB == 0
}

// Workspace is how many bytes Scratch needs.
func (g GemmInt8) Workspace() int64 {
	n := int64(0)
	rows, cols := g.needsSums()
	if rows {
		n += int64(g.M) * 4
	}
	if cols {
		n += int64(g.N) * 4
	}
	return n
}

// AppendGemmInt8 appends the Launches of g.
func AppendGemmInt8(dst []cuda.Launch, g GemmInt8) ([]cuda.Launch, error) {
	if g.M < 0 || g.N < 0 || g.K < 0 || g.M > maxIndex-128 || g.N > maxIndex-128 || g.K > 1<<16 {
		// 2^16 products of 2^15 just fit an int32.
		return dst, limit("a product of bytes %d×%d×%d", g.M, g.N, g.K)
	}
	if !EpilogueFunc(g.Act.Func) {
		return dst, limit("function %d in an epilogue", g.Act.Func)
	}
	if g.Output == OutputByte && g.ScaleC == 0 {
		return dst, fmt.Errorf("kernel: gemm of bytes: bytes are asked for without their scale")
	}
	if g.M == 0 || g.N == 0 {
		return dst, nil
	}
	set := func(v *int64, to int) {
		if *v == 0 {
			*v = int64(to)
		}
	}
	set(&g.LDA, g.K)
	set(&g.LDB, g.K)
	set(&g.LDC, g.N)
	rows, cols := g.needsSums()
	if (rows || cols) && g.Scratch == 0 {
		return dst, fmt.Errorf("kernel: gemm of bytes: %d bytes of workspace are needed, none are given", g.Workspace())
	}
	at, sumsA := g.Scratch, cuda.Ptr(0)
	var err error
	if rows {
		sumsA = at
		if dst, err = AppendByteSums(dst, g.A, sumsA, g.M, g.K, g.LDA, g.UnsignedA); err != nil {
			return dst, err
		}
		at += cuda.Ptr(g.M * 4)
	}
	if cols {
		g.SumsB = at
		if dst, err = AppendByteSums(dst, g.B, g.SumsB, g.N, g.K, g.LDB, g.UnsignedB); err != nil {
			return dst, err
		}
	}
	var flags uint32
	for _, f := range []struct {
		on  bool
		bit uint32
	}{{g.UnsignedA, byteUnsignedA}, {g.UnsignedB, byteUnsignedB}, {g.ZeroRow, byteZeroRow}, {g.ZeroCol, byteZeroCol},
		{g.ScaleCol, byteScaleCol}, {g.UnsignedC, byteUnsignedC}, {aligned(g.A, g.B) && (g.LDA|g.LDB)%16 == 0, byteVec}} {
		if f.on {
			flags |= f.bit
		}
	}
	values := []any{g.A, g.B, g.C, g.M, g.N, g.K, g.LDA, g.LDB, g.LDC, g.ZeroA, g.ZeroB, sumsA, g.SumsB, g.ScaleA, g.ScaleB, g.ScaleC, g.ZeroC,
		g.Bias, int(g.Output), int(g.Act.Func), g.Act.A, g.Act.B, flags}
	if g.M <= 16 {
		l := launch("gemm_int8", "gemm_int8_rows", ceilDiv(int64(g.N), 8), threads, values...)
		l.Grid.Y = uint32(ceilDiv(int64(g.M), 4))
		return append(dst, l), nil
	}
	tiles := ceilDiv(int64(g.M), 128) * ceilDiv(int64(g.N), 64)
	if tiles > maxGridX {
		return dst, limit("a product of bytes %d×%d×%d", g.M, g.N, g.K)
	}
	return append(dst, launch("gemm_int8", "gemm_int8", tiles, threads, values...)), nil
}

// AppendByteSums appends the Launch that sets y[row], int32, to the sum of a row's bytes,
// read as signed ones (unsigned ones 128 lower).
func AppendByteSums(dst []cuda.Launch, x, y cuda.Ptr, rows, k int, ld int64, unsigned bool) ([]cuda.Launch, error) {
	if rows < 0 || k < 0 || rows > maxIndex-8 || k > 1<<23 {
		return dst, limit("sums of %d rows of %d bytes", rows, k)
	}
	if rows == 0 {
		return dst, nil
	}
	return append(dst, launch("gemm_int8", "int8_sums", ceilDiv(int64(rows), 8), threads, x, y, rows, k, ld, unsigned)), nil
}

// Quantize is y = saturate(round(x/Scale) + Zero) over [Outer, Channels, Inner]: float32 to
// bytes. Scale and Zero (0: none) hold a value a channel; Channels 1 is one for all.
type Quantize struct {
	X, Scale, Zero, Y      cuda.Ptr
	Outer, Channels, Inner int
	Unsigned               bool
}

// AppendQuantize appends the Launch of q.
func AppendQuantize(dst []cuda.Launch, q Quantize) ([]cuda.Launch, error) {
	return appendQuant(dst, "quantize", q.Outer, q.Channels, q.Inner, q.X, q.Scale, q.Zero, q.Y, q.Unsigned)
}

// ByteKind is what Dequantize reads.
type ByteKind int

// The kinds.
const (
	Int8 ByteKind = iota
	Uint8
	Int32
)

// Dequantize is y = (x − Zero)·Scale over [Outer, Channels, Inner], to float32. Zero has x's type.
type Dequantize struct {
	X, Scale, Zero, Y      cuda.Ptr
	Outer, Channels, Inner int
	Kind                   ByteKind
}

// AppendDequantize appends the Launch of d.
func AppendDequantize(dst []cuda.Launch, d Dequantize) ([]cuda.Launch, error) {
	return appendQuant(dst, "dequantize", d.Outer, d.Channels, d.Inner, d.X, d.Scale, d.Zero, d.Y, int(d.Kind))
}

func appendQuant(dst []cuda.Launch, name string, outer, channels, inner int, x, scale, zero, y cuda.Ptr, kind any) ([]cuda.Launch, error) {
	n, ok := elements(outer, channels, inner)
	if !ok || n > maxIndex {
		return dst, limit("%s of %d×%d×%d", name, outer, channels, inner)
	}
	if n == 0 {
		return dst, nil
	}
	return append(dst, launch("quant", name, ceilDiv(n, threads), threads, x, scale, zero, y, uint32(n), div(int64(channels)), div(int64(inner)), kind)), nil
}

// DynamicQuantize is ONNX DynamicQuantizeLinear over N float32: bytes at Y, their scale
// (float32) at Scale, their zero point (uint8) at Zero.
type DynamicQuantize struct {
	X, Y, Scale, Zero cuda.Ptr
	N                 int
	Scratch           cuda.Ptr // Workspace() bytes
}

func (d *DynamicQuantize) blocks() int64 {
	return max(1, min(ceilDiv(int64(d.N), 8*threads), 2*multiprocessors))
}

// Workspace is how many bytes Scratch needs.
func (d DynamicQuantize) Workspace() int64 { return d.blocks() * 8 }

// AppendDynamicQuantize appends the Launches of d.
func AppendDynamicQuantize(dst []cuda.Launch, d DynamicQuantize) ([]cuda.Launch, error) {
	if d.N < 0 || d.N > maxIndex {
		return dst, limit("dynamic quantisation of %d elements", d.N)
	}
	if d.Scratch == 0 {
		return dst, fmt.Errorf("kernel: dynamic quantisation: %d bytes of workspace are needed, none are given", d.Workspace())
	}
	dst = append(dst, launch("quant", "extremes", d.blocks(), threads, d.X, d.Scratch, d.N),
		launch("quant", "quantize_range", 1, 32, d.Scratch, d.blocks(), d.Scale, d.Zero))
	return AppendQuantize(dst, Quantize{X: d.X, Scale: d.Scale, Zero: d.Zero, Y: d.Y, Outer: 1, Channels: 1, Inner: d.N, Unsigned: true})
}
