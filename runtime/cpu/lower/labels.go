package lower

import "github.com/aimass/aimass/runtime/tensor"

// labels writes the classes that a classifier has chosen, under their names, into a slot
// (−1: nobody wants them).
type labels struct {
	slot, rows int
	ints       []int64
	strs       []string // instead of ints, unless empty
}

// labels makes the writer; false if the slot does not hold such names in memory that a step may
// address. Strings lie outside of the arena.
func (f *fuser) labels(slot, rows int, ints []int64, strs []string) (labels, bool) {
	l := labels{slot, rows, ints, strs}
	if slot < 0 {
		return l, true
	}
	if len(strs) > 0 {
		info := f.pl.Info[slot]
		return l, info.Known && info.DType == tensor.String && info.Shape.Elements() == rows && f.pl.Place[slot].Kind == OnHeap
	}
	return l, f.known(slot, tensor.Int64)
}

// begin gives the functions below the memory of one run.
func (l *labels) begin(e *Env) (ints []int64, strs []string) {
	switch {
	case l.slot < 0:
		return nil, nil
	case len(l.strs) > 0:
		t := tensor.New(tensor.String, tensor.Shape{l.rows})
		e.Values[l.slot] = t
		return nil, t.Strings()
	}
	return tensor.Data[int64](e.Tensor(l.slot)), nil
}

// put writes the name of one row's class.
func (l *labels) put(ints []int64, strs []string, row, class int) {
	switch {
	case strs != nil:
		strs[row] = l.strs[class]
	case ints != nil:
		ints[row] = l.ints[class]
	}
}
