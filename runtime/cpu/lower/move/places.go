package move

// Places fills planes of len(rows)×len(cols) places of width floats with places of planes
// of h×w: the one in row rows[i] and column cols[j].
func Places(dst, src []float32, planes, h, w int, rows, cols []int32, width int) {
	for p := range planes {
		for _, r := range rows {
			row := src[(p*h+int(r))*w*width:][:w*width]
			for _, c := range cols {
				copy(dst[:width], row[int(c)*width:])
				dst = dst[width:]
			}
		}
	}
}
