//go:build amd64 && cgo && !noasm

package elementwise

// #cgo CFLAGS: -O3 -std=c11 -I${SRCDIR}/../isa -I${SRCDIR}/../pool
// #cgo noescape aimass_ew_unary_avx2
// #cgo nocallback aimass_ew_unary_avx2
// #cgo noescape aimass_ew_unary_avx512
// #cgo nocallback aimass_ew_unary_avx512
// #cgo noescape aimass_ew_binary_avx2
// #cgo nocallback aimass_ew_binary_avx2
// #cgo noescape aimass_ew_binary_avx512
// #cgo nocallback aimass_ew_binary_avx512
// #cgo noescape aimass_ew_program_avx2
// #cgo nocallback aimass_ew_program_avx2
// #cgo noescape aimass_ew_program_avx512
// #cgo nocallback aimass_ew_program_avx512
// #include "elementwise.h"
import "C"

import (
	"unsafe"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/kernels/pool"
)

func ptr(x []float32) *C.float { return (*C.float)(unsafe.Pointer(unsafe.SliceData(x))) }

func unaryNative(level isa.Level, dst, x []float32, f act.Act, threads int) {
	op, a, b := C.int(f.Func), C.float(f.A), C.float(f.B)
	n, th := C.int64_t(len(x)), C.int(pool.Threads(threads))
	if level == isa.AVX512 {
		C.aimass_ew_unary_avx512(op, a, b, ptr(dst), ptr(x), n, th)
	} else {
		C.aimass_ew_unary_avx2(op, a, b, ptr(dst), ptr(x), n, th)
	}
}

func binaryNative(level isa.Level, f *form, dst, x, y []float32, threads int) {
	g := C.struct_ew_form{rows: C.int64_t(f.rows), cols: C.int64_t(f.cols), yr: C.int64_t(f.yr), ys: C.int64_t(f.ys),
		op: C.int32_t(f.op), threads: C.int32_t(pool.Threads(threads))}
	if f.swap {
		g.swap = 1
	}
	if level == isa.AVX512 {
		C.aimass_ew_binary_avx512(&g, ptr(dst), ptr(x), ptr(y))
	} else {
		C.aimass_ew_binary_avx2(&g, ptr(dst), ptr(x), ptr(y))
	}
}

func (p *Program) runNative(dst []float32, rows, cols int, inputs [][]float32, threads int) {
	g := C.struct_ew_program{rows: C.int64_t(rows), cols: C.int64_t(cols), steps: C.int32_t(len(p.steps)),
		inputs: C.int32_t(len(inputs)), out: C.int32_t(p.out), threads: C.int32_t(pool.Threads(threads))}
	var in [MaxInputs]*C.float
	for i, x := range inputs {
		in[i] = ptr(x)
		g.layout[i] = C.int32_t(p.layouts[i])
	}
	code := (*C.int32_t)(unsafe.Pointer(unsafe.SliceData(p.code)))
	consts := ptr(p.consts)
	if p.level == isa.AVX512 {
		C.aimass_ew_program_avx512(&g, code, consts, ptr(dst), in[0], in[1], in[2], in[3], in[4], in[5])
	} else {
		C.aimass_ew_program_avx2(&g, code, consts, ptr(dst), in[0], in[1], in[2], in[3], in[4], in[5])
	}
}
