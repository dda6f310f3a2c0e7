// Package linalg holds the dense products that several operator families share, in plain
// Go: the specification that the fast kernels are held against, and quick enough to run
// whole models.
//
// Neighbours: runtime/ops/math (MatMul, Gemm), runtime/ops/nn (Conv, Attention) and
// runtime/ops/rnn call it; it knows slices only, neither tensors nor graphs.
//
// Ownership: slices belong to the caller and are not kept. Concurrency: the functions
// share nothing and may run at once on memory that does not overlap.
package linalg

// Scalar lists the element types that a product can be computed in.
type Scalar interface {
	float32 | float64 | int32 | int64 | uint32 | uint64
}

// Gemm adds a product to C: C[m×n] += A[m×k]·B[k×n], all row-major, with lda, ldb and
// ldc elements between rows. Sums run along k in order, in T; integers wrap.
func Gemm[T Scalar](m, n, k int, a []T, lda int, b []T, ldb int, c []T, ldc int) {
	if m == 0 || n == 0 || k == 0 {
		return
	}
	if m < 4 {
		for i := range m {
			gemv(a[i*lda:i*lda+k], b, ldb, c[i*ldc:i*ldc+n])
		}
		return
	}
	panel := make([][4]T, k)
	for j := 0; j < n; j += 4 {
		w := min(4, n-j)
		pack(panel, b[j:], ldb, w)
		i := 0
		for ; i+2 <= m; i += 2 {
			s := tile2x4(a[i*lda:i*lda+k], a[(i+1)*lda:(i+1)*lda+k], panel)
			for x := range w {
				c[i*ldc+j+x] += s[0][x]
				c[(i+1)*ldc+j+x] += s[1][x]
			}
		}
		if i < m {
			s := tile1x4(a[i*lda:i*lda+k], panel)
			for x := range w {
				c[i*ldc+j+x] += s[x]
			}
		}
	}
}

func pack[T Scalar](panel [][4]T, b []T, ldb, w int) {
	for p := range panel {
		row := b[p*ldb : p*ldb+w]
		if w == 4 {
			panel[p] = [4]T(row)
			continue
		}
		var v [4]T
		copy(v[:], row)
		panel[p] = v
	}
}

func tile2x4[T Scalar](a0, a1 []T, panel [][4]T) [2][4]T {
	var s00, s01, s02, s03, s10, s11, s12, s13 T
	a0 = a0[:len(panel)]
	a1 = a1[:len(panel)]
	for p := range panel {
		b := &panel[p]
		x, y := a0[p], a1[p]
		s00 += x * b[0]
		s01 += x * b[1]
		s02 += x * b[2]
		s03 += x * b[3]
		s10 += y * b[0]
		s11 += y * b[1]
		s12 += y * b[2]
		s13 += y * b[3]
	}
	return [2][4]T{{s00, s01, s02, s03}, {s10, s11, s12, s13}}
}

func tile1x4[T Scalar](a []T, panel [][4]T) [4]T {
	var s0, s1, s2, s3 T
	a = a[:len(panel)]
	for p := range panel {
		b := &panel[p]
		x := a[p]
		s0 += x * b[0]
		s1 += x * b[1]
		s2 += x * b[2]
		s3 += x * b[3]
	}
	return [4]T{s0, s1, s2, s3}
}

// gemv adds the row vector a times B to c.
func gemv[T Scalar](a, b []T, ldb int, c []T) {
	for p, x := range a {
		row := b[p*ldb : p*ldb+len(c)]
		for j, y := range row {
			c[j] += x * y
		}
	}
}

// Transpose copies a [rows×cols] matrix into a new [cols×rows] one.
func Transpose[T any](a []T, rows, cols int) []T {
	out := make([]T, rows*cols)
	const block = 16
	for i0 := 0; i0 < rows; i0 += block {
		for j0 := 0; j0 < cols; j0 += block {
			for i := i0; i < min(i0+block, rows); i++ {
				for j := j0; j < min(j0+block, cols); j++ {
					out[j*rows+i] = a[i*cols+j]
				}
			}
		}
	}
	return out
}
