package image

import "image"

// plane is one component of a picture: w×h samples, stride apart by rows.
type plane struct {
	w, h, stride int
	at           []byte
}

func (p plane) row(y int) []byte {
	y = min(max(y, 0), p.h-1)
	return p.at[y*p.stride : y*p.stride+p.w]
}

// planes gives luma and chroma cut to what the picture covers: decoders pad planes to
// whole blocks, and what lies in the padding must not bleed in.
func planes(m *image.YCbCr) (y, cb, cr plane, sx, sy int) {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	sx, sy = 1, 1
	switch m.SubsampleRatio {
	case image.YCbCrSubsampleRatio422:
		sx = 2
	case image.YCbCrSubsampleRatio420:
		sx, sy = 2, 2
	case image.YCbCrSubsampleRatio440:
		sy = 2
	case image.YCbCrSubsampleRatio411:
		sx = 4
	case image.YCbCrSubsampleRatio410:
		sx, sy = 4, 2
	}
	cw, ch := (w+sx-1)/sx, (h+sy-1)/sy
	o := m.COffset(m.Rect.Min.X, m.Rect.Min.Y)
	y = plane{w, h, m.YStride, m.Y[m.YOffset(m.Rect.Min.X, m.Rect.Min.Y):]}
	return y, plane{cw, ch, m.CStride, m.Cb[o:]}, plane{cw, ch, m.CStride, m.Cr[o:]}, sx, sy
}

// fromJPEG grows chroma by linear interpolation between sample centres, as ImageDecoder's
// text says, with halves rounded down and up in turns. Samples of a factor other than 2,
// or planes of one or two columns, are repeated, as libjpeg does.
func fromJPEG(img image.Image) (picture, error) {
	m, ok := img.(*image.YCbCr)
	if !ok {
		return plain(img)
	}
	luma, cb, cr, sx, sy := planes(m)
	p := picture{w: luma.w, h: luma.h, rgb: make([]byte, 3*luma.w*luma.h)}
	b, r := make([]byte, luma.w+4), make([]byte, luma.w+4)
	sums := make([]int, cb.w)
	for y := range luma.h {
		growRow(b, cb, y, sx, sy, sums)
		growRow(r, cr, y, sx, sy, sums)
		row := luma.row(y)
		for x, l := range row {
			jfif(p.rgb[3*(y*p.w+x):], l, b[x], r[x])
		}
	}
	return p, nil
}

// growRow writes the chroma of picture row y.
func growRow(dst []byte, c plane, y, sx, sy int, sums []int) {
	near := c.row(y / sy)
	fancy := c.w > 2 || sx == 1
	far := near
	if sy == 2 && fancy {
		far = c.row(y/2 - 1 + y%2*2)
	}
	switch {
	case sx == 2 && sy == 2 && fancy:
		for i := range near {
			sums[i] = 3*int(near[i]) + int(far[i])
		}
		for i, s := range sums {
			left, right := sums[max(i-1, 0)], sums[min(i+1, c.w-1)]
			put(dst, 2*i, (3*s+left+8)>>4)
			put(dst, 2*i+1, (3*s+right+7)>>4)
		}
	case sx == 2 && sy == 1 && fancy:
		for i, v := range near {
			left, right := int(near[max(i-1, 0)]), int(near[min(i+1, c.w-1)])
			put(dst, 2*i, (3*int(v)+left+1)>>2)
			put(dst, 2*i+1, (3*int(v)+right+2)>>2)
		}
	case sx == 1 && sy == 2:
		bias := 1 + y%2
		for i, v := range near {
			put(dst, i, (3*int(v)+int(far[i])+bias)>>2)
		}
	default:
		for i := range dst {
			dst[i] = near[min(i/sx, c.w-1)]
		}
	}
}

func put(dst []byte, i, v int) {
	if i < len(dst) {
		dst[i] = byte(v)
	}
}

func clamp(v int) byte { return byte(min(max(v, 0), 255)) }

// jfif converts one pixel by the constants of JFIF 1.02 in 16-bit fixed point.
func jfif(dst []byte, y, cb, cr byte) {
	const half = 1 << 15
	l, b, r := int(y), int(cb)-128, int(cr)-128
	dst[0] = clamp(l + (91881*r+half)>>16)
	dst[1] = clamp(l + (-22554*b-46802*r+half)>>16)
	dst[2] = clamp(l + (116130*b+half)>>16)
}

// fromWebP finishes a lossy picture as RFC 6386 leaves to the reader and libwebp does by
// default: chroma weighs its four nearest samples 9:3:3:1, and the colours are those of
// ITU-R 601 with video range.
func fromWebP(img image.Image) (picture, error) {
	var m *image.YCbCr
	switch v := img.(type) {
	case *image.YCbCr:
		m = v
	case *image.NYCbCrA:
		m = &v.YCbCr
	default:
		return plain(img)
	}
	luma, cb, cr, _, _ := planes(m)
	p := picture{w: luma.w, h: luma.h, rgb: make([]byte, 3*luma.w*luma.h)}
	for y := range luma.h {
		row := luma.row(y)
		near, far := y/2, y/2-1+y%2*2
		for x, l := range row {
			i, j := x/2, x/2-1+x%2*2
			video(p.rgb[3*(y*p.w+x):], l, four(cb, near, far, i, j), four(cr, near, far, i, j))
		}
	}
	return p, nil
}

// four weighs the samples around a pixel in two roundings down, as libwebp's fancy
// upsampling does: first the mean across the diagonal, then with the nearest sample.
func four(c plane, near, far, i, j int) byte {
	j = min(max(j, 0), c.w-1)
	n, f := c.row(near), c.row(far)
	a, b, d, e := int(n[i]), int(n[j]), int(f[i]), int(f[j])
	diagonal := (a + 3*b + 3*d + e + 8) >> 3
	return byte((a + diagonal) >> 1)
}

// video converts one pixel in 14-bit fixed point.
func video(dst []byte, y, u, v byte) {
	high := func(v, c int) int { return v * c >> 8 }
	l, b, r := high(int(y), 19077), int(u), int(v)
	dst[0] = clamp((l + high(r, 26149) - 14234) >> 6)
	dst[1] = clamp((l - high(b, 6419) - high(r, 13320) + 8708) >> 6)
	dst[2] = clamp((l + high(b, 33050) - 17685) >> 6)
}
