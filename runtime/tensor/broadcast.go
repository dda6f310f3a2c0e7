package tensor

// Walker walks the elements of an output shape in row-major order and gives, for each
// operand that broadcasts to it, the offset of its element. Runs along the innermost
// axis are handed out whole, so that inner loops stay plain.
type Walker struct {
	shape   Shape
	strides [][]int // by operand and axis; 0 where the operand repeats
}

// NewWalker prepares a walk over out. Each operand's shape must broadcast to out.
func NewWalker(out Shape, operands ...Shape) *Walker {
	w := &Walker{shape: out, strides: make([][]int, len(operands))}
	for k, s := range operands {
		st := make([]int, len(out))
		src := s.Strides()
		for i := range s {
			if s[i] != 1 {
				st[len(out)-len(s)+i] = src[i]
			}
		}
		w.strides[k] = st
	}
	return w
}

// Run calls f once for each innermost run: at is the offset in the output, n the run's
// length, off the operands' first offsets and step their strides along the run (0 or 1,
// or more where the operand is a view over an outer axis).
func (w *Walker) Run(f func(at, n int, off, step []int)) {
	rank := len(w.shape)
	off := make([]int, len(w.strides))
	step := make([]int, len(w.strides))
	if rank == 0 {
		f(0, 1, off, step)
		return
	}
	if w.shape.Elements() == 0 {
		return
	}
	n := w.shape[rank-1]
	for k, st := range w.strides {
		step[k] = st[rank-1]
	}
	idx := make([]int, rank)
	for at := 0; ; at += n {
		f(at, n, off, step)
		i := rank - 2
		for ; i >= 0; i-- {
			idx[i]++
			for k, st := range w.strides {
				off[k] += st[i]
			}
			if idx[i] < w.shape[i] {
				break
			}
			idx[i] = 0
			for k, st := range w.strides {
				off[k] -= st[i] * w.shape[i]
			}
		}
		if i < 0 {
			return
		}
	}
}
