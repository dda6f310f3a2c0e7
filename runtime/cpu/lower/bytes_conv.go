package lower

import (
	"fmt"
	"math"
	"slices"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/nhwc"
	"github.com/aimass/aimass/kernels/quant"
	"github.com/aimass/aimass/kernels/transpose"
	"github.com/aimass/aimass/runtime/match"
	"github.com/aimass/aimass/runtime/tensor"
)

// byteConv is one convolution and what follows it.
type byteConv struct {
	byteWork
	src     byteTensor
	win     sliding
	n, c    int
	run     int // channels, up to whole fours: bytes are read four at a time
	oc      int
	weights *tensor.Tensor // [oc, c, kh, kw], or [c, 1, kh, kw] with depth
	zeros   []int32        // of the weights, by output channel
	scales  []float32      // the same
	bias    []float32
	added   []int32 // a bias in units of the sums
	depth   bool    // each channel has a window of its own
	relu    bool
	table   *[256]byte
	// Either bytes come out, perhaps with a sum, or floats.
	dst     byteTensor
	floats  int // −1: bytes
	sum     *byteTensor
	own     byteTensor // the bytes before the sum
	sumRelu bool
}

// matchConv takes the convolution at work[i], nil where it is none of the region's.
func (r *byteRegion) matchConv(i int) bytePiece {
	c := (*byteConv)(nil)
	if r.f.node(i).OpName() == "Conv" {
		c = r.matchFloatConv(i)
	} else {
		c = r.matchQLinear(i)
	}
	if c == nil || c.depth && c.floats >= 0 {
		return nil
	}
	c.from, c.fours = []int{c.src.slot}, c.run%4 == 0
	if c.sum != nil {
		c.from = append(c.from, c.sum.slot)
	}
	if c.floats < 0 {
		c.to = []int{c.dst.slot}
	}
	return c
}

// matchFloatConv takes a Conv whose operands come out of bytes.
func (r *byteRegion) matchFloatConv(i int) *byteConv {
	f, n := r.f, r.f.node(i)
	if n.In[0] < 0 || n.In[1] < 0 || !f.f32(n.Out[0]) || f.shape(n.Out[0]).Elements() == 0 || len(f.shape(n.Out[0])) != 4 {
		return nil
	}
	src, _, ok := r.dequantized(n.In[0])
	if !ok {
		return nil
	}
	c := &byteConv{src: src, byteWork: byteWork{nodes: []int{i}}, floats: -1}
	if !r.readWeights(c, n.In[1]) || !r.measure(c, n) {
		return nil
	}
	if b := n.input(2); b >= 0 {
		if c.bias = r.readBias(b); len(c.bias) != c.oc {
			return nil
		}
	}
	r.follow(c, n.Out[0])
	if c.floats < 0 && !c.requantizes() {
		return nil
	}
	return c
}

// measure takes the convolution's extents from its image, weights and result.
func (r *byteRegion) measure(c *byteConv, n *Node) (ok bool) {
	in, out := r.f.shape(c.src.slot), r.f.shape(n.Out[0])
	group := n.Attrs.Int("group", 1)
	if len(c.weights.Shape) != 4 || int64(c.weights.Shape[1])*group != int64(in[1]) {
		return false
	}
	c.depth = group > 1
	if c.win, ok = window(n, in, out, c.weights.Shape[2:], false); !ok {
		return false
	}
	c.n, c.c, c.oc = in[0], in[1], c.weights.Shape[0]
	c.run = (c.c + 3) / 4 * 4
	if c.depth && (c.c != c.oc || int64(c.c) != group || c.c%4 != 0) {
		return false
	}
	if c.places() == nil && !c.depth {
		c.run = c.c // rows are read whole
	}
	return c.run*c.win.KH*c.win.KW <= 32768 && c.run*in[2]*in[3] <= math.MaxInt32 // the sums fit 32 bits
}

// matchQLinear takes the QLinearConv at work[i], nil where it is none of the region's.
func (r *byteRegion) matchQLinear(i int) *byteConv {
	f, n := r.f, r.f.node(i)
	c := &byteConv{byteWork: byteWork{nodes: []int{i}}, floats: -1}
	var ok bool
	if c.src, ok = r.image4(n, n.In[0], 1); !ok {
		return nil
	}
	if c.dst, ok = r.image4(n, n.Out[0], 6); !ok {
		return nil
	}
	w := f.constant(n.In[3])
	if w == nil || len(w.Shape) != 4 || w.Elements() == 0 || !r.scaled(c, w, f.constF32(n.In[4]), n.In[5]) || !r.measure(c, n) {
		return nil
	}
	if b := n.input(8); b >= 0 {
		t := f.constant(b)
		if t == nil || t.DType != tensor.Int32 || t.Elements() != c.oc {
			return nil
		}
		c.added = tensor.Data[int32](t)
	}
	r.followQLinearAdd(c)
	return c
}

// followQLinearAdd takes an addition of another value in bytes.
func (r *byteRegion) followQLinearAdd(c *byteConv) {
	f := r.f
	i, ok := f.onlyUser(c.dst.slot)
	if !ok || r.taken[i] || f.node(i).OpName() != "com.microsoft.QLinearAdd" {
		return
	}
	n := f.node(i)
	mine, other := 0, 3
	if n.In[mine] != c.dst.slot {
		mine, other = other, mine
	}
	own, ok1 := r.image4(n, n.In[mine], mine+1)
	side, ok2 := r.image4(n, n.In[other], other+1)
	out, ok3 := r.image4(n, n.Out[0], 6)
	if !ok1 || !ok2 || !ok3 || own != c.dst || side.slot == own.slot || side.signed != own.signed || out.signed != own.signed || !f.shape(side.slot).Equal(f.shape(own.slot)) {
		return
	}
	c.own, c.dst, c.sum = own, out, &side
	c.nodes = append(c.nodes, i)
}

// readWeights reads constant weights in bytes behind DequantizeLinear, with one scale and zero point
// for each output channel or one for all.
func (r *byteRegion) readWeights(c *byteConv, slot int) bool {
	f := r.f
	i, ok := f.maker[slot]
	if !ok {
		return false
	}
	n := f.node(i)
	w := f.constant(n.In[0])
	if n.OpName() != "DequantizeLinear" || w == nil || len(w.Shape) < 1 || w.Elements() == 0 || n.Attrs.Int("block_size", 0) != 0 {
		return false
	}
	scales := f.constF32(n.In[1])
	if len(scales) != 1 && n.Attrs.Int("axis", 1) != 0 {
		return false
	}
	return r.scaled(c, w, scales, n.input(2))
}

// scaled gives a convolution its weights, which have one scale and zero point for each output
// channel or one for all.
func (r *byteRegion) scaled(c *byteConv, w *tensor.Tensor, scales []float32, zero int) bool {
	if len(scales) != 1 && len(scales) != w.Shape[0] {
		return false
	}
	if w.DType != tensor.Int8 && w.DType != tensor.Uint8 {
		return false
	}
	c.zeros = make([]int32, w.Shape[0])
	if zero >= 0 {
		t := r.f.constant(zero)
		if t == nil || t.DType != w.DType || t.Elements() != 1 && t.Elements() != w.Shape[0] {
			return false
		}
		v, err := tensor.Int64s(t)
		if err != nil {
			return false
		}
		for j := range c.zeros {
			c.zeros[j] = int32(v[j%len(v)])
		}
	}
	c.weights, c.scales = w, scales
	if len(scales) == 1 {
		c.scales = slices.Repeat(scales, w.Shape[0])
	}
	return !slices.ContainsFunc(c.scales, func(s float32) bool { return !(s > 0) })
}

// readBias reads a bias in float32, which may come out of DequantizeLinear.
func (r *byteRegion) readBias(slot int) []float32 {
	f := r.f
	if b := f.constF32(slot); b != nil {
		return b
	}
	i, ok := f.maker[slot]
	if !ok || f.node(i).OpName() != "DequantizeLinear" {
		return nil
	}
	t, err := f.dequantize(f.node(i))
	if err != nil {
		return nil
	}
	return tensor.Data[float32](t)
}

// follow walks from the convolution's output to the bytes that it becomes.
func (r *byteRegion) follow(c *byteConv, out int) {
	f := r.f
	c.floats = out
	at, relu, nodes := out, false, []int(nil)
	if i, ok := f.onlyUser(at); ok && f.node(i).OpName() == "Relu" && f.f32(f.node(i).Out[0]) {
		at, relu, nodes = f.node(i).Out[0], true, append(nodes, i)
	}
	q, i, ok := r.quantized(at)
	if !ok {
		if relu {
			c.floats, c.relu, c.nodes = at, true, append(c.nodes, nodes...)
		}
		return
	}
	c.floats, c.relu, c.dst, c.nodes = -1, relu, q, append(append(c.nodes, nodes...), i)
	r.followSum(c)
}

// followSum takes an addition of two values in bytes whose result becomes bytes again.
func (r *byteRegion) followSum(c *byteConv) {
	f := r.f
	dq, ok := f.onlyUser(c.dst.slot)
	if !ok || r.taken[dq] || f.node(dq).OpName() != "DequantizeLinear" {
		return
	}
	own := f.node(dq).Out[0]
	back, _, ok := r.dequantized(own)
	i, ok2 := f.onlyUser(own)
	if !ok || !ok2 || r.taken[i] || f.node(i).OpName() != "Add" || back.scale != c.dst.scale || back.zero != c.dst.zero {
		return
	}
	other, ok := match.Operand(f.node(i).match(), own)
	if !ok || !f.f32(other) || !f.shape(other).Equal(f.shape(own)) {
		return
	}
	side, _, ok := r.dequantized(other)
	if !ok || side.signed != c.dst.signed {
		return
	}
	at, relu, nodes := f.node(i).Out[0], false, []int{dq, i}
	if k, ok := f.onlyUser(at); ok && f.node(k).OpName() == "Relu" && f.f32(f.node(k).Out[0]) {
		at, relu, nodes = f.node(k).Out[0], true, append(nodes, k)
	}
	q, k, ok := r.quantized(at)
	if !ok || q.signed != c.dst.signed {
		return
	}
	c.own, c.dst, c.sum, c.sumRelu = c.dst, q, &side, relu
	c.nodes = append(append(c.nodes, nodes...), k)
}

// requantizes reports that the bias fits the sums.
func (c *byteConv) requantizes() bool {
	for j, b := range c.bias {
		if v := math.Abs(float64(b) / (float64(c.src.scale) * float64(c.scales[j]))); !(v < 1<<30) {
			return false
		}
	}
	return true
}

// packed are the weights as a right operand: rows go over the window's places, and at
// each over the channels.
func (c *byteConv) packed(r *byteRegion) quant.B {
	kh, kw := c.win.KH, c.win.KW
	b, zeros := quant.B{}, make([]int64, c.oc)
	for j, z := range c.zeros {
		zeros[j] = int64(z)
	}
	b.Zeros = commonZero(zeros, &b.Zero)
	form := fmt.Sprintf("byte conv %d in %d %dx%d by %p", c.c, c.run, kh, kw, r.f.node(c.nodes[0]).Node)
	b.PackedB = r.f.pl.Packed.get(c.weights, form, func(src *tensor.Tensor) (any, int64) {
		return packRows(src, c.oc, c.c, c.run, kh*kw, c.zeros)
	}).(*quant.PackedB)
	return b
}

// places says where the window's places lie in an image of bytes; nil where every row of
// the image is a row of the product.
func (c *byteConv) places() []int32 { return c.win.places(c.run, -1) }

// lower makes the group's step.
func (c *byteConv) lower(r *byteRegion, g *group) {
	scales := make([]float32, c.oc)
	for j, s := range c.scales {
		scales[j] = c.src.scale * s
	}
	g.reads = []int{c.src.slot}
	if c.depth {
		c.lowerDepthwise(r, g, scales)
		return
	}
	b := c.packed(r)
	places, spots, m := c.places(), c.win.h*c.win.w, c.win.oh*c.win.ow
	pad := make([]byte, c.run)
	for i := range pad {
		pad[i] = byte(c.src.zero)
	}
	a := quant.A{Signed: c.src.signed, LD: c.run, Zero: c.src.zero}
	if places != nil {
		a.Rows = quant.NewGather(places, c.run, pad)
	}
	if c.floats >= 0 {
		c.lowerFloats(r, g, a, b, scales)
		return
	}
	req := quant.Requant{Zero: c.dst.zero, Signed: c.dst.signed, Relu: c.relu, Table: c.table}
	first := c.dst
	if c.sum != nil {
		first = c.own
		req.Zero = c.own.zero
	}
	req.Scale, req.Bias = c.requantScales(scales, first.scale)
	var sum quant.Sum
	side := func(*Env, int) []byte { return nil }
	if s := c.sum; s != nil {
		sum = quant.Sum{LD: c.oc, ScaleC: c.own.scale, ScaleA: s.scale, Scale: c.dst.scale, ZeroA: s.zero, Zero: c.dst.zero, Relu: c.sumRelu}
		g.reads = append(g.reads, s.slot)
		side = r.image(s.slot, c.oc, c.oc, m, g)
	}
	at, done := r.result(c.to[0], c.oc, m, g)
	image := r.image(c.src.slot, c.c, c.run, spots, g)
	g.run = func(e *Env) error {
		e.bytesA, e.requant, e.byteSum = a, req, sum
		e.bytesB = b
		if c.sum != nil {
			e.requant.Sum = &e.byteSum
		}
		for k := range c.n {
			e.bytesA.Data = image(e, k)
			e.byteSum.Data = side(e, k)
			quant.MulBytes(m, &e.bytesA, &e.bytesB, at(e, k), c.oc, &e.requant, e.Threads)
			done(e, k)
		}
		return nil
	}
}

// requantScales are what makes bytes of the sums, which stand for multiples of scales, and the bias
// in units of the sums.
func (c *byteConv) requantScales(scales []float32, to float32) (by []float32, bias []int32) {
	by = make([]float32, c.oc)
	for j, s := range scales {
		by[j] = s / to
	}
	if c.bias == nil {
		return by, c.added
	}
	bias = make([]int32, c.oc)
	for j, v := range c.bias {
		bias[j] = int32(math.RoundToEven(float64(v) / float64(scales[j])))
	}
	return by, bias
}

// lowerDepthwise is lower for windows of one channel each.
func (c *byteConv) lowerDepthwise(r *byteRegion, g *group, scales []float32) {
	w := &c.win
	geo := nhwc.Geometry{C: c.c, H: w.h, W: w.w, OH: w.oh, OW: w.ow, KH: w.KH, KW: w.KW, StrideH: w.StrideH, StrideW: w.StrideW,
		DilationH: w.DilationH, DilationW: w.DilationW, PadTop: w.PadTop, PadLeft: w.PadLeft}
	by, bias := c.requantScales(scales, c.dst.scale)
	if bias == nil {
		bias = make([]int32, c.oc)
	}
	req := nhwc.Requant{Zero: c.dst.zero, Signed: c.dst.signed, Relu: c.relu, Table: c.table}
	form := fmt.Sprintf("byte depthwise %+v of %+v to %+v by %p", geo, c.src, c.dst, r.f.node(c.nodes[0]).Node)
	d := r.f.pl.Packed.get(c.weights, form, func(src *tensor.Tensor) (any, int64) {
		places := w.KH * w.KW
		turned := make([]int16, places*c.c)
		for i := range turned {
			ch := i % c.c
			turned[i] = int16(byteNumber(src, ch*places+i/c.c) - c.zeros[ch])
		}
		d := nhwc.PackDepthwise(geo, turned, bias, by, c.src.zero, c.src.signed, req)
		return d, int64(d.Bytes())
	}).(*nhwc.Depthwise)
	image := r.image(c.src.slot, c.c, c.c, w.h*w.w, g)
	at, done := r.result(c.to[0], c.oc, w.oh*w.ow, g)
	g.run = func(e *Env) error {
		for k := range c.n {
			d.Run(at(e, k), image(e, k), e.Threads)
			done(e, k)
		}
		return nil
	}
}

// byteNumber is element i of a tensor of bytes.
func byteNumber(t *tensor.Tensor, i int) int32 {
	if b := t.Bytes()[i]; t.DType == tensor.Int8 {
		return int32(int8(b))
	} else {
		return int32(b)
	}
}

// lowerFloats ends the region: the sums become floats, in the order of ONNX.
func (c *byteConv) lowerFloats(r *byteRegion, g *group, a quant.A, b quant.B, scales []float32) {
	m := c.win.oh * c.win.ow
	stage := r.f.scratch(tensor.Float32, m*c.oc)
	image := r.image(c.src.slot, c.c, c.run, c.win.h*c.win.w, g)
	g.writes = append(g.writes, c.floats, stage)
	d := quant.Dequant{ScaleB: scales, Bias: c.bias}
	if c.relu {
		d.Act.Func = act.Relu
	}
	g.run = func(e *Env) error {
		e.bytesA, e.bytesB, e.dequant = a, b, d
		for k := range c.n {
			e.bytesA.Data = image(e, k)
			quant.MulFloat(m, &e.bytesA, &e.bytesB, e.f32(stage), c.oc, &e.dequant, e.Threads)
			transpose.Words(e.f32(c.floats)[k*m*c.oc:(k+1)*m*c.oc], m, e.f32(stage), c.oc, m, c.oc, e.Threads)
		}
		return nil
	}
}
