// Package coded multiplies float32 activations by weights that rest in few bits: codes of 4 or 8 bits in
// blocks that share a scale, float16, or bfloat16. They stay that small in memory. Few rows are multiplied with
// codes that become floats in registers; for many, part of a panel is decoded into the cache and goes through
// the register tiles of kernels/gemm.
//
// Matrices and their slices are as in package gemm: too short a slice panics before anything is computed, none is
// kept, packing copies, and packed weights may be shared by any number of calls at a time. Nothing allocates
// after packing. Neighbours: gemm (tiles, epilogue), pool, isa.
package coded

import (
	"fmt"

	"github.com/aimass/aimass/internal/half"
	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/kernels/isa"
)

// Kind is how a weight rests.
type Kind int32

// The kinds. A group is what one column has in a row of 32-bit words: Nibbles have 8 weights in a word, Bytes 4,
// both less the middle of their range, as two's complement; of the other two a word has one weight of two columns.
const (
	Nibbles Kind = iota
	Bytes
	Float16
	BFloat16
)

// Weights is a k×n matrix, to be the right operand of Gemm.
type Weights struct {
	K, N  int
	kind  Kind
	level isa.Level
	block int // weights of a column that share a scale, a multiple of 16; K for halves
	// By panels of width(level) columns, the last filled up with zeros. codes has the groups of a panel one behind
	// the other. scales and zeros have a value for each column of each block; zeros, less the middle
	// of the range, is nil if all are 0. Those of halves are empty.
	codes  []uint32
	scales []float32
	zeros  []int8
}

// Bytes is the size of the packed weights.
func (w *Weights) Bytes() int { return 4*len(w.codes) + 4*len(w.scales) + len(w.zeros) }

// width is the number of columns of a panel.
func width(level isa.Level) int {
	switch level {
	case isa.AVX512:
		return 32
	case isa.AVX2:
		return 16
	}
	return 2
}

// per is how many weights of a column lie in a group, and words how many words a group has.
func (w *Weights) per() int {
	switch w.kind {
	case Nibbles:
		return 8
	case Bytes:
		return 4
	}
	return 1
}

func (w *Weights) words() int {
	if w.kind >= Float16 {
		return width(w.level) / 2
	}
	return width(w.level)
}

func (w *Weights) groups() int { return (w.K + w.per() - 1) / w.per() }

func (w *Weights) blocks() int { return (w.K + w.block - 1) / w.block }

func (w *Weights) panels() int { nr := width(w.level); return (w.N + nr - 1) / nr }

// Blocks are a matrix's weights as com.microsoft's MatMulNBits has them: for each of n columns ⌈k/Size⌉ blocks
// of Size codes of 2, 4 or 8 bits, the first in the low bits, and a scale for each block.
// A weight is (code − zero)·scale.
type Blocks struct {
	Bits, Size int
	Codes      []byte
	Scales     []float32
	Zero       func(column, block int) byte // nil: the middle of the range
}

// PackBlocks copies a k×n matrix. Size must be a multiple of 16.
func PackBlocks(k, n int, b *Blocks) *Weights { return packBlocks(isa.Current().Level, k, n, b) }

func packBlocks(level isa.Level, k, n int, b *Blocks) *Weights {
	w := &Weights{K: k, N: n, kind: Nibbles, level: level, block: b.Size}
	if b.Bits == 8 {
		w.kind = Bytes
	}
	if k < 1 || n < 1 || b.Size < 16 || b.Size%16 != 0 || b.Bits != 2 && b.Bits != 4 && b.Bits != 8 {
		panic(fmt.Sprintf("BUG: coded: %d×%d in blocks of %d, %d bits", k, n, b.Size, b.Bits))
	}
	blocks, nr, stride := w.blocks(), width(level), b.Size*b.Bits/8
	if len(b.Codes) < n*blocks*stride || len(b.Scales) < n*blocks {
		panic(fmt.Sprintf("BUG: coded: %d bytes and %d scales for %d blocks of %d", len(b.Codes), len(b.Scales), n*blocks, b.Size))
	}
	w.codes = words(w.panels() * w.groups() * nr)
	w.scales = isa.Alloc(w.panels() * blocks * nr)
	middle := byte(1) << (b.Bits - 1)
	if b.Zero != nil {
		w.zeros = make([]int8, w.panels()*blocks*nr)
	}
	flip := uint32(0x80808080)
	if w.kind == Nibbles {
		flip = 0x88888888
	}
	off := false
	for j := range n {
		panel, lane := j/nr, j%nr
		row := b.Codes[j*blocks*stride:][:blocks*stride]
		for g := range w.groups() {
			w.codes[(panel*w.groups()+g)*nr+lane] = word(row, g, b.Bits) ^ flip
		}
		for q := range blocks {
			at := (panel*blocks+q)*nr + lane
			w.scales[at] = b.Scales[j*blocks+q]
			if b.Zero != nil {
				z := int8(b.Zero(j, q) - middle)
				w.zeros[at], off = z, off || z != 0
			}
		}
	}
	if b.Bits == 2 { // a code of 2 bits lies 8 − 2 below its place in the range of 4
		w.zeros = shifted(w.zeros, len(w.scales))
	} else if !off {
		w.zeros = nil
	}
	return w
}

// shifted are the zeros of codes of 2 bits that rest in 4.
func shifted(zeros []int8, n int) []int8 {
	if zeros == nil {
		zeros = make([]int8, n)
	}
	for i := range zeros {
		zeros[i] -= 6
	}
	return zeros
}

// word is what group g of a column's codes is in a word.
func word(row []byte, g, bits int) (v uint32) {
	if bits == 2 {
		for i, b := range row[2*g : 2*g+2] {
			for k := range 4 {
				v |= uint32(b>>(2*k)&3) << (16*i + 4*k)
			}
		}
		return v
	}
	r := row[4*g : 4*g+4]
	return uint32(r[0]) | uint32(r[1])<<8 | uint32(r[2])<<16 | uint32(r[3])<<24
}

// words makes zeroed words at a 64-byte boundary.
func words(n int) []uint32 { return reinterpret(isa.Alloc(n)) }

// PackHalves copies a k×n matrix of float16 or bfloat16. With trans, b holds the n×k matrix whose transpose is meant.
func PackHalves(k, n int, kind Kind, b []uint16, ldb int, trans bool) *Weights {
	return packHalves(isa.Current().Level, k, n, kind, b, ldb, trans)
}

func packHalves(level isa.Level, k, n int, kind Kind, b []uint16, ldb int, trans bool) *Weights {
	w := &Weights{K: k, N: n, kind: kind, level: level, block: max(k, 1)}
	rows, cols, rs, cs := k, n, ldb, 1
	if trans {
		rows, cols, rs, cs = n, k, 1, ldb
	}
	if k < 1 || n < 1 || kind < Float16 || len(b) < (rows-1)*ldb+cols || ldb < cols {
		panic(fmt.Sprintf("BUG: coded: %d×%d halves of %d with row stride %d", k, n, len(b), ldb))
	}
	nr := width(level)
	w.codes = words(w.panels() * k * nr / 2)
	for j := range n {
		at := (j/nr*k*nr + j%nr) / 2
		shift := j % 2 * 16
		for i := range k {
			w.codes[at+i*nr/2] |= uint32(b[i*rs+j*cs]) << shift
		}
	}
	return w
}

// Gemm computes the m×w.N matrix C from the m×w.K matrix A, as gemm.Gemm does.
func Gemm(m int, a []float32, lda int, w *Weights, c []float32, ldc int, ep *gemm.Epilogue, threads int) {
	gemm.CheckMatrix("a", a, m, w.K, lda)
	gemm.CheckMatrix("c", c, m, w.N, ldc)
	if ep != nil {
		if ep.BiasRows || ep.Bias != nil && len(ep.Bias) < w.N || int(ep.Act.Func) >= act.Count {
			panic(fmt.Sprintf("BUG: coded: epilogue with bias of %d for %d columns, activation %d", len(ep.Bias), w.N, ep.Act.Func))
		}
		if ep.Residual != nil {
			gemm.CheckMatrix("residual", ep.Residual, m, w.N, ep.LDR)
		}
	}
	if m == 0 {
		return
	}
	if w.level != isa.Generic {
		gemmNative(m, a, lda, w, c, ldc, ep, threads)
		return
	}
	gemmGeneric(m, a, lda, w, c, ldc, ep)
}

// weight is the weight of row i and column j.
func (w *Weights) weight(i, j int) float32 {
	nr := width(w.level)
	panel, lane := j/nr, j%nr
	if w.kind >= Float16 {
		h := uint16(w.codes[(panel*w.K*nr+i*nr+lane)/2] >> (lane % 2 * 16))
		if w.kind == BFloat16 {
			return half.BrainToFloat32(h)
		}
		return half.ToFloat32(h)
	}
	per := w.per()
	bits := 32 / per
	v := w.codes[(panel*w.groups()+i/per)*nr+lane] >> (i % per * bits)
	code := int32(v<<(32-bits)) >> (32 - bits)
	at := (panel*w.blocks()+i/w.block)*nr + lane
	if w.zeros != nil {
		code -= int32(w.zeros[at])
	}
	return float32(code) * w.scales[at]
}
