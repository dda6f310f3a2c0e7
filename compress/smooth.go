package compress

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// smoothing divides a product's input by a factor a channel and multiplies the rows of its
// matrix by the same, so that a few channels of large values do not take the codes of all
// others (Xiao et al., "SmoothQuant", 2023). The factors follow from the greatest magnitudes of both,
// the input's to the power of strength, the matrix's to that of 1 − strength.
type smoothing struct {
	factors map[*graph.Value][]float32
	divided map[*graph.Value]*graph.Value
}

// smooth finds the factors of every input of a product, from the data.
func (q *Quantize) smooth(e *env, m *graph.Model) (*smoothing, error) {
	s := &smoothing{map[*graph.Value][]float32{}, map[*graph.Value]*graph.Value{}}
	if q.Smooth == 0 {
		return s, nil
	}
	if !(q.Smooth > 0 && q.Smooth < 1) {
		return nil, fmt.Errorf("smooth: expected a strength between 0 and 1, got %v", q.Smooth)
	}
	rows := map[*graph.Value][]float32{} // the greatest magnitude of each row of all matrices behind it
	var watch []*graph.Value
	for _, n := range m.Nodes {
		p, ok := q.matrixOf(n)
		if !ok {
			continue
		}
		if rows[p.x] == nil {
			rows[p.x] = make([]float32, p.k)
			watch = append(watch, p.x)
		}
		for i, w := range p.w {
			rows[p.x][i/p.n] = max(rows[p.x][i/p.n], float32(math.Abs(float64(w))))
		}
	}
	channels := map[*graph.Value][]float32{}
	err := observe(e, m, watch, func(v *graph.Value, t *tensor.Tensor) {
		k := len(rows[v])
		if channels[v] == nil {
			channels[v] = make([]float32, k)
		}
		for i, x := range tensor.Data[float32](t) {
			if a := float32(math.Abs(float64(x))); a > channels[v][i%k] && !math.IsInf(float64(x), 0) {
				channels[v][i%k] = a
			}
		}
	})
	if err != nil {
		return nil, err
	}
	for v, most := range channels {
		f := make([]float32, len(most))
		for j := range f {
			f[j] = 1
			if most[j] > 0 && rows[v][j] > 0 {
				f[j] = float32(math.Pow(float64(most[j]), q.Smooth) / math.Pow(float64(rows[v][j]), 1-q.Smooth))
			}
		}
		s.factors[v] = f
	}
	e.note("quantize: %d inputs of products smoothed with strength %v, by %d sets of inputs", len(s.factors), q.Smooth, len(e.data))
	return s, nil
}

// apply gives the divided input and the multiplied matrix of a product.
func (s *smoothing) apply(ed *editor, p *matrix) {
	f := s.factors[p.x]
	if f == nil {
		return
	}
	w := make([]float32, len(p.w))
	for i, x := range p.w {
		w[i] = x * f[i/p.n]
	}
	p.w = w
	d := s.divided[p.x]
	if d == nil {
		inverse := make([]float32, len(f))
		for i, x := range f {
			inverse[i] = 1 / x
		}
		d = ed.value(p.x.Name+"/smooth", tensor.Float32)
		ed.emit("Mul", []*graph.Value{p.x, ed.constant(p.x.Name+"/smoothing", tensor.FromSlice(inverse, len(f)))}, []*graph.Value{d}, nil)
		s.divided[p.x] = d
	}
	p.x = d
}
