//go:build amd64 && cgo && !noasm

package conv

import "github.com/aimass/aimass/kernels/isa"

// tileRows is MRMAX of rows_body.h.
func tileRows(level isa.Level) int {
	if level == isa.AVX512 {
		return 12
	}
	return 6
}

// packNative chooses the method and lays the weights out for it.
func (p *Packed) packNative(w []float32) {
	g := p.g
	p.data = isa.Alloc(len(w))
	if g.Group == g.C && g.Group > 1 && g.Depth.flat() {
		p.method = depthwise
		copy(p.data, w)
		return
	}
	p.method = rows
	k, ocg := g.C/g.Group*g.Depth.K*g.KH*g.KW, g.OC/g.Group
	for gr := range g.Group {
		p.packTiles(p.data[gr*ocg*k:], w[gr*ocg*k:], ocg, k)
	}
}

// packTiles lays a group's weights out as balanced tiles of output channels, each
// as [depth][channel of the tile].
func (p *Packed) packTiles(dst, w []float32, channels, depth int) {
	top := tileRows(p.level)
	tiles := (channels + top - 1) / top
	for t := range tiles {
		c0, c1 := channels*t/tiles, channels*(t+1)/tiles
		for k := range depth {
			for c := c0; c < c1; c++ {
				dst[c0*depth+k*(c1-c0)+c-c0] = w[c*depth+k]
			}
		}
	}
}
