package form

import (
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// Tensors declares optional tensor attributes.
func Tensors(names ...string) []ops.Attr { return attrs(graph.AttrTensor, names) }

// SameAs is the shape rule of operators whose output 0 has type d and the shape of
// input 0.
func SameAs(d tensor.DType) func(*ops.ShapeCall) error {
	return func(c *ops.ShapeCall) error {
		Like(c, 0, d, 0)
		return nil
	}
}
