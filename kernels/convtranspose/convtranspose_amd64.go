//go:build amd64 && cgo && !noasm

package convtranspose

// #cgo CFLAGS: -O3 -std=c11 -I${SRCDIR}/../pool
// #cgo noescape aimass_weave
// #cgo nocallback aimass_weave
// #include "convtranspose.h"
import "C"

import (
	"unsafe"

	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/kernels/pool"
)

func (p *Packed) weave(dst, src []float32, w *weave, threads int) {
	if p.level == isa.Generic {
		p.weaveGeneric(dst, src, w)
		return
	}
	t := C.struct_weave_task{planes: C.int64_t(w.planes), width: C.int64_t(p.width), threads: C.int32_t(pool.Threads(threads))}
	for k := range w.at {
		t.at[k], t.in[k], t.out[k] = C.int64_t(w.at[k]), C.int64_t(w.in[k]), C.int64_t(w.out[k])
		t.step[k] = C.int64_t(p.g.Axes[k].Stride)
	}
	ptr := func(x []float32) *C.float { return (*C.float)(unsafe.Pointer(unsafe.SliceData(x))) }
	C.aimass_weave(&t, ptr(src), ptr(dst))
}
