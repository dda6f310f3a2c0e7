package lower

import (
	"slices"

	"github.com/aimass/aimass/runtime/tensor"
)

// What one core takes for an element, in nanoseconds, roughly: costs decide what is worth another thread.
const (
	kernelElement = 1  // a kernel, for an element that it reads or writes
	evalElement   = 8  // an operator's Eval
	textElement   = 30 // either, for a string
	treeStep      = 5  // an ensemble, for each tree
	vectorTerms   = 16 // elements of vectors that are multiplied in one
)

// costOf is about how many nanoseconds one core takes for a group whose lowering does not say: by the elements that
// it reads and writes.
func (f *fuser) costOf(g *group) int {
	if g.cost > 0 {
		return g.cost
	}
	if !slices.ContainsFunc(g.writes, func(s int) bool { return s >= 0 && f.pl.Place[s].Kind != Alias }) {
		return 0 // a view
	}
	each := kernelElement
	if g.run == nil {
		each = evalElement
	}
	n := 0
	for _, s := range slices.Concat(g.reads, g.writes) {
		if s < 0 || f.pl.Place[s].Kind == Const || !f.pl.Info[s].Known {
			continue
		}
		if info := &f.pl.Info[s]; info.DType == tensor.String {
			n += textElement * info.Shape.Elements()
		} else {
			n += each * info.Shape.Elements()
		}
	}
	return n
}
