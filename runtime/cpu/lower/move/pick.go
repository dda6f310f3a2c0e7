package move

import (
	"fmt"
	"unsafe"
)

// Gather copies rows of size bytes: for each of outer blocks of n rows, row index[i] for
// all i. Indices may count from the end; the error names one that is out of range.
func Gather[I int32 | int64](dst, src []byte, index []I, outer, n, size int) error {
	for _, k := range index {
		if int64(k) < -int64(n) || int64(k) >= int64(n) {
			return fmt.Errorf("index %d is outside of an axis of %d", k, n)
		}
	}
	switch {
	case size == 4:
		gatherElements(unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(dst))), len(dst)/4), unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(src))), len(src)/4), index, outer, n)
		return nil
	case size == 8:
		gatherElements(unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(dst))), len(dst)/8), unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(src))), len(src)/8), index, outer, n)
		return nil
	}
	at := 0
	for o := range outer {
		block := src[o*n*size : (o+1)*n*size]
		for _, k := range index {
			i := int(k)
			if i < 0 {
				i += n
			}
			copy(dst[at:at+size], block[i*size:(i+1)*size])
			at += size
		}
	}
	return nil
}

// gatherElements is Gather of single elements, whose indices are in range; they are resolved once for all rows.
func gatherElements[T uint32 | uint64, I int32 | int64](dst, src []T, index []I, outer, n int) {
	var at [64]int
	for from := 0; from < len(index); from += len(at) {
		part := at[:min(len(at), len(index)-from)]
		for j := range part {
			if part[j] = int(index[from+j]); part[j] < 0 {
				part[j] += n
			}
		}
		for o := range outer {
			x, y := src[o*n:(o+1)*n], dst[o*len(index)+from:][:len(part)]
			for j, k := range part {
				y[j] = x[k]
			}
		}
	}
}

// Number lists the element types that Convert takes.
type Number interface {
	~uint8 | ~int8 | ~uint16 | ~int16 | ~uint32 | ~int32 | ~uint64 | ~int64 | ~float32 | ~float64
}

// Convert sets dst[i] to x[i] as Go converts numbers.
func Convert[D, S Number](dst []D, x []S) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] = D(x[i])
	}
}

// FromBool sets dst[i] to 1 where x[i] holds and to 0 elsewhere.
func FromBool[D Number](dst []D, x []bool) {
	// A bool is a byte of 0 or 1; there is no conversion without a branch otherwise.
	b := unsafe.Slice((*uint8)(unsafe.Pointer(unsafe.SliceData(x))), len(x))
	Convert(dst, b)
}

// Walk goes over the elements of a shape together with up to three operands that
// broadcast to it.
type Walk struct {
	axes    int
	shape   [maxAxes]int
	strides [3][maxAxes]int
	empty   bool
}

// NewWalk plans a walk; strides are each operand's for the shape's axes, 0 where it
// repeats. It reports false if there are too many axes that do not merge.
func NewWalk(shape []int, strides ...[]int) (*Walk, bool) {
	w := &Walk{}
	for k, n := range shape {
		if n == 0 {
			return &Walk{empty: true}, true
		}
		if n == 1 {
			continue
		}
		j := w.axes - 1
		merge := j >= 0
		for o := range strides {
			merge = merge && w.strides[o][j] == n*strides[o][k]
		}
		if !merge {
			if w.axes == maxAxes {
				return nil, false
			}
			j = w.axes
			w.axes++
			w.shape[j] = 1
		}
		w.shape[j] *= n
		for o := range strides {
			w.strides[o][j] = strides[o][k]
		}
	}
	if w.axes == 0 {
		w.axes, w.shape[0] = 1, 1
	}
	return w, true
}

// next advances the outer axes; at are the operands' offsets.
func (w *Walk) next(idx *[maxAxes]int, at *[3]int) bool {
	for k := w.axes - 2; k >= 0; k-- {
		idx[k]++
		for o := range at {
			at[o] += w.strides[o][k]
		}
		if idx[k] < w.shape[k] {
			return true
		}
		for o := range at {
			at[o] -= w.strides[o][k] * w.shape[k]
		}
		idx[k] = 0
	}
	return false
}

// Where sets dst to x where cond holds and to y elsewhere; operands are cond, x and y.
func Where[T uint8 | uint32 | uint64](w *Walk, dst []T, cond []bool, x, y []T) {
	if w.empty {
		return
	}
	var idx [maxAxes]int
	var at [3]int
	last := w.axes - 1
	n, sc, sx, sy := w.shape[last], w.strides[0][last], w.strides[1][last], w.strides[2][last]
	for d := 0; ; d += n {
		row := dst[d : d+n]
		c, i, j := at[0], at[1], at[2]
		for k := range row {
			// Both are read, so that one is chosen without a branch: conditions are as good as random.
			a, v := x[i], y[j]
			if cond[c] {
				v = a
			}
			row[k] = v
			c, i, j = c+sc, i+sx, j+sy
		}
		if !w.next(&idx, &at) {
			return
		}
	}
}

// Comparison is a test of two values.
type Comparison uint8

// The comparisons.
const (
	Equal Comparison = iota
	Less
	LessOrEqual
	Greater
	GreaterOrEqual
)

// Compare sets dst to the outcome of a test of x and y.
func Compare[T Number](w *Walk, op Comparison, dst []bool, x, y []T) {
	if w.empty {
		return
	}
	var idx [maxAxes]int
	var at [3]int
	last := w.axes - 1
	n, sx, sy := w.shape[last], w.strides[0][last], w.strides[1][last]
	for d := 0; ; d += n {
		compareRow(op, dst[d:d+n], x[at[0]:], y[at[1]:], sx, sy)
		if !w.next(&idx, &at) {
			return
		}
	}
}

// compareRow tests one row; x and y step by sx and sy.
func compareRow[T Number](op Comparison, row []bool, x, y []T, sx, sy int) {
	switch op {
	case Equal:
		equalRow(row, x, y, sx, sy)
	case Less:
		lessRow(row, x, y, sx, sy)
	case LessOrEqual:
		mostRow(row, x, y, sx, sy)
	case Greater:
		lessRow(row, y, x, sy, sx)
	default:
		mostRow(row, y, x, sy, sx)
	}
}

func equalRow[T Number](row []bool, x, y []T, sx, sy int) {
	if sx == 1 && sy == 0 {
		x, y, sx, sy = y, x, sy, sx
	}
	if sx == 0 && sy == 1 {
		a, y := x[0], y[:len(row)]
		for k := range row {
			row[k] = a == y[k]
		}
		return
	}
	for k := range row {
		row[k] = x[k*sx] == y[k*sy]
	}
}

func lessRow[T Number](row []bool, x, y []T, sx, sy int) {
	if sx == 1 && sy == 0 {
		x, b := x[:len(row)], y[0]
		for k := range row {
			row[k] = x[k] < b
		}
		return
	}
	for k := range row {
		row[k] = x[k*sx] < y[k*sy]
	}
}

func mostRow[T Number](row []bool, x, y []T, sx, sy int) {
	if sx == 1 && sy == 0 {
		x, b := x[:len(row)], y[0]
		for k := range row {
			row[k] = x[k] <= b
		}
		return
	}
	for k := range row {
		row[k] = x[k*sx] <= y[k*sy]
	}
}

// Arithmetic is a function of two integers.
type Arithmetic uint8

// The functions; sums, differences and products wrap.
const (
	Add Arithmetic = iota
	Sub
	Mul
)

// Compute sets dst to a function of x and y.
func Compute[T Number](w *Walk, op Arithmetic, dst, x, y []T) {
	if w.empty {
		return
	}
	var idx [maxAxes]int
	var at [3]int
	last := w.axes - 1
	n, sx, sy := w.shape[last], w.strides[0][last], w.strides[1][last]
	for d := 0; ; d += n {
		computeRow(op, dst[d:d+n], x[at[0]:], sx, y[at[1]:], sy)
		if !w.next(&idx, &at) {
			return
		}
	}
}

// computeRow has a loop for each function, and for operands that both lie one behind the other.
func computeRow[T Number](op Arithmetic, row, x []T, sx int, y []T, sy int) {
	if sx == 1 && sy == 1 {
		x, y = x[:len(row)], y[:len(row)]
		switch op {
		case Add:
			for k := range row {
				row[k] = x[k] + y[k]
			}
		case Sub:
			for k := range row {
				row[k] = x[k] - y[k]
			}
		default:
			for k := range row {
				row[k] = x[k] * y[k]
			}
		}
		return
	}
	i, j := 0, 0
	switch op {
	case Add:
		for k := range row {
			row[k] = x[i] + y[j]
			i, j = i+sx, j+sy
		}
	case Sub:
		for k := range row {
			row[k] = x[i] - y[j]
			i, j = i+sx, j+sy
		}
	default:
		for k := range row {
			row[k] = x[i] * y[j]
			i, j = i+sx, j+sy
		}
	}
}
