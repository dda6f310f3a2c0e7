package conv

import (
	"math"
	"testing"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

// check compares the method that Pack chooses with the generic loops.
func check(t *testing.T, level isa.Level, g Geometry, n, h, w int, ep *Epilogue) {
	t.Helper()
	checkVolumes(t, level, g, n, 1, h, w, ep)
}

func checkVolumes(t *testing.T, level isa.Level, g Geometry, n, d, h, w int, ep *Epilogue) {
	t.Helper()
	group := max(g.Group, 1)
	k := g.C / group * max(g.Depth.K, 1) * g.KH * g.KW
	weights, bias := kt.Random(t, g.OC*k, 1), kt.Random(t, g.OC, 2)
	for i := range weights {
		weights[i] /= float32(math.Sqrt(float64(k)))
	}
	oh, ow := g.Out(h, w)
	x := kt.Random(t, n*g.C*d*h*w, 3)
	size := n * g.OC * g.Depth.Out(d) * oh * ow
	if ep != nil {
		ep.Residual = kt.Random(t, size, 4)
	}
	got, want := kt.Guarded(t, size), make([]float32, size)
	p := pack(level, g, weights, bias)
	p.RunVolumes(got, x, n, d, h, w, ep, 2)
	pack(isa.Generic, g, weights, bias).RunVolumes(want, x, n, d, h, w, ep, 1)
	kt.Same(t, kt.Name("conv", level, p.Method(), g, n, d, h, w), got, want, 1e-5, 2e-5)
}

func TestConv(t *testing.T) {
	win := func(k, s, pad int) Window {
		return Window{KH: k, KW: k, StrideH: s, StrideW: s, PadTop: pad, PadLeft: pad, PadBottom: pad, PadRight: pad}
	}
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for _, hw := range [][2]int{{1, 1}, {3, 5}, {7, 7}, {8, 33}, {14, 14}, {17, 40}} {
			h, w := hw[0], hw[1]
			for _, c := range [][3]int{{1, 1, 1}, {3, 16, 1}, {16, 7, 1}, {32, 33, 1}, {25, 40, 1}, {8, 8, 8}, {6, 12, 6}, {12, 8, 4}} {
				for _, k := range []int{1, 3, 5} {
					for _, s := range []int{1, 2, 3} {
						if h+2*(k/2) >= k && w+2*(k/2) >= k {
							check(t, level, Geometry{C: c[0], OC: c[1], Group: c[2], Window: win(k, s, k/2)}, 1+h%2, h, w, nil)
						}
					}
				}
			}
		}
	})
}

func TestConvEdges(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		f := func(c, oc, group, n, h, w int, win Window, ep *Epilogue) {
			t.Helper()
			check(t, level, Geometry{C: c, OC: oc, Group: group, Window: win}, n, h, w, ep)
		}
		relu := &Epilogue{Act: act.Act{Func: act.Relu}}
		gelu := &Epilogue{Act: act.Act{Func: act.Gelu}}
		f(64, 64, 1, 3, 7, 7, Window{KH: 3, KW: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1}, relu)
		f(64, 64, 1, 3, 7, 7, Window{KH: 1, KW: 1}, relu)
		f(64, 130, 1, 2, 14, 15, Window{KH: 3, KW: 3, PadTop: 0, PadLeft: 2, PadBottom: 1, PadRight: 0}, gelu)
		f(30, 30, 1, 1, 9, 70, Window{KH: 3, KW: 3}, gelu)
		f(20, 13, 1, 1, 1, 50, Window{KH: 1, KW: 7, StrideW: 2, DilationW: 3, PadLeft: 4, PadRight: 9}, relu)
		f(9, 9, 9, 1, 1, 100, Window{KH: 1, KW: 15, PadLeft: 7, PadRight: 7}, gelu)
		f(4, 8, 4, 2, 20, 23, Window{KH: 3, KW: 3, StrideH: 2, StrideW: 2, DilationH: 2, DilationW: 2, PadTop: 3, PadLeft: 3}, relu)
		f(200, 24, 1, 1, 6, 6, Window{KH: 2, KW: 3, StrideH: 1, StrideW: 2, PadTop: 5, PadBottom: 5}, relu)
		f(5, 6, 1, 2, 3, 3, Window{KH: 1, KW: 1, PadTop: 2, PadLeft: 1, PadRight: 1, PadBottom: 2}, relu)
		f(16, 16, 1, 1, 5, 5, Window{KH: 1, KW: 1, StrideH: 3, StrideW: 4}, nil)
		f(3, 3, 1, 1, 2, 2, Window{KH: 3, KW: 3}, nil)
		f(3, 3, 1, 0, 4, 4, Window{KH: 3, KW: 3}, nil)
	})
}

func TestVolumes(t *testing.T) {
	relu, silu := &Epilogue{Act: act.Act{Func: act.Relu}}, &Epilogue{Act: act.Act{Func: act.Silu}}
	pad := Window{KH: 3, KW: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1}
	half := pad
	half.StrideH, half.StrideW = 2, 2
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		f := func(c, oc, group, n, d, h, w int, depth Depth, win Window, ep *Epilogue) {
			t.Helper()
			checkVolumes(t, level, Geometry{C: c, OC: oc, Group: group, Depth: depth, Window: win}, n, d, h, w, ep)
		}
		f(1, 8, 1, 1, 9, 10, 33, Depth{K: 3, Before: 1, After: 1}, pad, relu)
		f(5, 14, 1, 2, 4, 6, 7, Depth{K: 3, Before: 1, After: 1}, pad, silu)
		f(16, 16, 1, 1, 40, 20, 50, Depth{K: 3, Before: 1, After: 1}, pad, nil) // more than one pass
		f(4, 6, 2, 2, 8, 8, 8, Depth{K: 3, Stride: 2, Before: 1, After: 1}, half, relu)
		f(6, 6, 6, 1, 7, 9, 20, Depth{K: 5, Stride: 1, Before: 2, After: 2}, pad, nil)
		f(3, 4, 1, 1, 9, 5, 5, Depth{K: 3, Stride: 3, Dilation: 2, Before: 3, After: 1}, Window{KH: 1, KW: 1}, relu)
		f(3, 4, 1, 2, 5, 6, 20, Depth{K: 2, Stride: 2}, Window{KH: 2, KW: 2}, nil) // in place
		f(2, 3, 1, 2, 3, 4, 9, Depth{}, pad, relu)
		f(2, 3, 1, 1, 1, 4, 9, Depth{K: 3, Before: 1, After: 1}, pad, nil)
		f(2, 3, 1, 1, 2, 4, 9, Depth{K: 3}, pad, nil)
	})
}

// More images than padded planes exist for at a time.
func TestManyImages(t *testing.T) {
	if testing.Short() {
		t.Skip("NOT RUN: takes 100 MB")
	}
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		pad := Window{KH: 3, KW: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1}
		check(t, level, Geometry{C: 4, OC: 2, Window: pad}, 7, 700, 700, nil)
	})
}

func TestPool(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for _, win := range []Window{
			{KH: 2, KW: 2, StrideH: 2, StrideW: 2},
			{KH: 3, KW: 3, StrideH: 2, StrideW: 2, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1},
			{KH: 3, KW: 5, DilationH: 2, DilationW: 3, PadTop: 2, PadLeft: 1},
			{KH: 1, KW: 4, StrideW: 3, PadRight: 3},
			{KH: 7, KW: 7, PadTop: 3, PadLeft: 3, PadBottom: 3, PadRight: 3},
		} {
			for _, hw := range [][2]int{{1, 20}, {7, 7}, {16, 33}} {
				for op := MaxPool; op <= AvgPoolPadded; op++ {
					for extra := range 2 {
						oh, ow := win.Out(hw[0], hw[1])
						if oh == 0 || ow == 0 {
							continue
						}
						oh, ow = oh+extra, ow+extra
						x := kt.Random(t, 3*hw[0]*hw[1], 1)
						x[2] = float32(math.NaN())
						x[5] = float32(math.Inf(-1))
						got, want := kt.Guarded(t, 3*oh*ow), make([]float32, 3*oh*ow)
						pooling(level, op, got, x, 3, hw[0], hw[1], oh, ow, win, 2)
						pooling(isa.Generic, op, want, x, 3, hw[0], hw[1], oh, ow, win, 1)
						kt.Same(t, kt.Name("pool", level, op, win, hw, extra), got, want, 2e-6, 2e-6)
					}
				}
			}
		}
	})
}
