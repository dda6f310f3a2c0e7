//go:build amd64 && cgo && !noasm

package elementwise64

// #cgo CFLAGS: -O3 -std=c11 -I${SRCDIR}/../isa -I${SRCDIR}/../pool
// #cgo noescape aimass_ew64_program_avx2
// #cgo nocallback aimass_ew64_program_avx2
// #cgo noescape aimass_ew64_program_avx512
// #cgo nocallback aimass_ew64_program_avx512
// #cgo noescape aimass_ew64_fold_avx2
// #cgo nocallback aimass_ew64_fold_avx2
// #cgo noescape aimass_ew64_fold_avx512
// #cgo nocallback aimass_ew64_fold_avx512
// #include "elementwise64.h"
import "C"

import (
	"unsafe"

	"github.com/aimass/aimass/kernels/elementwise"
	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/kernels/pool"
)

func ptr(x []float64) *C.double { return (*C.double)(unsafe.Pointer(unsafe.SliceData(x))) }

func (p *Program) runNative(dst []float64, rows, cols int, inputs [][]float64, threads int) {
	g := C.struct_ew64_program{rows: C.int64_t(rows), cols: C.int64_t(cols), steps: C.int32_t(len(p.steps)),
		inputs: C.int32_t(len(inputs)), threads: C.int32_t(pool.Threads(threads))}
	var in [elementwise.MaxInputs]*C.double
	for i, x := range inputs {
		in[i] = ptr(x)
		g.layout[i] = C.int32_t(p.layouts[i])
	}
	steps := (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(p.steps)))
	if p.level == isa.AVX512 {
		C.aimass_ew64_program_avx512(&g, steps, ptr(dst), in[0], in[1], in[2], in[3], in[4], in[5])
	} else {
		C.aimass_ew64_program_avx2(&g, steps, ptr(dst), in[0], in[1], in[2], in[3], in[4], in[5])
	}
}

func foldNative(level isa.Level, op FoldOp, dst, x []float64, outer, n, inner int) {
	o, c, m := C.int64_t(outer), C.int64_t(n), C.int64_t(inner)
	if level == isa.AVX512 {
		C.aimass_ew64_fold_avx512(C.int(op), ptr(dst), ptr(x), o, c, m)
	} else {
		C.aimass_ew64_fold_avx2(C.int(op), ptr(dst), ptr(x), o, c, m)
	}
}
