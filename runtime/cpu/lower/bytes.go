package lower

import (
	"fmt"
	"math"
	"slices"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/quant"
	"github.com/aimass/aimass/kernels/transpose"
	"github.com/aimass/aimass/runtime/match"
	"github.com/aimass/aimass/runtime/tensor"
)

// byteRegion lowers convolutions whose operands come out of DequantizeLinear (the QDQ form),
// with what follows them up to the next QuantizeLinear, and QLinearConv to products of
// bytes that become bytes as the sums are stored. Images between two such convolutions keep their channels together
// (NHWC), in the slot that otherwise holds them as ONNX has it: the sizes are equal.
type byteRegion struct {
	f     *fuser
	convs []*byteConv
	taken map[int]bool // nodes that a group stands for
	nhwc  map[int]bool // slots whose channels are kept together
}

// byteTensor is a value in bytes with one scale and zero point.
type byteTensor struct {
	slot   int
	scale  float32
	zero   int32
	signed bool
}

// byteConv is one convolution and what follows it.
type byteConv struct {
	src     byteTensor
	win     sliding
	n, c    int
	run     int // channels, up to whole fours: bytes are read four at a time
	oc      int
	weights *tensor.Tensor // int8 [oc, c, kh, kw]
	scales  []float32      // of the weights, by output channel
	bias    []float32
	added   []int32 // a bias in units of the sums
	nodes   []int
	relu    bool
	// Either bytes come out, perhaps with a sum, or floats.
	dst     byteTensor
	floats  int // −1: bytes
	sum     *byteTensor
	own     byteTensor // the bytes before the sum
	sumRelu bool
}

// all matches, decides how images lie, and lowers.
func (r *byteRegion) all(add func(*group)) {
	f := r.f
	for i, n := range f.pl.Work {
		var c *byteConv
		switch {
		case f.claimed[i]:
		case n.OpName() == "Conv":
			c = r.match(i)
		case n.OpName() == "QLinearConv":
			c = r.matchQLinear(i)
		}
		if c == nil {
			continue
		}
		r.convs = append(r.convs, c)
		for _, k := range c.nodes {
			r.taken[k] = true
		}
	}
	if len(r.convs) == 0 {
		return
	}
	groups := make([]*group, len(r.convs))
	for k, c := range r.convs {
		groups[k] = &group{nodes: c.nodes}
	}
	r.takeSources(groups)
	for _, c := range r.convs {
		if c.floats < 0 && r.ours(c.dst.slot) {
			r.nhwc[c.dst.slot] = true
		}
	}
	r.entries(add)
	for k, c := range r.convs {
		r.lower(c, groups[k])
		add(groups[k])
	}
}

// takeSources gives DequantizeLinear nodes that convolutions alone read to the last of them.
func (r *byteRegion) takeSources(groups []*group) {
	f := r.f
	for i, n := range f.pl.Work {
		if n.OpName() != "DequantizeLinear" || f.claimed[i] || r.taken[i] || n.Out[0] < 0 || f.output[n.Out[0]] {
			continue
		}
		users := f.users[n.Out[0]]
		if len(users) == 0 || slices.ContainsFunc(users, func(u int) bool { return !r.taken[u] }) {
			continue
		}
		last := slices.Max(users)
		for _, g := range groups {
			if slices.Contains(g.nodes, last) {
				g.nodes = append(g.nodes, i)
				r.taken[i] = true
				break
			}
		}
	}
}

// ours reports that nobody but the region reads a slot of bytes, of a number of channels
// that is read as it is.
func (r *byteRegion) ours(slot int) bool {
	if r.f.output[slot] || len(r.f.users[slot]) == 0 || r.f.shape(slot)[1]%4 != 0 {
		return false
	}
	for _, u := range r.f.users[slot] {
		if !r.taken[u] {
			return false
		}
	}
	return true
}

// entries lowers QuantizeLinear where floats come into the region.
func (r *byteRegion) entries(add func(*group)) {
	f := r.f
	done := map[int]bool{}
	for _, c := range r.convs {
		slot := c.src.slot
		i, ok := f.maker[slot]
		if !ok || done[slot] || r.nhwc[slot] || r.taken[i] || f.claimed[i] || !r.ours(slot) {
			continue
		}
		done[slot] = true
		n := f.node(i)
		if n.OpName() != "QuantizeLinear" || !f.f32(n.In[0]) || n.Attrs.Int("precision", 0) > 1 {
			continue
		}
		scale, zero, ok := f.perTensor(n)
		if !ok {
			continue
		}
		r.nhwc[slot] = true
		s := f.shape(slot)
		images, channels, spots := s[0], s[1], s[2]*s[3]
		x, scratch, signed := n.In[0], f.scratch(f.pl.Info[slot].DType, s.Elements()), c.src.signed
		add(&group{nodes: []int{i}, reads: []int{x}, writes: []int{slot, scratch}, run: func(e *Env) error {
			quant.Quantize(e.bytes(scratch), e.f32(x), scale, zero, signed, e.Threads)
			dst, src, size := e.bytes(slot), e.bytes(scratch), channels*spots
			for k := range images {
				transpose.Bytes(dst[k*size:(k+1)*size], channels, src[k*size:], spots, channels, spots, e.Threads)
			}
			return nil
		}})
	}
}

// dequantized reads what DequantizeLinear makes of bytes with one scale.
func (r *byteRegion) dequantized(slot int) (b byteTensor, node int, ok bool) {
	f := r.f
	node, ok = f.maker[slot]
	if !ok {
		return
	}
	n := f.node(node)
	if n.OpName() != "DequantizeLinear" || f.claimed[node] || !f.known(n.In[0], tensor.Uint8, tensor.Int8) || f.constant(n.In[0]) != nil || len(f.shape(n.In[0])) != 4 {
		return b, 0, false
	}
	b.slot, b.signed = n.In[0], f.pl.Info[n.In[0]].DType == tensor.Int8
	b.scale, b.zero, ok = f.perTensor(n)
	return b, node, ok
}

// match takes the Conv at work[i], nil where it is none of the region's.
func (r *byteRegion) match(i int) *byteConv {
	f, n := r.f, r.f.node(i)
	if n.In[0] < 0 || n.In[1] < 0 || !f.f32(n.Out[0]) || f.shape(n.Out[0]).Elements() == 0 || len(f.shape(n.Out[0])) != 4 || n.Attrs.Int("group", 1) != 1 {
		return nil
	}
	src, _, ok := r.dequantized(n.In[0])
	if !ok {
		return nil
	}
	c := &byteConv{src: src, nodes: []int{i}, floats: -1}
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
	if len(c.weights.Shape) != 4 || c.weights.Shape[1] != in[1] {
		return false
	}
	if c.win, ok = window(n, in, out, c.weights.Shape[2:], false); !ok {
		return false
	}
	c.n, c.c, c.oc = in[0], in[1], c.weights.Shape[0]
	c.run = (c.c + 3) / 4 * 4
	return c.run*c.win.KH*c.win.KW <= 32768 && c.run*in[2]*in[3] <= math.MaxInt32 // the sums fit 32 bits
}

// matchQLinear takes the QLinearConv at work[i], nil where it is none of the region's.
func (r *byteRegion) matchQLinear(i int) *byteConv {
	f, n := r.f, r.f.node(i)
	c := &byteConv{nodes: []int{i}, floats: -1}
	var ok bool
	if c.src, ok = r.image4(n, n.In[0], 1); !ok || n.Attrs.Int("group", 1) != 1 {
		return nil
	}
	if c.dst, ok = r.image4(n, n.Out[0], 6); !ok {
		return nil
	}
	w := f.constant(n.In[3])
	if w == nil || w.DType != tensor.Int8 || len(w.Shape) != 4 || w.Elements() == 0 || !r.scaled(c, w, f.constF32(n.In[4]), n.In[5]) || !r.measure(c, n) {
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

// image4 is an image in bytes with a constant scale and zero point at inputs at and at+1.
func (r *byteRegion) image4(n *Node, slot, at int) (b byteTensor, ok bool) {
	b, ok = r.f.quantised(n, slot, at)
	return b, ok && len(r.f.shape(slot)) == 4 && r.f.constant(slot) == nil
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

// readWeights reads constant int8 weights behind DequantizeLinear, with one scale for each
// output channel or one for all, and no zero point.
func (r *byteRegion) readWeights(c *byteConv, slot int) bool {
	f := r.f
	i, ok := f.maker[slot]
	if !ok {
		return false
	}
	n := f.node(i)
	w := f.constant(n.In[0])
	if n.OpName() != "DequantizeLinear" || w == nil || w.DType != tensor.Int8 || len(w.Shape) < 1 || w.Elements() == 0 || n.Attrs.Int("block_size", 0) != 0 {
		return false
	}
	scales := f.constF32(n.In[1])
	if len(scales) != 1 && n.Attrs.Int("axis", 1) != 0 {
		return false
	}
	return r.scaled(c, w, scales, n.input(2))
}

// scaled gives a convolution its weights, which have one scale for each output channel or one
// for all, and no zero point.
func (r *byteRegion) scaled(c *byteConv, w *tensor.Tensor, scales []float32, zero int) bool {
	if len(scales) != 1 && len(scales) != w.Shape[0] {
		return false
	}
	if zero >= 0 {
		t := r.f.constant(zero)
		if t == nil || slices.ContainsFunc(t.Bytes(), func(b byte) bool { return b != 0 }) {
			return false
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

// quantized is the QuantizeLinear that alone reads a slot.
func (r *byteRegion) quantized(slot int) (q byteTensor, node int, ok bool) {
	f := r.f
	node, ok = f.onlyUser(slot)
	if !ok || r.taken[node] {
		return q, 0, false
	}
	n := f.node(node)
	if n.OpName() != "QuantizeLinear" || n.In[0] != slot || !f.known(n.Out[0], tensor.Uint8, tensor.Int8) || n.Attrs.Int("precision", 0) > 1 {
		return q, 0, false
	}
	q.slot, q.signed = n.Out[0], f.pl.Info[n.Out[0]].DType == tensor.Int8
	q.scale, q.zero, ok = f.perTensor(n)
	return q, node, ok
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

// packedBytes are the weights as a right operand: rows go over the window's places, and at
// each over the channels.
func (c *byteConv) packed(p *Packed) *quant.PackedB {
	kh, kw := c.win.KH, c.win.KW
	return p.get(c.weights, fmt.Sprintf("byte conv %d %dx%d", c.c, kh, kw), func() (any, int64) {
		rows := byRows(tensor.Data[int8](c.weights), c.oc, c.c, c.run, kh*kw, nil)
		b := quant.PackB(c.run*kh*kw, c.oc, rows, c.oc, false)
		return b, int64(b.Bytes())
	}).(*quant.PackedB)
}

// places says where the window's places lie in an image of bytes; nil where every row of
// the image is a row of the product.
func (c *byteConv) places() []int32 { return c.win.places(c.run, -1) }

// lower makes the group's step.
func (r *byteRegion) lower(c *byteConv, g *group) {
	f := r.f
	b := quant.B{PackedB: c.packed(f.pl.Packed)}
	places, spots, m := c.places(), c.win.h*c.win.w, c.win.oh*c.win.ow
	pad := make([]byte, c.run)
	for i := range pad {
		pad[i] = byte(c.src.zero)
	}
	g.reads = []int{c.src.slot}
	a := quant.A{Signed: c.src.signed, LD: c.run, Zero: c.src.zero}
	if places != nil {
		a.Rows = quant.NewGather(places, c.run, pad)
	}
	scales := make([]float32, c.oc)
	for j, s := range c.scales {
		scales[j] = c.src.scale * s
	}
	if c.floats >= 0 {
		r.lowerFloats(c, g, a, b, scales)
		return
	}
	req := quant.Requant{Scale: make([]float32, c.oc), Zero: c.dst.zero, Signed: c.dst.signed, Relu: c.relu}
	first := c.dst
	if c.sum != nil {
		first = c.own
		req.Zero = c.own.zero
	}
	for j, s := range scales {
		req.Scale[j] = s / first.scale
	}
	req.Bias = c.added
	if c.bias != nil {
		req.Bias = make([]int32, c.oc)
		for j, v := range c.bias {
			req.Bias[j] = int32(math.RoundToEven(float64(v) / float64(scales[j])))
		}
	}
	var sum quant.Sum
	side := func(*Env, int) []byte { return nil }
	if s := c.sum; s != nil {
		sum = quant.Sum{LD: c.oc, ScaleC: c.own.scale, ScaleA: s.scale, Scale: c.dst.scale, ZeroA: s.zero, Zero: c.dst.zero, Relu: c.sumRelu}
		g.reads = append(g.reads, s.slot)
		side = r.image(s.slot, c.oc, c.oc, m, g)
	}
	to := c.dst.slot
	g.writes = append(g.writes, to)
	stage := to
	if !r.nhwc[to] {
		stage = f.scratch(f.pl.Info[to].DType, m*c.oc)
		g.writes = append(g.writes, stage)
	}
	image := r.image(c.src.slot, c.c, c.run, spots, g)
	g.run = func(e *Env) error {
		e.bytesA, e.requant, e.byteSum = a, req, sum
		if c.sum != nil {
			e.requant.Sum = &e.byteSum
		}
		for k := range c.n {
			e.bytesA.Data = image(e, k)
			e.byteSum.Data = side(e, k)
			dst := e.bytes(stage)
			if stage == to {
				dst = dst[k*m*c.oc : (k+1)*m*c.oc]
			}
			quant.MulBytes(m, &e.bytesA, &b, dst, c.oc, &e.requant, e.Threads)
			if stage != to {
				transpose.Bytes(e.bytes(to)[k*m*c.oc:(k+1)*m*c.oc], m, dst, c.oc, m, c.oc, e.Threads)
			}
		}
		return nil
	}
}

// lowerFloats ends the region: the sums become floats, in the order of ONNX.
func (r *byteRegion) lowerFloats(c *byteConv, g *group, a quant.A, b quant.B, scales []float32) {
	m := c.win.oh * c.win.ow
	stage := r.f.scratch(tensor.Float32, m*c.oc)
	image := r.image(c.src.slot, c.c, c.run, c.win.h*c.win.w, g)
	g.writes = append(g.writes, c.floats, stage)
	d := quant.Dequant{ScaleB: scales, Bias: c.bias}
	if c.relu {
		d.Act.Func = act.Relu
	}
	g.run = func(e *Env) error {
		e.bytesA, e.dequant = a, d
		for k := range c.n {
			e.bytesA.Data = image(e, k)
			quant.MulFloat(m, &e.bytesA, &b, e.f32(stage), c.oc, &e.dequant, e.Threads)
			transpose.Words(e.f32(c.floats)[k*m*c.oc:(k+1)*m*c.oc], m, e.f32(stage), c.oc, m, c.oc, e.Threads)
		}
		return nil
	}
}

// image reads image k of a slot with its channels together, run bytes from one place to the next.
func (r *byteRegion) image(slot, channels, run, spots int, g *group) func(e *Env, k int) []byte {
	size := channels * spots
	if r.nhwc[slot] {
		return func(e *Env, k int) []byte { return e.bytes(slot)[k*size : (k+1)*size] }
	}
	turned := r.f.scratch(r.f.pl.Info[slot].DType, run*spots)
	g.writes = append(g.writes, turned)
	return func(e *Env, k int) []byte {
		transpose.Bytes(e.bytes(turned), run, e.bytes(slot)[k*size:(k+1)*size], spots, channels, spots, e.Threads)
		return e.bytes(turned)
	}
}
