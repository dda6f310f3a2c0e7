package gpu

import (
	"fmt"

	"github.com/aimass/aimass/cuda"
	"github.com/aimass/aimass/cuda/kernel"
	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/runtime/ops/ml"
	"github.com/aimass/aimass/runtime/tensor"
)

// block is work that is split over devices (Megatron-LM, Shoeybi et al. 2019, arXiv:1909.08053):
// products whose columns are cut, what follows them column by column or head by head, and the product
// that takes the columns as its K. Its parts on the devices add up to the result.
type block struct {
	units   int // columns, or heads: what is dealt out whole
	opening []int
	inner   map[int]bool
	closing int
}

// splitter finds blocks among the operations of a plan.
type splitter struct {
	*placer
	ops     []*operation
	maker   map[int]int   // slot → operation
	readers map[int][]int // slot → operations
	kept    map[int]bool  // slots that the graph or the host reads
	member  map[int]*block
}

// split places the plan on all devices at once. Operations outside of blocks run on every
// device that needs their results.
func (p *placer) split(d *derived, x *instance) error {
	s := newSplitter(p)
	s.findBlocks()
	if x.chosen {
		if err := s.worth(x.room); err != nil {
			return err
		}
	}
	wide, placed := s.wide(), 0
	for k := 0; k < len(p.pieces); {
		next := k + 1
		if p.pieces[k].host != nil {
			for next < len(p.pieces) && p.pieces[next].host != nil {
				next++
			}
			if err := p.island(p.pieces[k:next], p.pieces[next:]); err != nil {
				return err
			}
		}
		for range p.pieces[k].ops {
			if err := s.put(placed, wide, d); err != nil {
				return err
			}
			placed++
		}
		k = next
	}
	return nil
}

// newSplitter notes who makes and who reads each slot.
func newSplitter(p *placer) *splitter {
	s := &splitter{placer: p, maker: map[int]int{}, readers: map[int][]int{}, kept: map[int]bool{}, member: map[int]*block{}}
	keep := func(slots []int) {
		for _, slot := range slots {
			s.kept[slot] = true
		}
	}
	keep(p.m.out)
	for _, x := range p.pieces {
		if x.host != nil {
			keep(x.host.in)
			keep(x.host.captured)
		}
		for _, o := range x.ops {
			for _, slot := range o.in {
				s.readers[slot] = append(s.readers[slot], len(s.ops))
			}
			for _, slot := range o.out {
				s.maker[slot] = len(s.ops)
			}
			s.ops = append(s.ops, o)
		}
	}
	return s
}

// findBlocks finds what is cut over the devices, the first product that begins a block taking its operations.
func (s *splitter) findBlocks() {
	for i, o := range s.ops {
		f, ok := o.form.(*product)
		if !ok || s.member[i] != nil {
			continue
		}
		b := s.find(i, f)
		if b == nil {
			continue
		}
		s.member[i] = b
		for _, k := range b.opening {
			s.member[k] = b
		}
		for k := range b.inner {
			s.member[k] = b
		}
	}
}

// worth says why cutting the plan's layers is not better than giving whole ones to the devices, nil
// if it is: they must reach each other, most of the weights must be cut, and what is not must
// find room beside its share on every device.
func (s *splitter) worth(room []int64) error {
	for _, g := range s.devices {
		for _, h := range s.devices {
			if !g.reaches(h) {
				return &unsuited{fmt.Sprintf("%v has no peer access to %v, so every sum would go through the host", g.info, h.info)}
			}
		}
	}
	var cut, all, tables int64 // what a Gather looks up is no work that could be shared
	seen := map[int]bool{}
	for i, o := range s.ops {
		f, trees := o.form.(*forest)
		for _, slot := range o.in {
			if s.info[slot].Const == nil || seen[slot] {
				continue
			}
			seen[slot] = true
			all += int64(s.bytes(slot))
			if o.kind == "gather" {
				tables += int64(s.bytes(slot))
			}
			if s.member[i] != nil || trees && s.divides(f) {
				cut += int64(s.bytes(slot))
			}
		}
	}
	if 2*cut < all-tables {
		return &unsuited{fmt.Sprintf("only %d of %d bytes of weights lie in layers that can be cut", cut, all-tables)}
	}
	for d, have := range room {
		if need := all - cut + cut/int64(len(room)); need > have {
			return &unsuited{fmt.Sprintf("%v has room for %d bytes, its share would take %d", s.devices[d].info, have, need)}
		}
	}
	return nil
}

// wide tells of each operation outside of blocks whether devices beyond the first need
// its results: blocks do.
func (s *splitter) wide() map[int]bool {
	need, wide := map[int]bool{}, map[int]bool{}
	for i := len(s.ops) - 1; i >= 0; i-- {
		o := s.ops[i]
		b := s.member[i]
		_, trees := o.form.(*forest)
		if b == nil && !trees {
			for _, slot := range o.out {
				wide[i] = wide[i] || need[slot]
			}
			if !wide[i] {
				continue
			}
		}
		for _, slot := range o.in {
			need[slot] = true
		}
		if b != nil && i == b.closing {
			for _, slot := range o.out {
				wide[i] = wide[i] || need[slot]
			}
		}
	}
	return wide
}

// put places operation i.
func (s *splitter) put(i int, wide map[int]bool, d *derived) error {
	o := s.ops[i]
	if f, ok := o.form.(*forest); ok && s.divides(f) {
		return s.trees(o, f, d)
	}
	b := s.member[i]
	switch {
	case b == nil && wide[i]:
		for dev := range s.devices {
			s.local(s.renamed(o, dev), dev)
		}
	case b == nil:
		s.local(o, 0)
	case i == b.closing:
		return s.close(o, b, wide[i], d)
	default:
		for dev := range s.devices {
			s.share(o, b, dev, d)
		}
	}
	return nil
}

// renamed is an operation with results of its own for a device beyond the first.
func (s *splitter) renamed(o *operation, dev int) *operation {
	s.grow()
	c := *o
	c.out = nil
	for _, slot := range o.out {
		c.out = append(c.out, s.twin(slot, dev, s.info[slot].Shape))
	}
	// An operation that works in place reads its own result.
	c.in = append([]int{}, o.in...)
	return &c
}

// twin is the slot of a device's own version of a value, of another shape where it has
// only a share.
func (s *splitter) twin(slot, dev int, shape tensor.Shape) int {
	if dev == 0 && shape.Equal(s.info[slot].Shape) {
		return slot
	}
	key := [2]int{slot, dev}
	if t, ok := s.copies[key]; ok {
		return t
	}
	t := s.add(dev, s.info[slot].DType, shape...)
	s.copies[key] = t
	return t
}

// find looks for the block that a product closes.
func (s *splitter) find(i int, f *product) *block {
	if !f.constant || f.g.TransA || f.g.Batch != [2]int{} {
		return nil
	}
	b := &block{closing: i, inner: map[int]bool{}, units: f.g.K}
	if !s.back(f.x, f.g.K, b) || len(b.opening) == 0 || b.units < 2 {
		return nil
	}
	// Nobody else may read what only exists in parts.
	for k := range b.inner {
		if !s.private(k, b) {
			return nil
		}
	}
	for _, k := range b.opening {
		if !s.private(k, b) || s.ops[k].form.(*product).g.N%b.units != 0 {
			return nil
		}
	}
	return b
}

func (s *splitter) private(k int, b *block) bool {
	for _, slot := range s.ops[k].out {
		if s.kept[slot] {
			return false
		}
		for _, r := range s.readers[slot] {
			if r != b.closing && !b.inner[r] {
				return false
			}
		}
	}
	return s.member[k] == nil
}

// back walks from a value of rows of so many columns to the products that made it.
func (s *splitter) back(slot, columns int, b *block) bool {
	i, ok := s.maker[slot]
	if !ok {
		return false
	}
	o := s.ops[i]
	switch f := o.form.(type) {
	case *product:
		if !f.constant || f.residual >= 0 || f.g.TransA || f.g.Batch != [2]int{} || f.g.N != columns {
			return false
		}
		b.opening = append(b.opening, i)
		return true
	case *elementwise:
		if f.vector >= 0 && last(f.shape) != columns {
			return false
		}
		b.inner[i] = true
		return s.back(o.in[f.wide], columns, b)
	case *reshaped:
		if !rowsStay(f.from, columns) || !rowsStay(f.to, columns) {
			return false
		}
		b.inner[i] = true
		return s.back(o.in[0], columns, b)
	case *attention:
		a := &f.a
		if !headsInRows(a) || a.StrideMask[1] != 0 || a.Heads*a.SizeV != columns || b.units != columns {
			return false
		}
		b.units = a.Heads
		b.inner[i] = true
		size := a.Heads * a.Size
		return s.backHeads(o.in[0], size, b) && s.backHeads(o.in[1], size, b) && s.backHeads(o.in[2], columns, b)
	}
	return false
}

// backHeads is back for an operand of an attention, which no other attention may have
// made.
func (s *splitter) backHeads(slot, columns int, b *block) bool {
	if i, ok := s.maker[slot]; ok {
		if _, again := s.ops[i].form.(*attention); again {
			return false
		}
	}
	return s.back(slot, columns, b)
}

// rowsStay reports a shape whose last axis, or last two, make up a row of so many columns.
func rowsStay(s tensor.Shape, columns int) bool {
	n := len(s)
	return n >= 1 && s[n-1] == columns || n >= 2 && s[n-2]*s[n-1] == columns
}

// headsInRows reports an attention whose operands lie as [batch, tokens, heads, width].
func headsInRows(a *kernel.Attention) bool {
	lies := func(st [3]int64, tokens, width int) bool {
		w := int64(width)
		return st == [3]int64{int64(tokens) * int64(a.Heads) * w, w, int64(a.Heads) * w}
	}
	return lies(a.StrideQ, a.Queries, a.Size) && lies(a.StrideK, a.Keys, a.Size) && lies(a.StrideV, a.Keys, a.SizeV) && lies(a.StrideOut, a.Queries, a.SizeV)
}

// part gives the columns of a device's share.
func (s *splitter) part(b *block, dev, columns int) (from, to int) {
	n, per := len(s.devices), columns/b.units
	return b.units * dev / n * per, b.units * (dev + 1) / n * per
}

// share runs a device's share of an operation within a block.
func (s *splitter) share(o *operation, b *block, dev int, d *derived) {
	switch f := o.form.(type) {
	case *product:
		from, to := s.part(b, dev, f.g.N)
		if from == to {
			return
		}
		q := *f
		q.g.N, q.g.LDB, q.g.LDC = to-from, 0, 0
		q.w = s.columns(f.w, from, to, f.g.TransB, d)
		if f.bias >= 0 {
			q.bias = s.columns(f.bias, from, to, false, d)
		}
		q.out = s.twin(f.out, dev, tensor.Shape{f.g.M, to - from})
		s.local(q.operation(o.nodes), dev)
	case *elementwise:
		width := s.width(b, o)
		from, to := s.part(b, dev, width)
		if from == to {
			return
		}
		rows := s.info[o.out[0]].Shape.Elements() / width
		q := f.remake(rows, to-from)
		q.nodes, q.form = o.nodes, nil
		q.in = append([]int{}, o.in...)
		if f.vector >= 0 {
			q.in[f.vector] = s.columns(o.in[f.vector], from, to, false, d)
		}
		q.out = []int{s.twin(o.out[0], dev, tensor.Shape{rows, to - from})}
		s.local(q, dev)
	case *reshaped:
		width := s.width(b, o)
		from, to := s.part(b, dev, width)
		if from == to {
			return
		}
		in := s.on(o.in[0], dev)
		s.copies[[2]int{o.out[0], dev}] = in
	case *attention:
		from, to := b.units*dev/len(s.devices), b.units*(dev+1)/len(s.devices)
		if from == to {
			return
		}
		a := f.a
		a.Heads = to - from
		lie := func(tokens, width int) [3]int64 {
			w := int64(width)
			return [3]int64{int64(tokens) * int64(a.Heads) * w, w, int64(a.Heads) * w}
		}
		a.StrideQ, a.StrideK, a.StrideV, a.StrideOut = lie(a.Queries, a.Size), lie(a.Keys, a.Size), lie(a.Keys, a.SizeV), lie(a.Queries, a.SizeV)
		q := attentionOperation(a, len(o.in) > 3)
		q.nodes, q.in = o.nodes, append([]int{}, o.in...)
		q.out = []int{s.twin(o.out[0], dev, tensor.Shape{a.Batch, a.Queries, a.Heads * a.SizeV})}
		s.local(q, dev)
	}
}

// width is the number of columns of the rows that an inner operation works on: those of
// the product before it.
func (s *splitter) width(b *block, o *operation) int {
	slot := o.in[0]
	if f, ok := o.form.(*elementwise); ok {
		slot = o.in[f.wide]
	}
	for {
		m := s.ops[s.maker[slot]]
		switch f := m.form.(type) {
		case *product:
			return f.g.N
		case *attention:
			return f.a.Heads * f.a.SizeV
		case *elementwise:
			slot = m.in[f.wide]
		default:
			slot = m.in[0]
		}
	}
}

// columns is a constant of a part of another's columns: of the rows of a transposed one.
func (s *splitter) columns(slot, from, to int, transposed bool, d *derived) int {
	t := s.tensor(slot)
	t = d.get(fmt.Sprintf("columns %d:%d %t of %s", from, to, transposed, d.key(t)), func() *tensor.Tensor {
		v, n, size := t.Bytes(), last(t.Shape), t.DType.Bytes(1)
		if transposed {
			part := tensor.New(t.DType, tensor.Shape{to - from, n})
			copy(part.Bytes(), v[from*n*size:to*n*size])
			return part
		}
		rows := len(v) / (n * size)
		part := tensor.New(t.DType, tensor.Shape{rows, to - from})
		for r := range rows {
			copy(part.Bytes()[r*(to-from)*size:], v[(r*n+from)*size:(r*n+to)*size])
		}
		return part
	})
	c := s.constant(t)
	s.grow()
	return c
}

// rows is a constant of a part of a matrix's rows: of the columns of a transposed one.
func (s *splitter) rows(slot, from, to int, transposed bool, d *derived) int {
	if transposed {
		return s.columns(slot, from, to, false, d)
	}
	return s.columns(slot, from, to, true, d)
}

// close runs the devices' shares of the product that ends a block and adds them up. What
// is no sum comes after: the function.
func (s *splitter) close(o *operation, b *block, wide bool, d *derived) error {
	f := o.form.(*product)
	fn := f.g.Act
	var parts []int
	for dev := range s.devices {
		from, to := s.part(b, dev, f.g.K)
		if from == to {
			continue
		}
		q := *f
		q.g.K, q.g.LDA, q.g.LDB, q.g.Act = to-from, 0, 0, act.Act{}
		q.w = s.rows(f.w, from, to, f.g.TransB, d)
		if len(parts) > 0 {
			q.bias, q.residual = -1, -1
		}
		q.out = s.add(dev, tensor.Float32, f.g.M, f.g.N)
		parts = append(parts, q.out)
		s.local(q.operation(o.nodes), dev)
	}
	var outs []int
	for dev := range s.devices {
		if dev == 0 || wide {
			outs = append(outs, s.twin(f.out, dev, s.info[f.out].Shape))
		}
	}
	s.home[outs[0]] = 0
	if err := s.reduce(parts, outs); err != nil {
		return err
	}
	if fn.Func == act.None {
		return nil
	}
	name, ok := kernel.UnaryName(fn.Func)
	if !ok {
		return fmt.Errorf("BUG: gpu: no kernel for the function %d", fn.Func)
	}
	for dev, out := range outs {
		u := unaryOperation(name, fn, int64(f.g.M)*int64(f.g.N))
		u.in, u.out, u.nodes = []int{out}, []int{out}, o.nodes
		s.run(u, dev)
	}
	return nil
}

// oneShot is the size up to which every device reads all others' parts: above, each adds
// up a piece and hands it round.
const oneShot = 256 << 10

// reduce adds parts up, which lie on different devices, into outs, the d-th on device d.
func (s *splitter) reduce(parts, outs []int) error {
	n := s.info[parts[0]].Shape.Elements()
	direct := true
	for d := range outs {
		for _, part := range parts {
			direct = direct && s.devices[d].reaches(s.devices[s.home[part]])
		}
	}
	switch {
	case !direct:
		for d, out := range outs {
			here := make([]int, len(parts))
			for i, part := range parts {
				if here[i] = part; s.home[part] != d {
					here[i] = s.add(d, tensor.Float32, n)
					s.move(part, 0, here[i], 0, 4*n, s.ready[part])
				}
			}
			s.run(sumOperation(here, out, 0, n), d)
		}
	case len(outs) > 1 && len(outs) == len(parts) && 4*n > oneShot:
		s.twoShot(parts, outs, n)
	default:
		for d, out := range outs {
			s.run(sumOperation(parts, out, 0, n), d)
		}
	}
	return nil
}

// twoShot lets each device add up one piece, and copies the pieces to all.
func (s *splitter) twoShot(parts, outs []int, n int) {
	cut := func(d int) int {
		if d == len(outs) {
			return n
		}
		return n * d / len(outs) / 4 * 4
	}
	ready := make([]int, len(outs))
	for d, out := range outs {
		s.run(sumOperation(parts, out, cut(d), cut(d+1)-cut(d)), d)
		ready[d] = s.ready[out]
	}
	for d, out := range outs {
		for e, from := range outs {
			if e != d {
				s.move(from, 4*cut(e), out, 4*cut(e), 4*(cut(e+1)-cut(e)), ready[e])
			}
		}
	}
}

// sumOperation adds n elements of the parts, from first on.
func sumOperation(parts []int, out, first, n int) *operation {
	return &operation{kind: "all-reduce", in: parts, out: []int{out}, launch: func(dst []cuda.Launch, in, out []cuda.Ptr, _ cuda.Ptr) ([]cuda.Launch, error) {
		from := make([]cuda.Ptr, len(in))
		for i, p := range in {
			from[i] = p + cuda.Ptr(4*first)
		}
		return kernel.AppendSumParts(dst, out[0]+cuda.Ptr(4*first), from, int64(n))
	}}
}

// divides reports an ensemble whose trees may be added up in any parts.
func (s *splitter) divides(f *forest) bool {
	n := f.to - f.from
	return n >= len(s.devices) && (f.e.Aggregate == ml.Sum || f.e.Aggregate == ml.Average && f.base == nil)
}

// trees gives each device a part of the trees.
func (s *splitter) trees(o *operation, f *forest, d *derived) error {
	var parts []int
	for dev := range s.devices {
		q := *f
		q.from, q.to = len(f.e.Roots)*dev/len(s.devices), len(f.e.Roots)*(dev+1)/len(s.devices)
		x := s.on(o.in[0], dev)
		part, ok := q.sums(s.values, d, x, o.nodes, false)
		if !ok {
			return fmt.Errorf("BUG: gpu: an ensemble that was packed can't be")
		}
		s.grow()
		s.home[part.out[0]] = dev
		parts = append(parts, part.out[0])
		s.run(part, dev)
	}
	out := o.out[0]
	s.home[out] = 0
	if err := s.reduce(parts, []int{out}); err != nil {
		return err
	}
	if f.e.Aggregate == ml.Average {
		u := unaryOperation("affine", act.Act{Func: act.Affine, A: 1 / float32(len(f.e.Roots))}, int64(s.info[out].Shape.Elements()))
		u.in, u.out, u.nodes = []int{out}, []int{out}, o.nodes
		s.run(u, 0)
	}
	return nil
}
