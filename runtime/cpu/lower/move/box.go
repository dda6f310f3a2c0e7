package move

import (
	"unsafe"

	"github.com/aimass/aimass/kernels/transpose"
)

// maxAxes bounds the axes of a Box after merging.
const maxAxes = 8

// Box is a walk over two boxes of equal shape at once, one to write and one to read.
// Strides may be 0 (repeat) or negative (backwards) on the side that is read.
type Box struct {
	axes        int
	shape       [maxAxes]int
	to, from    [maxAxes]int
	at, of      int
	empty       bool
	inner, side int // axes of a transposition: the last one, and that which is read evenly
}

// NewBox plans a walk over elements at + Σ iₖ·to[k], read from of + Σ iₖ·from[k]. It
// reports false if there are too many axes that do not merge.
func NewBox(shape, to, from []int, at, of int) (*Box, bool) {
	b := &Box{at: at, of: of, side: -1}
	for k, n := range shape {
		if n == 0 {
			return &Box{empty: true}, true
		}
		if n == 1 {
			continue
		}
		if j := b.axes - 1; j >= 0 && b.to[j] == n*to[k] && b.from[j] == n*from[k] {
			b.shape[j] *= n
			b.to[j], b.from[j] = to[k], from[k]
			continue
		}
		if b.axes == maxAxes {
			return nil, false
		}
		b.shape[b.axes], b.to[b.axes], b.from[b.axes] = n, to[k], from[k]
		b.axes++
	}
	if b.axes == 0 {
		b.axes = 1
		b.shape[0], b.to[0], b.from[0] = 1, 1, 1
	}
	b.inner = b.axes - 1
	if b.to[b.inner] == 1 && b.from[b.inner] != 1 {
		for k := range b.inner {
			if b.from[k] == 1 {
				b.side = k
			}
		}
	}
	return b, true
}

// Run copies elements of width bytes: 1, 2, 4, 8 or 16.
func (b *Box) Run(dst, src []byte, width int) {
	if b.empty {
		return
	}
	switch width {
	case 1:
		run(b, dst, src)
	case 2:
		run(b, units[uint16](dst), units[uint16](src))
	case 4:
		run(b, units[uint32](dst), units[uint32](src))
	case 8:
		run(b, units[uint64](dst), units[uint64](src))
	default:
		run(b, units[[2]uint64](dst), units[[2]uint64](src))
	}
}

func units[T any](b []byte) []T {
	var z T
	if len(b) == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/int(unsafe.Sizeof(z)))
}

// Numbers sees memory as elements of T.
func Numbers[T Number](b []byte) []T { return units[T](b) }

func run[T any](b *Box, dst, src []T) {
	var idx [maxAxes]int
	d, s := b.at, b.of
	for {
		if b.side >= 0 {
			turn(b, dst, src, d, s)
		} else {
			line(dst, src, d, s, b.shape[b.inner], b.to[b.inner], b.from[b.inner])
		}
		k := b.inner - 1
		for ; k >= 0; k-- {
			if k == b.side {
				continue
			}
			idx[k]++
			d += b.to[k]
			s += b.from[k]
			if idx[k] < b.shape[k] {
				break
			}
			d -= b.to[k] * b.shape[k]
			s -= b.from[k] * b.shape[k]
			idx[k] = 0
		}
		if k < 0 {
			return
		}
	}
}

func line[T any](dst, src []T, d, s, n, to, from int) {
	switch {
	case to == 1 && from == 1:
		copy(dst[d:d+n], src[s:s+n])
	case to == 1 && from == 0:
		row, v := dst[d:d+n], src[s]
		for i := range row {
			row[i] = v
		}
	default:
		for range n {
			dst[d] = src[s]
			d += to
			s += from
		}
	}
}

// tile is the edge of the blocks in which a transposition goes, so that the lines of
// both sides stay in the first-level cache.
const tile = 16

// turn transposes the two axes that are read and written evenly.
func turn[T any](b *Box, dst, src []T, d, s int) {
	rows, cols := b.shape[b.side], b.shape[b.inner]
	to, from := b.to[b.side], b.from[b.inner]
	if from >= rows && to >= cols {
		switch unsafe.Sizeof(dst[0]) {
		case 1:
			transpose.Bytes(as[byte](dst[d:]), to, as[byte](src[s:]), from, cols, rows, 1)
			return
		case 4:
			transpose.Words(as[uint32](dst[d:]), to, as[uint32](src[s:]), from, cols, rows, 1)
			return
		}
	}
	for r := 0; r < rows; r += tile {
		h := min(tile, rows-r)
		for c := 0; c < cols; c += tile {
			w := min(tile, cols-c)
			for j := range h {
				row := dst[d+(r+j)*to+c:][:w]
				at := s + r + j + c*from
				for i := range row {
					row[i] = src[at]
					at += from
				}
			}
		}
	}
}

// as sees elements as those of a type of the same size.
func as[D, S any](x []S) []D {
	return unsafe.Slice((*D)(unsafe.Pointer(unsafe.SliceData(x))), len(x))
}

// Fill sets every element of dst to the one that value holds.
func Fill(dst, value []byte) {
	if len(dst) == 0 {
		return
	}
	for n := copy(dst, value); n < len(dst); n *= 2 {
		copy(dst[n:], dst[:n])
	}
}
