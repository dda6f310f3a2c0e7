//go:build amd64 && cgo && !noasm

package gemm

// #cgo CFLAGS: -O3 -std=c11 -I${SRCDIR}/../isa -I${SRCDIR}/../pool
// #cgo noescape aimass_gemm_avx2
// #cgo nocallback aimass_gemm_avx2
// #cgo noescape aimass_gemm_avx512
// #cgo nocallback aimass_gemm_avx512
// #cgo noescape aimass_gemm_group_avx2
// #cgo nocallback aimass_gemm_group_avx2
// #cgo noescape aimass_gemm_group_avx512
// #cgo nocallback aimass_gemm_group_avx512
// #cgo noescape aimass_gemm_chain_avx2
// #cgo nocallback aimass_gemm_chain_avx2
// #cgo noescape aimass_gemm_chain_avx512
// #cgo nocallback aimass_gemm_chain_avx512
// #include "gemm.h"
import "C"

import (
	"math"
	"unsafe"

	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/kernels/pool"
)

// panelWidth is NR of tile.h: two vectors.
func panelWidth(level isa.Level) int {
	switch level {
	case isa.AVX512:
		return 32
	case isa.AVX2:
		return 16
	}
	return 0
}

func ptr(x []float32) *C.float { return (*C.float)(unsafe.Pointer(unsafe.SliceData(x))) }

func gemmNative(m int, a []float32, lda int, b *PackedB, c []float32, ldc int, ep *Epilogue, threads int) {
	t := C.struct_gemm_task{
		m: C.int64_t(m), n: C.int64_t(b.N), k: C.int64_t(b.K),
		lda: C.int64_t(lda), ldc: C.int64_t(ldc),
		threads: C.int32_t(pool.Threads(threads)), packed: 1,
	}
	if b.K == 0 {
		gemmGeneric(m, a, lda, b, c, ldc, ep, 1)
		return
	}
	if b.columns() {
		t.packed, t.trans_b, t.ldb = 0, 1, C.int64_t(b.K)
	}
	bias, res := ep.export(&t.ep)
	callGemm(b.level, &t, ptr(a), ptr(b.data), ptr(c), bias, res)
}

func callGemm(level isa.Level, t *C.struct_gemm_task, a, b, c, bias, res *C.float) {
	if level == isa.AVX512 {
		C.aimass_gemm_avx512(t, a, b, c, bias, res)
	} else {
		C.aimass_gemm_avx2(t, a, b, c, bias, res)
	}
}

func groupNative(m int, a []float32, lda int, products []Weighted, threads int) {
	var t [GroupMax]C.struct_gemm_task
	var b, c, bias [GroupMax]*C.float
	for i := range products {
		p := &products[i]
		t[i] = C.struct_gemm_task{
			m: C.int64_t(m), n: C.int64_t(p.B.N), k: C.int64_t(p.B.K),
			lda: C.int64_t(lda), ldc: C.int64_t(p.LDC),
			threads: C.int32_t(pool.Threads(threads)), packed: 1,
		}
		ep := Epilogue{Alpha: p.Alpha, Bias: p.Bias, Act: p.Act}
		b[i], c[i] = ptr(p.B.data), ptr(p.C)
		bias[i], _ = ep.export(&t[i].ep)
	}
	n := C.int(len(products))
	if products[0].B.level == isa.AVX512 {
		C.aimass_gemm_group_avx512(&t[0], n, ptr(a), b[0], b[1], b[2], c[0], c[1], c[2], bias[0], bias[1], bias[2])
	} else {
		C.aimass_gemm_group_avx2(&t[0], n, ptr(a), b[0], b[1], b[2], c[0], c[1], c[2], bias[0], bias[1], bias[2])
	}
}

// export copies the numbers of an epilogue and gives its pointers.
func (ep *Epilogue) export(e *C.struct_gemm_epilogue) (bias, res *C.float) {
	e.alpha, e.beta = 1, 1
	if ep == nil {
		return nil, nil
	}
	alpha, beta := ep.scales()
	e.alpha, e.beta = C.float(alpha), C.float(beta)
	e.act, e.act_a, e.act_b = C.int32_t(ep.Act.Func), C.float(ep.Act.A), C.float(ep.Act.B)
	if ep.Bias != nil {
		bias = ptr(ep.Bias)
		if ep.BiasRows {
			e.bias_rows = 1
		}
	}
	if ep.Residual != nil {
		res = ptr(ep.Residual)
		e.ldr = C.int64_t(ep.LDR)
	}
	return bias, res
}

func matMulNative(level isa.Level, p *Product, a, b, c []float32, ep *Epilogue, threads int) {
	t := C.struct_gemm_task{
		m: C.int64_t(p.M), n: C.int64_t(p.N), k: C.int64_t(p.K),
		lda: C.int64_t(p.LDA), ldb: C.int64_t(p.LDB), ldc: C.int64_t(p.LDC),
		threads: C.int32_t(pool.Threads(threads)),
	}
	if p.TransA {
		t.trans_a = 1
	}
	if p.TransB {
		t.trans_b = 1
	}
	for d := range maxBatchDims {
		t.batch[d] = C.int64_t(p.Batch[d])
		t.stride_a[d] = C.int64_t(p.StrideA[d])
		t.stride_b[d] = C.int64_t(p.StrideB[d])
		t.stride_c[d] = C.int64_t(p.StrideC[d])
	}
	bias, res := ep.export(&t.ep)
	callGemm(level, &t, ptr(a), ptr(b), ptr(c), bias, res)
}

// packNative lays the layers out one behind the other: for each a panel matrix
// of chainWidth columns, then a bias of as many values, zeros if there is none.
func (c *Chain) packNative(layers []Layer) {
	width := panelWidth(c.level) / 2
	c.desc = append(c.desc, int32(len(layers)))
	size := 0
	for _, l := range layers {
		np := (l.N + width - 1) / width * width
		c.desc = append(c.desc, int32(l.K), int32(l.N), int32(size), int32(size+l.K*np), int32(l.Act.Func),
			int32(math.Float32bits(l.Act.A)), int32(math.Float32bits(l.Act.B)))
		size += (l.K + 1) * np
	}
	c.blob = isa.Alloc(size)
	for i, l := range layers {
		d := c.desc[1+7*i:]
		weights, bias := c.blob[d[2]:d[3]], c.blob[d[3]:]
		copy(bias[:l.N], l.Bias)
		rs, cs := l.LDB, 1
		rows, cols := l.K, l.N
		if l.Trans {
			rs, cs, rows, cols = 1, l.LDB, l.N, l.K
		}
		CheckMatrix("chain weights", l.B, rows, cols, l.LDB)
		for k := range l.K {
			for j := range l.N {
				weights[(j/width*l.K+k)*width+j%width] = l.B[k*rs+j*cs]
			}
		}
	}
}

func (c *Chain) runNative(m int, x []float32, ldx int, y []float32, ldy int) {
	desc := (*C.int32_t)(unsafe.Pointer(unsafe.SliceData(c.desc)))
	if c.level == isa.AVX512 {
		C.aimass_gemm_chain_avx512(desc, ptr(c.blob), C.int64_t(m), ptr(x), C.int64_t(ldx), ptr(y), C.int64_t(ldy))
	} else {
		C.aimass_gemm_chain_avx2(desc, ptr(c.blob), C.int64_t(m), ptr(x), C.int64_t(ldx), ptr(y), C.int64_t(ldy))
	}
}
