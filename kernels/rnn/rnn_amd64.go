//go:build amd64 && cgo && !noasm

package rnn

// #cgo CFLAGS: -O3 -std=c11 -I${SRCDIR}/../isa -I${SRCDIR}/../pool -I${SRCDIR}/../gemm
// #cgo noescape aimass_rnn_avx2
// #cgo nocallback aimass_rnn_avx2
// #cgo noescape aimass_rnn_avx512
// #cgo nocallback aimass_rnn_avx512
// #include "rnn.h"
import "C"

import (
	"unsafe"

	"github.com/aimass/aimass/kernels/act"
	_ "github.com/aimass/aimass/kernels/gemm" // its tiles are included; see there, headers
	"github.com/aimass/aimass/kernels/isa"
	_ "github.com/aimass/aimass/kernels/pool" // its scratch buffers are linked
)

// packNative lays each gate out as panels of NR columns, see rnn_body.h.
func (c *Cell) packNative(r []float32) {
	nr, n := 16, c.Hidden
	if c.level == isa.AVX512 {
		nr = 32
	}
	wide := (n + nr - 1) / nr * nr
	c.data = isa.Alloc(c.Kind.gates() * wide * n)
	for g := range c.Kind.gates() {
		for j := range n {
			panel := c.data[(g*wide+j/nr*nr)*n:]
			for k := range n {
				panel[k*nr+j%nr] = r[(g*n+j)*n+k]
			}
		}
	}
}

func ptr(x []float32) *C.float { return (*C.float)(unsafe.Pointer(unsafe.SliceData(x))) }

func export(a act.Act) C.struct_rnn_act {
	return C.struct_rnn_act{_func: C.int32_t(a.Func), a: C.float(a.A), b: C.float(a.B)}
}

func (c *Cell) runNative(s *Sequence) {
	t := C.struct_rnn_task{steps: C.int64_t(s.Steps), batch: C.int64_t(s.Batch), hidden: C.int64_t(c.Hidden),
		y_step: C.int64_t(s.YStep), y_row: C.int64_t(s.YRow), kind: C.int32_t(c.Kind), clip: C.float(c.clip),
		f: export(c.f), g: export(c.g), h: export(c.h)}
	if s.Reverse {
		t.reverse = 1
	}
	if c.inputForget {
		t.input_forget = 1
	}
	lens := (*C.int32_t)(unsafe.Pointer(unsafe.SliceData(s.Lens)))
	if c.level == isa.AVX512 {
		C.aimass_rnn_avx512(&t, ptr(c.data), ptr(c.peep), ptr(c.bias), ptr(s.Gates), ptr(s.H), ptr(s.C), ptr(s.Y), lens)
	} else {
		C.aimass_rnn_avx2(&t, ptr(c.data), ptr(c.peep), ptr(c.bias), ptr(s.Gates), ptr(s.H), ptr(s.C), ptr(s.Y), lens)
	}
}
