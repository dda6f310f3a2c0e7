package kernel

import "slices"

// box is a walk over several operands at once: extents, and for each operand a stride in
// elements per dimension. Dimension 0 is outermost.
type box struct {
	dims    []int64
	strides [][]int64 // [operand][dimension]
}

// merged drops extents of 1 and joins neighbours that every operand walks as one.
func (b box) merged() box {
	out := box{strides: make([][]int64, len(b.strides))}
	for i, d := range b.dims {
		if d == 1 {
			continue
		}
		last := len(out.dims) - 1
		join := last >= 0
		for o := range b.strides {
			join = join && out.strides[o][last] == b.strides[o][i]*d
		}
		if join {
			out.dims[last] *= d
		} else {
			out.dims = append(out.dims, d)
		}
		for o := range b.strides {
			if join {
				out.strides[o][last] = b.strides[o][i]
			} else {
				out.strides[o] = append(out.strides[o], b.strides[o][i])
			}
		}
	}
	return out
}

// each cuts the box into boxes of exactly rank dimensions and at most maxIndex elements,
// and calls f with each and the operands' offsets. An empty box gives no call.
func (b box) each(rank int, f func(part box, offsets []int64)) error {
	if slices.Contains(b.dims, 0) {
		return nil
	}
	launches := 0
	return b.merged().cut(rank, make([]int64, len(b.strides)), func(part box, offsets []int64) error {
		if launches++; launches > maxLaunches {
			return limit("a tensor of %v takes more than %d launches", b.dims, maxLaunches)
		}
		f(part, offsets)
		return nil
	})
}

func (b box) cut(rank int, offsets []int64, f func(box, []int64) error) error {
	rest := int64(1)
	for i := len(b.dims) - 1; i > 0; i-- {
		if rest > maxIndex/b.dims[i] {
			rest = maxIndex + 1
			break
		}
		rest *= b.dims[i]
	}
	if len(b.dims) <= rank && rest <= maxIndex {
		step := maxIndex / rest
		if len(b.dims) == 0 || b.dims[0] <= step {
			return f(b.padded(rank), offsets)
		}
		for at := int64(0); at < b.dims[0]; at += step {
			part := box{slices.Clone(b.dims), b.strides}
			part.dims[0] = min(step, b.dims[0]-at)
			if err := f(part.padded(rank), b.moved(offsets, at)); err != nil {
				return err
			}
		}
		return nil
	}
	inner := box{b.dims[1:], make([][]int64, len(b.strides))}
	for o := range b.strides {
		inner.strides[o] = b.strides[o][1:]
	}
	for at := range b.dims[0] {
		if err := inner.cut(rank, b.moved(offsets, at), f); err != nil {
			return err
		}
	}
	return nil
}

func (b box) moved(offsets []int64, at int64) []int64 {
	out := slices.Clone(offsets)
	for o := range out {
		out[o] += at * b.strides[o][0]
	}
	return out
}

// padded puts extents of 1 in front.
func (b box) padded(rank int) box {
	n := rank - len(b.dims)
	out := box{append(slices.Repeat([]int64{1}, n), b.dims...), make([][]int64, len(b.strides))}
	for o := range b.strides {
		out.strides[o] = append(make([]int64, n), b.strides[o]...)
	}
	return out
}

func (b box) elements() int64 {
	n := int64(1)
	for _, d := range b.dims {
		n *= d
	}
	return n
}

// parameters gives n, the divisors of all dimensions but the first, and the strides of the
// operands asked for.
func (b box) parameters(operands int) []any {
	out := []any{uint32(b.elements())}
	for _, d := range b.dims[1:] {
		out = append(out, div(d))
	}
	for o := range operands {
		for _, s := range b.strides[o] {
			out = append(out, s)
		}
	}
	return out
}

// dense gives the strides of a contiguous tensor.
func dense(dims []int) []int64 {
	out := make([]int64, len(dims))
	n := int64(1)
	for i := len(dims) - 1; i >= 0; i-- {
		out[i] = n
		n *= int64(dims[i])
	}
	return out
}

func wide(dims []int) []int64 {
	out := make([]int64, len(dims))
	for i, d := range dims {
		out[i] = int64(d)
	}
	return out
}

// BroadcastStrides gives the strides with which a contiguous tensor of shape from is read
// as one of shape to: 0 where it repeats. ok is false if it does not broadcast.
func BroadcastStrides(from, to []int) (strides []int64, ok bool) {
	if len(from) > len(to) {
		return nil, false
	}
	strides = make([]int64, len(to))
	lead := len(to) - len(from)
	for i, s := range dense(from) {
		switch from[i] {
		case 1:
		case to[lead+i]:
			strides[lead+i] = s
		default:
			return nil, false
		}
	}
	return strides, true
}
