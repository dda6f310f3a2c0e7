// Package nhwc computes on images of bytes whose channels lie together: depthwise
// convolutions, functions by table, sums, products and pools. A byte stands for
// (byte − zero point) · scale.
//
// Integer sums are exact on every instruction set, and what becomes of them is rounded
// alike. Slices that are too short panic before anything is written; nothing is kept or
// allocated after packing; a Depthwise is read-only and may be shared. Neighbours: quant,
// whose products have the same layout; isa; pool.
package nhwc

import (
	"fmt"

	"github.com/aimass/aimass/kernels/isa"
)

// Geometry is a window that slides over images of H×W places of C channels, a multiple of 4,
// and gives OH×OW places.
type Geometry struct {
	C, H, W, OH, OW      int
	KH, KW               int
	StrideH, StrideW     int
	DilationH, DilationW int
	PadTop, PadLeft      int
}

func (g *Geometry) check(dst, src, channels int) {
	if g.C < 1 || g.C%channels != 0 || min(g.H, g.W, g.OH, g.OW, g.KH, g.KW, g.StrideH, g.StrideW, g.DilationH, g.DilationW) < 1 || g.PadTop < 0 || g.PadLeft < 0 ||
		dst < g.OH*g.OW*g.C || src < g.H*g.W*g.C {
		panic(fmt.Sprintf("BUG: nhwc: %+v on %d bytes to %d", *g, src, dst))
	}
}

// Depthwise is a convolution of each channel by a window of its own.
type Depthwise struct {
	Geometry
	Requant
	level  isa.Level
	vnni   bool
	w      []int16 // [places][C]
	packed []byte
	bias   []int32 // with what the zero point takes from the sums
	scale  []float32
	zero   int32 // of the image
	signed bool
	pad    []byte
}

// Requant makes a byte of a sum: saturate(round(sum · scale) + Zero), at least Zero with
// Relu, and then what Table has for it, if there is one.
type Requant struct {
	Zero         int32
	Signed, Relu bool
	Table        *[256]byte
}

func (r *Requant) floor() int32 {
	if r.Relu {
		return r.Zero
	}
	return -128
}

// PackDepthwise takes weights w[place·C + channel], less their zero points, and for each channel a bias in
// units of the sums and a scale. zero and signed tell of the image's bytes.
func PackDepthwise(g Geometry, w []int16, bias []int32, scale []float32, zero int32, signed bool, r Requant) *Depthwise {
	return packDepthwise(isa.Current(), g, w, bias, scale, zero, signed, r)
}

func packDepthwise(f isa.Features, g Geometry, w []int16, bias []int32, scale []float32, zero int32, signed bool, r Requant) *Depthwise {
	places := g.KH * g.KW
	g.check(g.OH*g.OW*g.C, g.H*g.W*g.C, 4)
	if len(w) != places*g.C || len(bias) != g.C || len(scale) != g.C {
		panic(fmt.Sprintf("BUG: nhwc: %d weights, %d biases and %d scales for %+v", len(w), len(bias), len(scale), g))
	}
	d := &Depthwise{Geometry: g, Requant: r, level: f.Level, vnni: f.Level == isa.AVX512 && f.VNNI, w: w, scale: scale, zero: zero, signed: signed,
		bias: make([]int32, g.C), pad: make([]byte, g.C)}
	lowest := zero
	if signed {
		lowest += 128
	}
	copy(d.bias, bias)
	for i, v := range w {
		d.bias[i%g.C] -= lowest * int32(v)
		d.vnni = d.vnni && v == int16(int8(v))
	}
	for i := range d.pad {
		d.pad[i] = byte(zero)
	}
	if places > maxPlaces {
		d.level = isa.Generic
	}
	if d.level != isa.Generic {
		d.pack()
	}
	return d
}

// pack lays the weights out for the kernels: blocks of channels, one register of bytes each; in
// a block, groups of places; in a group, four registers of sums, whose channels are those
// that interleaving leaves there.
func (d *Depthwise) pack() {
	lanes, group, size := 8, 2, 2
	if d.vnni {
		lanes, group, size = 16, 4, 1
	}
	places := d.KH * d.KW
	groups := (places + group - 1) / group
	blocks := (d.C + 4*lanes - 1) / (4 * lanes)
	d.packed = isa.AllocBytes(blocks * groups * 4 * lanes * group * size)
	bias, scale := make([]int32, blocks*4*lanes), make([]float32, blocks*4*lanes)
	at, sums := 0, 0
	for b := range blocks {
		channel := func(register, lane int) int { return b*4*lanes + lane/4*16 + register*4 + lane%4 }
		for r := range 4 {
			for l := range lanes {
				if c := channel(r, l); c < d.C {
					bias[sums], scale[sums] = d.bias[c], d.scale[c]
				}
				sums++
			}
		}
		for g := range groups {
			for r := range 4 {
				for l := range lanes {
					for t := range group {
						v := int16(0)
						if p, c := g*group+t, channel(r, l); p < places && c < d.C {
							v = d.w[p*d.C+c]
						}
						d.packed[at] = byte(v)
						if size == 2 {
							d.packed[at+1] = byte(v >> 8)
						}
						at += size
					}
				}
			}
		}
	}
	d.bias, d.scale = bias, scale
}

// Bytes is the size of the packed copy.
func (d *Depthwise) Bytes() int { return 2*len(d.w) + len(d.packed) + 8*len(d.bias) }

// Run computes one image.
func (d *Depthwise) Run(dst, src []byte, threads int) {
	d.check(len(dst), len(src), 4)
	if d.level == isa.Generic {
		d.generic(dst, src)
		return
	}
	d.native(dst, src, threads)
}

// Map sets rows of cols bytes, ldd and lds apart, to what the table has for those of src; a
// nil table copies them. dst may be src.
func Map(dst []byte, ldd int, src []byte, lds, rows, cols int, table *[256]byte, threads int) {
	mapRows(isa.Current(), dst, ldd, src, lds, rows, cols, table, threads)
}

func mapRows(f isa.Features, dst []byte, ldd int, src []byte, lds, rows, cols int, table *[256]byte, threads int) {
	if rows <= 0 || cols <= 0 {
		return
	}
	if ldd < cols || lds < cols || len(dst) < (rows-1)*ldd+cols || len(src) < (rows-1)*lds+cols {
		panic(fmt.Sprintf("BUG: nhwc: %d×%d of %d to %d, %d and %d apart", rows, cols, len(src), len(dst), lds, ldd))
	}
	if ldd == cols && lds == cols {
		rows, cols, ldd, lds = 1, rows*cols, rows*cols, rows*cols
	}
	if table == nil || f.Level == isa.Generic {
		mapGeneric(dst, ldd, src, lds, rows, cols, table)
		return
	}
	mapNative(f, dst, ldd, src, lds, rows, cols, table, threads)
}

// Pair says how two bytes a and b become one. With A = (a − ZeroA)·ScaleA and B likewise
// it is, rounded after every operation,
//
//	saturate(round(((A + Fixed) + B) / Scale) + Zero), or
//	saturate(round((A · B · Factor + Shift) / Scale) + Zero) with Product,
//
// halves to even, at least Zero with Relu.
type Pair struct {
	ScaleA, ScaleB, Scale        float32
	Fixed, Factor, Shift         float32
	ZeroA, ZeroB, Zero           int32
	Product, Signed, Relu, Whole bool // Whole: b is one row for all rows of a
}

// Combine computes rows of cols bytes, all of one sign.
func Combine(dst, a, b []byte, rows, cols int, p *Pair, threads int) {
	combine(isa.Current(), dst, a, b, rows, cols, p, threads)
}

func combine(f isa.Features, dst, a, b []byte, rows, cols int, p *Pair, threads int) {
	if rows <= 0 || cols <= 0 {
		return
	}
	of := rows * cols
	if p.Whole {
		of = cols
	}
	if len(dst) < rows*cols || len(a) < rows*cols || len(b) < of {
		panic(fmt.Sprintf("BUG: nhwc: %d×%d of %d and %d to %d", rows, cols, len(a), len(b), len(dst)))
	}
	if !p.Whole {
		rows, cols = 1, rows*cols
	}
	if f.Level == isa.Generic {
		combineGeneric(dst, a, b, rows, cols, p)
		return
	}
	combineNative(f, dst, a, b, rows, cols, p, threads)
}
