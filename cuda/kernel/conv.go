package kernel

import (
	"fmt"

	"github.com/aimass/aimass/cuda"
)

// Window is the geometry of a convolution or pooling over images; a signal of one dimension
// is an image of height 1 and a window of height 1. Pads are those before; what comes
// after follows from the output's extent.
type Window struct {
	H, W, OutH, OutW    int
	KH, KW              int
	StrideY, StrideX    int // 0 counts as 1
	DilateY, DilateX    int // 0 counts as 1
	PadTop, PadLeft     int
	PadBottom, PadRight int // what an average with CountPad counts; nothing else reads them
}

func (w *Window) normalise() error {
	one := func(v *int) {
		if *v == 0 {
			*v = 1
		}
	}
	one(&w.StrideY)
	one(&w.StrideX)
	one(&w.DilateY)
	one(&w.DilateX)
	const most = 1 << 20 // products of these stay far below 2^31 in each dimension
	for _, v := range []int{w.H, w.W, w.OutH, w.OutW, w.KH, w.KW, w.StrideY, w.StrideX, w.DilateY, w.DilateX} {
		if v < 1 || v > 1<<28 {
			return limit("a window %+v", *w)
		}
	}
	for _, v := range []int{w.PadTop, w.PadLeft, w.PadBottom, w.PadRight} {
		if v < -most || v > most {
			return limit("a padding of %d", v)
		}
	}
	reach := func(out, stride, k, dilate int) bool {
		return int64(out)*int64(stride)+int64(k)*int64(dilate) <= 1<<29
	}
	in, _ := elements(w.H, w.W)
	out, _ := elements(w.OutH, w.OutW)
	if win, _ := elements(w.KH, w.KW); in > maxIndex || out > maxIndex || win > maxIndex || !reach(w.OutH, w.StrideY, w.KH, w.DilateY) ||
		!reach(w.OutW, w.StrideX, w.KW, w.DilateX) {
		return limit("a window %+v", *w)
	}
	return nil
}

func (w *Window) values() []any {
	return []any{w.StrideY, w.StrideX, w.PadTop, w.PadLeft, w.DilateY, w.DilateX}
}

// Conv is y[Images, Out, OutH, OutW] = act(conv(x[Images, In, H, W], weights[Out, In/Groups,
// KH, KW]) + bias + residual if ResidualFirst) + residual if not. Residual has y's shape;
// Alpha and BiasRow are not read.
type Conv struct {
	Images, In, Out, Groups int // Groups 0 counts as 1
	X, Weights, Y           cuda.Ptr
	Window
	Epilogue
	Scratch cuda.Ptr // Workspace() bytes
}

type convPlan struct {
	kernel        string
	block         int64
	tiles         int64
	splits, chunk int64
	images        int // a launch
}

func (c *Conv) normalise() error {
	if c.Groups == 0 {
		c.Groups = 1
	}
	if c.Images < 0 || c.In < 1 || c.Out < 1 || c.Groups < 1 || c.In%c.Groups != 0 || c.Out%c.Groups != 0 || c.Out > maxGrid*64 {
		return limit("a convolution of %d images from %d to %d channels in %d groups", c.Images, c.In, c.Out, c.Groups)
	}
	if err := c.Window.normalise(); err != nil {
		return err
	}
	if k, ok := elements(c.In/c.Groups, c.KH, c.KW); !ok || k > maxIndex {
		return limit("a convolution window of %d×%d×%d", c.In/c.Groups, c.KH, c.KW)
	}
	return c.check()
}

// asGemm reports whether c is a plain product of the weights with each image.
func (c *Conv) asGemm() (Gemm, bool) {
	pixels := c.OutH * c.OutW
	if c.KH != 1 || c.KW != 1 || c.StrideY != 1 || c.StrideX != 1 || c.PadTop != 0 || c.PadLeft != 0 ||
		c.OutH != c.H || c.OutW != c.W || c.Groups != 1 || pixels%4 != 0 || pixels < 128 || c.Out <= 16 {
		return Gemm{}, false
	}
	g := Gemm{M: c.Out, N: pixels, K: c.In, A: c.Weights, B: c.X, C: c.Y, Batch: [2]int{1, c.Images}, Epilogue: c.Epilogue, Scratch: c.Scratch,
		StrideB: [2]int64{0, int64(c.In) * int64(pixels)}, StrideC: [2]int64{0, int64(c.Out) * int64(pixels)}}
	g.BiasRow, g.Alpha, g.StrideR = true, 1, g.StrideC
	return g, true
}

func (c *Conv) shape() (m, k, pixels int64) {
	return int64(c.Out / c.Groups), int64(c.In / c.Groups * c.KH * c.KW), int64(c.OutH) * int64(c.OutW)
}

// plan chooses tiles as Gemm does, with all images side by side. Groups of few channels
// would leave most of a tile empty and go pixel by pixel.
func (c *Conv) plan() convPlan {
	m, k, pixels := c.shape()
	p := convPlan{images: int(min(int64(c.Images), maxIndex/(pixels*max(m, 1))))}
	p.images = max(p.images, 1)
	n := int64(p.images) * pixels
	tiles := func(side int64) int64 { return ceilDiv(m, side) * ceilDiv(n, side) }
	groups := int64(c.Groups)
	switch {
	case m < 8:
		p.kernel, p.block, p.tiles, p.splits, p.chunk = "conv_direct", 128, ceilDiv(n, 128), 1, k
		return p
	case m >= 96 && tiles(128)*groups >= multiprocessors:
		p.kernel, p.block, p.tiles = "conv_128", 256, tiles(128)
	default:
		p.kernel, p.block, p.tiles = "conv_64", 128, tiles(64)
	}
	p.splits, p.chunk = splitK(k, p.tiles*groups, 256)
	return p
}

// Workspace is how many bytes Scratch needs.
func (c Conv) Workspace() int64 {
	if c.normalise() != nil || c.Images == 0 {
		return 0
	}
	if g, ok := c.asGemm(); ok {
		return g.Workspace()
	}
	p := c.plan()
	if p.splits == 1 {
		return 0
	}
	m, _, pixels := c.shape()
	return int64(c.Groups) * p.splits * m * int64(p.images) * pixels * 4
}

// AppendConv appends the Launches of c.
func AppendConv(dst []cuda.Launch, c Conv) ([]cuda.Launch, error) {
	if err := c.normalise(); err != nil {
		return dst, err
	}
	if c.Images == 0 {
		return dst, nil
	}
	if g, ok := c.asGemm(); ok {
		return AppendGemm(dst, g)
	}
	p := c.plan()
	m, k, pixels := c.shape()
	if p.splits > 1 && c.Scratch == 0 {
		return dst, fmt.Errorf("kernel: conv: %d bytes of workspace are needed, none are given", c.Workspace())
	}
	rest := p.tiles
	if p.kernel == "conv_direct" && c.Out > maxGrid || int64(c.Groups)*p.splits > maxGrid || rest > maxGridX || m*pixels > maxIndex {
		return dst, limit("a convolution of %d groups to %d channels of %d×%d", c.Groups, c.Out, c.OutH, c.OutW)
	}
	flags := c.flags()
	if aligned(c.Weights) && k%4 == 0 {
		flags |= flagVecA
	}
	image, plane := int64(c.In)*int64(c.H)*int64(c.W), int64(c.H)*int64(c.W)
	for at := 0; at < c.Images; at += p.images {
		n := int64(min(p.images, c.Images-at)) * pixels
		x := c.X + cuda.Ptr(4*int64(at)*image)
		y := c.Y + cuda.Ptr(4*int64(at)*int64(c.Out)*pixels)
		residual := c.Residual
		if residual != 0 {
			residual += cuda.Ptr(4 * int64(at) * int64(c.Out) * pixels)
		}
		values := func(y cuda.Ptr, flags uint32) []any {
			v := []any{x, c.Weights, y, c.Bias, residual, m, n, k, div(pixels), div(int64(c.OutW)), div(int64(c.KH) * int64(c.KW)), div(int64(c.KW)), c.H, c.W}
			return append(append(v, c.values()...), image, int64(c.In/c.Groups)*plane, int64(c.Out)*pixels, p.splits, p.chunk,
				int(c.Act.Func), c.Act.A, c.Act.B, flags)
		}
		switch {
		case p.kernel == "conv_direct":
			l := launch("conv", p.kernel, ceilDiv(n, 128), p.block, values(y, flags)...)
			l.Grid.Y = uint32(c.Out)
			dst = append(dst, l)
		case p.splits == 1:
			l := launch("conv", p.kernel, p.tiles, p.block, values(y, flags)...)
			l.Grid.Z = uint32(c.Groups)
			dst = append(dst, l)
		default:
			l := launch("conv", p.kernel, p.tiles, p.block, values(c.Scratch, flags|flagPartial)...)
			l.Grid.Z = uint32(int64(c.Groups) * p.splits)
			s := launch("conv", "conv_sum", ceilDiv(m*n, threads), threads, append([]any{c.Scratch}, values(y, flags)...)...)
			s.Grid.Z = uint32(c.Groups)
			dst = append(dst, l, s)
		}
	}
	return dst, nil
}

// Pool is max or average pooling of Planes = images·channels planes of float32. CountPad
// lets an average count the padding. The mean of whole planes is a Reduce.
type Pool struct {
	Average, CountPad bool
	Planes            int
	X, Y              cuda.Ptr
	Window
}

// AppendPool appends the Launches of p.
func AppendPool(dst []cuda.Launch, p Pool) ([]cuda.Launch, error) {
	if p.Planes < 0 {
		return dst, limit("%d planes", p.Planes)
	}
	if err := p.Window.normalise(); err != nil {
		return dst, err
	}
	pixels := p.OutH * p.OutW
	for at := 0; at < p.Planes; at += maxGrid {
		x, y := p.X+cuda.Ptr(4*int64(at)*int64(p.H)*int64(p.W)), p.Y+cuda.Ptr(4*int64(at)*int64(pixels))
		values := append([]any{x, y, pixels, div(int64(p.OutW)), p.H, p.W, p.KH, p.KW}, p.values()...)
		name := "pool_max"
		if p.Average {
			name = "pool_average"
			values = append(values, p.CountPad, p.H+p.PadBottom, p.W+p.PadRight)
		}
		l := launch("pool", name, ceilDiv(int64(pixels), 128), 128, values...)
		l.Grid.Y = uint32(min(maxGrid, p.Planes-at))
		dst = append(dst, l)
	}
	return dst, nil
}
