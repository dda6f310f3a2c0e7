package tensor

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Shape is the extent of each axis, outermost first; an empty shape is a scalar.
// Every extent is ≥ 0.
type Shape []int

// MaxElements bounds a single tensor, so that no product of extents overflows and a
// hostile shape is refused before any allocation.
const MaxElements = 1 << 40

// Elements is the number of elements: the product of the extents.
// The shape must have passed Check.
func (s Shape) Elements() int {
	n := 1
	for _, d := range s {
		n *= d
	}
	return n
}

// Check refuses negative extents and products beyond MaxElements.
func (s Shape) Check() error {
	n := 1
	for i, d := range s {
		if d < 0 {
			return fmt.Errorf("shape %v: axis %d is negative", s, i)
		}
		if d != 0 && n > MaxElements/d {
			return fmt.Errorf("shape %v: more than %d elements", s, MaxElements)
		}
		n *= d
	}
	return nil
}

// Equal reports whether both have the same rank and extents.
func (s Shape) Equal(t Shape) bool {
	if len(s) != len(t) {
		return false
	}
	for i, d := range s {
		if d != t[i] {
			return false
		}
	}
	return true
}

// Clone copies the shape.
func (s Shape) Clone() Shape { return append(Shape(nil), s...) }

// Raised is s with axes of extent 1 in front, so that there are rank.
func (s Shape) Raised(rank int) Shape {
	return append(slices.Repeat(Shape{1}, rank-len(s)), s...)
}

// Strides gives the distance in elements between neighbours on each axis of a
// row-major tensor.
func (s Shape) Strides() []int {
	st := make([]int, len(s))
	n := 1
	for i := len(s) - 1; i >= 0; i-- {
		st[i] = n
		n *= s[i]
	}
	return st
}

// String prints "[1,3,224,224]".
func (s Shape) String() string {
	var b strings.Builder
	b.WriteByte('[')
	for i, d := range s {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(d))
	}
	b.WriteByte(']')
	return b.String()
}

// Axis turns an axis that may count from the end (−1 = last) into an index of a
// tensor of the given rank.
func Axis(axis int64, rank int) (int, error) {
	if axis < -int64(rank) || axis >= int64(rank) {
		return 0, fmt.Errorf("axis %d is outside of rank %d", axis, rank)
	}
	if axis < 0 {
		axis += int64(rank)
	}
	return int(axis), nil
}

// Broadcast is the shape that a and b give together by numpy's rule.
func Broadcast(a, b Shape) (Shape, error) {
	n := max(len(a), len(b))
	out := make(Shape, n)
	for i := range n {
		x, y := 1, 1
		if j := i - (n - len(a)); j >= 0 {
			x = a[j]
		}
		if j := i - (n - len(b)); j >= 0 {
			y = b[j]
		}
		switch {
		case x == y || y == 1:
			out[i] = x
		case x == 1:
			out[i] = y
		default:
			return nil, fmt.Errorf("shapes %v and %v do not broadcast", a, b)
		}
	}
	return out, out.Check()
}

// ShapeOf turns the int64 extents of ONNX into a Shape, checking each.
func ShapeOf(dims []int64) (Shape, error) {
	s := make(Shape, len(dims))
	for i, d := range dims {
		if d < 0 || d > math.MaxInt64/2 {
			return nil, fmt.Errorf("shape %v: axis %d is out of range", dims, i)
		}
		s[i] = int(d)
	}
	return s, s.Check()
}
