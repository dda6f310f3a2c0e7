// Package design makes the matrix that linear models and networks are fitted to, of numeric and
// categorical features: numbers standardised, a missing one replaced by the mean and marked in a
// column of its own, categories kept as codes. The same steps are written to ONNX, so that a
// served model takes the raw values.
//
// Neighbours: runtime/onnx/build below; linear, mlp and tabular above.
//
// Ownership: a Matrix belongs to whoever made it. Concurrency: a Scaler is not changed after
// Fit; everything is safe for concurrent readers.
package design

import (
	"math"

	"github.com/aimass/aimass/runtime/onnx/build"
)

// Matrix is a table in the form that models are fitted to.
type Matrix struct {
	Rows, Width int
	// Dense has Width values a row, row after row.
	Dense []float32
	// Codes are the categorical columns: 0..Categories[j]-1, or −1 for what is missing or
	// unknown.
	Codes      [][]int32
	Categories []int
	// Labels are a class number or a real number a row; Weights nil for all 1.
	Labels, Weights []float64
}

// Row gives the dense values of a row.
func (m *Matrix) Row(i int) []float32 { return m.Dense[i*m.Width : (i+1)*m.Width] }

// Code gives the place of a row's category in a table of Categories[j]+1 rows, whose last is
// that of the missing and the unknown.
func (m *Matrix) Code(j, row int) int {
	if c := m.Codes[j][row]; c >= 0 && int(c) < m.Categories[j] {
		return int(c)
	}
	return m.Categories[j]
}

// Weight gives a row's weight.
func (m *Matrix) Weight(row int) float64 {
	if m.Weights == nil {
		return 1
	}
	return m.Weights[row]
}

// Scaler standardises numeric columns.
type Scaler struct {
	Mean, Scale []float32
	// Marked lists the columns that get a mark where a value is missing.
	Marked []int
}

// FitScaler takes mean and standard deviation of what is there in each column. A constant
// column is scaled by 1.
func FitScaler(columns [][]float32) *Scaler {
	s := &Scaler{}
	for f, col := range columns {
		var sum, squares float64
		n := 0
		for _, v := range col {
			if v == v {
				n++
				sum += float64(v)
			}
		}
		mean := sum / float64(max(n, 1))
		for _, v := range col {
			if v == v {
				squares += (float64(v) - mean) * (float64(v) - mean)
			}
		}
		std := math.Sqrt(squares / float64(max(n, 1)))
		if !(std > 1e-12*(1+math.Abs(mean))) {
			std = 1
		}
		s.Mean, s.Scale = append(s.Mean, float32(mean)), append(s.Scale, float32(1/std))
		if n < len(col) {
			s.Marked = append(s.Marked, f)
		}
	}
	return s
}

// Width is the number of columns that Apply makes.
func (s *Scaler) Width() int { return len(s.Mean) + len(s.Marked) }

// Apply standardises the columns, in float32 as the exported graph does.
func (s *Scaler) Apply(columns [][]float32, rows int) []float32 {
	w := s.Width()
	out := make([]float32, rows*w)
	for f, col := range columns {
		for r, v := range col {
			if v == v {
				out[r*w+f] = (v - s.Mean[f]) * s.Scale[f]
			}
		}
	}
	for k, f := range s.Marked {
		for r, v := range columns[f] {
			if v != v {
				out[r*w+len(s.Mean)+k] = 1
			}
		}
	}
	return out
}

// AppendONNX writes Apply for a FLOAT [N, columns] value and returns the result, FLOAT
// [N, Width].
func (s *Scaler) AppendONNX(g *build.Graph, numeric string) string {
	n := int64(len(s.Mean))
	mean := g.Const(g.Fresh("mean"), s.Mean, 1, n)
	scale := g.Const(g.Fresh("scale"), s.Scale, 1, n)
	z := g.Op("Mul", []string{g.Op("Sub", []string{numeric, mean}), scale})
	if len(s.Marked) == 0 {
		// What was never missing in training counts as average where it is now.
		return g.Op("Where", []string{g.Op("IsNaN", []string{z}), g.Const(g.Fresh("zero"), []float32{0}, 1, 1), z})
	}
	absent := g.Op("IsNaN", []string{numeric})
	z = g.Op("Where", []string{absent, g.Const(g.Fresh("zero"), []float32{0}, 1, 1), z})
	places := make([]int64, len(s.Marked))
	for k, f := range s.Marked {
		places[k] = int64(f)
	}
	at := g.Const(g.Fresh("marked"), places, int64(len(places)))
	marks := g.Op("Gather", []string{g.Op("Cast", []string{absent}, build.I("to", int64(build.Float))), at}, build.I("axis", 1))
	return g.Op("Concat", []string{z, marks}, build.I("axis", 1))
}

// AppendLookUp writes the rows of a table [categories+1, width] that INT64 [N] codes name; a
// code of −1, as all others that are not known, is the table's last row.
func AppendLookUp(g *build.Graph, name string, table []float32, categories, width int, code string) string {
	t := g.Const(g.Fresh(name), table, int64(categories+1), int64(width))
	return g.Op("Gather", []string{t, code}, build.I("axis", 0))
}
