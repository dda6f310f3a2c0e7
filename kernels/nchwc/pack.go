package nchwc

import "github.com/aimass/aimass/kernels/isa"

// most is the number of output blocks of a cell, FMAX of cell.h.
func (p *Packed) most() int {
	if p.level == isa.AVX512 {
		return 4
	}
	return 2
}

// packDirect: for each group of output blocks, for each input channel block (or
// channel, if the image is dense), for each tap, for each channel of the block,
// the weights as vectors of output channels.
func (p *Packed) packDirect(w []float32) {
	g := p.g
	taps := g.KH * g.KW
	p.data = isa.Alloc(len(p.bias) * p.channels() * taps)
	inner := p.width
	if p.Dense() {
		inner = 1
	}
	p.packGroups(p.data, p.channels()/inner, taps, inner, func(oc, c, tap int) float32 { return w[(oc*g.C+c)*taps+tap] })
}

// packGroups lays weights out as [group][outer][tap][inner][vectors]; at is
// asked for channels that exist.
func (p *Packed) packGroups(dst []float32, outer, taps, inner int, at func(oc, c, tap int) float32) {
	all := len(p.bias) / p.width
	groups := (all + p.most() - 1) / p.most()
	for gr := range groups {
		oc0, oc1 := all*gr/groups*p.width, all*(gr+1)/groups*p.width
		for o := range outer {
			for tap := range taps {
				for i := range inner {
					c := o*inner + i
					for oc := oc0; oc < min(oc1, p.g.OC) && c < p.g.C; oc++ {
						dst[oc-oc0] = at(oc, c, tap)
					}
					dst = dst[oc1-oc0:]
				}
			}
		}
	}
}

func (p *Packed) packDepthwise(w []float32) {
	taps := p.g.KH * p.g.KW
	p.data = isa.Alloc(len(p.bias) * taps)
	for c := range p.g.OC {
		for t := range taps {
			p.data[(c/p.width*taps+t)*p.width+c%p.width] = w[c*taps+t]
		}
	}
}

// packWinograd: the sixteen values of G·g·Gᵀ, each as weights of one tap, by
// group: [group][value][plane of the window, input channel][vectors].
func (p *Packed) packWinograd(w []float32) {
	g := p.g
	n := g.Depth.K * p.channels()
	p.data = isa.Alloc(16 * len(p.bias) * n)
	all := len(p.bias) / p.width
	groups := (all + p.most() - 1) / p.most()
	for gr := range groups {
		oc0, oc1 := all*gr/groups*p.width, all*(gr+1)/groups*p.width
		dst := p.data[16*oc0*n : 16*oc1*n]
		for oc := oc0; oc < min(oc1, g.OC); oc++ {
			for i := range g.C * g.Depth.K {
				k := w[(oc*g.C*g.Depth.K+i)*9:][:9]
				c := i%g.Depth.K*p.channels() + i/g.Depth.K
				for xi := range 4 {
					a, b, d := mix(xi, k[0], k[3], k[6]), mix(xi, k[1], k[4], k[7]), mix(xi, k[2], k[5], k[8])
					for xj := range 4 {
						dst[((4*xi+xj)*n+c)*(oc1-oc0)+oc-oc0] = mix(xj, a, b, d)
					}
				}
			}
		}
	}
}

// mix is one element of the transform of three weights.
func mix(r int, a, b, c float32) float32 {
	switch r {
	case 0:
		return a
	case 1:
		return (a + b + c) / 2
	case 2:
		return (a - b + c) / 2
	}
	return c
}
