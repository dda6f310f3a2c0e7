package move

// Window is a kernel of KH×KW that slides over an image of H×W and stands at OH×OW
// places.
type Window struct {
	H, W, OH, OW                                   int
	KH, KW, StrideH, StrideW, DilationH, DilationW int
	PadTop, PadLeft                                int
}

// Patches sets each channel of y, H×W values, to its bias plus the sum of the patches in
// cols: channels·KH·KW rows of OH·OW values, each row being one tap of the kernel at
// all its places. Taps outside of the image are dropped.
func Patches(p *Window, y, cols, bias []float32) {
	size, spots := p.H*p.W, p.OH*p.OW
	for c, b := range bias {
		dst := y[c*size : (c+1)*size]
		for i := range dst {
			dst[i] = b
		}
		for kh := range p.KH {
			for kw := range p.KW {
				row := cols[((c*p.KH+kh)*p.KW+kw)*spots:][:spots]
				p.tap(dst, row, kh*p.DilationH-p.PadTop, kw*p.DilationW-p.PadLeft)
			}
		}
	}
}

// tap adds one tap, which lies dh rows below and dw columns right of its place.
func (p *Window) tap(dst, row []float32, dh, dw int) {
	lo, hi := 0, p.OW
	if dw < 0 {
		lo = (-dw + p.StrideW - 1) / p.StrideW
	}
	if room := p.W - 1 - dw; room < 0 {
		return
	} else {
		hi = min(hi, room/p.StrideW+1)
	}
	for oh := range p.OH {
		h := oh*p.StrideH + dh
		if h < 0 || h >= p.H || lo >= hi {
			continue
		}
		src := row[oh*p.OW+lo : oh*p.OW+hi]
		to := dst[h*p.W+lo*p.StrideW+dw : (h+1)*p.W]
		if p.StrideW == 1 {
			to = to[:len(src)]
			for i, v := range src {
				to[i] += v
			}
			continue
		}
		for i, v := range src {
			to[i*p.StrideW] += v
		}
	}
}
