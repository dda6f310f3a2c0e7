package ml

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// Find gives the place of a key among those that an encoder knows.
type Find[K any] func(key K) (at int32, ok bool)

// EncodedLabels reads a LabelEncoder, in the form that a version of the operator has: the keys' finder and, by place,
// the values; def is the value of all other keys. It reports false unless the keys are of type K.
func EncodedLabels[K float32 | float64 | int64](n *graph.Node, since int) (find Find[K], values, def *tensor.Tensor, ok bool) {
	if since < 2 {
		return nil, nil, nil, false
	}
	k, v, def, err := readPairs(n.Attrs)
	if err != nil || k.DType != tensor.Scalar(K(0)).DType {
		return nil, nil, nil, false
	}
	return keyFinder(tensor.Data[K](k), since >= 4), v, def, true
}

// Categories reads a OneHotEncoder of integers: the finder of an element's column, of all columns, and what an
// unknown category gives.
func Categories(n *graph.Node) (find Find[int64], width int, unknown func(element int, category int64) error, ok bool) {
	ints := n.Attrs.Ints("cats_int64s")
	if len(ints) == 0 || len(n.Attrs.Strs("cats_strings")) > 0 {
		return nil, 0, nil, false
	}
	// Of equal categories the last counts, where finder takes the first.
	reversed, last := make([]int64, len(ints)), int32(len(ints)-1)
	for i, v := range ints {
		reversed[len(ints)-1-i] = v
	}
	place := finder(reversed)
	find = func(v int64) (int32, bool) {
		at, ok := place(v)
		return last - at, ok
	}
	unknown = func(int, int64) error { return nil }
	if n.Attrs.Int("zeros", 1) == 0 {
		unknown = func(i int, v int64) error { return fmt.Errorf("element %d, %d, is no known category", i, v) }
	}
	return find, len(ints), unknown, true
}

// Category is the integer that a number stands for: what is behind its point is cut off. Beyond int64 there is no
// category, and Go leaves the conversion open.
func Category[T int32 | int64 | float32 | float64](v T) int64 {
	i, f := int64(v), float64(v)
	if T(i) == v || f > -1<<63 && f < 1<<63 {
		return i
	}
	return -1 << 63
}
