package rnn

import (
	"fmt"
	"math"
	"strings"

	"github.com/aimass/aimass/runtime/graph"
)

// activation is one of the functions that a recurrent node may name, with its two
// coefficients.
type activation struct {
	params      int // how many coefficients it takes from the node's lists
	alpha, beta float64
	f           func(x, alpha, beta float64) float64
}

var activations = map[string]activation{
	"relu":       {0, 0, 0, func(x, _, _ float64) float64 { return max(0, x) }},
	"tanh":       {0, 0, 0, func(x, _, _ float64) float64 { return math.Tanh(x) }},
	"sigmoid":    {0, 0, 0, func(x, _, _ float64) float64 { return 1 / (1 + math.Exp(-x)) }},
	"softsign":   {0, 0, 0, func(x, _, _ float64) float64 { return x / (1 + math.Abs(x)) }},
	"softplus":   {0, 0, 0, func(x, _, _ float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }},
	"affine":     {2, 1, 0, func(x, a, b float64) float64 { return a*x + b }},
	"scaledtanh": {2, 1, 1, func(x, a, b float64) float64 { return a * math.Tanh(b*x) }},
	"hardsigmoid": {2, 0.2, 0.5, func(x, a, b float64) float64 {
		return max(0, min(1, a*x+b))
	}},
	"leakyrelu": {1, 0.01, 0, func(x, a, _ float64) float64 {
		if x < 0 {
			return a * x
		}
		return x
	}},
	"thresholdedrelu": {1, 1, 0, func(x, a, _ float64) float64 {
		if x >= a {
			return x
		}
		return 0
	}},
	"elu": {1, 1, 0, func(x, a, _ float64) float64 {
		if x < 0 {
			return a * math.Expm1(x)
		}
		return x
	}},
}

// cellOutput is the place of the function that LSTM applies to its cell. Clipping bounds
// the gates alone: the standard says "the input of activations" and ONNX Runtime, which
// models are checked against, does not count the cell among them.
const cellOutput = 2

// readActivations gives each direction's functions, clipped as the node asks. The lists
// of coefficients are consumed in order by the functions that take some.
func readActivations(n *graph.Node, directions int, defaults ...string) ([][]func(float64) float64, error) {
	names := n.Attrs.Strs("activations")
	if len(names) == 0 {
		for range directions {
			names = append(names[:len(names):len(names)], defaults...)
		}
	}
	if len(names) < directions*len(defaults) {
		return nil, fmt.Errorf("activations: expected %d, got %v", directions*len(defaults), names)
	}
	alphas, betas := n.Attrs.Floats("activation_alpha"), n.Attrs.Floats("activation_beta")
	clip := math.Inf(1)
	if c := n.Attrs.Float("clip", 0); c > 0 {
		clip = float64(c)
	}
	out := make([][]func(float64) float64, directions)
	for d := range out {
		for _, name := range names[d*len(defaults) : (d+1)*len(defaults)] {
			a, ok := activations[strings.ToLower(name)]
			if !ok {
				return nil, fmt.Errorf("activation %q is unknown", name)
			}
			alpha, beta := a.alpha, a.beta
			if a.params > 0 && len(alphas) > 0 {
				alpha, alphas = float64(alphas[0]), alphas[1:]
			}
			if a.params > 1 && len(betas) > 0 {
				beta, betas = float64(betas[0]), betas[1:]
			}
			bound := clip
			if len(out[d]) == cellOutput {
				bound = math.Inf(1)
			}
			out[d] = append(out[d], func(x float64) float64 {
				return a.f(max(-bound, min(bound, x)), alpha, beta)
			})
		}
	}
	return out, nil
}
