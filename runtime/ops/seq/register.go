package seq

import (
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
)

// Register adds the operators of this package.
func Register(r *ops.Registry) {
	for _, f := range []func() []*ops.Op{
		concatFromSequence, optional, optionalGetElement, optionalHasElement, sequenceAt,
		sequenceConstruct, sequenceEmpty, sequenceErase, sequenceInsert, sequenceLength, splitToSequence,
	} {
		r.Add(form.NoneLeftOut(f())...)
	}
}
