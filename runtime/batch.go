package runtime

import (
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
)

// Batch says whether requests may be put together along axis 0.
type Batch struct {
	// Rows is true if every row of every output is a function of the same row of the
	// inputs alone.
	Rows bool
	// Reason says why not, naming the node that mixes rows, or what was proved.
	Reason string
}

// proveBatch asks the batch pass.
func proveBatch(g *graph.Model, reg *ops.Registry) Batch {
	return Batch{Reason: "rows are not proved independent"}
}
