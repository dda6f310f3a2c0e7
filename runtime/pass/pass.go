// Package pass rewrites graphs before a device compiles them. The passes stand in one
// ordered list; each is a file of its own with golden dumps before and after, does the
// same again when run twice, and knows no device.
//
// Ownership: a pass owns the graph while it runs and changes it in place.
package pass

import (
	"fmt"
	"slices"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
)

// Pass is one rewrite.
type Pass struct {
	Name string
	Doc  string
	Run  func(g *graph.Graph, reg *ops.Registry) error
}

// List is every pass in the order in which they run.
func List() []Pass {
	return []Pass{
		{"invariant", "takes out of a loop's state what no iteration changes", invariant},
		{"expand", "puts fused operators of com.microsoft in the standard's", expandFused},
		{"identity", "removes nodes that hand a value on", identity},
		{"fold", "computes nodes whose inputs are all constant", fold},
		{"transposes", "moves transpositions to where they cancel each other", transposes},
		{"parallel", "makes one convolution of two whose results are added", parallel},
		{"dead", "removes nodes whose results nobody reads", dead},
	}
}

// Run applies all passes but those named in off.
func Run(g *graph.Graph, reg *ops.Registry, off ...string) error {
	for _, p := range List() {
		if slices.Contains(off, p.Name) {
			continue
		}
		if err := p.Run(g, reg); err != nil {
			return fmt.Errorf("pass %s: %w", p.Name, err)
		}
	}
	return nil
}
