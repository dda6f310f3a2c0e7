// Package mlp trains multilayer perceptrons with an embedding for each categorical feature, by
// Adam with decoupled weight decay and early stopping. The network is a fixed chain of dense
// layers, so its gradients are written out rather than derived; the products are those of
// kernels/gemm.
//
// On one machine the same matrix, Config and Seed give the same model.
//
// Sources: Guo and Berkhahn, Entity embeddings of categorical variables, 2016; Kingma and Ba,
// Adam, ICLR 2015; Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019; He
// et al., Delving deep into rectifiers, ICCV 2015 (the initial weights).
//
// Neighbours: kernels/gemm and train/design below, tabular above. A Model is safe for concurrent readers.
package mlp

import (
	"fmt"
	"math"
	"slices"

	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/train/design"
)

// Loss is what is fitted.
type Loss int

// The losses. Logistic is that of two classes with one score, Softmax of several.
const (
	Squared Loss = iota
	Logistic
	Softmax
)

// Config governs a training.
type Config struct {
	Loss Loss
	// Outputs is 1, or the number of classes of Softmax.
	Outputs int
	// Hidden are the widths of the hidden layers.
	Hidden []int
	// Embedding bounds the width of an embedding; one of c categories has min(Embedding, ⌈c/2⌉).
	Embedding int
	// Epochs is the most passes over the rows, Batch the rows of a step.
	Epochs, Batch int
	LearningRate  float64
	WeightDecay   float64
	// EarlyStop ends the training when the loss on the validation rows has not improved for so
	// many epochs; the best weights are kept in any case. 0 never stops early.
	EarlyStop int
	// Unknown is the share of categories that are hidden in training, so that the embedding of
	// the unknown is learned.
	Unknown float64
	Seed    uint64
}

// DefaultConfig suits some thousand to some hundred thousand rows.
func DefaultConfig() Config {
	return Config{Outputs: 1, Hidden: []int{64, 32}, Embedding: 16, Epochs: 60, Batch: 256, LearningRate: 2e-3, WeightDecay: 1e-4, EarlyStop: 6, Unknown: 0.01}
}

// Validate reports the first setting that can't work.
func (c *Config) Validate() error {
	for _, n := range c.Hidden {
		if n < 1 || n > 4096 {
			return fmt.Errorf("mlp: a hidden layer has %d units, must have 1..4096", n)
		}
	}
	switch {
	case len(c.Hidden) < 1 || len(c.Hidden) > 16:
		return fmt.Errorf("mlp: there are %d hidden layers, must be 1..16", len(c.Hidden))
	case c.Embedding < 1 || c.Embedding > 1024:
		return fmt.Errorf("mlp: embedding is %d, must be in 1..1024", c.Embedding)
	case c.Epochs < 1:
		return fmt.Errorf("mlp: epochs is %d, must be at least 1", c.Epochs)
	case c.Batch < 1 || c.Batch > 1<<20:
		return fmt.Errorf("mlp: batch is %d, must be in 1..1048576", c.Batch)
	case !(c.LearningRate > 0 && c.LearningRate <= 1):
		return fmt.Errorf("mlp: learning_rate is %v, must be in (0, 1]", c.LearningRate)
	case !(c.WeightDecay >= 0 && c.WeightDecay < 1):
		return fmt.Errorf("mlp: weight_decay is %v, must be in 0..1", c.WeightDecay)
	case c.EarlyStop < 0:
		return fmt.Errorf("mlp: early_stop is %d, must not be negative", c.EarlyStop)
	case !(c.Unknown >= 0 && c.Unknown < 1):
		return fmt.Errorf("mlp: unknown is %v, must be in 0..1", c.Unknown)
	}
	return nil
}

// layer is a matrix [in, out] with a bias.
type layer struct {
	in, out int
	w, b    []float32
}

// table is an embedding: rows [categories+1, width], the last that of the unknown.
type table struct {
	categories, width int
	rows              []float32
}

// Model is a trained network.
type Model struct {
	Outputs    int
	Epochs     int // run, and Best the one whose weights these are
	Best       int
	Loss       float64 // of the validation rows at Best
	width      int     // of the dense columns
	embeddings []table
	layers     []layer
}

// clone copies the weights.
func (m *Model) clone() *Model {
	c := *m
	c.embeddings, c.layers = slices.Clone(m.embeddings), slices.Clone(m.layers)
	for j := range c.embeddings {
		c.embeddings[j].rows = slices.Clone(c.embeddings[j].rows)
	}
	for i := range c.layers {
		c.layers[i].w, c.layers[i].b = slices.Clone(c.layers[i].w), slices.Clone(c.layers[i].b)
	}
	return &c
}

// Parameters counts the weights.
func (m *Model) Parameters() int {
	n := 0
	for _, t := range m.embeddings {
		n += len(t.rows)
	}
	for _, l := range m.layers {
		n += len(l.w) + len(l.b)
	}
	return n
}

// Scores gives the scores of a matrix by output, then by row.
func (m *Model) Scores(x *design.Matrix) [][]float64 {
	out := make([][]float64, m.Outputs)
	for k := range out {
		out[k] = make([]float64, x.Rows)
	}
	var h, next []float32
	for r := range x.Rows {
		h = append(h[:0], x.Row(r)...)
		for j := range m.embeddings {
			t := &m.embeddings[j]
			c := x.Code(j, r)
			h = append(h, t.rows[c*t.width:(c+1)*t.width]...)
		}
		for i := range m.layers {
			l := &m.layers[i]
			next = append(next[:0], l.b...)
			for f, v := range h {
				if v == 0 {
					continue
				}
				for o, w := range l.w[f*l.out : (f+1)*l.out] {
					next[o] += v * w
				}
			}
			if i < len(m.layers)-1 {
				for o := range next {
					next[o] = max(next[o], 0)
				}
			}
			h, next = next, h
		}
		for k := range m.Outputs {
			out[k][r] = float64(h[k])
		}
	}
	return out
}

// AppendONNX writes the network for standardised FLOAT [N, width] values ("" where there are no
// numeric features) and INT64 [N] codes, and returns its scores, FLOAT [N, outputs].
func (m *Model) AppendONNX(g *build.Graph, dense string, codes []string) string {
	var parts []string
	if dense != "" {
		parts = append(parts, dense)
	}
	for j, code := range codes {
		t := &m.embeddings[j]
		parts = append(parts, design.AppendLookUp(g, "embedding", t.rows, t.categories, t.width, code))
	}
	h := parts[0]
	if len(parts) > 1 {
		h = g.Op("Concat", parts, build.I("axis", 1))
	}
	for i, l := range m.layers {
		w := g.Const(g.Fresh("weights"), l.w, int64(l.in), int64(l.out))
		b := g.Const(g.Fresh("bias"), l.b, int64(l.out))
		h = g.Op("Gemm", []string{h, w, b})
		if i < len(m.layers)-1 {
			h = g.Op("Relu", []string{h})
		}
	}
	return h
}

// meanLoss is the mean loss of scores by the rows' weights.
func meanLoss(loss Loss, scores [][]float64, x *design.Matrix) float64 {
	var sum, total float64
	for r := range x.Rows {
		y, w := x.Labels[r], x.Weight(r)
		v := 0.0
		switch loss {
		case Logistic:
			z := scores[0][r]
			v = max(z, 0) - z*y + math.Log1p(math.Exp(-math.Abs(z)))
		case Softmax:
			top, s := math.Inf(-1), 0.0
			for k := range scores {
				top = max(top, scores[k][r])
			}
			for k := range scores {
				s += math.Exp(scores[k][r] - top)
			}
			v = top + math.Log(s) - scores[int(y)][r]
		default:
			v = (scores[0][r] - y) * (scores[0][r] - y)
		}
		sum += w * v
		total += w
	}
	return sum / total
}
