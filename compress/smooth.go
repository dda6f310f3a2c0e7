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
	if !(q.Smooth > 0 && q.Smooth < 1) && q.Smooth != SmoothAuto {
		return nil, fmt.Errorf("smooth: expected a strength between 0 and 1, or auto, got %v", q.Smooth)
	}
	inputs := map[*graph.Value]*channels{}
	var watch []*graph.Value
	for _, n := range m.Nodes {
		p, ok := q.matrixOf(n)
		if !ok {
			continue
		}
		if inputs[p.x] == nil {
			inputs[p.x] = &channels{rows: make([]float32, p.k)}
			watch = append(watch, p.x)
		}
		inputs[p.x].multiply(p)
	}
	if err := observe(e, m, watch, func(v *graph.Value, t *tensor.Tensor) { inputs[v].see(tensor.Data[float32](t)) }); err != nil {
		return nil, err
	}
	weakest, strongest := 1.0, 0.0
	for _, v := range watch {
		c := inputs[v]
		if len(c.seen) == 0 {
			continue
		}
		strength := float64(q.Smooth)
		if q.Smooth == SmoothAuto {
			strength = c.best(q.Compensate)
		}
		weakest, strongest = min(weakest, strength), max(strongest, strength)
		s.factors[v] = c.factors(strength)
	}
	e.note("quantize: %d inputs of products smoothed with strengths from %v to %v, by %d sets of inputs", len(s.factors), weakest, strongest, len(e.data))
	return s, nil
}

// channels is what decides about the factors of one input of k channels: its matrices, and what was seen of it.
type channels struct {
	rows     []float32 // the greatest magnitude of each row of all its matrices
	matrices []*matrix
	seen     []seen
}

// seen is what one tensor held by channel. Its range is found for itself when it is quantized.
type seen struct {
	low, high []float32 // 0 lies between
	square    []float64 // the mean of the squares
}

func (c *channels) multiply(p *matrix) {
	c.matrices = append(c.matrices, p)
	for i, w := range p.w {
		c.rows[i/p.n] = max(c.rows[i/p.n], float32(math.Abs(float64(w))))
	}
}

func (c *channels) see(x []float32) {
	k := len(c.rows)
	t := seen{make([]float32, k), make([]float32, k), make([]float64, k)}
	for i, v := range x {
		if math.IsInf(float64(v), 0) || v != v {
			continue
		}
		at := i % k
		t.low[at], t.high[at] = min(t.low[at], v), max(t.high[at], v)
		t.square[at] += float64(v) * float64(v) * float64(k) / float64(len(x))
	}
	c.seen = append(c.seen, t)
}

// factors takes a channel's greatest magnitude as the fourth-power mean over the tensors: nearly the
// greatest, but a spike that one of them has does not cost all others their precision.
func (c *channels) factors(strength float64) []float32 {
	f := make([]float32, len(c.rows))
	for j := range f {
		fourth := 0.0
		for _, t := range c.seen {
			a := float64(max(t.high[j], -t.low[j]))
			fourth += a * a * a * a / float64(len(c.seen))
		}
		f[j] = 1
		if most := math.Pow(fourth, 0.25); most > 0 && !math.IsInf(most, 0) && c.rows[j] > 0 {
			f[j] = float32(math.Pow(most, strength) / math.Pow(float64(c.rows[j]), 1-strength))
		}
	}
	return f
}

// best is the strength with the least expected error of the products, where rounding errors are taken as
// uniform and independent: those of the input, whose step is a 255th of the tensor's range, pass through the matrix,
// and those of the matrix, whose step is a 127th of a column's greatest magnitude, are multiplied by the input.
// The error of each tensor counts in parts of its products' size. Compensated codes leave about a fifth of
// the matrix's part.
func (c *channels) best(compensated bool) float64 {
	left := 1.0
	if compensated {
		left = 0.2
	}
	plain := make([]float64, len(c.rows)) // the squares of each row of weights
	for _, p := range c.matrices {
		for i, w := range p.w {
			plain[i/p.n] += float64(w) * float64(w)
		}
	}
	least, at := math.Inf(1), 0.5
	for percent := 30; percent < 100; percent += 5 {
		strength := float64(percent) / 100
		f := c.factors(strength)
		through, steps := 0.0, 0.0 // Σ over the matrices of the squares of weights, of columns' steps
		for i, s := range plain {
			through += s * float64(f[i]) * float64(f[i])
		}
		for _, p := range c.matrices {
			column := make([]float32, p.n)
			for i, w := range p.w {
				column[i%p.n] = max(column[i%p.n], float32(math.Abs(float64(w)))*f[i/p.n])
			}
			for _, m := range column {
				steps += float64(m) * float64(m) / (127 * 127)
			}
		}
		sum := 0.0
		for _, t := range c.seen {
			low, high, square, size := 0.0, 0.0, 0.0, 0.0
			for i, by := range f {
				low, high = min(low, float64(t.low[i]/by)), max(high, float64(t.high[i]/by))
				square += t.square[i] / (float64(by) * float64(by))
				size += t.square[i] * plain[i]
			}
			if size > 0 {
				step := (high - low) / 255
				sum += (step*step*through + left*steps*square) / size
			}
		}
		if sum < least {
			least, at = sum, strength
		}
	}
	return at
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
