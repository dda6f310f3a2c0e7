package inspect

import (
	"fmt"

	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/cpu"
)

// Spread says how many cores should work on one batch of a model together where requests never end. Together, each request waits for a
// shorter run, the same requests in flight make larger batches, and weights beyond the caches are read once for
// all; but cores that work together wait for each other at every step.
type Spread struct {
	Cores  int    `json:"cores"` // 1: a batch for each core
	Reason string `json:"reason"`
}

const (
	// spreadWork is the number of MACs from which a row is spread: what is lost from one batch to the next, where cores that
	// work together are idle together, is then a small part.
	spreadWork = 50e6
	// spreadGrain is how many MACs of a mean step a core needs: some twenty times what it costs to meet. Batches have more.
	spreadGrain = 2e6
	// spreadEval is the share of steps that may run in plain Go, by one core.
	spreadEval = 0.1
)

// serial are products whose steps in time follow each other.
var serial = set("LSTM GRU RNN")

// SpreadOf judges a loaded model by what one row computes, with assumptions for extents that it leaves open.
func SpreadOf(m *runtime.Model) Spread {
	if m.Graph == nil {
		return Spread{1, "the model is Go code"}
	}
	_, _, d, err := plan(m, nil)
	if err != nil {
		return Spread{1, err.Error()}
	}
	return spreadOf(d)
}

func spreadOf(d *cpu.Description) Spread {
	var w Work
	steps, plain := 0, 0
	for _, s := range d.Steps {
		if s.Path == cpu.View {
			continue
		}
		steps++
		if s.Path == cpu.Eval {
			plain++
		}
		for _, n := range s.Nodes {
			if serial[n.OpName()] {
				return Spread{1, fmt.Sprintf("%s (%s) goes on step by step in time", n.Label(), n.OpName())}
			}
			w.add(n, d)
		}
	}
	switch {
	case len(w.Uncounted) > 0:
		return Spread{1, w.Uncounted[0]}
	case w.MACs < spreadWork:
		return Spread{1, fmt.Sprintf("a row has %d million MACs, fewer than %d", w.MACs/1e6, int(spreadWork/1e6))}
	case float64(plain) > spreadEval*float64(steps):
		return Spread{1, fmt.Sprintf("%d of %d steps run in plain Go", plain, steps)}
	}
	grain := w.MACs / int64(steps)
	return Spread{max(int(grain/spreadGrain), 1), fmt.Sprintf("a row has %d million MACs, %.1f million a step", w.MACs/1e6, float64(grain)/1e6)}
}
