package convtranspose

import (
	"testing"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/isa"
	kt "github.com/aimass/aimass/kernels/isa/kerneltest"
	"github.com/aimass/aimass/kernels/nchwc"
)

// scatter is the definition: each input place adds its weighted window to the result.
func scatter(g Geometry, w, bias, x []float32, n int, in [3]int) []float32 {
	for k := range g.Axes {
		g.Axes[k] = g.Axes[k].norm()
	}
	out := g.Out(in)
	size, places := in[0]*in[1]*in[2], out[0]*out[1]*out[2]
	window := g.Axes[0].K * g.Axes[1].K * g.Axes[2].K
	y := make([]float64, n*g.OC*places)
	og, cg := g.OC/g.Group, g.C/g.Group
	for i := range n * g.C * size {
		img, c := i/size/g.C, i/size%g.C
		at := [3]int{i % size / (in[1] * in[2]), i % (in[1] * in[2]) / in[2], i % in[2]}
		for o := range og {
			for k := range window {
				tap := [3]int{k / (g.Axes[1].K * g.Axes[2].K), k / g.Axes[2].K % g.Axes[1].K, k % g.Axes[2].K}
				to, inside := (img*g.OC + c/cg*og + o), true
				for d, a := range g.Axes {
					p := at[d]*a.Stride - a.Before + tap[d]*a.Dilation
					inside = inside && p >= 0 && p < out[d]
					to = to*out[d] + p
				}
				if inside {
					y[to] += float64(x[i]) * float64(w[(c*og+o)*window+k])
				}
			}
		}
	}
	res := make([]float32, len(y))
	for i, v := range y {
		res[i] = float32(v + float64(bias[i/places%g.OC]))
	}
	return res
}

var geometries = []struct {
	c, oc, group, n int
	in              [3]int
	axes            [3]Axis
}{
	{1, 1, 1, 1, [3]int{1, 1, 1}, [3]Axis{{}, {K: 1}, {K: 1}}},
	{8, 6, 1, 2, [3]int{1, 7, 9}, [3]Axis{{}, {K: 2, Stride: 2}, {K: 2, Stride: 2}}},
	{16, 33, 1, 1, [3]int{1, 5, 20}, [3]Axis{{}, {K: 4, Stride: 2, Before: 1, After: 1}, {K: 4, Stride: 2, Before: 1, After: 1}}},
	{6, 9, 3, 1, [3]int{1, 5, 40}, [3]Axis{{}, {K: 3, Stride: 2, Before: 1, After: 1, Extra: 1}, {K: 3, Stride: 2, Before: 1, After: 1, Extra: 1}}},
	{4, 4, 4, 2, [3]int{1, 3, 5}, [3]Axis{{}, {K: 3, Dilation: 2}, {K: 2, Stride: 3, Dilation: 2, Before: 2, Extra: 2}}}, // places that nothing reaches
	{16, 20, 1, 1, [3]int{1, 1, 64}, [3]Axis{{}, {}, {K: 8, Stride: 4, Before: 2, After: 2}}},
	{20, 18, 1, 2, [3]int{1, 4, 6}, [3]Axis{{}, {K: 2, Stride: 2, Before: 1}, {K: 3, Stride: 3, Before: 2, After: 2}}}, // the beginning is cut off
	{3, 4, 1, 2, [3]int{4, 5, 6}, [3]Axis{{K: 2, Stride: 2}, {K: 2, Stride: 2}, {K: 2, Stride: 2}}},
	{5, 2, 1, 1, [3]int{3, 5, 20}, [3]Axis{{K: 3, Stride: 2, Before: 1, After: 1, Extra: 1}, {K: 3, Stride: 1, Before: 1, After: 1}, {K: 5, Stride: 3, Dilation: 2, Before: 3, After: 4}}},
	{2, 3, 1, 0, [3]int{1, 4, 4}, [3]Axis{{}, {K: 2}, {K: 2}}},
	{2, 3, 1, 1, [3]int{1, 1, 2}, [3]Axis{{}, {K: 1, Stride: 5}, {K: 1, Stride: 4, After: 2}}},
}

func TestRun(t *testing.T) {
	t.Log(isa.Report())
	for _, level := range []isa.Level{isa.Generic, isa.Current().Level} {
		for k, c := range geometries {
			g := Geometry{C: c.c, OC: c.oc, Group: c.group, Axes: c.axes}
			weights, bias := kt.Random(t, 9*9*c.c*c.oc, 1), kt.Random(t, c.oc, 2)
			p := pack(level, g, weights, bias, false)
			out := g.Out(c.in)
			x, y := kt.Random(t, c.n*c.c*c.in[0]*c.in[1]*c.in[2], 3), kt.Guarded(t, c.n*c.oc*out[0]*out[1]*out[2])
			want := scatter(p.g, weights, bias, x, c.n, c.in)
			fn := act.Act{}
			if k%2 == 1 {
				fn.Func = act.Relu
				fn.Apply(want)
			}
			p.Run(y, x, c.n, c.in, make([]float32, p.Workspace(c.in)), fn, 2)
			kt.Same(t, kt.Name(level, g, c.n, c.in), y, want, 1e-4, 1e-4)
		}
	}
}

// TestBlocked compares the blocked layout with the dense one.
func TestBlocked(t *testing.T) {
	some := false
	for _, c := range geometries {
		g := Geometry{C: c.c, OC: c.oc, Group: c.group, Axes: c.axes}
		if !TakesBlocked(g) || c.n == 0 {
			continue
		}
		some = true
		weights, bias := kt.Random(t, 9*9*c.c*c.oc, 1), kt.Random(t, c.oc, 2)
		out := g.Out(c.in)
		size, places, w := c.in[1]*c.in[2], out[1]*out[2], nchwc.Width()
		x, want, got := kt.Random(t, c.n*c.c*size, 3), make([]float32, c.n*c.oc*places), kt.Guarded(t, c.n*c.oc*places)
		fn := act.Act{Func: act.Silu}
		d := Pack(g, weights, bias)
		d.Run(want, x, c.n, c.in, make([]float32, d.Workspace(c.in)), fn, 1)
		p := PackBlocked(g, weights, bias)
		from, to := make([]float32, c.n*nchwc.Blocks(c.c)*w*size), kt.Guarded(t, c.n*nchwc.Blocks(c.oc)*w*places)
		nchwc.Block(from, x, c.n, c.c, size, 1)
		p.Run(to, from, c.n, c.in, make([]float32, p.Workspace(c.in)), fn, 2)
		nchwc.Unblock(got, to, c.n, c.oc, places, 1)
		kt.Same(t, kt.Name("blocked", g, c.n, c.in), got, want, 1e-4, 1e-4)
	}
	if !some {
		t.Error("no geometry fills blocks")
	}
}
