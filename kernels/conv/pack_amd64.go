//go:build amd64 && cgo && !noasm

package conv

import "github.com/aimass/aimass/kernels/isa"

const (
	// depthBlock is KC_MAX of igemm_body.h.
	depthBlock = 384
	// winogradChannels is the least number of input and of output channels for
	// which the transforms cost less than they save.
	winogradChannels = 24
)

// tileRows is MRMAX of tile.h.
func tileRows(level isa.Level) int {
	if level == isa.AVX512 {
		return 12
	}
	return 6
}

// packNative chooses the method and lays the weights out for it.
func (p *Packed) packNative(w []float32) {
	g := p.g
	p.method = igemm
	switch {
	case g.Group == g.C && g.Group > 1:
		p.method = depthwise
	case g.Group == 1 && g.KH == 3 && g.KW == 3 && g.StrideH == 1 && g.StrideW == 1 &&
		g.DilationH == 1 && g.DilationW == 1 && g.C >= winogradChannels && g.OC >= winogradChannels:
		p.method = winograd
	}
	p.packAs(p.method, w)
}

func (p *Packed) packAs(m method, w []float32) {
	p.method = m
	switch m {
	case depthwise:
		p.data = isa.Alloc(len(w))
		copy(p.data, w)
	case winograd:
		p.packWinograd(w)
	default:
		p.packIgemm(w)
	}
}

// packIgemm: for each group, for each block of depth, for each tile of output
// channels, the weights as [depth][channel of the tile].
func (p *Packed) packIgemm(w []float32) {
	g := p.g
	k := g.C / g.Group * g.KH * g.KW
	ocg := g.OC / g.Group
	p.data = isa.Alloc(len(w))
	blocks := (k + depthBlock - 1) / depthBlock
	for gr := range g.Group {
		for b := range blocks {
			k0, k1 := k*b/blocks, k*(b+1)/blocks
			dst := p.data[gr*ocg*k+ocg*k0:][:ocg*(k1-k0)]
			p.packTiles(dst, ocg, k1-k0, func(oc, kk int) float32 { return w[(gr*ocg+oc)*k+k0+kk] })
		}
	}
}

// packTiles lays a rows×depth matrix out as balanced tiles of [depth][rows].
func (p *Packed) packTiles(dst []float32, rows, depth int, at func(row, k int) float32) {
	top := tileRows(p.level)
	tiles := (rows + top - 1) / top
	for t := range tiles {
		r0, r1 := rows*t/tiles, rows*(t+1)/tiles
		for k := range depth {
			for r := r0; r < r1; r++ {
				dst[r0*depth+k*(r1-r0)+r-r0] = at(r, k)
			}
		}
	}
}

// packWinograd: for each of the sixteen values of G·g·Gᵀ, tiles as above with
// the input channels as depth.
func (p *Packed) packWinograd(w []float32) {
	g := p.g
	p.data = isa.Alloc(16 * g.OC * g.C)
	u := make([]float32, g.OC*g.C) // one of the sixteen matrices
	for xi := range 16 {
		for i := range u {
			k := w[i*9 : i*9+9]
			u[i] = mix(xi%4, mix(xi/4, k[0], k[3], k[6]), mix(xi/4, k[1], k[4], k[7]), mix(xi/4, k[2], k[5], k[8]))
		}
		p.packTiles(p.data[xi*g.OC*g.C:], g.OC, g.C, func(oc, c int) float32 { return u[oc*g.C+c] })
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
