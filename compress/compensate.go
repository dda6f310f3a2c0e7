package compress

import (
	"cmp"
	"math"
	"slices"
	"sync"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// compensation chooses the codes of a matrix one row after the other, each so that it makes good what the
// codes of the rows before it cost in the products with the inputs that were seen: successive rounding along the
// Cholesky factor of the inputs' second moments (Frantar et al., "GPTQ", 2023; Babai's nearest plane).
type compensation struct {
	moments map[*graph.Value]*moments
}

const (
	// longestCompensated bounds the memory and time of the moments, which grow with the square and the cube of it.
	longestCompensated = 2048
	// damping, in parts of the mean second moment, keeps the codes near the weights where the
	// inputs say little.
	damping = 0.3
)

// moments are Σ xᵢxⱼ over the rows of an input of k channels: the lower triangle of a k×k matrix.
type moments struct {
	k   int
	sum []float64
}

func (m *moments) add(x []float32) {
	for ; len(x) >= m.k; x = x[m.k:] {
		for i, a := range x[:m.k] {
			row, a := m.sum[i*m.k:][:i+1], float64(a)
			for j := range row {
				row[j] += a * float64(x[j])
			}
		}
	}
}

// compensate finds the moments of every input of a product, from the data.
func (q *Quantize) compensate(e *env, m *graph.Model) (*compensation, error) {
	c := &compensation{map[*graph.Value]*moments{}}
	if !q.Compensate {
		return c, nil
	}
	var watch []*graph.Value
	for _, n := range m.Nodes {
		if p, ok := q.matrixOf(n); ok && p.k <= longestCompensated && c.moments[p.x] == nil {
			c.moments[p.x] = &moments{p.k, make([]float64, p.k*p.k)}
			watch = append(watch, p.x)
		}
	}
	err := observe(e, m, watch, func(v *graph.Value, t *tensor.Tensor) {
		x := tensor.Data[float32](t)
		if !slices.ContainsFunc(x, func(f float32) bool { return math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) }) {
			c.moments[v].add(x)
		}
	})
	if err != nil {
		return nil, err
	}
	e.note("quantize: codes of weights compensate for each other over %d inputs of products, by %d sets of inputs", len(c.moments), len(e.data))
	return c, nil
}

// columns is the function of that name with compensated codes. The moments are those of x, which was divided by
// factors, if these aren't nil.
func (c *compensation) columns(x *graph.Value, factors, w []float32, k, n int) (q []int8, scales []float32) {
	q, scales = columns(w, k, n)
	m := c.moments[x]
	if m == nil {
		return q, scales
	}
	l, order := m.factor(factors)
	if l == nil {
		return q, scales
	}
	const chunk = 64
	var done sync.WaitGroup
	for from := 0; from < n; from += chunk {
		done.Go(func() {
			to := min(from+chunk, n)
			width := to - from
			owed, cost := make([]float64, k*width), make([]float64, width)
			for i := k - 1; i >= 0; i-- {
				at := order[i] * n
				for j := range cost {
					s := float64(scales[from+j])
					want := float64(w[at+from+j])
					code := max(-127, min(127, math.RoundToEven((want+owed[i*width+j]/l[i*k+i])/s)))
					q[at+from+j] = int8(code)
					cost[j] = want - code*s
				}
				for h, f := range l[i*k : i*k+i] {
					for j, v := range owed[h*width:][:width] {
						owed[h*width+j] = v + f*cost[j]
					}
				}
			}
		})
	}
	done.Wait()
	return q, scales
}

// factor is the Cholesky factor of the damped moments, its rows in an order in which the channels of least moments come
// first; nil where there are no moments.
func (m *moments) factor(factors []float32) (l []float64, order []int) {
	k := m.k
	by := func(i int) float64 {
		if factors == nil {
			return 1
		}
		return 1 / float64(factors[i])
	}
	order = make([]int, k)
	diagonal, mean := make([]float64, k), 0.0
	for i := range order {
		order[i] = i
		diagonal[i] = m.sum[i*k+i] * by(i) * by(i)
		mean += diagonal[i] / float64(k)
	}
	if !(mean > 0) || math.IsInf(mean, 0) {
		return nil, nil
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(diagonal[a], diagonal[b]) })
	l = make([]float64, k*k)
	for i, a := range order {
		for j, b := range order[:i+1] {
			v := m.sum[max(a, b)*k+min(a, b)] * by(a) * by(b)
			if i == j {
				l[i*k+i] = math.Sqrt(v + damping*mean - dot(l[i*k:][:i], l[i*k:][:i]))
				continue
			}
			l[i*k+j] = (v - dot(l[i*k:][:j], l[j*k:][:j])) / l[j*k+j]
		}
	}
	return l, order
}

// dot keeps four sums, so that additions don't wait for each other.
func dot(x, y []float64) float64 {
	var s [4]float64
	for ; len(x) >= 4 && len(y) >= 4; x, y = x[4:], y[4:] {
		s[0] += x[0] * y[0]
		s[1] += x[1] * y[1]
		s[2] += x[2] * y[2]
		s[3] += x[3] * y[3]
	}
	for i, v := range x {
		s[0] += v * y[i]
	}
	return s[0] + s[1] + s[2] + s[3]
}
