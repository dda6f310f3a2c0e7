package move

import "github.com/aimass/aimass/kernels/conv"

// Columns writes the patch under the window at each of oh×ow places of an image of c
// planes of h×w as one row of c·KH·KW values; what lies outside of the image is 0.
func Columns(dst, x []float32, w *conv.Window, c, h, width, oh, ow int) {
	at := 0
	for i := range oh {
		for j := range ow {
			for ch := range c {
				img := x[ch*h*width : (ch+1)*h*width]
				for kh := range w.KH {
					y := i*w.StrideH - w.PadTop + kh*w.DilationH
					row := dst[at : at+w.KW]
					at += w.KW
					if y < 0 || y >= h {
						clear(row)
						continue
					}
					patch(row, img[y*width:(y+1)*width], j*w.StrideW-w.PadLeft, w.DilationW)
				}
			}
		}
	}
}

// patch copies the elements from, from+step, … of a line, 0 for those beyond its ends.
func patch(row, line []float32, from, step int) {
	if step == 1 && from >= 0 && from+len(row) <= len(line) {
		copy(row, line[from:])
		return
	}
	for k := range row {
		row[k] = 0
		if x := from + k*step; x >= 0 && x < len(line) {
			row[k] = line[x]
		}
	}
}
