package linear

import (
	"context"
	"math"

	"github.com/aimass/aimass/train/design"
)

// problem is a fit in progress. Parameters lie in one vector: intercepts, dense weights, the
// tables.
type problem struct {
	c     *Config
	m     *design.Matrix
	size  int
	total float64 // of the weights
	score []float64
}

func newProblem(c *Config, m *design.Matrix) *problem {
	p := &problem{c: c, m: m, size: c.Outputs * (1 + m.Width), score: make([]float64, c.Outputs)}
	for _, cats := range m.Categories {
		p.size += c.Outputs * (cats + 1)
	}
	for r := range m.Rows {
		p.total += m.Weight(r)
	}
	return p
}

// rowScores fills p.score for a row.
func (p *problem) rowScores(w []float64, r int) {
	k := p.c.Outputs
	copy(p.score, w[:k])
	at := k
	for _, v := range p.m.Row(r) {
		x := float64(v)
		for o := range k {
			p.score[o] += x * w[at+o]
		}
		at += k
	}
	for j, cats := range p.m.Categories {
		t := at + k*p.m.Code(j, r)
		for o := range k {
			p.score[o] += w[t+o]
		}
		at += k * (cats + 1)
	}
}

// derive turns the scores of a row into the loss's derivatives by them and returns the loss.
func (p *problem) derive(y float64) float64 {
	s := p.score
	switch p.c.Loss {
	case Logistic:
		z := s[0]
		s[0] = 1/(1+math.Exp(-z)) - y
		return max(z, 0) - z*y + math.Log1p(math.Exp(-math.Abs(z)))
	case Softmax:
		top, sum := math.Inf(-1), 0.0
		for _, v := range s {
			top = max(top, v)
		}
		own := s[int(y)]
		for k := range s {
			s[k] = math.Exp(s[k] - top)
			sum += s[k]
		}
		for k := range s {
			s[k] /= sum
		}
		s[int(y)]--
		return top + math.Log(sum) - own
	}
	d := s[0] - y
	s[0] = d
	return d * d / 2
}

// smooth is the loss and the ridge at w; grad, unless nil, is set to its gradient.
func (p *problem) smooth(w, grad []float64) float64 {
	clear(grad)
	k := p.c.Outputs
	loss := 0.0
	for r := range p.m.Rows {
		p.rowScores(w, r)
		wt := p.m.Weight(r) / p.total
		loss += wt * p.derive(p.m.Labels[r])
		if grad == nil {
			continue
		}
		for o := range k {
			p.score[o] *= wt
			grad[o] += p.score[o]
		}
		at := k
		for _, v := range p.m.Row(r) {
			x := float64(v)
			for o := range k {
				grad[at+o] += x * p.score[o]
			}
			at += k
		}
		for j, cats := range p.m.Categories {
			t := at + k*p.m.Code(j, r)
			for o := range k {
				grad[t+o] += p.score[o]
			}
			at += k * (cats + 1)
		}
	}
	ridge := p.c.Alpha * (1 - p.c.L1)
	for i := k; i < p.size; i++ {
		loss += ridge / 2 * w[i] * w[i]
		if grad != nil {
			grad[i] += ridge * w[i]
		}
	}
	return loss
}

// shrink is the proximal step of the absolute values.
func shrink(v, by float64) float64 {
	switch {
	case v > by:
		return v - by
	case v < -by:
		return v + by
	}
	return 0
}

// violation is how far w is from optimal: the greatest entry of the smallest subgradient.
func (p *problem) violation(w, grad []float64) float64 {
	worst := 0.0
	lasso := p.c.Alpha * p.c.L1
	for i, g := range grad {
		switch {
		case i < p.c.Outputs:
		case w[i] > 0:
			g += lasso
		case w[i] < 0:
			g -= lasso
		default:
			g = shrink(g, lasso)
		}
		worst = max(worst, math.Abs(g))
	}
	return worst
}

// solve takes accelerated proximal gradient steps. The step width is found by halving and may
// grow again, since the curvature of logistic losses falls on the way.
func (p *problem) solve(ctx context.Context, tell func(Progress)) (w []float64, steps int, violation float64, err error) {
	w = make([]float64, p.size)
	prev, ahead, next := make([]float64, p.size), make([]float64, p.size), make([]float64, p.size)
	grad, at := make([]float64, p.size), make([]float64, p.size)
	lasso := p.c.Alpha * p.c.L1
	rate, t := 1.0, 1.0
	for steps = 1; steps <= p.c.Iterations; steps++ {
		if err := context.Cause(ctx); err != nil {
			return nil, 0, 0, err
		}
		loss := p.smooth(ahead, grad)
		for {
			var along, square float64
			for i := range next {
				next[i] = ahead[i] - rate*grad[i]
				if i >= p.c.Outputs {
					next[i] = shrink(next[i], rate*lasso)
				}
				d := next[i] - ahead[i]
				along += d * grad[i]
				square += d * d
			}
			// The slack is the rounding error of the two losses.
			if p.smooth(next, nil) <= loss+along+square/(2*rate)+1e-14*math.Abs(loss) || rate < 1e-12 {
				break
			}
			rate /= 2
		}
		copy(prev, w)
		copy(w, next)
		var against float64
		for i := range w {
			against += (ahead[i] - w[i]) * (w[i] - prev[i])
		}
		if against > 0 {
			t = 1 // the momentum points uphill: begin anew
		}
		u := (1 + math.Sqrt(1+4*t*t)) / 2
		for i := range w {
			ahead[i] = w[i] + (t-1)/u*(w[i]-prev[i])
		}
		t = u
		rate *= 1.05
		if steps%10 == 0 || steps == p.c.Iterations {
			p.smooth(w, at)
			violation = p.violation(w, at)
			if tell != nil {
				tell(Progress{steps, p.c.Iterations, violation})
			}
			if violation <= p.c.Tolerance {
				return w, steps, violation, nil
			}
		}
	}
	return w, p.c.Iterations, violation, nil
}
