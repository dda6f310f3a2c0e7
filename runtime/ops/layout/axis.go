package layout

import (
	"fmt"

	"github.com/aimass/aimass/runtime/tensor"
)

// Split3 sees a shape around one axis: the product of the extents before it, its own,
// and of those after it.
func Split3(s tensor.Shape, axis int) (outer, n, inner int) {
	return s[:axis].Elements(), s[axis], s[axis+1:].Elements()
}

// ConcatShape is the shape of tensors joined along an axis; the axis is in range for the
// first of them.
func ConcatShape(shapes []tensor.Shape, axis int) (tensor.Shape, error) {
	out := shapes[0].Clone()
	for k, s := range shapes[1:] {
		if len(s) != len(out) {
			return nil, fmt.Errorf("input %d has shape %v, expected rank %d", k+1, s, len(out))
		}
		for i := range s {
			if i != axis && s[i] != out[i] {
				return nil, fmt.Errorf("input %d has shape %v, expected %v but for axis %d", k+1, s, shapes[0], axis)
			}
		}
		out[axis] += s[axis]
	}
	return out, out.Check()
}

// Concat writes tensors of one type one after the other along an axis of dst, whose shape
// is ConcatShape's.
func Concat(dst *tensor.Tensor, parts []*tensor.Tensor, axis int) {
	d := Open(dst)
	outer, n, inner := Split3(dst.Shape, axis)
	at := 0
	for _, p := range parts {
		src, run := Open(p), p.Shape[axis]*inner
		for o := range outer {
			d.Copy(o*n*inner+at, src, o*run, run)
		}
		at += run
	}
	d.Flush()
}

// Part copies elements [from,to) of an axis to dst, whose shape is src's with that extent.
func Part(dst, src *tensor.Tensor, axis, from, to int) {
	d, s := Open(dst), Open(src)
	outer, n, inner := Split3(src.Shape, axis)
	run := (to - from) * inner
	for o := range outer {
		d.Copy(o*run, s, (o*n+from)*inner, run)
	}
	d.Flush()
}

// Stack writes tensors of one type and shape as the parts of a new axis of dst.
func Stack(dst *tensor.Tensor, parts []*tensor.Tensor, axis int) {
	d := Open(dst)
	outer, n, inner := Split3(dst.Shape, axis)
	for k, p := range parts {
		src := Open(p)
		for o := range outer {
			d.Copy((o*n+k)*inner, src, o*inner, inner)
		}
	}
	d.Flush()
}

// Insert gives the shape with an axis of n elements put in before axis.
func Insert(s tensor.Shape, axis, n int) tensor.Shape {
	out := append(s[:axis].Clone(), n)
	return append(out, s[axis:]...)
}

// At copies what lies at index k of an axis; the result has one axis less.
func At(src *tensor.Tensor, axis, k int) *tensor.Tensor {
	s := append(src.Shape[:axis].Clone(), src.Shape[axis+1:]...)
	dst := tensor.New(src.DType, s)
	Part(dst.Reshaped(Insert(s, axis, 1)), src, axis, k, k+1)
	return dst
}
