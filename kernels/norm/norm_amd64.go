//go:build amd64 && cgo && !noasm

package norm

// #cgo CFLAGS: -O3 -std=c11 -I${SRCDIR}/../isa -I${SRCDIR}/../pool
// #cgo LDFLAGS: -lm
// #cgo noescape aimass_norm_rows_avx2
// #cgo nocallback aimass_norm_rows_avx2
// #cgo noescape aimass_norm_rows_avx512
// #cgo nocallback aimass_norm_rows_avx512
// #cgo noescape aimass_norm_planes_avx2
// #cgo nocallback aimass_norm_planes_avx2
// #cgo noescape aimass_norm_planes_avx512
// #cgo nocallback aimass_norm_planes_avx512
// #include "norm.h"
import "C"

import (
	"unsafe"

	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/kernels/pool"
)

func ptr(x []float32) *C.float { return (*C.float)(unsafe.Pointer(unsafe.SliceData(x))) }

func (p *Rows) runNative(level isa.Level, dst, x []float32) {
	t := C.struct_norm_rows{rows: C.int64_t(p.Rows), cols: C.int64_t(p.Cols), epsilon: C.float(p.Epsilon),
		threads: C.int32_t(pool.Threads(p.Threads))}
	if p.RMS {
		t.rms = 1
	}
	res, bias, gamma, beta, sum := ptr(p.Residual), ptr(p.Bias), ptr(p.Gamma), ptr(p.Beta), ptr(p.Sum)
	if level == isa.AVX512 {
		C.aimass_norm_rows_avx512(&t, ptr(dst), ptr(x), res, bias, gamma, beta, sum)
	} else {
		C.aimass_norm_rows_avx2(&t, ptr(dst), ptr(x), res, bias, gamma, beta, sum)
	}
}

func instanceNative(level isa.Level, dst, x []float32, outer, channels, inner int, gamma, beta []float32, epsilon float32, threads int) {
	t := C.struct_norm_planes{epsilon: C.float(epsilon)}
	planes(level, &t, dst, x, outer, channels, inner, gamma, beta, threads)
}

func affineNative(level isa.Level, dst, x []float32, outer, channels, inner int, scale, shift []float32, threads int) {
	t := C.struct_norm_planes{affine: 1}
	planes(level, &t, dst, x, outer, channels, inner, scale, shift, threads)
}

func planes(level isa.Level, t *C.struct_norm_planes, dst, x []float32, outer, channels, inner int, gamma, beta []float32, threads int) {
	t.outer, t.channels, t.inner = C.int64_t(outer), C.int64_t(channels), C.int64_t(inner)
	t.threads = C.int32_t(pool.Threads(threads))
	if level == isa.AVX512 {
		C.aimass_norm_planes_avx512(t, ptr(dst), ptr(x), ptr(gamma), ptr(beta))
	} else {
		C.aimass_norm_planes_avx2(t, ptr(dst), ptr(x), ptr(gamma), ptr(beta))
	}
}
