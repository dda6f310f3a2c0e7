//go:build amd64 && cgo && !noasm

package quant

// #cgo CFLAGS: -O3 -std=c11 -I${SRCDIR}/../isa -I${SRCDIR}/../pool
// #cgo noescape aimass_quant_avx2
// #cgo nocallback aimass_quant_avx2
// #cgo noescape aimass_quant_avx512
// #cgo nocallback aimass_quant_avx512
// #cgo noescape aimass_quant_minmax_avx2
// #cgo nocallback aimass_quant_minmax_avx2
// #cgo noescape aimass_quant_minmax_avx512
// #cgo nocallback aimass_quant_minmax_avx512
// #cgo noescape aimass_quant_quantize_avx2
// #cgo nocallback aimass_quant_quantize_avx2
// #cgo noescape aimass_quant_quantize_avx512
// #cgo nocallback aimass_quant_quantize_avx512
// #cgo noescape aimass_quant_quantize_rows_avx2
// #cgo nocallback aimass_quant_quantize_rows_avx2
// #cgo noescape aimass_quant_quantize_rows_avx512
// #cgo nocallback aimass_quant_quantize_rows_avx512
// #cgo noescape aimass_quant_dequantize_avx2
// #cgo nocallback aimass_quant_dequantize_avx2
// #cgo noescape aimass_quant_dequantize_avx512
// #cgo nocallback aimass_quant_dequantize_avx512
// #include "quant.h"
import "C"

import (
	"unsafe"

	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/kernels/pool"
)

// wide says whether the AVX-512 tile runs: it needs VNNI.
func wide(level isa.Level, vnni bool) bool { return level == isa.AVX512 && vnni }

// layoutNative is the layout of quant_tile.h.
func layoutNative(level isa.Level, vnni bool) (columns, group int) {
	if wide(level, vnni) {
		return 32, 4
	}
	return 16, 4
}

// saturates says whether a tile sums pairs of products in 16 bits; see apart.go.
func saturates(level isa.Level, vnni bool) bool { return level != isa.Generic && !wide(level, vnni) }

func fptr(x []float32) *C.float { return (*C.float)(unsafe.Pointer(unsafe.SliceData(x))) }

func iptr(x []int32) *C.int32_t { return (*C.int32_t)(unsafe.Pointer(unsafe.SliceData(x))) }

func bptr(x []byte) *C.uint8_t { return (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(x))) }

func flag(b bool) C.int32_t {
	if b {
		return 1
	}
	return 0
}

func runNative(c *call) {
	t := C.struct_quant_task{
		m: C.int64_t(c.m), n: C.int64_t(c.b.N), k: C.int64_t(c.b.K), lda: C.int64_t(c.a.LD), ldc: C.int64_t(c.ldc),
		threads: C.int32_t(pool.Threads(c.threads)), a_signed: flag(c.a.Signed),
		zero_a: C.int32_t(c.a.Zero), zero_b: C.int32_t(c.b.Zero), shift_b: C.int32_t(c.b.shift), span: C.int32_t(c.b.span), quads: flag(c.b.quads),
	}
	var scaleA, scaleB, bias, res *C.float
	var biasI *C.int32_t
	var sum, table *C.uint8_t
	var rng *C.float
	var places *C.int32_t
	var pad *C.uint8_t
	if g := c.a.Rows; g != nil {
		t.tap, t.taps = C.int32_t(g.tap), C.int32_t(c.b.K/g.tap)
		places, pad = iptr(g.places), bptr(g.pad)
	}
	out := unsafe.Pointer(unsafe.SliceData(c.i32))
	if d := c.dq; d != nil {
		t.kind, t.scale = C.QUANT_FLOAT, C.float(d.Scale)
		if d.Scale == 0 {
			t.scale = 1
		}
		t.act, t.act_a, t.act_b, t.ldr = C.int32_t(d.Act.Func), C.float(d.Act.A), C.float(d.Act.B), C.int64_t(d.LDR)
		scaleA, scaleB, bias, res = fptr(d.ScaleA), fptr(d.ScaleB), fptr(d.Bias), fptr(d.Residual)
		out = unsafe.Pointer(unsafe.SliceData(c.f32))
		if d.Range != nil {
			rng = fptr(d.Range[:])
		}
	}
	if r := c.rq; r != nil {
		t.kind, t.zero_c, t.c_signed = C.QUANT_BYTES, C.int32_t(r.Zero), flag(r.Signed)
		t.one_scale, t.floor_c = flag(len(r.Scale) == 1), -128
		if r.Relu {
			t.floor_c = t.zero_c
		}
		if a := r.Sum; a != nil {
			t.lds, sum = C.int64_t(a.LD), bptr(a.Data)
			t.sum_scale_c, t.sum_scale_a, t.sum_scale = C.float(a.ScaleC), C.float(a.ScaleA), C.float(a.Scale)
			t.sum_zero_a, t.sum_zero = C.int32_t(a.ZeroA), C.int32_t(a.Zero)
			if t.sum_floor = -128; a.Relu {
				t.sum_floor = t.sum_zero
			}
		}
		scaleB, biasI, table = fptr(r.Scale), iptr(r.Bias), (*C.uint8_t)(unsafe.Pointer(r.Table))
		out = unsafe.Pointer(unsafe.SliceData(c.u8))
	}
	b := (*C.int8_t)(unsafe.Pointer(unsafe.SliceData(c.b.data)))
	rest := (*C.int8_t)(unsafe.Pointer(unsafe.SliceData(c.b.rest)))
	if wide(c.b.level, c.b.vnni) {
		C.aimass_quant_avx512(&t, bptr(c.a.Data), iptr(c.a.Zeros), b, iptr(c.b.sums), iptr(c.b.Zeros),
			scaleA, scaleB, bias, biasI, res, out, places, pad, sum, rng, iptr(c.b.rests), rest, table)
	} else {
		C.aimass_quant_avx2(&t, bptr(c.a.Data), iptr(c.a.Zeros), b, iptr(c.b.sums), iptr(c.b.Zeros),
			scaleA, scaleB, bias, biasI, res, out, places, pad, sum, rng, iptr(c.b.rests), rest, table)
	}
}

// The conversions need no VNNI, but their file is compiled with it.
func minMaxNative(level isa.Level, x []float32, threads int) (lo, hi float32) {
	var r [2]C.float
	if wide(level, isa.Current().VNNI) {
		C.aimass_quant_minmax_avx512(fptr(x), C.int64_t(len(x)), C.int(pool.Threads(threads)), &r[0])
	} else {
		C.aimass_quant_minmax_avx2(fptr(x), C.int64_t(len(x)), C.int(pool.Threads(threads)), &r[0])
	}
	return float32(r[0]), float32(r[1])
}

func quantizeNative(level isa.Level, dst []byte, x []float32, scale float32, zero int32, signed bool, threads int) {
	n, th := C.int64_t(len(x)), C.int(pool.Threads(threads))
	if wide(level, isa.Current().VNNI) {
		C.aimass_quant_quantize_avx512(bptr(dst), fptr(x), n, C.float(scale), C.int(zero), C.int(flag(signed)), th)
	} else {
		C.aimass_quant_quantize_avx2(bptr(dst), fptr(x), n, C.float(scale), C.int(zero), C.int(flag(signed)), th)
	}
}

func quantizeRowsNative(level isa.Level, dst []byte, x []float32, cols int, scale float32, zero uint8, threads int) {
	n, rows, th := C.int64_t(cols), C.int64_t(len(x)/cols), C.int(pool.Threads(threads))
	if wide(level, isa.Current().VNNI) {
		C.aimass_quant_quantize_rows_avx512(bptr(dst), fptr(x), rows, n, C.float(scale), C.int(zero), th)
	} else {
		C.aimass_quant_quantize_rows_avx2(bptr(dst), fptr(x), rows, n, C.float(scale), C.int(zero), th)
	}
}

func dequantizeNative(level isa.Level, dst []float32, x []byte, scale float32, zero int32, signed bool, threads int) {
	n, th := C.int64_t(len(x)), C.int(pool.Threads(threads))
	if wide(level, isa.Current().VNNI) {
		C.aimass_quant_dequantize_avx512(fptr(dst), bptr(x), n, C.float(scale), C.int(zero), C.int(flag(signed)), th)
	} else {
		C.aimass_quant_dequantize_avx2(fptr(dst), bptr(x), n, C.float(scale), C.int(zero), C.int(flag(signed)), th)
	}
}
