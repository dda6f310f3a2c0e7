package shape

import (
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
)

// Register adds the operators of this package.
func Register(r *ops.Registry) {
	for _, f := range []func() []*ops.Op{
		bitCast, cast, castLike, centerCropPad, compress, concat, constant, constantOfShape,
		depthToSpace, expand, eyeLike, flatten, gather, gatherElements, gatherND, identity,
		nonMaxSuppression, nonZero, oneHot, pad, reshape, reverseSequence, scatter, scatterND,
		shapeOf, sizeOf, slice, spaceToDepth, split, squeeze, tile, transpose,
		unique, unsqueeze,
	} {
		r.Add(form.NoneLeftOut(f())...)
	}
}
