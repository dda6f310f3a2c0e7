//go:build amd64 && cgo && !noasm

package attention

// #cgo CFLAGS: -O3 -std=c11 -I${SRCDIR}/../isa -I${SRCDIR}/../pool -I${SRCDIR}/../gemm
// #cgo noescape aimass_attention_avx2
// #cgo nocallback aimass_attention_avx2
// #cgo noescape aimass_attention_avx512
// #cgo nocallback aimass_attention_avx512
// #include "attention.h"
import "C"

import (
	"unsafe"

	_ "github.com/aimass/aimass/kernels/gemm" // its tiles are included; see there, headers
	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/kernels/pool"
)

func ptr(x []float32) *C.float { return (*C.float)(unsafe.Pointer(unsafe.SliceData(x))) }

func iptr(x []int32) *C.int32_t { return (*C.int32_t)(unsafe.Pointer(unsafe.SliceData(x))) }

func (s Strides) export() C.struct_attn_strides {
	return C.struct_attn_strides{seq: C.int64_t(s.Seq), token: C.int64_t(s.Token), head: C.int64_t(s.Head)}
}

func (p *Params) runNative(level isa.Level, out, q, k, v []float32) {
	t := C.struct_attn_task{
		seqs: C.int64_t(p.Seqs), heads: C.int64_t(p.Heads), kv_heads: C.int64_t(p.kvHeads()),
		qlen: C.int64_t(p.QLen), klen: C.int64_t(p.KLen), dk: C.int64_t(p.DK), dv: C.int64_t(p.DV),
		q: p.Q.export(), k: p.K.export(), v: p.V.export(), out: p.Out.export(),
		bias_seq: C.int64_t(p.BiasSeq), bias_head: C.int64_t(p.BiasHead),
		bias_query: C.int64_t(p.BiasQuery), bias_key: C.int64_t(p.BiasKey),
		window: C.int64_t(p.Window), scale: C.float(p.Scale), softcap: C.float(p.Softcap), blank: C.int32_t(p.Blank), threads: C.int32_t(pool.Threads(p.Threads)),
	}
	if p.Causal {
		t.causal = 1
	}
	if level == isa.AVX512 {
		C.aimass_attention_avx512(&t, ptr(out), ptr(q), ptr(k), ptr(v), ptr(p.Bias), ptr(p.Sinks), iptr(p.Starts), iptr(p.KeyLens))
	} else {
		C.aimass_attention_avx2(&t, ptr(out), ptr(q), ptr(k), ptr(v), ptr(p.Bias), ptr(p.Sinks), iptr(p.Starts), iptr(p.KeyLens))
	}
}
