//go:build amd64 && cgo && !noasm

package nchwc

// #cgo CFLAGS: -O3 -std=c11 -I${SRCDIR}/../isa -I${SRCDIR}/../pool
// #cgo noescape aimass_nchwc_direct_avx2
// #cgo nocallback aimass_nchwc_direct_avx2
// #cgo noescape aimass_nchwc_direct_avx512
// #cgo nocallback aimass_nchwc_direct_avx512
// #cgo noescape aimass_nchwc_winograd_avx2
// #cgo nocallback aimass_nchwc_winograd_avx2
// #cgo noescape aimass_nchwc_winograd_avx512
// #cgo nocallback aimass_nchwc_winograd_avx512
// #cgo noescape aimass_nchwc_depthwise_avx2
// #cgo nocallback aimass_nchwc_depthwise_avx2
// #cgo noescape aimass_nchwc_depthwise_avx512
// #cgo nocallback aimass_nchwc_depthwise_avx512
// #cgo noescape aimass_nchwc_pool_avx2
// #cgo nocallback aimass_nchwc_pool_avx2
// #cgo noescape aimass_nchwc_pool_avx512
// #cgo nocallback aimass_nchwc_pool_avx512
// #cgo noescape aimass_nchwc_block_avx2
// #cgo nocallback aimass_nchwc_block_avx2
// #cgo noescape aimass_nchwc_block_avx512
// #cgo nocallback aimass_nchwc_block_avx512
// #cgo noescape aimass_nchwc_unblock_avx2
// #cgo nocallback aimass_nchwc_unblock_avx2
// #cgo noescape aimass_nchwc_unblock_avx512
// #cgo nocallback aimass_nchwc_unblock_avx512
// #include "nchwc.h"
import "C"

import (
	"unsafe"

	"github.com/aimass/aimass/kernels/conv"
	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/kernels/pool"
)

func ptr(x []float32) *C.float { return (*C.float)(unsafe.Pointer(unsafe.SliceData(x))) }

func export(w conv.Window, h, width, oh, ow int) C.struct_nchwc_task {
	i := func(v int) C.int64_t { return C.int64_t(v) }
	return C.struct_nchwc_task{d: 1, od: 1, kd: 1, sd: 1, dd: 1, h: i(h), w: i(width), oh: i(oh), ow: i(ow), kh: i(w.KH), kw: i(w.KW),
		sh: i(w.StrideH), sw: i(w.StrideW), dh: i(w.DilationH), dw: i(w.DilationW),
		pt: i(w.PadTop), pl: i(w.PadLeft), pb: i(w.PadBottom), pr: i(w.PadRight)}
}

func (p *Packed) runNative(y, x []float32, n, d, h, w int, ep *Epilogue, threads int) {
	oh, ow := p.g.Out(h, w)
	t := export(p.g.Window, h, w, oh, ow)
	z := p.g.Depth
	t.d, t.od, t.kd, t.sd, t.dd, t.pf = C.int64_t(d), C.int64_t(z.Out(d)), C.int64_t(z.K), C.int64_t(z.Stride), C.int64_t(z.Dilation), C.int64_t(z.Before)
	t.n, t.c, t.oc = C.int64_t(n), C.int64_t(p.channels()/p.width), C.int64_t(len(p.bias)/p.width)
	t.threads = C.int32_t(pool.Threads(threads))
	if p.Dense() {
		t.c, t.dense = C.int64_t(p.g.C), 1
	}
	var res *C.float
	if ep != nil {
		t.act, t.act_a, t.act_b = C.int32_t(ep.Act.Func), C.float(ep.Act.A), C.float(ep.Act.B)
		res = ptr(ep.Residual)
		if ep.After {
			t.after = 1
		}
	}
	data, bias, wide := ptr(p.data), ptr(p.bias), p.level == isa.AVX512
	switch {
	case p.method == winograd && wide:
		C.aimass_nchwc_winograd_avx512(&t, data, bias, ptr(x), res, ptr(y))
	case p.method == winograd:
		C.aimass_nchwc_winograd_avx2(&t, data, bias, ptr(x), res, ptr(y))
	case p.method == depthwise && wide:
		C.aimass_nchwc_depthwise_avx512(&t, data, bias, ptr(x), res, ptr(y))
	case p.method == depthwise:
		C.aimass_nchwc_depthwise_avx2(&t, data, bias, ptr(x), res, ptr(y))
	case wide:
		C.aimass_nchwc_direct_avx512(&t, data, bias, ptr(x), res, ptr(y))
	default:
		C.aimass_nchwc_direct_avx2(&t, data, bias, ptr(x), res, ptr(y))
	}
}

func poolNative(level isa.Level, op conv.PoolOp, y, x []float32, planes, h, w, oh, ow int, win conv.Window, threads int) {
	t := export(win, h, w, oh, ow)
	t.n, t.threads = C.int64_t(planes), C.int32_t(pool.Threads(threads))
	if level == isa.AVX512 {
		C.aimass_nchwc_pool_avx512(&t, C.int(op), ptr(x), ptr(y))
	} else {
		C.aimass_nchwc_pool_avx2(&t, C.int(op), ptr(x), ptr(y))
	}
}

func moveNative(level isa.Level, dst, src []float32, n, c, size, threads int, block bool) {
	in, ch, hw, th := C.int64_t(n), C.int64_t(c), C.int64_t(size), C.int(pool.Threads(threads))
	switch wide := level == isa.AVX512; {
	case block && wide:
		C.aimass_nchwc_block_avx512(ptr(dst), ptr(src), in, ch, hw, th)
	case block:
		C.aimass_nchwc_block_avx2(ptr(dst), ptr(src), in, ch, hw, th)
	case wide:
		C.aimass_nchwc_unblock_avx512(ptr(dst), ptr(src), in, ch, hw, th)
	default:
		C.aimass_nchwc_unblock_avx2(ptr(dst), ptr(src), in, ch, hw, th)
	}
}
