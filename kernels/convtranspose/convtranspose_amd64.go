//go:build amd64 && cgo && !noasm

package convtranspose

// #cgo CFLAGS: -O3 -std=c11 -I${SRCDIR}/../pool
// #cgo noescape aimass_fold
// #cgo nocallback aimass_fold
// #include "convtranspose.h"
import "C"

import (
	"unsafe"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/conv"
	"github.com/aimass/aimass/kernels/elementwise"
	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/kernels/pool"
)

func (p *Packed) fold(y []float32, oh, ow int, cols []float32, h, w int, bias []float32, threads int) {
	if p.level == isa.Generic {
		p.foldGeneric(y, oh, ow, cols, h, w, bias)
		return
	}
	g := &p.g
	i := func(v int) C.int64_t { return C.int64_t(v) }
	t := C.struct_fold_task{planes: i(len(bias)), oh: i(oh), ow: i(ow), h: i(h), w: i(w), kh: i(g.KH), kw: i(g.KW),
		sh: i(g.StrideH), sw: i(g.StrideW), dh: i(g.DilationH), dw: i(g.DilationW), pt: i(g.PadTop), pl: i(g.PadLeft),
		threads: C.int32_t(pool.Threads(threads))}
	ptr := func(x []float32) *C.float { return (*C.float)(unsafe.Pointer(unsafe.SliceData(x))) }
	C.aimass_fold(&t, ptr(cols), ptr(bias), ptr(y))
}

func (p *Packed) activate(y []float32, ep *conv.Epilogue, threads int) {
	if ep.Act.Func == act.None {
		return
	}
	if p.level == isa.Generic {
		ep.Act.Apply(y)
		return
	}
	elementwise.Unary(y, y, ep.Act, threads)
}
