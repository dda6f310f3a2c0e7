//go:build amd64 && cgo && !noasm

package nhwc

// #cgo CFLAGS: -O3 -std=c11 -I${SRCDIR}/../isa -I${SRCDIR}/../pool
// #cgo noescape aimass_nhwc_depthwise_avx2
// #cgo nocallback aimass_nhwc_depthwise_avx2
// #cgo noescape aimass_nhwc_depthwise_avx512
// #cgo nocallback aimass_nhwc_depthwise_avx512
// #cgo noescape aimass_nhwc_map_avx2
// #cgo nocallback aimass_nhwc_map_avx2
// #cgo noescape aimass_nhwc_map_avx512
// #cgo nocallback aimass_nhwc_map_avx512
// #cgo noescape aimass_nhwc_combine_avx2
// #cgo nocallback aimass_nhwc_combine_avx2
// #cgo noescape aimass_nhwc_combine_avx512
// #cgo nocallback aimass_nhwc_combine_avx512
// #include "nhwc.h"
import "C"

import (
	"unsafe"

	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/kernels/pool"
)

// maxPlaces is the largest window that the native depthwise convolution takes.
const maxPlaces = 124

func bptr(x []byte) *C.uint8_t { return (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(x))) }

func tptr(x *[256]byte) *C.uint8_t { return (*C.uint8_t)(unsafe.Pointer(x)) }

func flag(b bool) C.int32_t {
	if b {
		return 1
	}
	return 0
}

func (d *Depthwise) native(dst, src []byte, threads int) {
	g := &d.Geometry
	w := C.struct_nhwc_window{c: C.int32_t(g.C), h: C.int32_t(g.H), w: C.int32_t(g.W), oh: C.int32_t(g.OH), ow: C.int32_t(g.OW), kh: C.int32_t(g.KH), kw: C.int32_t(g.KW),
		sh: C.int32_t(g.StrideH), sw: C.int32_t(g.StrideW), dh: C.int32_t(g.DilationH), dw: C.int32_t(g.DilationW), top: C.int32_t(g.PadTop), left: C.int32_t(g.PadLeft),
		is_signed: flag(d.signed), threads: C.int32_t(pool.Threads(threads)), zero: C.int32_t(d.Zero), floor: C.int32_t(d.floor()), out_signed: flag(d.Signed)}
	weights := unsafe.Pointer(unsafe.SliceData(d.packed))
	bias, scale := (*C.int32_t)(unsafe.Pointer(unsafe.SliceData(d.bias))), (*C.float)(unsafe.Pointer(unsafe.SliceData(d.scale)))
	if d.vnni {
		C.aimass_nhwc_depthwise_avx512(&w, bptr(dst), bptr(src), bptr(d.pad), weights, bias, scale, tptr(d.Table))
	} else {
		C.aimass_nhwc_depthwise_avx2(&w, bptr(dst), bptr(src), bptr(d.pad), weights, bias, scale, tptr(d.Table))
	}
}

// wide says whether the AVX-512 file may run: it is compiled with VNNI.
func wide(f isa.Features) bool { return f.Level == isa.AVX512 && f.VNNI }

func mapNative(f isa.Features, dst []byte, ldd int, src []byte, lds, rows, cols int, table *[256]byte, threads int) {
	th := C.int(pool.Threads(threads))
	if wide(f) {
		C.aimass_nhwc_map_avx512(bptr(dst), C.int64_t(ldd), bptr(src), C.int64_t(lds), C.int64_t(rows), C.int64_t(cols), tptr(table), th)
	} else {
		C.aimass_nhwc_map_avx2(bptr(dst), C.int64_t(ldd), bptr(src), C.int64_t(lds), C.int64_t(rows), C.int64_t(cols), tptr(table), th)
	}
}

func combineNative(f isa.Features, dst, a, b []byte, rows, cols int, p *Pair, threads int) {
	c := C.struct_nhwc_pair{scale_a: C.float(p.ScaleA), scale_b: C.float(p.ScaleB), scale: C.float(p.Scale), fixed: C.float(p.Fixed), factor: C.float(p.Factor), shift: C.float(p.Shift),
		zero_a: C.int32_t(p.ZeroA), zero_b: C.int32_t(p.ZeroB), zero: C.int32_t(p.Zero), product: flag(p.Product), is_signed: flag(p.Signed), relu: flag(p.Relu), whole: flag(p.Whole)}
	th := C.int(pool.Threads(threads))
	if wide(f) {
		C.aimass_nhwc_combine_avx512(bptr(dst), bptr(a), bptr(b), C.int64_t(rows), C.int64_t(cols), &c, th)
	} else {
		C.aimass_nhwc_combine_avx2(bptr(dst), bptr(a), bptr(b), C.int64_t(rows), C.int64_t(cols), &c, th)
	}
}
