package nchwc

import (
	"math"
	"testing"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/conv"
	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

// blockedOf gives n dense images in the layout of a level.
func blockedOf(t testing.TB, level isa.Level, x []float32, n, c, size int) []float32 {
	wd := width(level)
	all := blocks(c, wd) * wd
	y := kt.Guarded(t, n*all*size)
	for img := range n {
		for ch := range c {
			for i := range size {
				y[(img*all+ch/wd*wd)*size+i*wd+ch%wd] = x[(img*c+ch)*size+i]
			}
		}
	}
	return y
}

// denseOf is the reverse.
func denseOf(level isa.Level, y []float32, n, c, size int) []float32 {
	wd := width(level)
	all := blocks(c, wd) * wd
	x := make([]float32, n*c*size)
	for img := range n {
		for ch := range c {
			for i := range size {
				x[(img*c+ch)*size+i] = y[(img*all+ch/wd*wd)*size+i*wd+ch%wd]
			}
		}
	}
	return x
}

// check compares a convolution with the dense one.
func check(t *testing.T, level isa.Level, g conv.Geometry, n, h, w int, ep Epilogue, residual bool) {
	t.Helper()
	checkVolumes(t, level, g, n, 1, h, w, ep, residual)
}

func checkVolumes(t *testing.T, level isa.Level, g conv.Geometry, n, d, h, w int, ep Epilogue, residual bool) {
	t.Helper()
	group := max(g.Group, 1)
	k := g.C / group * max(g.Depth.K, 1) * g.KH * g.KW
	weights, bias := kt.Random(t, g.OC*k, 1), kt.Random(t, g.OC, 2)
	for i := range weights {
		weights[i] /= float32(math.Sqrt(float64(k)))
	}
	oh, ow := g.Out(h, w)
	x := kt.Random(t, n*g.C*d*h*w, 3)
	places := g.Depth.Out(d) * oh * ow
	size := n * g.OC * places
	var res []float32
	if residual {
		res = kt.Random(t, size, 4)
		ep.Residual = blockedOf(t, level, res, n, g.OC, places)
	}
	p := pack(level, g, weights, bias)
	in := x
	if !p.Dense() {
		in = blockedOf(t, level, x, n, g.C, d*h*w)
	}
	got := kt.Guarded(t, n*len(p.bias)*places)
	p.RunVolumes(got, in, n, d, h, w, &ep, 2)
	want := make([]float32, size)
	e := conv.Epilogue{Act: ep.Act}
	if !ep.After {
		e.Residual = res
	}
	conv.PackGeneric(g, weights, bias).RunVolumes(want, x, n, d, h, w, &e, 1)
	if ep.After && residual {
		for i := range want {
			want[i] += res[i]
		}
	}
	kt.Same(t, kt.Name("nchwc", level, p.Method(), g, n, h, w, ep.Act, ep.After), denseOf(level, got, n, g.OC, places), want, 1e-5, 2e-5)
}

func TestVolumes(t *testing.T) {
	win := conv.Window{KH: 3, KW: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1}
	relu := Epilogue{Act: act.Act{Func: act.Relu}}
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		f := func(c, oc, n, d, h, w int, z conv.Depth, ep Epilogue, residual bool) {
			t.Helper()
			checkVolumes(t, level, conv.Geometry{C: c, OC: oc, Depth: z, Window: win}, n, d, h, w, ep, residual)
		}
		f(16, 16, 1, 5, 8, 8, conv.Depth{K: 3, Before: 1, After: 1}, relu, true)
		f(32, 70, 2, 3, 5, 7, conv.Depth{K: 3, Before: 1, After: 1}, Epilogue{}, false)
		f(17, 20, 2, 6, 7, 6, conv.Depth{K: 2, Stride: 2, Before: 1}, relu, false)
		f(16, 16, 1, 7, 4, 9, conv.Depth{K: 3, Dilation: 2, Stride: 3, Before: 2, After: 2}, Epilogue{Act: act.Act{Func: act.Silu}, After: true}, true)
		f(16, 16, 2, 4, 6, 6, conv.Depth{}, relu, true)
		f(16, 16, 1, 1, 6, 6, conv.Depth{K: 3, Before: 1, After: 1}, relu, false)
	})
}

func square(k, s, pad int) conv.Window {
	return conv.Window{KH: k, KW: k, StrideH: s, StrideW: s, PadTop: pad, PadLeft: pad, PadBottom: pad, PadRight: pad}
}

func TestConv(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for _, hw := range [][2]int{{1, 1}, {3, 5}, {7, 7}, {8, 33}, {14, 14}, {17, 40}} {
			h, w := hw[0], hw[1]
			for _, c := range [][3]int{{1, 1, 1}, {3, 16, 1}, {16, 7, 1}, {32, 33, 1}, {25, 80, 1}, {48, 48, 1}, {8, 8, 8}, {40, 40, 40}} {
				for _, k := range []int{1, 2, 3, 5} {
					for _, s := range []int{1, 2, 3} {
						if h+2*(k/2) >= k && w+2*(k/2) >= k {
							check(t, level, conv.Geometry{C: c[0], OC: c[1], Group: c[2], Window: square(k, s, k/2)}, 1+h%2, h, w, Epilogue{}, false)
						}
					}
				}
			}
		}
	})
}

func TestEdges(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		f := func(c, oc, group, n, h, w int, win conv.Window) {
			t.Helper()
			g := conv.Geometry{C: c, OC: oc, Group: group, Window: win}
			check(t, level, g, n, h, w, Epilogue{Act: act.Act{Func: act.Relu}}, true)
			check(t, level, g, n, h, w, Epilogue{Act: act.Act{Func: act.Silu, A: 1}, After: true}, true)
			check(t, level, g, n, h, w, Epilogue{Act: act.Act{Func: act.Gelu}}, false)
		}
		f(64, 64, 1, 3, 7, 7, square(3, 1, 1))
		f(64, 64, 1, 3, 7, 7, square(1, 1, 0))
		f(64, 130, 1, 2, 14, 15, conv.Window{KH: 3, KW: 3, PadLeft: 2, PadBottom: 1})
		f(30, 30, 1, 1, 9, 70, square(3, 1, 0))
		f(20, 13, 1, 1, 1, 50, conv.Window{KH: 1, KW: 7, StrideW: 2, DilationW: 3, PadLeft: 4, PadRight: 9})
		f(32, 24, 1, 1, 1, 300, conv.Window{KH: 1, KW: 3, DilationW: 128, PadLeft: 128, PadRight: 128})
		f(3, 24, 1, 2, 20, 21, conv.Window{KH: 1, KW: 3, DilationW: 9, StrideW: 2, PadLeft: 9, PadRight: 9})
		f(19, 19, 19, 1, 1, 100, conv.Window{KH: 1, KW: 15, PadLeft: 7, PadRight: 7})
		f(16, 16, 16, 2, 20, 23, conv.Window{KH: 3, KW: 3, StrideH: 2, StrideW: 2, DilationH: 2, DilationW: 2, PadTop: 3, PadLeft: 3})
		f(200, 24, 1, 1, 6, 6, conv.Window{KH: 2, KW: 3, StrideH: 1, StrideW: 2, PadTop: 5, PadBottom: 5})
		f(5, 6, 1, 2, 3, 3, conv.Window{KH: 1, KW: 1, PadTop: 2, PadLeft: 1, PadRight: 1, PadBottom: 2})
		f(16, 16, 1, 1, 5, 5, conv.Window{KH: 1, KW: 1, StrideH: 3, StrideW: 4})
		f(900, 40, 1, 1, 9, 9, square(1, 1, 0)) // weights beyond what a task takes at a time
		f(400, 40, 1, 1, 9, 9, square(3, 2, 1))
		f(3, 3, 1, 1, 2, 2, square(3, 1, 0))
		f(16, 16, 1, 0, 4, 4, square(3, 1, 0))
	})
}

// Values of a last block beyond the channels mean nothing, as long as they are finite.
func TestFill(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		g := conv.Geometry{C: 20, OC: 20, Window: square(3, 1, 1)}
		for _, group := range []int{1, 20} {
			g.Group = group
			p := pack(level, g, kt.Random(t, 20*20*9, 1), nil)
			x := blockedOf(t, level, kt.Random(t, 20*49, 2), 1, 20, 49)
			y := make([]float32, len(p.bias)*49)
			p.Run(y, x, 1, 7, 7, nil, 1)
			clean := denseOf(level, y, 1, 20, 49)
			for i := range x {
				if i/(49*p.width)*p.width+i%p.width >= 20 {
					x[i] = 7
				}
			}
			p.Run(y, x, 1, 7, 7, nil, 1)
			kt.Same(t, kt.Name("fill", level, group), denseOf(level, y, 1, 20, 49), clean, 0, 0)
		}
	})
}

func TestMove(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for _, c := range []int{1, 7, 8, 9, 16, 17, 40} {
			for _, size := range []int{0, 1, 7, 8, 9, 16, 33} {
				x := kt.Random(t, 2*c*size, 1)
				want := blockedOf(t, level, x, 2, c, size)
				got, back := kt.Guarded(t, len(want)), kt.Guarded(t, len(x))
				move(level, got, x, 2, c, size, 2, true)
				kt.Same(t, kt.Name("block", level, c, size), got, want, 0, 0)
				move(level, back, got, 2, c, size, 2, false)
				kt.Same(t, kt.Name("unblock", level, c, size), back, x, 0, 0)
			}
		}
	})
}

func TestPool(t *testing.T) {
	kt.EachISA(t, func(t *testing.T, level isa.Level) {
		for _, win := range []conv.Window{
			square(2, 2, 0), square(3, 2, 1), square(5, 1, 2), square(7, 1, 3),
			{KH: 3, KW: 5, DilationH: 2, DilationW: 3, PadTop: 2, PadLeft: 1},
			{KH: 1, KW: 4, StrideW: 3, PadRight: 3},
		} {
			for _, hw := range [][2]int{{1, 20}, {7, 7}, {16, 33}} {
				for op := conv.MaxPool; op <= conv.AvgPoolPadded; op++ {
					for extra := range 2 {
						oh, ow := win.Out(hw[0], hw[1])
						if oh == 0 || ow == 0 {
							continue
						}
						oh, ow = oh+extra, ow+extra
						c := 2 * width(level)
						x := kt.Random(t, c*hw[0]*hw[1], 1)
						x[2], x[5] = float32(math.NaN()), float32(math.Inf(-1))
						want, got := make([]float32, c*oh*ow), kt.Guarded(t, c*oh*ow)
						conv.Pool(op, want, x, c, hw[0], hw[1], oh, ow, win, 1)
						pooling(level, op, got, blockedOf(t, level, x, 1, c, hw[0]*hw[1]), 2, hw[0], hw[1], oh, ow, win, 2)
						kt.Same(t, kt.Name("pool", level, op, win, hw, extra), denseOf(level, got, 1, c, oh*ow), want, 2e-6, 2e-6)
					}
				}
			}
		}
	})
}
