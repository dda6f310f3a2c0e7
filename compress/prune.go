package compress

import (
	"fmt"
	"math"
	"slices"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// Prune takes weights away by their magnitude.
type Prune struct {
	// Sparsity is the share of single weights that become zero, 0 to below 1. The file
	// shrinks when it is packed; the shapes stay.
	Sparsity float64
	// Global ranks the weights of all layers together, by their size relative to the
	// layer's; else each layer loses the same share.
	Global bool
	// Neurons, Channels and Heads are the shares of hidden neurons, convolution channels
	// and attention heads that go: the shapes shrink.
	Neurons, Channels, Heads float64
}

func (p *Prune) run(e *env, m *graph.Model) error {
	for _, s := range []struct {
		name  string
		share float64
	}{{"sparsity", p.Sparsity}, {"neurons", p.Neurons}, {"channels", p.Channels}, {"heads", p.Heads}} {
		if !(s.share >= 0 && s.share < 1) {
			return fmt.Errorf("%s: expected a share from 0 to below 1, got %v", s.name, s.share)
		}
	}
	if p.Heads > 0 {
		if err := pruneHeads(e, m, p.Heads); err != nil {
			return err
		}
	}
	if p.Channels > 0 {
		if err := pruneChannels(e, m, p.Channels); err != nil {
			return err
		}
	}
	if p.Neurons > 0 {
		if err := pruneNeurons(e, m, p.Neurons); err != nil {
			return err
		}
	}
	if p.Sparsity > 0 {
		return p.weights(e, m)
	}
	return nil
}

// weightsOf lists the constant matrices and filters of products and convolutions.
func weightsOf(m *graph.Model) []*graph.Value {
	var out []*graph.Value
	for _, n := range m.Nodes {
		if n.Domain != "" || !slices.Contains([]string{"MatMul", "Gemm", "Conv", "ConvTranspose"}, n.Op) {
			continue
		}
		for _, v := range n.In[:2] {
			if w, s := floats(v, -1); w != nil && len(s) >= 2 && !slices.Contains(out, v) {
				out = append(out, v)
			}
		}
	}
	return out
}

// weights sets the smallest weights to zero.
func (p *Prune) weights(e *env, m *graph.Model) error {
	ws := weightsOf(m)
	if len(ws) == 0 {
		return fmt.Errorf("sparsity: the model has no constant matrices or filters in float32")
	}
	var limit float64
	scale := func(w []float32) float64 {
		if !p.Global {
			return 1
		}
		sum := 0.0
		for _, x := range w {
			sum += float64(x) * float64(x)
		}
		return math.Sqrt(sum/float64(len(w))) + 1e-30
	}
	threshold := func(all []float64) float64 {
		slices.Sort(all)
		return all[min(int(p.Sparsity*float64(len(all))), len(all)-1)]
	}
	if p.Global {
		var all []float64
		for _, v := range ws {
			w, _ := floats(v, -1)
			s := scale(w)
			for i := 0; i < len(w); i += 1 + len(w)/100000 { // a sample of each layer ranks well enough
				all = append(all, math.Abs(float64(w[i]))/s)
			}
		}
		limit = threshold(all)
	}
	zeros, total := 0, 0
	for _, v := range ws {
		w, shape := floats(v, -1)
		l := limit
		if !p.Global {
			mags := make([]float64, len(w))
			for i, x := range w {
				mags[i] = math.Abs(float64(x))
			}
			l = threshold(mags)
		}
		s, out := scale(w), slices.Clone(w)
		for i, x := range out {
			if math.Abs(float64(x))/s < l {
				out[i] = 0
			}
			if out[i] == 0 {
				zeros++
			}
		}
		total += len(out)
		v.Const = tensor.FromSlice(out, shape...)
	}
	e.note("prune: %d of %d weights are zero (%.1f %%)", zeros, total, 100*float64(zeros)/float64(total))
	return nil
}

// keepers gives the indices of the greatest scores, rising: all but the share that goes,
// at least one, and a multiple of the given step where that leaves any.
func keepers(scores []float64, share float64, step int) []int {
	n := len(scores) - int(share*float64(len(scores)))
	if k := n / step * step; k > 0 {
		n = k
	}
	n = max(n, 1)
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case scores[a] > scores[b]:
			return -1
		case scores[a] < scores[b]:
			return 1
		}
		return 0
	})
	kept := order[:n]
	slices.Sort(kept)
	return kept
}

// take copies the kept indices of an axis.
func take(t *tensor.Tensor, axis int, kept []int) *tensor.Tensor {
	outer, inner := 1, 1
	for i, d := range t.Shape {
		if i < axis {
			outer *= d
		} else if i > axis {
			inner *= d
		}
	}
	src := tensor.Data[float32](t)
	out := make([]float32, 0, outer*len(kept)*inner)
	for o := range outer {
		for _, k := range kept {
			at := (o*t.Shape[axis] + k) * inner
			out = append(out, src[at:at+inner]...)
		}
	}
	s := slices.Clone(t.Shape)
	s[axis] = len(kept)
	return tensor.FromSlice(out, s...)
}

// norms adds the squares of each index of an axis to the scores.
func norms(scores []float64, t *tensor.Tensor, axis int) {
	inner := 1
	for _, d := range t.Shape[axis+1:] {
		inner *= d
	}
	for i, x := range tensor.Data[float32](t) {
		scores[i/inner%t.Shape[axis]] += float64(x) * float64(x)
	}
}
