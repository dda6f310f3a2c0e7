package kernel

import (
	"fmt"

	"github.com/aimass/aimass/cuda"
	"github.com/aimass/aimass/cuda/kernels"
	"github.com/aimass/aimass/kernels/act"
)

// Epilogue is what happens to each element before it is stored:
// act(Alpha·sum + bias + residual if ResidualFirst) + residual if not.
type Epilogue struct {
	Alpha         float32  // 0 counts as 1
	Bias          cuda.Ptr // float32; 0: none
	BiasRow       bool     // a value a row instead of one a column (a convolution's bias is always one a channel)
	Residual      cuda.Ptr // float32; 0: none. It may be C itself
	ResidualFirst bool
	Act           act.Act
}

// EpilogueFunc reports whether tile stores can apply f; others take a Unary of their own.
func EpilogueFunc(f act.Func) bool { return kernels.EpilogueFunc(f) }

func (e *Epilogue) check() error {
	if !EpilogueFunc(e.Act.Func) {
		return limit("function %d in an epilogue", e.Act.Func)
	}
	return nil
}

func (e *Epilogue) alpha() float32 {
	if e.Alpha == 0 {
		return 1
	}
	return e.Alpha
}

// The flags of cuda/kernels/gemm_tile.cuh.
const (
	flagBiasRow uint32 = 1 << iota
	flagResidualFirst
	flagVecA
	flagVecB
	flagPartial
	flagHalf
)

func (e *Epilogue) flags() uint32 {
	var f uint32
	if e.BiasRow {
		f |= flagBiasRow
	}
	if e.ResidualFirst {
		f |= flagResidualFirst
	}
	return f
}

// Precision says what a product's operands are and how they are multiplied; sums are float32.
type Precision uint8

// The precisions. TF32 rounds float32 operands to 10 bits of mantissa on their way into the tensor
// cores. F16 takes fp16 operands, on the tensor cores too.
const (
	F32 Precision = iota
	TF32
	F16
)

// Gemm is C = epilogue(A·B), row-major; A, B and C are float32 unless Precision or HalfC say otherwise. A is [M, K], or [K, M] with TransA; B is
// [K, N], or [N, K] with TransB. A leading dimension of 0 means contiguous rows.
//
// The batch has two levels, Batch[0]·Batch[1] products (0 counts as 1), and every operand a stride for each;
// 0 repeats it. Strides that are all 0 for C mean contiguous products.
type Gemm struct {
	M, N, K            int
	A, B, C            cuda.Ptr
	LDA, LDB, LDC, LDR int64
	TransA, TransB     bool
	Batch              [2]int
	StrideA, StrideB   [2]int64
	StrideC, StrideR   [2]int64
	Epilogue
	Precision Precision
	HalfC     bool     // C and the residual are fp16
	Scratch   cuda.Ptr // Workspace() bytes
}

// size is that of an element of A and B, sizeC that of C and the residual.
func (g *Gemm) size() int64 {
	if g.Precision == F16 {
		return 2
	}
	return 4
}

func (g *Gemm) sizeC() int64 {
	if g.HalfC {
		return 2
	}
	return 4
}

type gemmPlan struct {
	kernel string
	module string
	tiles  int64 // blocks a product and part
	block  int64
	splits int64
	chunk  int64
}

func (g *Gemm) normalise() error {
	for _, v := range []int{g.M, g.N, g.K, g.Batch[0], g.Batch[1]} {
		if v < 0 || v > maxIndex {
			return limit("a product %d×%d×%d, batch %v", g.M, g.N, g.K, g.Batch)
		}
	}
	set := func(v *int64, to int) {
		if *v == 0 {
			*v = int64(to)
		}
	}
	if g.TransA {
		set(&g.LDA, g.M)
	} else {
		set(&g.LDA, g.K)
	}
	if g.TransB {
		set(&g.LDB, g.K)
	} else {
		set(&g.LDB, g.N)
	}
	set(&g.LDC, g.N)
	set(&g.LDR, int(g.LDC))
	g.Batch[0], g.Batch[1] = max(g.Batch[0], 1), max(g.Batch[1], 1)
	if g.StrideC == [2]int64{} {
		one := int64(g.M) * g.LDC
		g.StrideC = [2]int64{int64(g.Batch[1]) * one, one}
	}
	if g.Residual != 0 && g.StrideR == [2]int64{} {
		g.StrideR = g.StrideC
	}
	return g.check()
}

func (g *Gemm) products() int64 { return int64(g.Batch[0]) * int64(g.Batch[1]) }

// plan chooses the kernel. Few rows go to the kernels that read every weight once; else
// tiles of 128 where they give each multiprocessor one, tiles of 64 where they don't. K is split
// while blocks are fewer than two a multiprocessor and every part keeps a long enough run.
func (g *Gemm) plan() gemmPlan {
	m, n, k, batch := int64(g.M), int64(g.N), int64(g.K), g.products()
	form := "nn"
	if g.TransB {
		form = "nt"
	}
	var p gemmPlan
	var run int64
	tiles := func(side int64) int64 { return ceilDiv(m, side) * ceilDiv(n, side) }
	switch {
	case g.Precision != F32:
		name := "gemm_tf32_"
		if g.Precision == F16 {
			name = "gemm_f16_"
		}
		p, run = gemmPlan{kernel: name + form, module: "gemm_tensor", block: 256, tiles: ceilDiv(m, 128) * ceilDiv(n, 64)}, 512
	case m <= 16:
		rows := 16
		if m <= 4 {
			rows = 4
		}
		if m == 1 {
			rows = 1
		}
		p = gemmPlan{kernel: fmt.Sprintf("gemm_rows%d_%s", rows, form), module: "gemm_rows", block: threads}
		p.tiles, run = ceilDiv(n, 128), 128
		if g.TransB {
			p.tiles, run = ceilDiv(n, 8), 512
		}
	case tiles(128)*batch >= multiprocessors:
		p, run = gemmPlan{kernel: "gemm_" + form + "_128", module: "gemm", block: 256, tiles: tiles(128)}, k
	default:
		p, run = gemmPlan{kernel: "gemm_" + form + "_64", module: "gemm", block: 128, tiles: tiles(64)}, 256
	}
	p.splits, p.chunk = splitK(k, p.tiles*batch, run)
	return p
}

// splitK cuts K into parts of at least run, in steps of 64, until blocks·parts reach two a
// multiprocessor.
func splitK(k, blocks, run int64) (splits, chunk int64) {
	splits = 1
	if blocks > 0 && blocks < multiprocessors && run > 0 {
		splits = max(1, min(ceilDiv(2*multiprocessors, blocks), k/run, 32))
	}
	chunk = max(ceilDiv(ceilDiv(k, splits), 64)*64, 64)
	return max(1, ceilDiv(k, chunk)), chunk
}

// Workspace is how many bytes Scratch needs.
func (g Gemm) Workspace() int64 {
	if g.normalise() != nil {
		return 0
	}
	n := g.transposed()
	if p := g.plan(); p.splits > 1 {
		n += g.products() * p.splits * int64(g.M) * int64(g.N) * 4
	}
	return n
}

// transposed is the workspace that holds A once its rows run along K.
func (g *Gemm) transposed() int64 {
	if !g.TransA {
		return 0
	}
	return (g.products()*int64(g.M)*int64(g.K)*g.size() + 255) / 256 * 256
}

// AppendGemm appends the Launches of g.
func AppendGemm(dst []cuda.Launch, g Gemm) ([]cuda.Launch, error) {
	if err := g.normalise(); err != nil {
		return dst, err
	}
	if g.M == 0 || g.N == 0 {
		return dst, nil
	}
	p := g.plan()
	parts := g.Scratch + cuda.Ptr(g.transposed())
	if (g.TransA || p.splits > 1) && g.Scratch == 0 {
		return dst, fmt.Errorf("kernel: gemm: %d bytes of workspace are needed, none are given", g.Workspace())
	}
	if g.TransA {
		var err error
		if dst, err = g.untranspose(dst); err != nil {
			return dst, err
		}
	}
	flags := g.flags()
	if g.HalfC {
		flags |= flagHalf
	}
	if aligned(g.A) && (g.LDA|g.StrideA[0]|g.StrideA[1])*g.size()%16 == 0 {
		flags |= flagVecA
	}
	if aligned(g.B) && (g.LDB|g.StrideB[0]|g.StrideB[1])*g.size()%16 == 0 {
		flags |= flagVecB
	}
	g.each(p.splits, func(q *Gemm) {
		c, f := q.C, flags
		if p.splits > 1 {
			c, f = parts, flags|flagPartial
		}
		l := launch(p.module, p.kernel, p.tiles, p.block, q.A, q.B, c, q.Bias, q.Residual, q.M, q.N, q.K, q.LDA, q.LDB, q.LDC, q.LDR,
			q.Batch[1], q.StrideA[0], q.StrideA[1], q.StrideB[0], q.StrideB[1], q.StrideC[0], q.StrideC[1], q.StrideR[0], q.StrideR[1],
			p.splits, p.chunk, q.alpha(), int(q.Act.Func), q.Act.A, q.Act.B, f)
		l.Grid.Z = uint32(q.products() * p.splits)
		dst = append(dst, l)
		if p.splits > 1 {
			dst = append(dst, q.sum(parts, p.splits, flags))
		}
	})
	return dst, nil
}

// sum adds the parts of a split product.
func (g *Gemm) sum(parts cuda.Ptr, splits int64, flags uint32) cuda.Launch {
	l := launch("gemm", "gemm_sum", min(ceilDiv(int64(g.M)*int64(g.N), threads), 8*multiprocessors), threads,
		parts, g.C, g.Bias, g.Residual, g.M, g.N, g.LDC, g.LDR, g.Batch[1], g.StrideC[0], g.StrideC[1], g.StrideR[0], g.StrideR[1],
		splits, g.alpha(), int(g.Act.Func), g.Act.A, g.Act.B, flags)
	l.Grid.Z = uint32(g.products())
	return l
}

// each calls f with parts of the batch that fit the third extent of a grid.
func (g *Gemm) each(splits int64, f func(*Gemm)) {
	most := int(max(maxGrid/splits, 1))
	if g.products() <= int64(most) {
		f(g)
		return
	}
	for o := range g.Batch[0] {
		for i := 0; i < g.Batch[1]; i += most {
			q := *g
			q.Batch = [2]int{1, min(most, g.Batch[1]-i)}
			move := func(p cuda.Ptr, size int64, s [2]int64) cuda.Ptr {
				if p == 0 {
					return 0
				}
				return p + cuda.Ptr(size*(int64(o)*s[0]+int64(i)*s[1]))
			}
			q.A, q.B = move(g.A, g.size(), g.StrideA), move(g.B, g.size(), g.StrideB)
			q.C, q.Residual = move(g.C, g.sizeC(), g.StrideC), move(g.Residual, g.sizeC(), g.StrideR)
			f(&q)
		}
	}
}

// untranspose turns A around into workspace, once for what the batch repeats.
func (g *Gemm) untranspose(dst []cuda.Launch) ([]cuda.Launch, error) {
	one := int64(g.M) * int64(g.K)
	batch := g.Batch
	strides := [2]int64{int64(batch[1]) * one, one}
	for i, s := range g.StrideA {
		if s == 0 {
			batch[i], strides[i] = 1, 0
		}
	}
	for o := range batch[0] {
		var err error
		dst, err = AppendTranspose(dst, Transpose{Size: int(g.size()), Rows: g.K, Cols: g.M, Batch: batch[1],
			X: g.A + cuda.Ptr(g.size()*int64(o)*g.StrideA[0]), LDX: g.LDA, StrideX: g.StrideA[1],
			Y: g.Scratch + cuda.Ptr(g.size()*int64(o)*strides[0]), LDY: int64(g.K), StrideY: one})
		if err != nil {
			return dst, err
		}
	}
	g.A, g.LDA, g.TransA, g.StrideA = g.Scratch, int64(g.K), false, strides
	return dst, nil
}
