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
}

// Bytes is the size of the packed copy.
func (b *PackedB) Bytes() int { return len(b.data) + 4*len(b.sums) }

// PackB copies a k×n matrix of signed bytes. With trans, b holds n×k.
func PackB(k, n int, b []int8, ldb int, trans bool) *PackedB {
	f := isa.Current()
	return packB(f.Level, f.VNNI, k, n, len(b), ldb, trans, 0, func(i int) int8 { return b[i] })
}

// PackBUint8 copies a k×n matrix of unsigned bytes. With trans, b holds n×k.
func PackBUint8(k, n int, b []uint8, ldb int, trans bool) *PackedB {
	f := isa.Current()
	return packB(f.Level, f.VNNI, k, n, len(b), ldb, trans, 128, func(i int) int8 { return int8(b[i] ^ 0x80) })
}

func packB(level isa.Level, vnni bool, k, n, have, ldb int, trans bool, shift int32, at func(int) int8) *PackedB {
	rows, cols := k, n
	if trans {
		rows, cols = n, k
	}
	checkMatrix("b", have, rows, cols, ldb)
	p := &PackedB{K: k, N: n, level: level, vnni: vnni, shift: shift, sums: make([]int32, n)}
	rs, cs := ldb, 1
	if trans {
		rs, cs = 1, ldb
	}
	size, index := layout(level, vnni, k, n)
	raw := isa.AllocBytes(size)
	p.data = unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(raw))), size)
	for kk := range k {
		for j := range n {
			v := at(kk*rs + j*cs)
			p.data[index(kk, j)] = v
			p.sums[j] += int32(v)
		}
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
	// Places, if not nil, gathers the rows from Data, as a convolution needs them: row i is
	// K/Tap runs of Tap bytes, run t at Places[i·K/Tap + t], or Pad (Tap bytes) where that
	// is −1. LD says nothing then. Tap is a multiple of 4.
	Places []int32
	Tap    int
	Pad    []byte
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
	if c.a.Places != nil {
		c.checkPlaces()
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

// checkPlaces looks at every place: the kernels read there.
func (c *call) checkPlaces() {
	a, k := c.a, c.b.K
	if a.Tap < 4 || a.Tap%4 != 0 || k%a.Tap != 0 || len(a.Places) < c.m*(k/a.Tap) || len(a.Pad) < a.Tap {
		panic(fmt.Sprintf("BUG: quant: %d places in runs of %d bytes for %d×%d", len(a.Places), a.Tap, c.m, k))
	}
	last := int32(len(a.Data) - a.Tap)
	for _, p := range a.Places[:c.m*(k/a.Tap)] {
		if p > last || p < -1 {
			panic(fmt.Sprintf("BUG: quant: a place at %d of %d bytes", p, len(a.Data)))
		}
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
