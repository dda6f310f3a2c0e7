package resize

func nearestGeneric(y, x []float32, planes, h, w int, rows, cols []int32) {
	at := 0
	for p := range planes {
		for _, r := range rows {
			src := x[(p*h+int(r))*w:][:w]
			for _, c := range cols {
				y[at] = src[c]
				at++
			}
		}
	}
}

func linearGeneric(y, x []float32, planes, h, w int, rows, cols *Taps) {
	at := 0
	for p := range planes {
		for i, wr := range rows.W {
			lo, hi := x[(p*h+int(rows.Lo[i]))*w:][:w], x[(p*h+int(rows.Hi[i]))*w:][:w]
			for j, wc := range cols.W {
				a := (1-wc)*lo[cols.Lo[j]] + wc*lo[cols.Hi[j]]
				b := (1-wc)*hi[cols.Lo[j]] + wc*hi[cols.Hi[j]]
				y[at] = (1-wr)*a + wr*b
				at++
			}
		}
	}
}
