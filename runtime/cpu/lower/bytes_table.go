package lower

import (
	"slices"

	"github.com/aimass/aimass/kernels/nhwc"
	"github.com/aimass/aimass/runtime/match"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// byteFunctions are the values of a plan that follow, element by element, from a tensor in bytes
// and constants of one element. Their nodes have been run for all 256 bytes, so that a table
// gives what Eval gives, however many nodes lie between.
type byteFunctions struct {
	root map[int]int // slot → the slot of bytes that it follows from
	all  map[int]*tensor.Tensor
	node map[int]bool // nodes that compute such values
}

// elementwiseOps are operators whose result's elements depend on one element of each operand.
var elementwiseOps = func() map[string]bool {
	m := map[string]bool{}
	for _, op := range slices.Concat(match.Functions, []string{"Add", "Sub", "Mul", "Div", "Max", "Min", "QuantizeLinear", "DequantizeLinear",
		"com.microsoft.QLinearAdd", "com.microsoft.QLinearMul", "com.microsoft.QLinearSigmoid", "com.microsoft.QLinearLeakyRelu"}) {
		m[op] = true
	}
	return m
}()

func (b *byteFunctions) find(f *fuser) {
	b.root, b.all, b.node = map[int]int{}, map[int]*tensor.Tensor{}, map[int]bool{}
	for i, n := range f.pl.Work {
		if f.claimed[i] || !elementwiseOps[n.OpName()] || len(n.Out) != 1 || n.Out[0] < 0 || !f.known(n.Out[0], tensor.Float32, tensor.Uint8, tensor.Int8) {
			continue
		}
		if root, out := b.run(f, n); out != nil {
			b.root[n.Out[0]], b.all[n.Out[0]], b.node[i] = root, out, true
		}
	}
}

// run gives the root of a node's result and the result for every byte of it; nil where there is none.
func (b *byteFunctions) run(f *fuser, n *Node) (root int, out *tensor.Tensor) {
	root = -1
	c := &ops.Call{Node: n.Node, In: make([]tensor.Value, len(n.In)), Out: make([]tensor.Value, 1)}
	for k, slot := range n.In {
		if slot < 0 {
			continue
		}
		if t := f.constant(slot); t != nil {
			if t.Elements() != 1 {
				return -1, nil
			}
			c.In[k] = t
			continue
		}
		if t := b.constant(f, slot); t != nil {
			c.In[k] = t
			continue
		}
		from, t := slot, (*tensor.Tensor)(nil)
		if r, ok := b.root[slot]; ok {
			from, t = r, b.all[slot]
		} else if f.known(slot, tensor.Uint8, tensor.Int8) && f.shape(slot).Elements() > 0 {
			if t = b.all[slot]; t == nil {
				t = everyByte(f.pl.Info[slot].DType)
				b.all[slot] = t
			}
		}
		if t == nil || root >= 0 && root != from {
			return -1, nil
		}
		root, c.In[k] = from, t
	}
	if root < 0 || !f.shape(n.Out[0]).Equal(f.shape(root)) || n.Eval(c) != nil {
		return -1, nil
	}
	out, _ = c.Out[0].(*tensor.Tensor)
	if out == nil || out.Elements() != 256 {
		return -1, nil
	}
	return root, out
}

// constant is what DequantizeLinear makes of one constant byte.
func (b *byteFunctions) constant(f *fuser, slot int) *tensor.Tensor {
	i, ok := f.maker[slot]
	if !ok || f.node(i).OpName() != "DequantizeLinear" || f.shape(slot).Elements() != 1 {
		return nil
	}
	t, err := f.dequantize(f.node(i))
	if err != nil {
		return nil
	}
	return t
}

// everyByte is all bytes in order.
func everyByte(d tensor.DType) *tensor.Tensor {
	t := tensor.New(d, tensor.Shape{256})
	for k := range t.Bytes() {
		t.Bytes()[k] = byte(k)
	}
	return t
}

// byteTable is a function of an image of bytes.
type byteTable struct {
	byteWork
	table *[256]byte
}

// takeFunctions makes pieces of the functions whose bytes somebody reads.
func (r *byteRegion) takeFunctions() {
	f, b := r.f, &r.functions
	read, runs := map[int]bool{}, map[int]bool{}
	for _, p := range r.pieces {
		for _, slot := range p.work().from {
			read[slot] = true
		}
	}
	var wanted []int // nodes that make bytes, the last first
	for i := len(f.pl.Work) - 1; i >= 0; i-- {
		if !b.node[i] || r.taken[i] {
			continue
		}
		out := f.node(i).Out[0]
		need := f.output[out] || read[out] || slices.ContainsFunc(f.users[out], func(u int) bool { return !r.taken[u] && !b.node[u] || runs[u] })
		switch {
		case !need:
		case f.pl.Info[out].DType == tensor.Float32:
			runs[i] = true
		default:
			wanted = append(wanted, i)
		}
	}
	made, readers := map[int]*byteTable{}, map[int]int{}
	var tables []*byteTable
	for _, i := range slices.Backward(wanted) {
		out := f.node(i).Out[0]
		p := r.table(i, runs, made)
		made[out] = p
		readers[p.from[0]]++
		tables = append(tables, p)
		for _, k := range p.nodes {
			r.taken[k] = true
		}
	}
	for _, p := range tables {
		if readers[p.from[0]] > 1 || !r.afterConv(p) {
			r.take(p)
		}
	}
}

// table makes the bytes of node i of what it follows from: another table's, where they follow from that alone.
func (r *byteRegion) table(i int, runs map[int]bool, made map[int]*byteTable) *byteTable {
	b := &r.functions
	out := r.f.node(i).Out[0]
	root := b.root[out]
	p := &byteTable{byteWork: byteWork{to: []int{out}}, table: (*[256]byte)(b.all[out].Bytes())}
	ends := map[int]bool{}
	r.cone(i, func(slot int) bool { return slot == root || made[slot] != nil }, runs, &p.nodes, ends)
	if len(ends) == 1 && !ends[root] {
		for from := range ends {
			var t [256]byte
			for v, first := range made[from].whole(b) {
				t[first] = p.table[v]
			}
			p.from, p.table = []int{from}, &t
		}
		return p
	}
	p.from, p.nodes = []int{root}, nil
	r.cone(i, func(slot int) bool { return slot == root }, runs, &p.nodes, ends)
	return p
}

// whole is what the root's bytes become.
func (p *byteTable) whole(b *byteFunctions) []byte { return b.all[p.to[0]].Bytes() }

// cone collects the nodes between node i and slots where it ends, but those that another step stands for.
func (r *byteRegion) cone(i int, end func(slot int) bool, runs map[int]bool, nodes *[]int, ends map[int]bool) {
	if !r.functions.node[i] || slices.Contains(*nodes, i) {
		return
	}
	if !r.taken[i] && !runs[i] {
		*nodes = append(*nodes, i)
	}
	for _, slot := range r.f.node(i).In {
		if slot >= 0 && end(slot) {
			ends[slot] = true
		} else if m, ok := r.f.maker[slot]; ok {
			r.cone(m, end, runs, nodes, ends)
		}
	}
}

// afterConv lets the convolution that makes a function's operand apply it, if nobody else
// reads that.
func (r *byteRegion) afterConv(p *byteTable) bool {
	slot := p.from[0]
	if r.f.output[slot] || slices.ContainsFunc(r.f.users[slot], func(u int) bool { return !slices.Contains(p.nodes, u) }) {
		return false
	}
	for _, q := range r.pieces {
		c, ok := q.(*byteConv)
		if !ok || c.floats >= 0 || c.to[0] != slot || c.table != nil {
			continue
		}
		c.table, c.to = p.table, p.to
		c.nodes = append(c.nodes, p.nodes...)
		for _, i := range p.nodes {
			r.taken[i] = true
		}
		return true
	}
	return false
}

func (p *byteTable) lower(r *byteRegion, g *group) {
	from, to, s := p.from[0], p.to[0], r.f.shape(p.from[0])
	g.reads = []int{from}
	if len(s) != 4 || r.nhwc[from] == r.nhwc[to] {
		g.writes = []int{to}
		total := s.Elements()
		g.run = func(e *Env) error {
			nhwc.Map(e.bytes(to), total, e.bytes(from), total, 1, total, p.table, e.Threads)
			return nil
		}
		return
	}
	spots := s[2] * s[3]
	image := r.image(from, s[1], s[1], spots, g)
	at, done := r.result(to, s[1], spots, g)
	g.run = func(e *Env) error {
		for k := range s[0] {
			dst := at(e, k)
			nhwc.Map(dst, s[1]*spots, image(e, k), s[1]*spots, 1, s[1]*spots, p.table, e.Threads)
			done(e, k)
		}
		return nil
	}
}
