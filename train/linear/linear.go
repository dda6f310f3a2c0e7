// Package linear fits linear, logistic and multinomial models with an elastic net: the mean loss
// plus Alpha·(L1·|w| + (1−L1)/2·w²), intercepts free. Categories have a weight each.
//
// The optimum is unique in its predictions; it is found by accelerated proximal gradient steps
// with restarts, down to Tolerance in the optimality condition, so that the result can be
// checked against the definition rather than against another program.
//
// Sources: Beck and Teboulle, SIAM J. Imaging Sciences 2(1), 2009 (FISTA); O'Donoghue and Candès,
// Foundations of Computational Mathematics 15, 2015 (restarts); Zou and Hastie, JRSS B 67, 2005
// (the elastic net).
//
// Neighbours: train/design below, tabular above. A Model is safe for concurrent readers.
package linear

import (
	"context"
	"fmt"
	"math"

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

// Config governs a fit.
type Config struct {
	Loss Loss
	// Outputs is 1, or the number of classes of Softmax.
	Outputs int
	// Alpha is the strength of the penalty and L1 the share of it on absolute values.
	Alpha, L1 float64
	// Iterations bounds the steps. Tolerance is the greatest violation of the optimality
	// condition that is left.
	Iterations int
	Tolerance  float64
}

// DefaultConfig has a mild ridge.
func DefaultConfig() Config {
	return Config{Outputs: 1, Alpha: 1e-4, Iterations: 2000, Tolerance: 1e-6}
}

// Validate reports the first setting that can't work.
func (c *Config) Validate() error {
	switch {
	case !(c.Alpha >= 0) || math.IsInf(c.Alpha, 1):
		return fmt.Errorf("linear: alpha is %v, must be finite, not negative", c.Alpha)
	case !(c.L1 >= 0 && c.L1 <= 1):
		return fmt.Errorf("linear: l1_ratio is %v, must be in 0..1", c.L1)
	case c.Iterations < 1:
		return fmt.Errorf("linear: iterations is %d, must be at least 1", c.Iterations)
	case !(c.Tolerance > 0):
		return fmt.Errorf("linear: tolerance is %v, must be positive", c.Tolerance)
	}
	return nil
}

// Model is a fitted model.
type Model struct {
	Outputs int
	// Intercept has one entry an output, Weights one row of Outputs a dense column, Tables[j]
	// one a category and a last one for what is missing or unknown.
	Intercept []float64
	Weights   []float64
	Tables    [][]float64
	// Steps is how many steps were taken; Violation what is left of the optimality condition,
	// Converged whether that is below the tolerance.
	Steps     int
	Violation float64
	Converged bool
}

// Progress is told now and then.
type Progress struct {
	Step, Steps int
	Violation   float64
}

// Fit fits a model. The error is that of a setting or of the context.
func Fit(ctx context.Context, c Config, m *design.Matrix, tell func(Progress)) (*Model, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p := newProblem(&c, m)
	w, steps, violation, err := p.solve(ctx, tell)
	if err != nil {
		return nil, err
	}
	out := &Model{Outputs: c.Outputs, Steps: steps, Violation: violation, Converged: violation <= c.Tolerance}
	k := c.Outputs
	out.Intercept, w = w[:k:k], w[k:]
	n := m.Width * k
	out.Weights, w = w[:n:n], w[n:]
	for _, cats := range m.Categories {
		n := (cats + 1) * k
		out.Tables = append(out.Tables, w[:n:n])
		w = w[n:]
	}
	return out, nil
}

// Scores gives the scores of a matrix by output, then by row.
func (m *Model) Scores(x *design.Matrix) [][]float64 {
	out := make([][]float64, m.Outputs)
	for k := range out {
		out[k] = make([]float64, x.Rows)
	}
	for r := range x.Rows {
		for k := range m.Outputs {
			s := m.Intercept[k]
			for f, v := range x.Row(r) {
				s += float64(v) * m.Weights[f*m.Outputs+k]
			}
			for j := range m.Tables {
				s += m.Tables[j][x.Code(j, r)*m.Outputs+k]
			}
			out[k][r] = s
		}
	}
	return out
}

// AppendONNX writes the model for standardised FLOAT [N, width] values ("" where there are no
// numeric features) and INT64 [N] codes, and returns its scores, FLOAT [N, outputs].
func (m *Model) AppendONNX(g *build.Graph, dense string, codes []string) string {
	narrow := func(v []float64) []float32 {
		out := make([]float32, len(v))
		for i := range v {
			out[i] = float32(v[i])
		}
		return out
	}
	k := m.Outputs
	bias := g.Const(g.Fresh("intercept"), narrow(m.Intercept), 1, int64(k))
	sum := ""
	if dense != "" {
		w := g.Const(g.Fresh("weights"), narrow(m.Weights), int64(len(m.Weights)/k), int64(k))
		sum = g.Op("Add", []string{g.Op("MatMul", []string{dense, w}), bias})
	}
	for j, code := range codes {
		t := design.AppendLookUp(g, "category_weights", narrow(m.Tables[j]), len(m.Tables[j])/k-1, k, code)
		if sum == "" {
			sum = g.Op("Add", []string{t, bias})
			continue
		}
		sum = g.Op("Add", []string{sum, t})
	}
	return sum
}
