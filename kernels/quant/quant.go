// Package quant multiplies 8-bit integer matrices exactly, into 32-bit sums,
// floats or requantised bytes, and converts between floats and bytes.
//
// The sums are exact for every input on every instruction set, as long as they
// fit 32 bits (K up to 32,768 cannot overflow). Matrices are row-major as in
// gemm; slices that are too short panic before anything is computed, nothing
// is kept or allocated after packing, and a PackedB is read-only and may be
// shared. Neighbours: act, gemm (whose float kernels have the same shape),
// pool, isa.
package quant

import (
	"fmt"
	"unsafe"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/isa"
)

// PackedB is a k×n matrix of bytes laid out to be a right operand.
type PackedB struct {
	K, N  int
	level isa.Level
	vnni  bool
	// data holds signed bytes: unsigned weights were lowered by 128, and shift
	// is that 128.
	data  []int8
	shift int32
	// sums has Σ over k of each column of data.
	sums []int32
	// What data lacks of the weights where tiles saturate (see apart.go): rests has where the
	// groups of each half of a panel begin in the list behind, and their end; rest their bytes.
	limits
	rests []int32
	rest  []int8
}

// Bytes is the size of the packed copy.
func (b *PackedB) Bytes() int { return len(b.data) + 4*len(b.sums) + 4*len(b.rests) + len(b.rest) }

// PackB copies a k×n matrix of signed bytes. With trans, b holds n×k.
func PackB(k, n int, b []int8, ldb int, trans bool) *PackedB {
	raw := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(b))), len(b))
	return packB(isa.Current(), k, n, raw, ldb, trans, 0)
}

// PackBUint8 copies a k×n matrix of unsigned bytes. With trans, b holds n×k.
func PackBUint8(k, n int, b []uint8, ldb int, trans bool) *PackedB {
	return packB(isa.Current(), k, n, b, ldb, trans, 128)
}

func packB(f isa.Features, k, n int, b []byte, ldb int, trans bool, shift int32) *PackedB {
	rows, cols, rs, cs := k, n, ldb, 1
	if trans {
		rows, cols, rs, cs = n, k, 1, ldb
	}
	checkMatrix("b", len(b), rows, cols, ldb)
	p := &PackedB{K: k, N: n, level: f.Level, vnni: f.VNNI, shift: shift, sums: make([]int32, n), limits: limits{span: 255}}
	nr, group := layout(f.Level, f.VNNI, n)
	depth := (k + group - 1) / group * group
	size := (n + nr - 1) / max(nr, 1) * nr * depth
	p.data = unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(isa.AllocBytes(size)))), size)
	for j0 := 0; j0 < n; j0 += nr {
		for kk := range k {
			to := p.data[j0*depth+kk/group*nr*group+kk%group:]
			at := kk*rs + j0*cs
			for j := range min(nr, n-j0) {
				v := int8(b[at] ^ byte(shift))
				to[j*group] = v
				p.sums[j0+j] += int32(v)
				at += cs
			}
		}
	}
	if saturates(f.Level, f.VNNI) && size > 0 {
		p.takeApart(nr/2*group, depth/group)
	}
	return p
}

// A is the left operand: m×K bytes with row stride LD.
type A struct {
	Data   []byte
	Signed bool // the bytes are int8, otherwise uint8
	LD     int
	// Zero is the zero point, in the type of the bytes. Zeros, if not nil, has
	// one for each row instead.
	Zero  int32
	Zeros []int32
	// Rows, if not nil, gathers the rows from Data instead; LD says nothing then.
	Rows *Gather
}

// B is the right operand with its zero points: Zero, or one for each column if
// Zeros is not nil, in the type of the bytes that were packed.
type B struct {
	*PackedB
	Zero  int32
	Zeros []int32
}

// MulInt32 sets c[i,j] = Σ (a[i,k] − zeroA) · (b[k,j] − zeroB).
func MulInt32(m int, a *A, b *B, c []int32, ldc int, threads int) {
	run(&call{m: m, a: a, b: b, i32: c, ldc: ldc, threads: threads})
}

// Dequant turns the integer sum S into a float:
//
//	c = act(S · Scale · ScaleA[i] · ScaleB[j] + Bias[j] + Residual[i,j])
//
// ScaleA (m values), ScaleB (n values), Bias and Residual may be nil. Scale 0
// means 1.
type Dequant struct {
	Scale    float32
	ScaleA   []float32
	ScaleB   []float32
	Bias     []float32
	Residual []float32
	LDR      int
	Act      act.Act
	// Range, if not nil, gets the least and the greatest of c and 0, without NaN, as Dynamic looks for them.
	Range *[2]float32
}

// MulFloat computes the product into floats.
func MulFloat(m int, a *A, b *B, c []float32, ldc int, d *Dequant, threads int) {
	if d.Range != nil {
		*d.Range = [2]float32{}
	}
	run(&call{m: m, a: a, b: b, f32: c, ldc: ldc, dq: d, threads: threads})
}

// Requant turns the integer sum S into a byte:
//
//	c = saturate(round((S + Bias[j]) · Scale[j]) + Zero)
//
// with halves rounded to even. Scale has n values, or one for all columns. With Relu, bytes
// below Zero become it.
type Requant struct {
	Bias   []int32
	Scale  []float32
	Zero   int32
	Signed bool
	Relu   bool
	// Sum, if not nil, adds another value to each of these bytes.
	Sum *Sum
	// Table, if not nil, has what each of these bytes becomes in the end.
	Table *[256]byte
}

// Sum adds bytes, signed as those of the Requant, that stand for floats:
//
//	c = saturate(round(((c − zero)·ScaleC + (Data[i,j] − ZeroA)·ScaleA) / Scale) + Zero)
//
// where c and zero are those of the Requant. With Relu, bytes below Zero become it.
type Sum struct {
	Data          []byte
	LD            int
	ScaleC        float32
	ScaleA, Scale float32
	ZeroA, Zero   int32
	Relu          bool
}

// MulBytes computes the product into bytes of the type that r names.
func MulBytes(m int, a *A, b *B, c []byte, ldc int, r *Requant, threads int) {
	run(&call{m: m, a: a, b: b, u8: c, ldc: ldc, rq: r, threads: threads})
}

// call is one product with exactly one of its three destinations.
type call struct {
	m       int
	a       *A
	b       *B
	i32     []int32
	f32     []float32
	u8      []byte
	ldc     int
	dq      *Dequant
	rq      *Requant
	threads int
}

func run(c *call) {
	if c.m == 0 || c.b.N == 0 {
		return
	}
	c.check()
	if c.b.level != isa.Generic {
		runNative(c)
		return
	}
	g := *c // runGeneric lets its argument escape
	runGeneric(&g)
}

func (c *call) check() {
	n := c.b.N
	if g := c.a.Rows; g != nil {
		if c.b.K%g.tap != 0 || len(g.places) < c.m*(c.b.K/g.tap) || len(c.a.Data) < g.reach {
			panic(fmt.Sprintf("BUG: quant: %d places in runs of %d bytes of %d for %d×%d", len(g.places), g.tap, len(c.a.Data), c.m, c.b.K))
		}
	} else {
		checkMatrix("a", len(c.a.Data), c.m, c.b.K, c.a.LD)
	}
	checkMatrix("c", len(c.i32)+len(c.f32)+len(c.u8), c.m, n, c.ldc)
	bad := c.a.Zeros != nil && len(c.a.Zeros) < c.m || c.b.Zeros != nil && len(c.b.Zeros) < n
	if d := c.dq; d != nil {
		bad = bad || d.ScaleA != nil && len(d.ScaleA) < c.m || d.ScaleB != nil && len(d.ScaleB) < n ||
			d.Bias != nil && len(d.Bias) < n || int(d.Act.Func) >= act.Count
		if d.Residual != nil {
			checkMatrix("residual", len(d.Residual), c.m, n, d.LDR)
		}
	}
	if r := c.rq; r != nil {
		bad = bad || (len(r.Scale) != 1 && len(r.Scale) < n) || r.Bias != nil && len(r.Bias) < n
		if r.Sum != nil {
			checkMatrix("sum", len(r.Sum.Data), c.m, n, r.Sum.LD)
		}
	}
	if bad || (c.f32 != nil) != (c.dq != nil) || (c.u8 != nil) != (c.rq != nil) {
		panic("BUG: quant: a scale, bias or zero point of the wrong length")
	}
}

func checkMatrix(name string, have, rows, cols, ld int) {
	if rows < 0 || cols < 0 || (rows > 1 && ld < cols) {
		panic(fmt.Sprintf("BUG: quant: %s is %d×%d with row stride %d", name, rows, cols, ld))
	}
	if rows > 0 && cols > 0 && have < (rows-1)*ld+cols {
		panic(fmt.Sprintf("BUG: quant: %s has %d values of %d", name, have, (rows-1)*ld+cols))
	}
}
