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
	u := make([]float32, 16*g.OC*g.C)
	for i := range g.OC * g.C {
		k := w[i*9 : i*9+9]
		var rows [4][3]float32
		for c := range 3 {
			a, b, d := k[c], k[3+c], k[6+c]
			rows[0][c], rows[1][c], rows[2][c], rows[3][c] = a, (a+b+d)/2, (a-b+d)/2, d
		}
		for r, v := range rows {
			u[(r*4+0)*g.OC*g.C+i] = v[0]
			u[(r*4+1)*g.OC*g.C+i] = (v[0] + v[1] + v[2]) / 2
			u[(r*4+2)*g.OC*g.C+i] = (v[0] - v[1] + v[2]) / 2
			u[(r*4+3)*g.OC*g.C+i] = v[2]
		}
	}
	p.data = isa.Alloc(len(u))
	for xi := range 16 {
		m := u[xi*g.OC*g.C:]
		p.packTiles(p.data[xi*g.OC*g.C:], g.OC, g.C, func(oc, c int) float32 { return m[oc*g.C+c] })
	}
}
