package kernel

import (
	"fmt"

	"github.com/aimass/aimass/cuda"
)

// Move copies a box of elements between two sets of strides: slices (negative steps too),
// concatenation (one Move an input), expansion (stride 0), transposes of any rank.
type Move struct {
	Size     int // bytes an element: 1, 2, 4, 8 or 16
	Dims     []int
	X, Y     cuda.Ptr // of the first element that is read, and written
	StridesX []int64
	StridesY []int64
}

// AppendMove appends the Launches of m. Runs of contiguous elements are moved 16 bytes at
// a time where pointers and strides allow; a swap of the two inner dimensions goes through tiles.
func AppendMove(dst []cuda.Launch, m Move) ([]cuda.Launch, error) {
	if len(m.StridesX) != len(m.Dims) || len(m.StridesY) != len(m.Dims) {
		return dst, fmt.Errorf("kernel: move: %d dimensions, %d and %d strides", len(m.Dims), len(m.StridesX), len(m.StridesY))
	}
	if _, ok := elements(m.Dims...); !ok {
		return dst, limit("a box of %v", m.Dims)
	}
	switch m.Size {
	case 1, 2, 4, 8, 16:
	default:
		return dst, limit("elements of %d bytes", m.Size)
	}
	b := box{wide(m.Dims), [][]int64{m.StridesX, m.StridesY}}
	if _, dead := elements(m.Dims...); !dead || b.elements() == 0 {
		return dst, nil
	}
	size := int64(m.Size)
	b = b.merged()
	if t, ok := transposeOf(b, m); ok {
		return AppendTranspose(dst, t)
	}
	b, size = widen(b, size, m.X, m.Y)
	err := b.each(6, func(part box, at []int64) {
		values := append([]any{m.X + cuda.Ptr(at[0]*size), m.Y + cuda.Ptr(at[1]*size)}, part.parameters(2)...)
		dst = append(dst, launch("move", fmt.Sprintf("move_%d", size), ceilDiv(part.elements(), threads), threads, values...))
	})
	return dst, err
}

// widen takes the widest element in which the inner run can be moved.
func widen(b box, size int64, x, y cuda.Ptr) (box, int64) {
	last := len(b.dims) - 1
	if last < 0 || b.strides[0][last] != 1 || b.strides[1][last] != 1 {
		return b, size
	}
	for wideSize := int64(16); wideSize > size; wideSize /= 2 {
		by := wideSize / size
		fits := int64(x)%wideSize == 0 && int64(y)%wideSize == 0 && b.dims[last]%by == 0
		for i := range last {
			fits = fits && b.strides[0][i]%by == 0 && b.strides[1][i]%by == 0
		}
		if !fits {
			continue
		}
		out := box{append([]int64(nil), b.dims...), [][]int64{append([]int64(nil), b.strides[0]...), append([]int64(nil), b.strides[1]...)}}
		out.dims[last] /= by
		for i := range last {
			out.strides[0][i] /= by
			out.strides[1][i] /= by
		}
		return out, wideSize
	}
	return b, size
}

// transposeOf recognises [batch, rows, cols] → [batch, cols, rows].
func transposeOf(b box, m Move) (Transpose, bool) {
	n := len(b.dims)
	if n < 2 || n > 3 || m.Size > 8 || b.strides[1][n-1] != 1 || b.strides[0][n-2] != 1 || b.dims[n-1] < 8 || b.dims[n-2] < 8 ||
		b.dims[n-1] > maxIndex || b.dims[n-2] > maxIndex {
		return Transpose{}, false
	}
	t := Transpose{Size: m.Size, Rows: int(b.dims[n-1]), Cols: int(b.dims[n-2]), Batch: 1, X: m.X, Y: m.Y,
		LDX: b.strides[0][n-1], LDY: b.strides[1][n-2]}
	if n == 3 {
		t.Batch, t.StrideX, t.StrideY = int(b.dims[0]), b.strides[0][0], b.strides[1][0]
	}
	return t, true
}

// Permute is the Move that transposes a contiguous tensor of shape from: dimension i of
// the result is dimension axes[i] of x.
func Permute(size int, x, y cuda.Ptr, from, axes []int) Move {
	m := Move{Size: size, X: x, Y: y, Dims: make([]int, len(from)), StridesX: make([]int64, len(from))}
	strides := dense(from)
	for i, a := range axes {
		m.Dims[i], m.StridesX[i] = from[a], strides[a]
	}
	m.StridesY = dense(m.Dims)
	return m
}

// Transpose turns Batch matrices of Rows×Cols with leading dimension LDX into Cols×Rows
// with LDY, through tiles in shared memory.
type Transpose struct {
	Size             int // 1, 2, 4 or 8
	Rows, Cols       int
	Batch            int // 0 counts as 1
	X, Y             cuda.Ptr
	LDX, LDY         int64 // 0: contiguous
	StrideX, StrideY int64 // 0 with a batch: contiguous
}

// AppendTranspose appends the Launches of t.
func AppendTranspose(dst []cuda.Launch, t Transpose) ([]cuda.Launch, error) {
	switch t.Size {
	case 1, 2, 4, 8:
	default:
		return dst, limit("a transpose of elements of %d bytes", t.Size)
	}
	if t.LDX == 0 {
		t.LDX = int64(t.Cols)
	}
	if t.LDY == 0 {
		t.LDY = int64(t.Rows)
	}
	t.Batch = max(t.Batch, 1)
	if t.StrideX == 0 {
		t.StrideX = int64(t.Rows) * t.LDX
	}
	if t.StrideY == 0 {
		t.StrideY = int64(t.Cols) * t.LDY
	}
	if t.Rows < 0 || t.Cols < 0 || t.Rows > maxIndex-32 || t.Cols > maxIndex-32 {
		return dst, limit("a transpose of %d×%d", t.Rows, t.Cols)
	}
	tiles := ceilDiv(int64(t.Rows), 32) * ceilDiv(int64(t.Cols), 32)
	if tiles > maxGridX {
		return dst, limit("a transpose of %d×%d", t.Rows, t.Cols)
	}
	if tiles == 0 {
		return dst, nil
	}
	for at := 0; at < t.Batch; at += maxGrid {
		x := t.X + cuda.Ptr(int64(at)*t.StrideX*int64(t.Size))
		y := t.Y + cuda.Ptr(int64(at)*t.StrideY*int64(t.Size))
		l := launch("move", fmt.Sprintf("transpose_%d", t.Size), tiles, threads, x, y, t.Rows, t.Cols, t.LDX, t.LDY, t.StrideX, t.StrideY)
		l.Grid.Y = uint32(min(maxGrid, t.Batch-at))
		dst = append(dst, l)
	}
	return dst, nil
}

// PadMode says what lies outside.
type PadMode int

// The modes of ONNX Pad.
const (
	PadConstant PadMode = iota
	PadEdge
	PadReflect
	PadWrap
)

// Pad makes y of From[i] + Before[i] + After[i] elements a dimension; negative amounts cut.
type Pad struct {
	Size          int // 1, 4 or 8
	X, Y          cuda.Ptr
	From          []int // at most 4 after neighbours without padding are joined
	Before, After []int
	Mode          PadMode
	Value         uint64 // the bits of the constant
}

// AppendPad appends the Launches of p.
func AppendPad(dst []cuda.Launch, p Pad) ([]cuda.Launch, error) {
	if p.Size != 1 && p.Size != 4 && p.Size != 8 {
		return dst, limit("padding of elements of %d bytes", p.Size)
	}
	var from, to, before []int
	plain := false // the last dimension has no padding
	for i, n := range p.From {
		e := n + p.Before[i] + p.After[i]
		if n < 0 || e < 0 {
			return dst, limit("padding of %v by %v and %v", p.From, p.Before, p.After)
		}
		if n == 0 && p.Mode != PadConstant && e > 0 {
			return dst, limit("padding of %v, which is empty, from its own elements", p.From)
		}
		none := p.Before[i] == 0 && p.After[i] == 0
		if none && plain {
			last := len(from) - 1
			from[last], to[last] = from[last]*n, to[last]*n
			continue
		}
		from, to, before = append(from, n), append(to, e), append(before, p.Before[i])
		plain = none
	}
	for len(from) < 4 {
		from, to, before = append([]int{1}, from...), append([]int{1}, to...), append([]int{0}, before...)
	}
	total, ok := elements(to...)
	if in, inOK := elements(from...); len(from) > 4 || !ok || !inOK || total > maxIndex || in > maxIndex {
		return dst, limit("padding of %v", p.From)
	}
	if total == 0 {
		return dst, nil
	}
	return append(dst, launch("move", fmt.Sprintf("pad_%d", p.Size), ceilDiv(total, threads), threads, p.X, p.Y, uint32(total),
		div(int64(to[1])), div(int64(to[2])), div(int64(to[3])), from[0], from[1], from[2], from[3],
		before[0], before[1], before[2], before[3], int(p.Mode), p.Value)), nil
}

// Gather sets y[o, i, :] = x[o, index[i], :]: x is [Outer, Rows, Width], y [Outer, Count,
// Width] of elements of Size bytes. Indices are int64, or int32 with Narrow; a negative
// one counts from the end. One out of range gives zeros and sets the uint32 at Fault, if there is one, to 1.
type Gather struct {
	Size                      int
	X, Index, Y, Fault        cuda.Ptr
	Outer, Rows, Count, Width int
	Narrow                    bool
}

// AppendGather appends the Launches of g.
func AppendGather(dst []cuda.Launch, g Gather) ([]cuda.Launch, error) {
	bytes := int64(g.Width) * int64(g.Size)
	unit := int64(1)
	for _, u := range []int64{16, 4} {
		if bytes%u == 0 && int64(g.X)%u == 0 && int64(g.Y)%u == 0 {
			unit = u
			break
		}
	}
	width := bytes / unit
	n, ok := elements(g.Outer, g.Count, int(width))
	if !ok || n > maxIndex || g.Rows < 0 {
		return dst, limit("a gather of %d×%d rows of %d bytes", g.Outer, g.Count, bytes)
	}
	if n == 0 {
		return dst, nil
	}
	return append(dst, launch("move", fmt.Sprintf("gather_%d", unit), ceilDiv(n, threads), threads, g.X, g.Index, g.Y, g.Fault, uint32(n),
		div(int64(g.Count)), div(width), g.Rows, !g.Narrow)), nil
}

// GatherElements sets y[o, j, i] = x[o, index[o, j, i], i]: x is [Outer, Rows, Inner], y
// and index [Outer, Count, Inner].
type GatherElements struct {
	Size                      int // 4 or 8
	X, Index, Y, Fault        cuda.Ptr
	Outer, Rows, Count, Inner int
	Narrow                    bool
}

// AppendGatherElements appends the Launches of g.
func AppendGatherElements(dst []cuda.Launch, g GatherElements) ([]cuda.Launch, error) {
	n, ok := elements(g.Outer, g.Count, g.Inner)
	if !ok || n > maxIndex || g.Size != 4 && g.Size != 8 || g.Rows < 0 {
		return dst, limit("a gather of %d×%d×%d elements of %d bytes", g.Outer, g.Count, g.Inner, g.Size)
	}
	if n == 0 {
		return dst, nil
	}
	return append(dst, launch("move", fmt.Sprintf("gather_elements_%d", g.Size), ceilDiv(n, threads), threads, g.X, g.Index, g.Y, g.Fault, uint32(n),
		div(int64(g.Count)*int64(g.Inner)), div(int64(g.Inner)), g.Rows, !g.Narrow)), nil
}

// AppendFill appends the Launch that sets n words at y.
func AppendFill(dst []cuda.Launch, y cuda.Ptr, n int64, word uint32) ([]cuda.Launch, error) {
	if n < 0 || ceilDiv(n, threads) > maxGridX {
		return dst, limit("a fill of %d words", n)
	}
	if n == 0 {
		return dst, nil
	}
	return append(dst, launch("move", "fill_4", ceilDiv(n, threads), threads, y, n, word)), nil
}
