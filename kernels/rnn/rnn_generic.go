package rnn

// runGeneric is the specification.
func (c *Cell) runGeneric(s *Sequence) {
	sums := make([]float32, c.Kind.gates()*c.Hidden)
	next := make([]float32, c.Hidden)
	for b := range s.Batch {
		steps := s.Steps
		if s.Lens != nil {
			steps = int(s.Lens[b])
		}
		h := s.H[b*c.Hidden : (b+1)*c.Hidden]
		for t := range s.Steps {
			at := t
			if s.Reverse && t < steps {
				at = steps - 1 - t
			}
			if t < steps {
				x := s.Gates[(at*s.Batch+b)*len(sums):][:len(sums)]
				if c.Kind == LSTM {
					c.lstm(sums, next, x, h, s.C[b*c.Hidden:][:c.Hidden])
				} else {
					c.gru(sums, next, x, h)
				}
				copy(h, next)
			}
			if s.Y != nil {
				y := s.Y[at*s.YStep+b*s.YRow:][:c.Hidden]
				clear(y)
				if t < steps {
					copy(y, h)
				}
			}
		}
	}
}

// product sets sums[g·H..] to rows g0..g1 of the weights times h.
func (c *Cell) product(sums, h []float32, g0, g1 int) {
	for j := g0 * c.Hidden; j < g1*c.Hidden; j++ {
		var v float32
		for k, x := range h {
			v += c.data[j*c.Hidden+k] * x
		}
		sums[j] = v
	}
}

func (c *Cell) bound(v float32) float32 {
	if c.clip > 0 {
		return max(-c.clip, min(c.clip, v))
	}
	return v
}

func (c *Cell) lstm(sums, next, x, h, cell []float32) {
	n := c.Hidden
	c.product(sums, h, 0, 4)
	peep := func(g, j int) float32 {
		if c.peep == nil {
			return 0
		}
		return c.peep[g*n+j]
	}
	for j := range n {
		old := cell[j]
		i := c.f.Eval(c.bound(x[j] + sums[j] + peep(0, j)*old))
		f := 1 - i
		if !c.inputForget {
			f = c.f.Eval(c.bound(x[2*n+j] + sums[2*n+j] + peep(2, j)*old))
		}
		cell[j] = f*old + i*c.g.Eval(c.bound(x[3*n+j]+sums[3*n+j]))
		o := c.f.Eval(c.bound(x[n+j] + sums[n+j] + peep(1, j)*cell[j]))
		next[j] = o * c.h.Eval(cell[j])
	}
}

func (c *Cell) gru(sums, next, x, h []float32) {
	n := c.Hidden
	c.product(sums, h, 0, 3)
	z, r := sums[:n], sums[n:2*n]
	for j := range n {
		z[j] = c.f.Eval(c.bound(x[j] + z[j]))
		r[j] = c.f.Eval(c.bound(x[n+j] + r[j]))
	}
	if c.Kind == GRU {
		reset := make([]float32, n)
		for j := range n {
			reset[j] = r[j] * h[j]
		}
		c.product(sums, reset, 2, 3)
	}
	for j := range n {
		v := sums[2*n+j]
		if c.Kind == GRUAfter {
			v = r[j] * (v + c.bias[j])
		}
		v = c.g.Eval(c.bound(x[2*n+j] + v))
		next[j] = (1-z[j])*v + z[j]*h[j]
	}
}
