package tabular

import (
	"math"

	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/train/design"
)

// fitted gives the scores of rows, or writes nodes that do.
type fitted interface {
	Scores(x *design.Matrix) [][]float64
	AppendONNX(g *build.Graph, dense string, codes []string) string
}

// scaled is a fitted model of standardised numbers, and in regression of standardised labels.
type scaled[M fitted] struct {
	p             *problem
	scaler        *design.Scaler // nil: there are no numbers
	m             M
	center, scale float64 // of the labels
}

func newScaled[M fitted](p *problem) scaled[M] {
	return scaled[M]{p: p, scaler: p.fitScaler(), scale: 1}
}

// standardise brings labels to mean 0 and variance 1, so that settings mean the same in any
// unit.
func standardise(y []float64) (out []float64, center, scale float64) {
	for _, v := range y {
		center += v / float64(len(y))
	}
	for _, v := range y {
		scale += (v - center) * (v - center) / float64(len(y))
	}
	if scale = math.Sqrt(scale); !(scale > 0) {
		scale = 1
	}
	out = make([]float64, len(y))
	for i, v := range y {
		out[i] = (v - center) / scale
	}
	return out, center, scale
}

// scores are in the unit of the labels.
func (m *scaled[M]) scores(s *set) [][]float64 {
	scores := m.m.Scores(m.p.matrix(s, m.scaler))
	for _, row := range scores {
		for i := range row {
			row[i] = m.center + m.scale*row[i]
		}
	}
	return scores
}

// append writes what scores does.
func (m *scaled[M]) append(g *build.Graph, in *inputs) (string, error) {
	dense := ""
	if m.scaler != nil {
		dense = m.scaler.AppendONNX(g, in.numeric)
	}
	scores := m.m.AppendONNX(g, dense, in.codes)
	if m.center == 0 && m.scale == 1 {
		return scores, nil
	}
	scale := g.Const(g.Fresh("label_scale"), []float32{float32(m.scale)}, 1, 1)
	mean := g.Const(g.Fresh("label_mean"), []float32{float32(m.center)}, 1, 1)
	return g.Op("Add", []string{g.Op("Mul", []string{scores, scale}), mean}), nil
}
