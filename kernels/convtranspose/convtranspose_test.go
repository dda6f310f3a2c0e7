package convtranspose

import (
	"testing"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/conv"
	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
)

// scatter is the definition, without any GEMM: each input pixel adds its
// weighted window to the result.
func scatter(g Geometry, w, bias, x []float32, n, h, wd, oh, ow int) []float32 {
	y := make([]float64, n*g.OC*oh*ow)
	og, cg := g.OC/g.Group, g.C/g.Group
	for img := range n {
		for c := range g.C {
			for o := range og {
				oc := c/cg*og + o
				for i := range h * wd {
					for k := range g.KH * g.KW {
						oy := i/wd*g.StrideH - g.PadTop + k/g.KW*g.DilationH
						ox := i%wd*g.StrideW - g.PadLeft + k%g.KW*g.DilationW
						if oy >= 0 && oy < oh && ox >= 0 && ox < ow {
							y[((img*g.OC+oc)*oh+oy)*ow+ox] += float64(x[(img*g.C+c)*h*wd+i]) * float64(w[(c*og+o)*g.KH*g.KW+k])
						}
					}
				}
			}
		}
	}
	out := make([]float32, len(y))
	for i, v := range y {
		out[i] = float32(v + float64(bias[i/(oh*ow)%g.OC]))
	}
	return out
}

func TestRun(t *testing.T) {
	f := func(level isa.Level, c, oc, group, n, h, w, extra int, win conv.Window, relu bool) {
		t.Helper()
		g := Geometry{C: c, OC: oc, Group: group, Window: win}
		weights, bias := kt.Random(t, c*oc/group*win.KH*win.KW, 1), kt.Random(t, oc, 2)
		p := pack(level, g, weights, bias)
		oh, ow := p.Out(h, w)
		oh, ow = oh+extra, ow+extra
		x, y := kt.Random(t, n*c*h*w, 3), kt.Guarded(t, n*oc*oh*ow)
		want := scatter(p.g, weights, bias, x, n, h, w, oh, ow)
		ep := &conv.Epilogue{}
		if relu {
			ep.Act.Func = act.Relu
			ep.Residual = kt.Random(t, len(y), 4)
			for i, r := range ep.Residual {
				want[i] += r
			}
			ep.Act.Apply(want)
		}
		p.Run(y, oh, ow, x, n, h, w, make([]float32, p.Workspace(h, w)), ep, 2)
		kt.Same(t, kt.Name(level, g, n, h, w, extra), y, want, 1e-5, 1e-5)
	}
	t.Log(isa.Report())
	for _, level := range isa.Available() {
		f(level, 1, 1, 1, 1, 1, 1, 0, conv.Window{KH: 1, KW: 1}, false)
		f(level, 8, 6, 1, 2, 7, 9, 0, conv.Window{KH: 2, KW: 2, StrideH: 2, StrideW: 2}, true)
		f(level, 6, 9, 3, 1, 5, 40, 1, conv.Window{KH: 3, KW: 3, StrideH: 2, StrideW: 2, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1}, true)
		f(level, 4, 4, 4, 2, 3, 5, 2, conv.Window{KH: 3, KW: 2, StrideH: 1, StrideW: 3, DilationH: 2, DilationW: 2, PadLeft: 2}, false)
		f(level, 16, 20, 1, 1, 1, 64, 0, conv.Window{KH: 1, KW: 8, StrideW: 4, PadLeft: 2, PadRight: 2}, false)
		f(level, 2, 3, 1, 0, 4, 4, 0, conv.Window{KH: 2, KW: 2}, false)
	}
}
