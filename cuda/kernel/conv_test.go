package kernel

import (
	"fmt"
	"math"

	"github.com/aimass/aimass/kernels/act"
)

func (b *bench) conv(c Conv, bias, residual bool, shift int64) {
	b.must(c.normalise())
	b.shift = shift
	k := c.In / c.Groups * c.KH * c.KW
	x, w := b.normal(c.Images*c.In*c.H*c.W), b.normal(c.Out*k)
	n := c.Images * c.Out * c.OutH * c.OutW
	vb, vr := b.normal(c.Out), b.normal(n)
	c.X, c.Weights, c.Y = put(b, x), put(b, w), room[float32](b, n)
	if bias {
		c.Bias = put(b, vb)
	}
	if residual {
		c.Residual = put(b, vr)
	}
	if s := c.Workspace(); s > 0 {
		b.shift = 0
		c.Scratch = room[byte](b, int(s))
	}
	b.do(AppendConv(nil, c))
	p := product{g: Gemm{Epilogue: c.Epilogue}, bias: bias, residual: residual}
	want, scale := make([]float64, n), make([]float64, n)
	for at := range want {
		ox, oy := at%c.OutW, at/c.OutW%c.OutH
		oc, image := at/(c.OutW*c.OutH)%c.Out, at/(c.OutW*c.OutH*c.Out)
		per := c.In / c.Groups
		first := oc / (c.Out / c.Groups) * per
		var sum, sumAbs float64
		for i := range k {
			iy, ix := oy*c.StrideY-c.PadTop+i/c.KW%c.KH*c.DilateY, ox*c.StrideX-c.PadLeft+i%c.KW*c.DilateX
			if iy < 0 || iy >= c.H || ix < 0 || ix >= c.W {
				continue
			}
			v := float64(x[((image*c.In+first+i/(c.KH*c.KW))*c.H+iy)*c.W+ix]) * float64(w[oc*k+i])
			sum += v
			sumAbs += math.Abs(v)
		}
		want[at], scale[at] = p.finish(sum, sumAbs, float64(vb[oc]), float64(vr[at]))
	}
	b.near(fmt.Sprintf("conv %d images %d→%d/%d %+v", c.Images, c.In, c.Out, c.Groups, c.Window), get[float32](b, c.Y, n), want, scale, 1e-5)
}

func (b *bench) pool(p Pool) {
	b.must(p.Window.normalise())
	x := b.normal(p.Planes * p.H * p.W)
	for i := range x {
		x[i] -= 10 // padding is not 0
	}
	n := p.Planes * p.OutH * p.OutW
	p.X, p.Y = put(b, x), room[float32](b, n)
	b.do(AppendPool(nil, p))
	want := make([]float64, n)
	for at := range want {
		ox, oy, plane := at%p.OutW, at/p.OutW%p.OutH, at/(p.OutW*p.OutH)
		best, sum, inside, counted := math.Inf(-1), 0.0, 0, 0
		for i := range p.KH * p.KW {
			iy, ix := oy*p.StrideY-p.PadTop+i/p.KW*p.DilateY, ox*p.StrideX-p.PadLeft+i%p.KW*p.DilateX
			if iy < p.H+p.PadBottom && ix < p.W+p.PadRight {
				counted++
			}
			if iy < 0 || iy >= p.H || ix < 0 || ix >= p.W {
				continue
			}
			v := float64(x[(plane*p.H+iy)*p.W+ix])
			best, sum, inside = max(best, v), sum+v, inside+1
		}
		want[at] = pick(p.Average, sum/float64(pick(p.CountPad, counted, inside)), best)
	}
	b.near(fmt.Sprintf("pool %+v", p), get[float32](b, p.Y, n), want, nil, 1e-5)
}

func convChecks() []check {
	var all []check
	relu := Epilogue{Act: act.Act{Func: act.Relu}, ResidualFirst: true}
	silu := Epilogue{Act: act.Act{Func: act.Silu, A: 1}}
	window := func(h, w, kh, kw, stride, pad, dilate int) Window {
		out := func(n, k int) int { return (n+2*pad-dilate*(k-1)-1)/stride + 1 }
		return Window{H: h, W: w, KH: kh, KW: kw, StrideY: stride, StrideX: stride, PadTop: pad, PadLeft: pad, PadBottom: pad, PadRight: pad,
			DilateY: dilate, DilateX: dilate, OutH: out(h, kh), OutW: out(w, kw)}
	}
	uneven := Window{H: 9, W: 14, KH: 3, KW: 2, StrideY: 2, StrideX: 3, PadTop: 2, PadLeft: 1, DilateY: 1, DilateX: 2, OutH: 5, OutW: 5}
	for i, c := range []struct {
		Conv
		bias, residual bool
		shift          int64
	}{
		{Conv{Images: 1, In: 1, Out: 1, Window: window(1, 1, 1, 1, 1, 0, 1)}, false, false, 0},
		{Conv{Images: 2, In: 3, Out: 33, Window: window(9, 7, 3, 3, 1, 1, 1), Epilogue: relu}, true, true, 0},
		{Conv{Images: 3, In: 5, Out: 17, Window: uneven, Epilogue: silu}, true, true, 4},
		{Conv{Images: 1, In: 6, Out: 24, Groups: 2, Window: window(11, 13, 3, 3, 2, 2, 2)}, true, false, 0},
		{Conv{Images: 2, In: 7, Out: 7, Groups: 7, Window: window(8, 9, 3, 3, 1, 1, 1), Epilogue: silu}, true, true, 0},
		{Conv{Images: 1, In: 4, Out: 8, Groups: 4, Window: uneven, Epilogue: relu}, true, true, 0},
		{Conv{Images: 2, In: 3, Out: 3, Groups: 3, Window: window(9, 11, 5, 5, 1, 3, 1)}, false, true, 0},
		{Conv{Images: 1, In: 2, Out: 20, Window: window(9, 11, 5, 5, 1, 3, 1)}, false, false, 0},
		{Conv{Images: 1, In: 64, Out: 33, Window: window(5, 5, 3, 3, 1, 1, 1), Epilogue: relu}, true, true, 0}, // split
		{Conv{Images: 1, In: 130, Out: 16, Groups: 2, Window: window(4, 5, 3, 3, 1, 1, 1), Epilogue: silu}, true, true, 0},
		{Conv{Images: 1, In: 115, Out: 9, Window: window(4, 5, 3, 3, 1, 1, 1)}, true, false, 0},
		{Conv{Images: 2, In: 9, Out: 20, Window: window(12, 12, 1, 1, 1, 0, 1), Epilogue: relu}, true, true, 0}, // a product
		{Conv{Images: 2, In: 9, Out: 20, Window: window(12, 12, 1, 1, 2, 0, 1)}, true, false, 0},
		{Conv{Images: 2, In: 3, Out: 40, Window: Window{H: 1, W: 33, KH: 1, KW: 5, PadLeft: 4, OutH: 1, OutW: 33}}, true, false, 0}, // a signal
	} {
		all = append(all, check{fmt.Sprintf("conv/%d", i), false, func(b *bench) { b.conv(c.Conv, c.bias, c.residual, c.shift) }})
	}
	for f := act.None; EpilogueFunc(f); f++ {
		c := Conv{Images: 1, In: 60, Out: 9, Window: window(3, 5, 3, 3, 1, 1, 1), Epilogue: Epilogue{Act: act.Act{Func: f, A: 0.25, B: 0.5}}}
		all = append(all, check{fmt.Sprintf("conv/split/%d", f), false, func(b *bench) { b.conv(c, true, true, 0) }})
	}
	all = append(all, check{"conv/tiles of 128", false, func(b *bench) {
		b.conv(Conv{Images: 1, In: 2, Out: 97, Window: window(120, 116, 2, 3, 1, 1, 1), Epilogue: relu}, true, true, 0)
	}})
	for _, d := range [][2]int{{7, 2}, {5, 3}, {13, 1}, {6, 3}, {23, 1}} { // each unrolled copy meets the end of K
		all = append(all, check{fmt.Sprintf("conv/tiles of 128/%d", d), false, func(b *bench) {
			b.conv(Conv{Images: 1, In: d[0], Out: 96, Window: window(113, 120, 1, d[1], 1, 1, 1)}, true, false, 0)
		}})
	}
	for i, p := range []Pool{
		{Planes: 3, Window: window(1, 1, 1, 1, 1, 0, 1)},
		{Planes: 5, Window: window(15, 13, 3, 3, 2, 1, 1)},
		{Planes: 2, Window: window(17, 19, 2, 3, 1, 0, 2)},
		{Planes: 7, Window: window(9, 11, 5, 6, 1, 3, 1)},
		{Planes: 2, Window: Window{H: 5, W: 10, KH: 4, KW: 6, OutH: 5, OutW: 10}},
		{Planes: 3, Window: Window{H: 10, W: 31, KH: 3, KW: 4, StrideY: 2, StrideX: 3, PadTop: 1, PadLeft: 2, PadBottom: 0, PadRight: 0, OutH: 6, OutW: 11}},
	} {
		for _, average := range []bool{false, true} {
			for _, counted := range []bool{false, true} {
				if counted && !average {
					continue
				}
				q := p
				q.Average, q.CountPad = average, counted
				all = append(all, check{fmt.Sprintf("pool/%d/%v/%v", i, average, counted), false, func(b *bench) { b.pool(q) }})
			}
		}
	}
	return all
}
