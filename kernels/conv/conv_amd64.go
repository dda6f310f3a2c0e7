//go:build amd64 && cgo && !noasm

package conv

// #cgo CFLAGS: -O3 -std=c11 -I${SRCDIR}/../isa -I${SRCDIR}/../pool
// #cgo noescape aimass_conv_rows_avx2
// #cgo nocallback aimass_conv_rows_avx2
// #cgo noescape aimass_conv_rows_avx512
// #cgo nocallback aimass_conv_rows_avx512
// #cgo noescape aimass_conv_depthwise_avx2
// #cgo nocallback aimass_conv_depthwise_avx2
// #cgo noescape aimass_conv_depthwise_avx512
// #cgo nocallback aimass_conv_depthwise_avx512
// #cgo noescape aimass_conv_pool_avx2
// #cgo nocallback aimass_conv_pool_avx2
// #cgo noescape aimass_conv_pool_avx512
// #cgo nocallback aimass_conv_pool_avx512
// #include "conv.h"
import "C"

import (
	"unsafe"

	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/kernels/pool"
)

func ptr(x []float32) *C.float { return (*C.float)(unsafe.Pointer(unsafe.SliceData(x))) }

func (w Window) export(h, width, oh, ow int) C.struct_conv_task {
	i := func(v int) C.int64_t { return C.int64_t(v) }
	return C.struct_conv_task{d: 1, od: 1, kd: 1, sd: 1, dd: 1,
		h: i(h), w: i(width), oh: i(oh), ow: i(ow), kh: i(w.KH), kw: i(w.KW),
		sh: i(w.StrideH), sw: i(w.StrideW), dh: i(w.DilationH), dw: i(w.DilationW),
		pt: i(w.PadTop), pl: i(w.PadLeft), pb: i(w.PadBottom), pr: i(w.PadRight)}
}

func (p *Packed) runNative(y, x []float32, n, d, h, w int, ep *Epilogue, threads int) {
	g := p.g
	oh, ow := g.Out(h, w)
	t := g.Window.export(h, w, oh, ow)
	t.d, t.od, t.kd, t.sd, t.dd = C.int64_t(d), C.int64_t(g.Depth.Out(d)), C.int64_t(g.Depth.K), C.int64_t(g.Depth.Stride), C.int64_t(g.Depth.Dilation)
	t.pf = C.int64_t(g.Depth.Before)
	t.n, t.c, t.oc, t.group = C.int64_t(n), C.int64_t(g.C), C.int64_t(g.OC), C.int64_t(g.Group)
	t.threads = C.int32_t(pool.Threads(threads))
	var res *C.float
	if ep != nil {
		t.act, t.act_a, t.act_b = C.int32_t(ep.Act.Func), C.float(ep.Act.A), C.float(ep.Act.B)
		res = ptr(ep.Residual)
	}
	data, bias, wide := ptr(p.data), ptr(p.bias), p.level == isa.AVX512
	switch {
	case p.method == depthwise && wide:
		C.aimass_conv_depthwise_avx512(&t, data, bias, ptr(x), res, ptr(y))
	case p.method == depthwise:
		C.aimass_conv_depthwise_avx2(&t, data, bias, ptr(x), res, ptr(y))
	case wide:
		C.aimass_conv_rows_avx512(&t, data, bias, ptr(x), res, ptr(y))
	default:
		C.aimass_conv_rows_avx2(&t, data, bias, ptr(x), res, ptr(y))
	}
}

func poolNative(level isa.Level, op PoolOp, y, x []float32, planes, h, w, oh, ow int, win Window, threads int) {
	t := win.export(h, w, oh, ow)
	t.n, t.threads = C.int64_t(planes), C.int32_t(pool.Threads(threads))
	if level == isa.AVX512 {
		C.aimass_conv_pool_avx512(&t, C.int(op), ptr(x), ptr(y))
	} else {
		C.aimass_conv_pool_avx2(&t, C.int(op), ptr(x), ptr(y))
	}
}
