package evaluate

import (
	"errors"
	"math"
)

// Platt maps a score z, the log-odds of a model, to the probability
// 1 / (1 + exp(-(Slope·z + Intercept))).
type Platt struct{ Slope, Intercept float64 }

// Logit is the log-odds of p, clipped by ClipProbability.
func Logit(p float64) float64 { p = clip(p); return math.Log(p / (1 - p)) }

// Apply gives the calibrated probability of log-odds z.
func (c Platt) Apply(z float64) float64 {
	return 1 / (1 + math.Exp(-(c.Slope*z + c.Intercept)))
}

// FitPlatt fits slope and intercept to log-odds z and labels y by maximum
// likelihood (Platt, Probabilistic outputs for support vector machines, 1999,
// without its smoothed targets), by Newton's method with step halving; z is
// clipped as Logit clips, so that no single row rules the fit. It fails
// where y has one class alone or the classes are parted perfectly.
func FitPlatt(y, z []float64) (Platt, error) {
	limit := Logit(1)
	x := make([]float64, len(z))
	for i, v := range z {
		x[i] = min(max(v, -limit), limit)
	}
	c := Platt{Slope: 1}
	loss := c.loss(y, x)
	for range 100 {
		g0, g1, h00, h01, h11 := c.derivatives(y, x)
		det := h00*h11 - h01*h01
		if !(det > 1e-12*float64(len(y))) {
			return c, errors.New("evaluate: no finite calibration fits: the labels are all of one class or parted perfectly")
		}
		d0, d1 := (h11*g0-h01*g1)/det, (h00*g1-h01*g0)/det
		step := 1.0
		next := c
		for ; step > 1e-10; step /= 2 {
			next = Platt{Slope: c.Slope - step*d1, Intercept: c.Intercept - step*d0}
			if l := next.loss(y, x); l <= loss {
				loss = l
				break
			}
		}
		c = next
		if math.Abs(step*d0)+math.Abs(step*d1) < 1e-10 {
			return c, nil
		}
	}
	return c, nil
}

// derivatives are gradient and Hessian of the loss by intercept (0) and slope
// (1).
func (c Platt) derivatives(y, x []float64) (g0, g1, h00, h01, h11 float64) {
	for i, v := range x {
		p := 1 / (1 + math.Exp(-(c.Slope*v + c.Intercept)))
		d, w := p-y[i], p*(1-p)
		g0 += d
		g1 += d * v
		h00 += w
		h01 += w * v
		h11 += w * v * v
	}
	return
}

func (c Platt) loss(y, x []float64) float64 {
	var s float64
	for i, v := range x {
		z := c.Slope*v + c.Intercept
		s += max(z, 0) - z*y[i] + math.Log1p(math.Exp(-math.Abs(z)))
	}
	return s
}
