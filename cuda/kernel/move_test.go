package kernel

import (
	"fmt"
	"slices"

	"github.com/aimass/aimass/cuda"
)

// moved is a Move that is tried: a box within a source and a target of bytes.
type moved struct {
	dims         []int
	sx, sy       []int64
	fromX, fromY int64 // elements before the box's first one
	spanX, spanY int   // elements of the source and the target
	name         string
	shift        int64
}

func (b *bench) move(m moved, size int) {
	b.shift = m.shift
	x := convert[uint8](b.integers(m.spanX*size, 0, 255))
	y := convert[uint8](b.integers(m.spanY*size, 0, 255))
	px, py := put(b, x), put(b, y)
	b.do(AppendMove(nil, Move{Size: size, Dims: m.dims, X: px + cuda.Ptr(m.fromX*int64(size)), Y: py + cuda.Ptr(m.fromY*int64(size)), StridesX: m.sx,
		StridesY: m.sy}))
	want := slices.Clone(y)
	for i := range count(m.dims) {
		at, to := (index(i, m.dims, m.sx)+int(m.fromX))*size, (index(i, m.dims, m.sy)+int(m.fromY))*size
		copy(want[to:to+size], x[at:at+size])
	}
	equal(b, fmt.Sprintf("move %s of %d bytes", m.name, size), get[byte](b, py, len(y)), want)
}

func permuted(from, axes []int) moved {
	p := Permute(4, 0, 0, from, axes)
	return moved{name: fmt.Sprint("permute ", from, axes), dims: p.Dims, sx: p.StridesX, sy: p.StridesY, spanX: count(from), spanY: count(from)}
}

func moveChecks() []check {
	var all []check
	every := []int{1, 2, 4, 8, 16}
	for _, m := range []moved{
		{name: "copy", dims: []int{129}, sx: []int64{1}, sy: []int64{1}, spanX: 129, spanY: 129},
		{name: "copy shifted", dims: []int{33}, sx: []int64{1}, sy: []int64{1}, spanX: 33, spanY: 33, shift: 16},
		{name: "slice", dims: []int{3, 31}, sx: []int64{80, 2}, sy: []int64{31, 1}, fromX: 3, spanX: 240, spanY: 93},
		{name: "backwards", dims: []int{33}, sx: []int64{-1}, sy: []int64{1}, fromX: 32, spanX: 33, spanY: 33},
		{name: "concat", dims: []int{5, 4, 12}, sx: []int64{48, 12, 1}, sy: []int64{80, 20, 1}, fromY: 8, spanX: 240, spanY: 400},
		{name: "expand", dims: []int{3, 5, 7}, sx: []int64{0, 1, 0}, sy: []int64{35, 7, 1}, spanX: 5, spanY: 105},
		{name: "scalar", spanX: 1, spanY: 1},
		permuted([]int{2, 3, 4, 5, 2, 3}, []int{5, 3, 1, 0, 2, 4}),
		permuted([]int{2, 2, 3, 2, 2, 2, 3}, []int{6, 4, 2, 0, 5, 3, 1}),
		permuted([]int{2, 5, 3, 7}, []int{0, 2, 1, 3}),
		permuted([]int{33, 31}, []int{1, 0}),
		permuted([]int{3, 65, 9}, []int{0, 2, 1}),
	} {
		all = append(all, check{"move/" + m.name, false, func(b *bench) {
			for _, size := range every {
				b.move(m, size)
			}
		}})
	}
	all = append(all, check{"move/big", true, func(b *bench) {
		b.move(moved{name: "big", dims: []int{1_000_003}, sx: []int64{1}, sy: []int64{1}, spanX: 1_000_003, spanY: 1_000_003}, 4)
		b.move(permuted([]int{3, 333_333}, []int{1, 0}), 4)
	}})
	for _, size := range []int{1, 2, 4, 8} {
		all = append(all, check{fmt.Sprintf("transpose/%d", size), false, func(b *bench) {
			for _, d := range [][3]int{{1, 1, 1}, {1, 33, 31}, {3, 127, 65}, {2, 8, 129}} {
				b.transpose(size, d[0], d[1], d[2])
			}
		}})
	}
	for _, size := range []int{1, 4, 8} {
		all = append(all, check{fmt.Sprintf("pad/%d", size), false, func(b *bench) {
			for mode := PadConstant; mode <= PadWrap; mode++ {
				b.pad(size, mode, []int{33}, []int{5}, []int{7})
				b.pad(size, mode, []int{2, 3, 5, 7}, []int{1, 0, 2, 3}, []int{1, 2, 0, 6})
				b.pad(size, mode, []int{3, 4, 9}, []int{0, 0, -2}, []int{0, 0, 3})
				b.pad(size, mode, []int{2, 1, 5, 4, 6}, []int{0, 0, 1, 3, 0}, []int{0, 0, 2, 0, 0})
			}
		}})
	}
	for _, narrow := range []bool{false, true} {
		for _, d := range [][5]int{{1, 5, 1, 1, 4}, {1, 97, 33, 31, 4}, {3, 7, 9, 12, 4}, {2, 5, 9, 3, 1}, {1, 10, 129, 32, 2}, {2, 9, 5, 7, 8}} {
			all = append(all, check{fmt.Sprintf("gather/%v/%v", d, narrow), false, func(b *bench) { b.gather(d[0], d[1], d[2], d[3], d[4], narrow) }})
		}
		for _, size := range []int{4, 8} {
			all = append(all, check{fmt.Sprintf("gather elements/%d/%v", size, narrow), false, func(b *bench) {
				b.gatherElements(size, 1, 5, 1, 1, narrow)
				b.gatherElements(size, 3, 9, 13, 7, narrow)
				b.gatherElements(size, 1, 33, 129, 5, narrow)
			}})
		}
	}
	all = append(all, check{"fill", false, func(b *bench) {
		for _, n := range []int{1, 31, 257} {
			y := room[uint32](b, n)
			b.do(AppendFill(nil, y, int64(n), 0x40490fdb))
			equal(b, "fill", get[uint32](b, y, n), slices.Repeat([]uint32{0x40490fdb}, n))
		}
	}})
	return all
}

func (b *bench) transpose(size, batch, rows, cols int) {
	ldx, ldy := cols+3, rows+1
	x := convert[uint8](b.integers(batch*rows*ldx*size, 0, 255))
	y := convert[uint8](b.integers(batch*cols*ldy*size, 0, 255))
	py := put(b, y)
	b.do(AppendTranspose(nil, Transpose{Size: size, Rows: rows, Cols: cols, Batch: batch, X: put(b, x), Y: py, LDX: int64(ldx), LDY: int64(ldy)}))
	want := slices.Clone(y)
	for n := range batch {
		for r := range rows {
			for c := range cols {
				at, to := ((n*rows+r)*ldx+c)*size, ((n*cols+c)*ldy+r)*size
				copy(want[to:to+size], x[at:at+size])
			}
		}
	}
	equal(b, "transpose", get[byte](b, py, len(y)), want)
}

func (b *bench) pad(size int, mode PadMode, from, before, after []int) {
	to := make([]int, len(from))
	for i := range from {
		to[i] = from[i] + before[i] + after[i]
	}
	x := convert[uint8](b.integers(count(from)*size, 0, 255))
	n := count(to)
	y := room[byte](b, n*size)
	const value = 0x1122334455667788
	b.do(AppendPad(nil, Pad{Size: size, X: put(b, x), Y: y, From: from, Before: before, After: after, Mode: mode, Value: value}))
	want := make([]byte, n*size)
	strides := dense(to)
	for i := range n {
		at, outside := 0, false
		for k := range to {
			j := i/int(strides[k])%to[k] - before[k]
			outside = outside || j < 0 || j >= from[k]
			at = at*from[k] + folded(j, from[k], mode)
		}
		for s := range size {
			want[i*size+s] = x[at*size+s]
			if outside && mode == PadConstant {
				want[i*size+s] = byte(uint64(value) >> (8 * s))
			}
		}
	}
	equal(b, fmt.Sprintf("pad %v by %v and %v, mode %d", from, before, after, mode), get[byte](b, y, n*size), want)
}

// folded walks step by step from inside to where a padding mode takes j from.
func folded(j, n int, mode PadMode) int {
	for j < 0 || j >= n {
		switch mode {
		case PadConstant:
			return 0
		case PadEdge:
			return min(max(j, 0), n-1)
		case PadWrap:
			j += pick(j < 0, n, -n)
		case PadReflect:
			if n == 1 {
				return 0
			}
			j = pick(j < 0, -j, 2*(n-1)-j)
		}
	}
	return j
}

// indices gives places along rows, some negative, two out of range.
func (b *bench) indices(n, rows int, narrow bool) (cuda.Ptr, []int) {
	v := b.integers(n, -rows, rows-1)
	if n > 3 {
		v[2], v[3] = rows, -rows-1
	}
	if narrow {
		return put(b, convert[int32](v)), v
	}
	return put(b, convert[int64](v)), v
}

func (b *bench) gather(outer, rows, n, width, size int, narrow bool) {
	x := convert[uint8](b.integers(outer*rows*width*size, 0, 255))
	ix, v := b.indices(n, rows, narrow)
	y, fault := room[byte](b, outer*n*width*size), put(b, []uint32{0})
	g := Gather{Size: size, X: put(b, x), Index: ix, Y: y, Fault: fault, Outer: outer, Rows: rows, Count: n, Width: width, Narrow: narrow}
	b.do(AppendGather(nil, g))
	want := make([]byte, outer*n*width*size)
	bad := uint32(0)
	for o := range outer {
		for i, r := range v {
			r = pick(r < 0, r+rows, r)
			if r < 0 || r >= rows {
				bad = 1
				continue
			}
			copy(want[(o*n+i)*width*size:(o*n+i+1)*width*size], x[(o*rows+r)*width*size:])
		}
	}
	equal(b, "gather", get[byte](b, y, len(want)), want)
	equal(b, "fault", get[uint32](b, fault, 1), []uint32{bad})
}

func (b *bench) gatherElements(size, outer, rows, n, inner int, narrow bool) {
	x := convert[uint8](b.integers(outer*rows*inner*size, 0, 255))
	total := outer * n * inner
	ix, v := b.indices(total, rows, narrow)
	y, fault := room[byte](b, total*size), put(b, []uint32{0})
	b.do(AppendGatherElements(nil, GatherElements{Size: size, X: put(b, x), Index: ix, Y: y, Fault: fault, Outer: outer, Rows: rows, Count: n, Inner: inner,
		Narrow: narrow}))
	want := make([]byte, total*size)
	bad := uint32(0)
	for i, r := range v {
		r = pick(r < 0, r+rows, r)
		if r < 0 || r >= rows {
			bad = 1
			continue
		}
		at := ((i/(n*inner))*rows+r)*inner + i%inner
		copy(want[i*size:(i+1)*size], x[at*size:])
	}
	equal(b, "gather elements", get[byte](b, y, len(want)), want)
	equal(b, "fault", get[uint32](b, fault, 1), []uint32{bad})
}
