package nhwc

import "math"

// saturated is a whole number as a byte.
func saturated(v float64, signed bool) byte {
	if signed {
		return byte(int8(min(max(v, -128), 127)))
	}
	return byte(min(max(v, 0), 255))
}

// number is what a byte reads as.
func number(b byte, signed bool) int32 {
	if signed {
		return int32(int8(b))
	}
	return int32(b)
}

// at is where a place of the window lies in the image; false in the padding.
func (g *Geometry) at(oy, ox, i, j int) (int, bool) {
	y, x := oy*g.StrideH-g.PadTop+i*g.DilationH, ox*g.StrideW-g.PadLeft+j*g.DilationW
	return (y*g.W + x) * g.C, y >= 0 && y < g.H && x >= 0 && x < g.W
}

func (d *Depthwise) generic(dst, src []byte) {
	raised := byte(0)
	if d.signed {
		raised = 128
	}
	for p := range d.OH * d.OW {
		for c := range d.C {
			sum := d.bias[c]
			for t := range d.KH * d.KW {
				v := d.pad[c]
				if at, ok := d.at(p/d.OW, p%d.OW, t/d.KW, t%d.KW); ok {
					v = src[at+c]
				}
				sum += int32(v^raised) * int32(d.w[t*d.C+c])
			}
			q := math.RoundToEven(float64(float32(sum)*d.scale[c])) + float64(d.Zero)
			v := saturated(max(q, float64(d.floor())), d.Signed)
			if d.Table != nil {
				v = d.Table[v]
			}
			dst[p*d.C+c] = v
		}
	}
}

func mapGeneric(dst []byte, ldd int, src []byte, lds, rows, cols int, table *[256]byte) {
	for r := range rows {
		d, s := dst[r*ldd:][:cols], src[r*lds:][:cols]
		if table == nil {
			copy(d, s)
			continue
		}
		for i, v := range s {
			d[i] = table[v]
		}
	}
}

func combineGeneric(dst, a, b []byte, rows, cols int, p *Pair) {
	low := math.Inf(-1)
	if p.Relu {
		low = float64(p.Zero)
	}
	for i := range rows * cols {
		x := float32(number(a[i], p.Signed)-p.ZeroA) * p.ScaleA
		y := float32(number(b[i%cols], p.Signed)-p.ZeroB) * p.ScaleB
		if p.Product {
			x = float32(float32(float32(x*y)*p.Factor) + p.Shift)
		} else {
			x = float32(x+p.Fixed) + y
		}
		dst[i] = saturated(max(math.RoundToEven(float64(x/p.Scale))+float64(p.Zero), low), p.Signed)
	}
}
