package gpu

import (
	"fmt"
	"slices"

	"github.com/aimass/aimass/runtime/graph"
)

// Layout says how a model lies on the devices of one instance.
type Layout uint8

// The layouts.
const (
	// Auto takes Whole where a device holds the model twice, else Split where the devices reach
	// each other's memory and most of the weights can be cut, else Whole or Stages, else a part on the
	// host where that is allowed.
	Auto Layout = iota
	// Whole keeps the model on one device; more devices hold copies of it.
	Whole
	// Stages cuts the model into consecutive parts, one a device.
	Stages
	// Split cuts wide layers: pairs of products by columns and rows, attention by heads, ensembles by
	// trees. What is between them every device computes for itself.
	Split
)

var layoutNames = [...]string{"auto", "whole", "stages", "split"}

// String is the name that configurations use.
func (l Layout) String() string { return layoutNames[l] }

// ParseLayout reads a name.
func ParseLayout(s string) (Layout, error) {
	if i := slices.Index(layoutNames[:], s); i >= 0 {
		return Layout(i), nil
	}
	return Auto, fmt.Errorf("layout %q is unknown: expected auto, whole, stages or split", s)
}

// placer turns pieces into a plan's steps.
type placer struct {
	*builder
	pieces []piece
}

// place makes the plan of an inference on the devices of an instance.
func place(m *model, inf *inference, x *instance, d *derived) (*plan, error) {
	b := newBuilder(m, inf, x.gpus, x.p.dev.host)
	p := &placer{builder: b, pieces: lower(b.values, m, inf.work, d, x.p.opt.TF32)}
	b.plan.pieces = p.pieces
	b.start()
	var err error
	switch {
	case x.layout == Split && len(x.gpus) > 1:
		err = p.split(d, x)
	case x.layout == Stages && x.partial && b.halves():
		// What the host would take over reads float16, which the devices' part does not make.
		err = &noRoom{need: m.constantBytes(), have: total(x.room), devices: len(x.gpus)}
	case x.layout == Stages:
		err = p.staged(x.room, x.partial)
	default:
		err = p.each(func(int) int { return 0 })
	}
	if err != nil {
		return nil, err
	}
	b.finish()
	return b.plan, nil
}

// each places the pieces in order, on the device that at gives, or on the host for −1.
func (p *placer) each(at func(piece int) int) error {
	for i := 0; i < len(p.pieces); i++ {
		x := p.pieces[i]
		d := onHost
		if x.host == nil {
			d = at(i)
		}
		if d != onHost {
			for _, o := range x.ops {
				p.local(o, d)
			}
			continue
		}
		j := i + 1
		for j < len(p.pieces) && (p.pieces[j].host != nil || at(j) == onHost) {
			j++
		}
		if err := p.island(p.pieces[i:j], p.pieces[j:]); err != nil {
			return err
		}
		i = j - 1
	}
	return nil
}

// local runs an operation on a device, its inputs brought there.
func (p *placer) local(o *operation, d int) {
	p.grow()
	o = o.moved(func(s int) int { return s })
	for i, s := range o.in {
		o.in[i] = p.on(s, d)
	}
	if o.index != nil {
		o.index = &bound{p.on(o.index.slot, d), o.index.rows}
	}
	p.run(o, d)
}

// nodesOf are a piece's nodes in order.
func (x *piece) nodesOf() []*node {
	if x.host != nil {
		return []*node{x.host}
	}
	var list []*node
	for _, o := range x.ops {
		for _, n := range o.nodes {
			if !slices.Contains(list, n) {
				list = append(list, n)
			}
		}
	}
	return list
}

// island compiles pieces for the host. What rest or the graph reads of them it returns.
func (p *placer) island(list, rest []piece) error {
	g := &graph.Graph{Name: "island"}
	x := &island{}
	made, read := map[int]bool{}, map[int]bool{}
	for _, s := range p.m.out {
		read[s] = true
	}
	for i := range rest {
		for _, n := range rest[i].nodesOf() {
			for _, s := range slices.Concat(n.in, n.captured) {
				read[s] = true
			}
		}
		for _, o := range rest[i].ops {
			for _, s := range o.in {
				read[s] = true
			}
		}
	}
	folded := map[int]*graph.Value{}
	take := func(s int) {
		if !made[s] && !slices.Contains(x.in, s) {
			x.in = append(x.in, s)
			g.In = append(g.In, p.m.values[s])
		}
	}
	for i := range list {
		for _, n := range list[i].nodesOf() {
			c := *n.Node
			c.In = slices.Clone(n.Node.In)
			for k, s := range n.in {
				switch {
				case s < 0 || p.m.values[s].Const != nil:
				case p.info[s].Const != nil:
					if folded[s] == nil {
						folded[s] = &graph.Value{Name: p.m.values[s].Name, Type: p.m.values[s].Type, Const: p.info[s].Const}
					}
					c.In[k] = folded[s]
				default:
					take(s)
				}
			}
			for _, s := range n.captured {
				if p.m.values[s].Const == nil {
					take(s)
				}
			}
			for _, s := range n.out {
				if s < 0 {
					continue
				}
				made[s] = true
				if read[s] {
					x.out = append(x.out, s)
					g.Out = append(g.Out, p.m.values[s])
				}
			}
			g.Nodes = append(g.Nodes, &c)
			x.nodes = append(x.nodes, n)
		}
	}
	if len(x.out) == 0 {
		return nil
	}
	var err error
	if x.program, err = p.host.Compile(g); err != nil {
		return fmt.Errorf("what the GPU does not take: %w", err)
	}
	p.placeIsland(x)
	return nil
}

// staged gives consecutive pieces to consecutive devices, by the memory of their
// constants and the room that each device has. What finds none goes to the host, where
// partial allows it.
func (p *placer) staged(room []int64, partial bool) error {
	size := make([]int64, len(p.pieces))
	seen := map[int]bool{}
	var need, have int64
	for i, x := range p.pieces {
		for _, o := range x.ops {
			for _, s := range o.in {
				if p.info[s].Const != nil && !seen[s] {
					seen[s] = true
					size[i] += int64(p.bytes(s))
				}
			}
		}
		need += size[i]
	}
	have = total(room)
	largest := slices.Max(room)
	// Where there is more room than needed, every device gets its part of it.
	share := func(d int) int64 {
		if need < have && have > 0 {
			return min(room[d], int64(float64(room[d])/float64(have)*float64(need))+1)
		}
		return room[d]
	}
	at := make([]int, len(p.pieces))
	d, used := 0, int64(0)
	for i := range p.pieces {
		if partial && size[i] > largest { // a table, say: what comes behind it may still find room
			at[i] = onHost
			continue
		}
		for d < len(room)-1 && used > 0 && used+size[i]/2 > share(d) || d < len(room) && used+size[i] > room[d] {
			d, used = d+1, 0
		}
		if at[i] = d; d == len(room) {
			if at[i] = onHost; !partial {
				return &noRoom{need: need, have: have, devices: len(room)}
			}
			continue
		}
		used += size[i]
	}
	return p.each(func(i int) int { return at[i] })
}

func total(room []int64) (n int64) {
	for _, r := range room {
		n += r
	}
	return n
}
