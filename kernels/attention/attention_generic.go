package attention

import "math"

// runGeneric is the specification, a query at a time. The scores of a block of
// keys are computed twice so that none need storing.
func (p *Params) runGeneric(out, q, k, v []float32) {
	for s := range p.Seqs {
		nq, nk, oq, ok, ov, oo := p.seq(s)
		for h := range p.Heads {
			kh := h * p.kvHeads() / p.Heads
			for i := range nq {
				qrow := q[oq+i*p.Q.Token+h*p.Q.Head:]
				dst := out[oo+i*p.Out.Token+h*p.Out.Head:][:p.DV]
				score := func(j int) float32 {
					return p.score(qrow, k[ok+j*p.K.Token+kh*p.K.Head:], s, h, i, j)
				}
				values := func(j int) []float32 { return v[ov+j*p.V.Token+kh*p.V.Head:] }
				sink := float32(math.Inf(-1))
				if p.Sinks != nil {
					sink = p.Sinks[h]
				}
				p.query(dst, p.hidden(i, nq, nk), p.visible(s, i, nq, nk), sink, score, values)
			}
		}
	}
}

// visible is the number of leading keys that query i sees.
func (p *Params) visible(s, i, nq, nk int) int {
	n := nk
	if p.KeyLens != nil {
		n = int(p.KeyLens[s])
	}
	if p.Causal {
		n = min(n, max(0, i+nk-nq+1))
	}
	return n
}

// hidden is the number of leading keys that query i does not see.
func (p *Params) hidden(i, nq, nk int) int {
	if p.Window == 0 {
		return 0
	}
	return max(0, i+nk-nq+1-p.Window)
}

func (p *Params) score(q, k []float32, s, h, i, j int) float32 {
	var dot float32
	for d := range p.DK {
		dot += q[d] * k[d]
	}
	dot *= p.Scale
	if p.Softcap != 0 {
		dot = p.Softcap * float32(math.Tanh(float64(dot/p.Softcap)))
	}
	if p.Bias != nil {
		dot += p.Bias[s*p.BiasSeq+h*p.BiasHead+i*p.BiasQuery+j*p.BiasKey]
	}
	return dot
}

// query attends to keys from to n.
func (p *Params) query(dst []float32, from, n int, sink float32, score func(int) float32, values func(int) []float32) {
	clear(dst)
	top := sink
	for j := from; j < n; j++ {
		top = max(top, score(j))
	}
	if p.Blank == BlankUnseen && math.IsInf(float64(top), -1) {
		return
	}
	var sum float64
	if p.Sinks != nil {
		sum = math.Exp(float64(sink - top))
	}
	for j := from; j < n; j++ {
		w := math.Exp(float64(score(j) - top))
		sum += w
		row := values(j)
		for d := range dst {
			dst[d] += float32(w) * row[d]
		}
	}
	if p.Blank == BlankNaN && math.IsNaN(sum) {
		clear(dst)
		return
	}
	if n > from {
		for d := range dst {
			dst[d] = float32(float64(dst[d]) / sum)
		}
	}
}
