package coded

import (
	"unsafe"

	"github.com/aimass/aimass/kernels/gemm"
)

// gemmGeneric is the specification of Gemm: weights become floats, and the product is gemm's.
func gemmGeneric(m int, a []float32, lda int, w *Weights, c []float32, ldc int, ep *gemm.Epilogue) {
	one := gemm.Epilogue{}
	if ep != nil {
		one = *ep
	}
	bias, residual := one.Bias, one.Residual
	p := &gemm.Product{M: m, N: 1, K: w.K, LDA: lda, LDB: 1, LDC: ldc}
	column := make([]float32, w.K)
	for j := range w.N {
		for i := range column {
			column[i] = w.weight(i, j)
		}
		if bias != nil {
			one.Bias = bias[j:]
		}
		if residual != nil {
			one.Residual = residual[j:]
		}
		gemm.MatMul(p, a, column, c[j:], &one, 1)
	}
}

// reinterpret views floats as words.
func reinterpret(x []float32) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(x))), len(x))
}
