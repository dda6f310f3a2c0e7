package layout

import (
	"fmt"
	"unsafe"

	"github.com/aimass/aimass/runtime/tensor"
)

// Cells are a tensor's elements as units that can be moved.
type Cells struct {
	width int // bytes; 0 for strings
	data  []byte
	strs  []string
	owner *tensor.Tensor // set where data is an unpacked copy
}

// Open views a tensor. After writing through it, call Flush.
func Open(t *tensor.Tensor) Cells {
	switch bits := t.DType.Bits(); {
	case t.DType == tensor.String:
		return Cells{strs: t.Strings()}
	case bits < 8:
		return Cells{width: 1, data: tensor.Unpack(t), owner: t}
	default:
		return Cells{width: bits / 8, data: t.Bytes()}
	}
}

// Flush puts what was written where the tensor is packed; else it does nothing.
func (c Cells) Flush() {
	if c.owner != nil {
		tensor.Pack(c.owner, c.data)
	}
}

// Len is the number of cells.
func (c Cells) Len() int {
	if c.width == 0 {
		return len(c.strs)
	}
	return len(c.data) / c.width
}

// Copy moves n neighbouring cells of src from index s on to index d on. Both must be of
// one type, and the cells must exist.
func (c Cells) Copy(d int, src Cells, s, n int) {
	if c.width == 0 {
		copy(c.strs[d:d+n], src.strs[s:s+n])
		return
	}
	w := c.width
	if n == 1 {
		switch w {
		case 4:
			*(*uint32)(unsafe.Pointer(&c.data[d*4])) = *(*uint32)(unsafe.Pointer(&src.data[s*4]))
			return
		case 8:
			*(*uint64)(unsafe.Pointer(&c.data[d*8])) = *(*uint64)(unsafe.Pointer(&src.data[s*8]))
			return
		}
	}
	copy(c.data[d*w:(d+n)*w], src.data[s*w:(s+n)*w])
}

// Gather moves runs of n neighbouring cells of src, from each of the places at, to index d on, one after the other.
func (c Cells) Gather(d int, src Cells, at []int64, n int) {
	switch {
	case n == 1 && c.width == 4:
		gatherEach(units[uint32](c.data)[d:], units[uint32](src.data), at)
	case n == 1 && c.width == 8:
		gatherEach(units[uint64](c.data)[d:], units[uint64](src.data), at)
	case c.width == 0:
		for i, k := range at {
			copy(c.strs[d+i*n:d+(i+1)*n], src.strs[k:])
		}
	default:
		to, size := c.data[d*c.width:], n*c.width
		for i, k := range at {
			copy(to[i*size:(i+1)*size], src.data[int(k)*c.width:])
		}
	}
}

func gatherEach[T any](y, x []T, at []int64) {
	y = y[:len(at)]
	for i, k := range at {
		y[i] = x[k]
	}
}

// Scatter moves runs of n neighbouring cells of src, which lie one after the other from index s on, to the places at, in order.
func (c Cells) Scatter(at []int64, src Cells, s, n int) {
	switch {
	case n == 1 && c.width == 4:
		scatterEach(units[uint32](c.data), units[uint32](src.data)[s:], at)
	case n == 1 && c.width == 8:
		scatterEach(units[uint64](c.data), units[uint64](src.data)[s:], at)
	case c.width == 0:
		for i, k := range at {
			copy(c.strs[k:int(k)+n], src.strs[s+i*n:])
		}
	default:
		from, size := src.data[s*c.width:], n*c.width
		for i, k := range at {
			copy(c.data[int(k)*c.width:][:size], from[i*size:])
		}
	}
}

func scatterEach[T any](y, x []T, at []int64) {
	x = x[:len(at)]
	for i, k := range at {
		y[k] = x[i]
	}
}

// Fill sets n cells from index d on to cell s of src.
func (c Cells) Fill(d, n int, src Cells, s int) {
	if n <= 0 {
		return
	}
	c.Copy(d, src, s, 1)
	for done := 1; done < n; done *= 2 {
		c.Copy(d+done, c, d, min(done, n-done))
	}
}

func units[T any](b []byte) []T {
	if len(b) == 0 {
		return nil
	}
	var z T
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), len(b)/int(unsafe.Sizeof(z)))
}

// Box is a walk over a box of cells: cell (i₀,i₁,…) lies at At + Σ iₖ·Stride[k]. Strides may
// be 0 (repeat) or negative (backwards).
type Box struct {
	At     int
	Stride []int
}

// Move copies a box of the given shape from src to dst, which must be of one type. The
// caller has made sure that every cell of both boxes exists; dst and src may not overlap.
func Move(dst Cells, to Box, src Cells, from Box, shape tensor.Shape) {
	if shape.Elements() == 0 {
		return
	}
	if dst.width != src.width {
		panic(fmt.Sprintf("BUG: cells of %d bytes moved to cells of %d", src.width, dst.width))
	}
	m := merge(shape, to, from)
	switch dst.width {
	case 0:
		move(dst.strs, src.strs, m)
	case 1:
		move(dst.data, src.data, m)
	case 2:
		move(units[uint16](dst.data), units[uint16](src.data), m)
	case 4:
		move(units[uint32](dst.data), units[uint32](src.data), m)
	case 8:
		move(units[uint64](dst.data), units[uint64](src.data), m)
	case 16:
		move(units[complex128](dst.data), units[complex128](src.data), m)
	default:
		panic(fmt.Sprintf("BUG: cells of %d bytes", dst.width))
	}
}

type plan struct {
	shape  []int
	to     []int
	from   []int
	at, of int
}

// merge drops axes of extent 1 and joins neighbours that both sides walk evenly. The
// result has at least one axis.
func merge(shape tensor.Shape, to, from Box) plan {
	p := plan{at: to.At, of: from.At}
	for k, n := range shape {
		if n == 1 {
			continue
		}
		if j := len(p.shape) - 1; j >= 0 && p.to[j] == n*to.Stride[k] && p.from[j] == n*from.Stride[k] {
			p.shape[j] *= n
			p.to[j], p.from[j] = to.Stride[k], from.Stride[k]
			continue
		}
		p.shape = append(p.shape, n)
		p.to = append(p.to, to.Stride[k])
		p.from = append(p.from, from.Stride[k])
	}
	if len(p.shape) == 0 {
		return plan{shape: []int{1}, to: []int{1}, from: []int{1}, at: to.At, of: from.At}
	}
	return p
}

func move[T any](dst, src []T, p plan) {
	last := len(p.shape) - 1
	n, td, fd := p.shape[last], p.to[last], p.from[last]
	idx := make([]int, last)
	d, s := p.at, p.of
	for {
		switch {
		case td == 1 && fd == 1:
			copy(dst[d:d+n], src[s:s+n])
		case td == 1 && fd == 0:
			v, row := src[s], dst[d:d+n]
			for i := range row {
				row[i] = v
			}
		case td == 1:
			row := dst[d : d+n]
			for i, j := 0, s; i < len(row); i, j = i+1, j+fd {
				row[i] = src[j]
			}
		default:
			for i, k, j := 0, d, s; i < n; i, k, j = i+1, k+td, j+fd {
				dst[k] = src[j]
			}
		}
		k := last - 1
		for ; k >= 0; k-- {
			idx[k]++
			d += p.to[k]
			s += p.from[k]
			if idx[k] < p.shape[k] {
				break
			}
			d -= p.to[k] * p.shape[k]
			s -= p.from[k] * p.shape[k]
			idx[k] = 0
		}
		if k < 0 {
			return
		}
	}
}

// Whole is the box of a whole row-major tensor.
func Whole(s tensor.Shape) Box { return Box{Stride: s.Strides()} }
