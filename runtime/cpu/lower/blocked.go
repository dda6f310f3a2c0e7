package lower

import (
	"fmt"
	"slices"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/conv"
	"github.com/aimass/aimass/kernels/elementwise"
	"github.com/aimass/aimass/kernels/nchwc"
	"github.com/aimass/aimass/runtime/cpu/lower/move"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/match"
	"github.com/aimass/aimass/runtime/tensor"
)

// blocking lowers convolutions to the blocked layout (kernels/nchwc), and with them the
// operators between that need not leave it. A value in that layout has a slot of its own
// beside that of the dense value; relayout adds the step that makes the one of the other
// where only the other is there.
type blocking struct {
	f     *fuser
	slots map[int]int  // dense slot → blocked slot
	made  map[int]bool // dense slots whose blocked form a step computes
}

// padWaste is the part of the channels that may be there to fill up blocks.
const padWaste = 0.34

// fillsBlocks reports that c channels leave few of their blocks' lanes empty.
func fillsBlocks(c int) bool {
	return float64(nchwc.Blocks(c)*nchwc.Width()-c) <= padWaste*float64(c)
}

// images are the batch, channels, height and width of a slot of three to five axes, those of
// volumes as plane sees them.
func (f *fuser) images(slot int) (n, c, h, w int, ok bool) {
	if !f.f32(slot) || f.shape(slot).Elements() == 0 {
		return
	}
	s := f.shape(slot)
	if h, w, ok = plane(s); !ok {
		return
	}
	return s[0], s[1], h, w, true
}

// of is the blocked slot of a dense one.
func (b *blocking) of(slot int) int {
	if s, ok := b.slots[slot]; ok {
		return s
	}
	n, c, h, w, ok := b.f.images(slot)
	if !ok {
		panic(fmt.Sprintf("BUG: slot %d is no image", slot))
	}
	s := b.f.scratch(tensor.Float32, n*nchwc.Blocks(c)*nchwc.Width()*h*w)
	b.f.pl.Info[s].Shape = tensor.Shape{n, nchwc.Blocks(c), h, w, nchwc.Width()}
	b.slots[slot] = s
	return s
}

// makes is of for a slot that a step computes.
func (b *blocking) makes(slot int) int {
	b.made[slot] = true
	return b.of(slot)
}

// all lowers what it can, in order, so that producers come before their readers.
func (b *blocking) all(add func(*group)) {
	for i, n := range b.f.pl.Work {
		if b.f.claimed[i] || len(n.Captured) > 0 || len(n.Out) == 0 || n.Out[0] < 0 {
			continue
		}
		var g *group
		switch n.OpName() {
		case "Conv":
			if g = b.conv(i); g == nil {
				g = b.volume(i)
			}
		case "ConvTranspose":
			g = b.transposed(i)
		case "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax":
			g = b.pool(i)
		case "Pad":
			g = b.pad(i)
		case "PRelu":
			if g = b.function(i); g == nil {
				g = b.prelu(i)
			}
		case "Concat":
			g = b.concat(i)
		case "Split":
			g = b.split(i)
		case "Slice":
			g = b.slice(i)
		case "Resize", "Upsample":
			g = b.resize(i)
		default:
			if g = b.function(i); g == nil {
				g = b.binary(i)
			}
		}
		if g != nil {
			add(g)
		}
	}
}

func (b *blocking) conv(i int) *group {
	f := b.f
	c, ok := f.matchConv(i)
	if !ok || c.spots() <= fewSpots || !nchwc.Takes(c.geo) || !fillsBlocks(c.oc) || c.c >= nchwc.Width() && !fillsBlocks(c.c) {
		return nil
	}
	src, ep, geo := c.src.slot, c.ep, c.geo
	if geo.Group > 1 && !b.made[src] {
		return nil
	}
	after := false
	if ep.residual < 0 && ep.act.Func != act.None {
		after = f.sumBehind(ep)
	}
	p := c.packed("blocked", func(w, bias []float32) (any, int64) {
		p := nchwc.Pack(geo, w, bias)
		return p, int64(p.Bytes())
	}).(*nchwc.Packed)
	if !p.Dense() {
		src = b.of(src)
	}
	g := &group{nodes: append(c.nodes, ep.nodes...), reads: []int{src}}
	res := -1
	if ep.residual >= 0 {
		res = b.of(ep.residual)
		g.reads = append(g.reads, res)
	}
	dst, fn, batch, h, w := b.makes(ep.out), ep.act, c.batch, c.src.h, c.src.w
	g.writes = []int{dst}
	g.run = func(e *Env) error {
		e.blocked = nchwc.Epilogue{Act: fn, After: after}
		if res >= 0 {
			e.blocked.Residual = e.f32(res)
		}
		p.Run(e.f32(dst), e.f32(src), batch, h, w, &e.blocked, e.Threads)
		return nil
	}
	return g
}

// sumBehind takes the sum with another value of the same shape that alone follows a
// function.
func (f *fuser) sumBehind(ep *epilogue) bool {
	i, ok := f.onlyUser(ep.out)
	if !ok || f.node(i).OpName() != "Add" || len(f.node(i).Out) != 1 || f.node(i).Opset < 7 {
		return false
	}
	other, ok := match.Operand(f.node(i).match(), ep.out)
	out := f.node(i).Out[0]
	if !ok || !f.f32(other) || !f.f32(out) || f.constant(other) != nil || !f.shape(other).Equal(f.shape(ep.out)) {
		return false
	}
	ep.residual, ep.out = other, out
	ep.nodes = append(ep.nodes, i)
	return true
}

func (b *blocking) pool(i int) *group {
	f, n := b.f, b.f.node(i)
	x, out := n.In[0], n.Out[0]
	batch, c, h, w, ok := f.images(x)
	if !ok || !b.made[x] || !f.f32(out) || f.shape(out).Elements() == 0 || match.Wanted(n.Out[1:]) {
		return nil
	}
	op := conv.MaxPool
	if n.Op == "AveragePool" || n.Op == "GlobalAveragePool" || n.Op == "ReduceMean" {
		op = conv.AvgPool
	}
	if n.Op == "ReduceMean" || n.Op == "ReduceMax" {
		// What folds each plane to one place is a global pool.
		if axes := f.g.Axes(n.match()); len(f.shape(out)) != len(f.shape(x)) || len(axes) != len(f.shape(x))-2 || axes[0] != 2 {
			return nil
		}
	}
	win := sliding{Window: conv.Window{KH: h, KW: w}, h: h, w: w, oh: 1, ow: 1}
	if n.Op == "MaxPool" || n.Op == "AveragePool" {
		if win, ok = window(n, f.shape(x), f.shape(out), ints(n.Attrs.Ints("kernel_shape")), true); !ok {
			return nil
		}
		if n.Attrs.Int("count_include_pad", 0) != 0 && op == conv.AvgPool {
			op = conv.AvgPoolPadded
		}
		if op != conv.MaxPool && !win.meetsImage() || op == conv.MaxPool && c%nchwc.Width() != 0 && !win.meetsImage() {
			return nil
		}
	}
	src, dst, planes := b.of(x), b.makes(out), batch*nchwc.Blocks(c)
	run := func(e *Env) error {
		nchwc.Pool(op, e.f32(dst), e.f32(src), planes, win.h, win.w, win.oh, win.ow, win.Window, e.Threads)
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{src}, writes: []int{dst}, run: run}
}

// tame functions keep the lanes that fill up a block finite.
func tame(a act.Act) bool {
	switch a.Func {
	case act.Reciprocal, act.Rsqrt, act.Log, act.Exp, act.Sqrt, act.Square, act.Affine, act.Clip:
		return false
	}
	return true
}

// function takes a function of one value, spelled out or not, of a blocked image.
func (b *blocking) function(i int) *group {
	f := b.f
	for _, x := range f.node(i).In {
		if x < 0 || !b.made[x] {
			continue
		}
		a, ok := f.g.ActivationAt(x)
		_, c, _, _, _ := f.images(x)
		if !ok || !slices.Contains(a.Nodes, i) || c%nchwc.Width() != 0 && !tame(a.Act) {
			continue
		}
		return f.unary(match.Applied{Act: a.Act, Nodes: a.Nodes, Out: b.makes(a.Out)}, b.of(x))
	}
	return nil
}

// binary takes a function of two blocked images of the same shape, or of one and of a
// value for each of its channels.
func (b *blocking) binary(i int) *group {
	f, n := b.f, b.f.node(i)
	op, ok := binaries[n.OpName()]
	if !ok || len(n.In) != 2 || n.Opset < 7 && n.Op != "Max" && n.Op != "Min" && n.Op != "Sum" || n.In[0] < 0 || n.In[1] < 0 {
		return nil
	}
	x, y, out := n.In[0], n.In[1], n.Out[0]
	if !b.made[x] {
		x, y = y, x
	}
	batch, c, h, w, ok := f.images(x)
	if !ok || !b.made[x] || !f.f32(y) || !f.f32(out) || !f.shape(x).Equal(f.shape(out)) {
		return nil
	}
	if c%nchwc.Width() != 0 && op != elementwise.Add && op != elementwise.Max && op != elementwise.Min {
		return nil
	}
	sy := f.shape(y)
	gate := len(sy) == len(f.shape(x)) && sy[0] == batch && sy[1] == c && sy.Elements() == batch*c && h*w > 1
	if !gate && (!b.made[y] || !sy.Equal(f.shape(x))) {
		return nil
	}
	swap := x != n.In[0]
	first, second, dst := b.of(x), b.of(y), b.makes(out)
	g := &group{nodes: []int{i}, reads: []int{first, second}, writes: []int{dst}}
	if !gate {
		if swap {
			first, second = second, first
		}
		g.run = func(e *Env) error {
			elementwise.Binary(op, e.f32(dst), e.f32(first), e.f32(second), e.Threads)
			return nil
		}
		return g
	}
	size, width := h*w, nchwc.Width()
	g.run = func(e *Env) error {
		to, from, by := e.f32(dst), e.f32(first), e.f32(second)
		for p := range len(by) / width {
			at, end := p*size*width, (p+1)*size*width
			elementwise.BinaryRow(op, to[at:end], from[at:end], size, by[p*width:(p+1)*width], swap, e.Threads)
		}
		return nil
	}
	return g
}

// axis is an axis of a dense image in the blocked one: batch, block, height, width.
func (b *blocking) axis(slot int, axis int64) (int, bool) {
	rank := len(b.f.shape(slot))
	a, err := tensor.Axis(axis, rank)
	if a > 1 {
		if a += 4 - rank; rank > 4 {
			return 0, false // of a volume's plane
		}
	}
	return a, err == nil && a > 0
}

// concat joins blocked images, along the channels where all begin with a block.
func (b *blocking) concat(i int) *group {
	f, n := b.f, b.f.node(i)
	if _, _, _, _, ok := f.images(n.Out[0]); !ok {
		return nil
	}
	axis, ok := b.axis(n.Out[0], n.Attrs.Int("axis", 1))
	some := false
	for _, x := range n.In {
		_, c, _, _, image := f.images(x)
		if !ok || !image || axis == 1 && c%nchwc.Width() != 0 {
			return nil
		}
		some = some || b.made[x]
	}
	if !some {
		return nil
	}
	j := &joint{out: b.makes(n.Out[0])}
	j.outer = f.shape(j.out)[:axis].Elements()
	for _, x := range n.In {
		in := b.of(x)
		size := 4 * f.shape(in)[axis:].Elements()
		j.in, j.at, j.size = append(j.in, in), append(j.at, j.whole), append(j.size, size)
		j.whole += size
	}
	return f.join(i, j)
}

// split cuts a blocked image, along the channels where all parts begin with a block.
func (b *blocking) split(i int) *group {
	f, n := b.f, b.f.node(i)
	in := n.In[0]
	if !b.made[in] {
		return nil
	}
	axis, ok := b.axis(in, n.Attrs.Int("axis", 0))
	for _, out := range n.Out {
		if _, c, _, _, image := f.images(out); !ok || !image || axis == 1 && c%nchwc.Width() != 0 {
			return nil
		}
	}
	g := &group{nodes: []int{i}, reads: []int{b.of(in)}}
	var parts []*group
	at := 0
	for _, out := range n.Out {
		dst, from := b.makes(out), f.shape(b.of(in)).Strides()
		p, ok := f.boxed(nil, b.of(in), dst, 4, from, at*from[axis])
		if !ok {
			panic("BUG: a part of a blocked image is no box")
		}
		parts, g.writes = append(parts, p), append(g.writes, dst)
		at += f.shape(dst)[axis]
	}
	g.run = func(e *Env) error {
		for _, p := range parts {
			if err := p.run(e); err != nil {
				return err
			}
		}
		return nil
	}
	return g
}

// slice cuts a box out of a blocked image, of whole blocks.
func (b *blocking) slice(i int) *group {
	f, n := b.f, b.f.node(i)
	in, out := n.In[0], n.Out[0]
	_, c, _, _, ok := f.images(out)
	if !ok || in < 0 || !b.made[in] || len(f.shape(in)) > 4 {
		return nil
	}
	first, step, ok := f.sliceOf(n)
	whole := c == f.shape(in)[1] && step[1] == 1
	if !ok || !whole && (step[1] != 1 || first[1]%nchwc.Width() != 0 || c%nchwc.Width() != 0) {
		return nil
	}
	first[1] /= nchwc.Width()
	from := f.shape(b.of(in)).Strides()
	at := 0
	for k := range first {
		a, _ := b.axis(in, int64(k))
		at += first[k] * from[a]
	}
	for k := range first {
		a, _ := b.axis(in, int64(k))
		from[a] *= step[k]
	}
	g, ok := f.boxed([]int{i}, b.of(in), b.makes(out), 4, from, at)
	if !ok {
		panic("BUG: a slice of a blocked image is no box")
	}
	return g
}

// resize takes Resize and Upsample of a blocked image to the nearest place.
func (b *blocking) resize(i int) *group {
	f, n := b.f, b.f.node(i)
	x, out := n.In[0], n.Out[0]
	batch, c, h, w, ok := f.images(x)
	if !ok || !b.made[x] || len(f.shape(x)) != 4 {
		return nil
	}
	taps, ok := f.resizeTaps(n)
	if !ok {
		return nil
	}
	rows, cols := still(h), still(w)
	for k := range taps {
		switch t := &taps[k]; {
		case t.N != 1 || slices.ContainsFunc(t.Weight, func(v float32) bool { return v != 1 }):
			return nil
		case t.Axis == 2:
			rows = t
		case t.Axis == 3:
			cols = t
		default:
			return nil
		}
	}
	if so := f.shape(out); so[2] != len(rows.Index) || so[3] != len(cols.Index) {
		return nil
	}
	src, dst, planes := b.of(x), b.makes(out), batch*nchwc.Blocks(c)
	run := func(e *Env) error {
		move.Places(e.f32(dst), e.f32(src), planes, h, w, rows.Index, cols.Index, nchwc.Width())
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{src}, writes: []int{dst}, run: run}
}

// relayouted is the node of which an error in a change of layout would speak.
var relayouted = &Node{Node: &graph.Node{Name: "(layout)", Op: "Identity"}}

// relayout puts the steps between that change layouts: a dense value of which only the
// blocked form is computed becomes dense where it is first read as such, and the reverse.
func (b *blocking) relayout(steps []Step) []Step {
	f := b.f
	dense := map[int]int{} // blocked slot → dense slot
	for d, s := range b.slots {
		dense[s] = d
	}
	there := map[int]bool{} // dense slots of which the other form was made too
	var out []Step
	need := func(slot int) {
		d, blocked := dense[slot]
		if !blocked {
			d = slot
		}
		if b.made[d] == blocked || there[d] || !blocked && b.slots[d] == 0 {
			return
		}
		there[d] = true
		out = append(out, b.change(d, blocked))
	}
	for _, s := range steps {
		for _, slot := range s.Reads {
			if slot >= 0 {
				need(slot)
			}
		}
		out = append(out, s)
	}
	for _, slot := range f.pl.Out {
		need(slot)
	}
	return out
}

// change is the step that makes slot d's blocked form of the dense one, or the reverse.
func (b *blocking) change(d int, block bool) Step {
	n, c, h, w, _ := b.f.images(d)
	s := b.of(d)
	if block {
		run := func(e *Env) error {
			nchwc.Block(e.f32(s), e.f32(d), n, c, h*w, e.Threads)
			return nil
		}
		return Step{Node: relayouted, Reads: []int{d}, Writes: []int{s}, Run: run}
	}
	run := func(e *Env) error {
		nchwc.Unblock(e.f32(d), e.f32(s), n, c, h*w, e.Threads)
		return nil
	}
	return Step{Node: relayouted, Reads: []int{s}, Writes: []int{d}, Run: run}
}
