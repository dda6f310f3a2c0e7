package runtime

import (
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/pass"
)

// Batch says whether requests may be put together along axis 0.
type Batch struct {
	// Rows is true if every row of every output is a function of the same row of the
	// inputs alone.
	Rows bool
	// Reason says why not, naming the node that mixes rows, or what was proved.
	Reason string
	// Ragged says the same of sequences of different length.
	Ragged string
}

// proveBatch asks the row proof.
func proveBatch(g *graph.Model, reg *ops.Registry) Batch {
	ok, why := pass.Rows(g.Graph, reg)
	return Batch{Rows: ok, Reason: why}
}
