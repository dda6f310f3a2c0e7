package kernel

import (
	"fmt"
	"math"
)

// resize makes images of random rows and columns; n 0 copies them.
func (b *bench) resize(planes, h, w, outH, outW, rn, cn int, shift int64) {
	b.shift = shift
	x := b.normal(planes * h * w)
	table := func(out, from, n int) ([]int32, []float32) {
		index := convert[int32](b.integers(out*n, 0, from-1))
		index[len(index)-1] = int32(from - 1) // the last place is read by the last
		return index, b.normal(out * n)
	}
	copied := rn == 0
	rn, cn = max(rn, 1), max(cn, 1)
	rows, rowWeights := table(outH, h, rn)
	cols, colWeights := table(outW, w, cn)
	r := Resize{X: put(b, x), Y: room[float32](b, planes*outH*outW), Planes: planes, H: h, W: w, OutH: outH, OutW: outW,
		Rows: Taps{N: rn, Index: put(b, rows)}, Cols: Taps{N: cn, Index: put(b, cols)}}
	if copied {
		rowWeights, colWeights = []float32{1}, []float32{1}
	} else {
		r.Rows.Weight, r.Cols.Weight = put(b, rowWeights), put(b, colWeights)
	}
	b.do(AppendResize(nil, r))
	want, scale := make([]float64, planes*outH*outW), make([]float64, planes*outH*outW)
	for at := range want {
		p, i, j := at/(outH*outW), at/outW%outH, at%outW
		for a := range rn {
			for c := range cn {
				v := float64(x[(p*h+int(rows[i*rn+a]))*w+int(cols[j*cn+c])]) * float64(rowWeights[(i*rn+a)%len(rowWeights)]) * float64(colWeights[(j*cn+c)%len(colWeights)])
				want[at] += v
				scale[at] += math.Abs(v)
			}
		}
	}
	eps := 1e-5
	if copied {
		eps = 0
	}
	b.near("resize", get[float32](b, r.Y, len(want)), want, scale, eps)
}

func resizeChecks() []check {
	var all []check
	add := func(big bool, planes, h, w, outH, outW, rn, cn int, shift int64) {
		all = append(all, check{fmt.Sprintf("resize/%d×%d×%d/%d×%d/%d×%d", planes, h, w, outH, outW, rn, cn), big,
			func(b *bench) { b.resize(planes, h, w, outH, outW, rn, cn, shift) }})
	}
	for _, n := range [][2]int{{0, 0}, {1, 1}, {2, 2}, {1, 3}, {4, 1}, {7, 4}} {
		add(false, 1, 1, 1, 1, 1, n[0], n[1], 0)
		add(false, 3, 5, 7, 31, 33, n[0], n[1], 4)
		add(false, 2, 129, 3, 16, 16, n[0], n[1], 0) // a block exactly
		add(false, 2, 33, 127, 1, 257, n[0], n[1], 0)
	}
	add(true, 1, 1, 31, 1, 1_000_003, 0, 0, 4)
	add(true, 1, 1, 31, 1, 1_000_003, 1, 2, 4)
	add(true, maxGrid+2, 1, 2, 1, 3, 0, 0, 0)
	return all
}
