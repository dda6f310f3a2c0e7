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
				p.query(dst, p.visible(s, i, nq, nk), score, values)
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

func (p *Params) score(q, k []float32, s, h, i, j int) float32 {
	var dot float32
	for d := range p.DK {
		dot += q[d] * k[d]
	}
	dot *= p.Scale
	if p.Bias != nil {
		dot += p.Bias[s*p.BiasSeq+h*p.BiasHead+i*p.BiasQuery+j*p.BiasKey]
	}
	return dot
}

func (p *Params) query(dst []float32, n int, score func(int) float32, values func(int) []float32) {
	clear(dst)
	top := float32(math.Inf(-1))
	for j := range n {
		top = max(top, score(j))
	}
	var sum float64
	if p.Blank == BlankUnseen && math.IsInf(float64(top), -1) {
		return
	}
	for j := range n {
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
	if n > 0 {
		for d := range dst {
			dst[d] = float32(float64(dst[d]) / sum)
		}
	}
}
