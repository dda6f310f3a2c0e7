package kernel

import "github.com/aimass/aimass/cuda"

// Resize makes [Planes, OutH, OutW] of [Planes, H, W], float32. Rows and Cols say of which rows and
// columns each of the result is made.
type Resize struct {
	X, Y                     cuda.Ptr
	Planes, H, W, OutH, OutW int
	Rows, Cols               Taps
}

// Taps is a table on the device: for each place of an axis the indices of N places of the source, int32, and
// their weights, float32. Weight 0 means that N is 1 and the places are copied; it is so for both axes
// or for none.
type Taps struct {
	N             int
	Index, Weight cuda.Ptr
}

// AppendResize appends the Launches of r.
func AppendResize(dst []cuda.Launch, r Resize) ([]cuda.Launch, error) {
	pixels, ok := elements(r.OutH, r.OutW)
	source, ok2 := elements(r.H, r.W)
	if !ok || !ok2 || pixels > maxIndex-threads || source > maxIndex || r.Planes < 0 || r.Planes > maxGrid*maxLaunches {
		return dst, limit("resizing %d planes of %d×%d to %d×%d", r.Planes, r.H, r.W, r.OutH, r.OutW)
	}
	if (r.Rows.Weight == 0) != (r.Cols.Weight == 0) || r.Rows.N < 1 || r.Cols.N < 1 || r.Rows.Weight == 0 && r.Rows.N*r.Cols.N != 1 {
		return dst, limit("resizing by tables of %d and %d", r.Rows.N, r.Cols.N)
	}
	if pixels == 0 || r.Planes == 0 {
		return dst, nil
	}
	for at := 0; at < r.Planes; at += maxGrid {
		x, y := r.X+cuda.Ptr(4*int64(at)*source), r.Y+cuda.Ptr(4*int64(at)*pixels)
		values := []any{x, y, uint32(pixels), div(int64(r.OutW)), r.H, r.W, r.Rows.Index}
		name := "resize_nearest"
		if r.Rows.Weight == 0 {
			values = append(values, r.Cols.Index)
		} else {
			name = "resize_mix"
			values = append(values, r.Rows.Weight, r.Rows.N, r.Cols.Index, r.Cols.Weight, r.Cols.N)
		}
		l := launch("resize", name, ceilDiv(pixels, threads), threads, values...)
		l.Grid.Y = uint32(min(maxGrid, r.Planes-at))
		dst = append(dst, l)
	}
	return dst, nil
}
