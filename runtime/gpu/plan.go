package gpu

import (
	"fmt"
	"slices"

	"github.com/aimass/aimass/cuda"
	"github.com/aimass/aimass/cuda/kernel"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/tensor"
)

// Homes of slots beside the devices, which count from 0.
const (
	onHost     = -1
	everywhere = -2 // a constant: each device that reads it has a copy
	nowhere    = -3 // fused away
)

// plan is a program for one set of input shapes on the devices of one instance. Work is
// cut into phases: within one, every device copies in, runs its launches and copies out
// without looking at the others; between two, all have finished.
type plan struct {
	*values
	home   []int // by slot
	ready  []int // by slot: the phase in which it is computed, −1 for inputs
	of     []int // by slot: the slot whose memory it views, −1 for none
	from   []int // by slot of the host: the device in whose pinned memory it is, −1 for none
	offset []int // by slot: in its arena, in pinned memory, or in the slot that it views
	phases []phase
	before []*island // host work that needs the inputs alone
	arena  []int64   // bytes a device
	stages []int     // bytes of pinned memory a device
	inputs []int     // slots of the graph's inputs
	output []output
	loads  []load
	checks []bound // indices that the host looks at
	faults []spot  // words that devices set when an index was out of range
	pieces []piece // for Describe

	islands []*island
}

// phase is what the devices do between two meetings, and what the host does then.
type phase struct {
	parts []part // by device
	after []*island
}

// part is one device's work in a phase.
type part struct {
	in  []transfer
	ops []*operation
	at  []int // the scratch slot of each operation, −1 for none
	out []transfer
}

func (p *part) idle() bool { return len(p.in)+len(p.ops)+len(p.out) == 0 }

// transfer moves bytes of a slot between a device and pinned memory, or from another
// device (peer).
type transfer struct {
	slot, peer int // peer: the slot on the other device, −1 for none
	at, peerAt int // bytes from the slots' beginnings
	bytes      int
	stage      spot
}

// spot is a position in the pinned memory of a device.
type spot struct{ device, at int }

// island is a piece of the graph that the host runs.
type island struct {
	index   int // among the plan's islands
	program device.Program
	in, out []int // slots
	nodes   []*node
}

// output is where a result of the graph is at the end.
type output struct {
	slot     int
	stage    spot         // in pinned memory, if the slot is on a device
	constant tensor.Value // if it doesn't depend on the inputs
}

// builder makes a plan step by step. Steps are given in an order in which they can run;
// the builder finds the earliest phase for each.
type builder struct {
	*plan
	m       *model
	devices []*gpu
	current []int           // by device: the phase of its latest work
	copies  map[[2]int]int  // {slot, device} → the slot that holds the copy
	staged  map[int]int     // slot of a device → its copy on the host
	through map[[3]int]spot // slot, place and bytes that have been brought to the host for another device
	host    device.Device
	touched map[int][2]int // slot → first and last time
	fault   []int          // by device: the slot of its fault word, −1 for none
}

// times within a phase
const (
	span      = 1 << 20
	timeIn    = 0
	timeFirst = 1
	timeOut   = span - 1
)

func newBuilder(m *model, inf *inference, devices []*gpu, host device.Device) *builder {
	b := &builder{plan: &plan{values: &values{info: inf.info}}, m: m, devices: devices, current: make([]int, len(devices)), copies: map[[2]int]int{},
		staged: map[int]int{}, through: map[[3]int]spot{}, host: host, touched: map[int][2]int{}, fault: slices.Repeat([]int{-1}, len(devices))}
	b.arena, b.stages, b.inputs = make([]int64, len(devices)), make([]int, len(devices)), m.in
	return b
}

// grow makes the tables by slot as long as the list of slots.
func (b *builder) grow() {
	for s := len(b.home); s < len(b.info); s++ {
		home := nowhere
		if b.info[s].Const != nil {
			home = everywhere
		}
		b.home, b.ready, b.of, b.from, b.offset = append(b.home, home), append(b.ready, -1), append(b.of, -1), append(b.from, -1), append(b.offset, 0)
	}
}

// start says where the graph's inputs are.
func (b *builder) start() {
	b.grow()
	for _, s := range b.m.in {
		b.home[s] = onHost
	}
}

// add makes a value on a device, or on the host.
func (b *builder) add(home int, d tensor.DType, shape ...int) int {
	s := b.values.add(d, shape...)
	b.grow()
	b.home[s] = home
	return s
}

func (b *builder) phase(k int) *phase {
	for len(b.phases) <= k {
		b.phases = append(b.phases, phase{parts: make([]part, len(b.devices))})
	}
	return &b.phases[k]
}

// root is the slot that owns a slot's memory, and at how many bytes into it the slot lies.
func (p *plan) root(slot int) (owner, at int) {
	for p.of[slot] >= 0 {
		at += p.offset[slot]
		slot = p.of[slot]
	}
	return slot, at
}

// touch notes that a slot's memory is in use at a time.
func (b *builder) touch(slot, time int) {
	slot, _ = b.root(slot)
	if b.home[slot] < 0 {
		return
	}
	t, ok := b.touched[slot]
	if !ok {
		t = [2]int{time, time}
	}
	b.touched[slot] = [2]int{min(t[0], time), max(t[1], time)}
}

// on gives the slot that holds a value on a device, moving it there if it must, by the time
// that an operation in phase current[d] or later may read it.
func (b *builder) on(slot, d int) int {
	home := b.home[slot]
	if home == d || home == everywhere {
		b.current[d] = max(b.current[d], b.ready[slot])
		return slot
	}
	key := [2]int{slot, d}
	if c, ok := b.copies[key]; ok {
		b.current[d] = max(b.current[d], b.ready[c])
		return c
	}
	if home == nowhere {
		panic(fmt.Sprintf("BUG: gpu: slot %d is read and never computed", slot))
	}
	c := b.add(d, b.info[slot].DType, b.info[slot].Shape...)
	b.copies[key] = c
	if home >= 0 {
		b.move(slot, 0, c, 0, b.bytes(slot), b.ready[slot])
		return c
	}
	k := max(b.current[d], b.ready[slot]+1)
	b.current[d], b.ready[c] = k, k
	p := &b.phase(k).parts[d]
	p.in = append(p.in, transfer{slot: c, peer: -1, bytes: b.bytes(slot), stage: spot{-1, slot}})
	b.touch(c, k*span+timeIn)
	return c
}

// move copies bytes of a slot, which are there after the phase ready, to a slot of another
// device: by a peer copy, or through the host where there is no peer access.
func (b *builder) move(from, fromAt, to, toAt, bytes, ready int) {
	e, d := b.home[from], b.home[to]
	k := max(b.current[d], ready+1)
	t := transfer{slot: to, at: toAt, peer: from, peerAt: fromAt, bytes: bytes}
	if !b.devices[d].reaches(b.devices[e]) {
		key := [3]int{from, fromAt, bytes}
		stage, ok := b.through[key]
		if !ok {
			stage = spot{e, b.reserve(e, bytes)}
			b.through[key] = stage
			src := &b.phase(ready).parts[e]
			src.out = append(src.out, transfer{slot: from, at: fromAt, peer: -1, bytes: bytes, stage: stage})
			b.touch(from, ready*span+timeOut)
		}
		t.peer, t.stage = -1, stage
	} else {
		b.touch(from, k*span+timeOut)
	}
	p := &b.phase(k).parts[d]
	p.in = append(p.in, t)
	b.touch(to, k*span+timeIn)
	b.current[d], b.ready[to] = k, max(b.ready[to], k)
}

// reserve takes pinned memory of a device.
func (b *builder) reserve(d, bytes int) int {
	at := b.stages[d]
	b.stages[d] += (bytes + 63) / 64 * 64
	return at
}

// run puts an operation on a device. Its inputs may lie on other devices, which its
// kernel then reads there (an all-reduce does); others must have been brought with on.
func (b *builder) run(o *operation, d int) {
	b.grow()
	k := b.current[d]
	for _, s := range o.in {
		if b.home[s] == d || b.home[s] == everywhere {
			k = max(k, b.ready[s])
		} else {
			k = max(k, b.ready[s]+1)
		}
	}
	b.current[d] = k
	if o.view() {
		in, out := o.in[0], o.out[0]
		b.home[out], b.ready[out], b.of[out], b.offset[out] = b.home[in], k, in, o.viewAt
		if b.home[in] == everywhere {
			b.home[out] = d
		}
		return
	}
	p := &b.phase(k).parts[d]
	time := k*span + timeFirst + len(p.ops)
	for _, s := range o.in {
		if h := b.home[s]; h != d && h >= 0 {
			b.touch(s, k*span+timeOut)
		}
		b.touch(s, time)
	}
	for _, s := range o.out {
		b.home[s], b.ready[s] = d, max(b.ready[s], k)
		b.touch(s, time)
	}
	scratch := -1
	switch {
	case o.index != nil:
		if scratch = b.watch(o, d, k); scratch >= 0 {
			b.touch(scratch, time)
		}
	case o.scratch > 0:
		scratch = b.add(d, tensor.Uint8, int(o.scratch))
		b.touch(scratch, time)
	}
	p.ops, p.at = append(p.ops, o), append(p.at, scratch)
}

// watch sees to indices out of range: the host looks at those that are inputs, others the
// kernel checks and sets the device's fault word, whose slot watch gives.
func (b *builder) watch(o *operation, d, k int) int {
	for _, in := range b.m.in {
		if c, ok := b.copies[[2]int{in, d}]; ok {
			if root, at := b.root(o.index.slot); root == c && at == 0 && b.bytes(root) == b.bytes(o.index.slot) {
				b.checks = append(b.checks, bound{in, o.index.rows})
				return -1
			}
		}
	}
	if b.info[o.index.slot].Const != nil {
		return -1 // looked at by the shape rules, or by Eval as the graph was folded
	}
	if b.fault[d] < 0 {
		s := b.add(d, tensor.Int32, 1)
		b.fault[d] = s
		clearing := &operation{kind: "clear", out: []int{s}, launch: func(dst []cuda.Launch, _, out []cuda.Ptr, _ cuda.Ptr) ([]cuda.Launch, error) {
			return kernel.AppendFill(dst, out[0], 1, 0)
		}}
		p := &b.phase(k).parts[d]
		p.ops, p.at = append(p.ops, clearing), append(p.at, -1)
		b.ready[s] = k
		b.touch(s, k*span+timeFirst)
	}
	return b.fault[d]
}

// fetch gives the host's copy of a value, and the last phase that must have ended.
func (b *builder) fetch(slot int) (int, int) {
	if b.home[slot] == onHost || b.home[slot] == everywhere {
		return slot, b.ready[slot]
	}
	if c, ok := b.staged[slot]; ok {
		return c, b.ready[c]
	}
	d := b.home[slot]
	c := b.add(onHost, b.info[slot].DType, b.info[slot].Shape...)
	b.staged[slot] = c
	k := b.ready[slot]
	p := &b.phase(k).parts[d]
	b.from[c], b.offset[c] = d, b.reserve(d, b.bytes(slot))
	p.out = append(p.out, transfer{slot: slot, peer: -1, bytes: b.bytes(slot), stage: spot{d, b.offset[c]}})
	b.touch(slot, k*span+timeOut)
	b.ready[c] = k
	return c, k
}

// placeIsland lets the host run nodes between two phases.
func (b *builder) placeIsland(x *island) {
	b.grow()
	k := -1
	for i, s := range x.in {
		c, r := b.fetch(s)
		x.in[i] = c
		k = max(k, r)
	}
	for _, s := range x.out {
		b.home[s], b.ready[s] = onHost, k
	}
	x.index = len(b.islands)
	b.islands = append(b.islands, x)
	if k < 0 {
		b.before = append(b.before, x)
		return
	}
	ph := b.phase(k)
	ph.after = append(ph.after, x)
}

// finish brings the graph's results to the host and lays the arenas out.
func (b *builder) finish() {
	taken := map[int]bool{}
	type member struct{ slot, out int }
	packs := map[int][]member{}
	for i, s := range b.m.out {
		o := output{slot: s}
		switch {
		case b.info[s].Const != nil:
			o.constant = b.info[s].Const
		case b.home[s] >= 0:
			packs[b.home[s]] = append(packs[b.home[s]], member{b.packable(s, taken), i})
		}
		b.output = append(b.output, o)
	}
	for d := range b.devices {
		var slots []int
		for _, m := range packs[d] {
			slots = append(slots, m.slot)
		}
		word := b.fault[d]
		if word >= 0 {
			slots = append(slots, word)
		}
		if len(slots) == 0 {
			continue
		}
		block, at := b.pack(d, slots)
		k := b.current[d]
		for _, s := range slots {
			k = max(k, b.ready[s])
		}
		stage := b.reserve(d, b.bytes(block))
		p := &b.phase(k).parts[d]
		p.out = append(p.out, transfer{slot: block, peer: -1, bytes: b.bytes(block), stage: spot{d, stage}})
		b.touch(block, k*span+timeOut)
		for i, m := range packs[d] {
			b.output[m.out].stage = spot{d, stage + at[i]}
		}
		if word >= 0 {
			b.faults = append(b.faults, spot{d, stage + at[len(at)-1]})
		}
	}
	b.packInputs()
	b.arrange()
}

// packable gives a slot that holds the value of s and may be a part of the block of outputs:
// s, where it owns its memory, or a copy of it.
func (b *builder) packable(s int, taken map[int]bool) int {
	owner, at := b.root(s)
	if b.home[owner] >= 0 && !taken[owner] && at == 0 && b.bytes(owner) == b.bytes(s) && !b.arrived(owner) {
		taken[owner] = true
		return owner
	}
	d := b.home[s]
	c := b.add(d, b.info[s].DType, b.info[s].Shape...)
	n := b.bytes(s)
	b.run(moving("copy", nil, s, c, kernel.Move{Size: 1, Dims: []int{n}, StridesX: []int64{1}, StridesY: []int64{1}}, 0, 0), d)
	taken[c] = true
	return c
}

// arrived reports a slot that a copy fills.
func (b *builder) arrived(slot int) bool {
	for _, c := range b.copies {
		if c == slot {
			return true
		}
	}
	return false
}

// pack makes slots parts of one block without gaps, those of wide elements first, so that one copy
// moves just them. It gives the block and the places of the slots.
func (b *builder) pack(d int, slots []int) (block int, at []int) {
	order := make([]int, len(slots))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int { return b.info[slots[y]].DType.Bits() - b.info[slots[x]].DType.Bits() })
	at = make([]int, len(slots))
	size := 0
	for _, i := range order {
		at[i] = size
		size += b.bytes(slots[i])
	}
	block = b.add(d, tensor.Uint8, size)
	for i, s := range slots {
		if t, ok := b.touched[s]; ok {
			b.touch(block, t[0])
			b.touch(block, t[1])
		}
		delete(b.touched, s)
		b.of[s], b.offset[s] = block, at[i]
	}
	return block, at
}

// packInputs makes the inputs that a device takes in one phase one copy.
func (b *builder) packInputs() {
	for k := range b.phases {
		for d := range b.phases[k].parts {
			p := &b.phases[k].parts[d]
			var slots []int
			var rest []transfer
			for _, t := range p.in {
				if t.peer < 0 && t.stage.device < 0 {
					slots = append(slots, t.slot)
				} else {
					rest = append(rest, t)
				}
			}
			if len(slots) == 0 {
				continue
			}
			sources := map[int]int{}
			for _, t := range p.in {
				sources[t.slot] = t.stage.at
			}
			block, at := b.pack(d, slots)
			stage := b.reserve(d, b.bytes(block))
			p.in = append(rest, transfer{slot: block, peer: -1, bytes: b.bytes(block), stage: spot{d, stage}})
			b.touch(block, k*span+timeIn)
			for i, s := range slots {
				b.loads = append(b.loads, load{phase: k, slot: sources[s], to: spot{d, stage + at[i]}})
			}
		}
	}
}

// arenaAlign is what cuMemAlloc aligns to.
const arenaAlign = 256

// arrange places every slot of a device in its arena. Slots whose lives do not overlap may share
// memory; the largest are placed first, each at the lowest offset that is free during its
// life ("greedy by size", Pisarchyk & Lee 2020, arXiv:2001.03288).
func (b *builder) arrange() {
	type block struct{ slot, size, first, last, at int }
	for d := range b.devices {
		var blocks []block
		for s, t := range b.touched {
			if b.home[s] == d && b.of[s] < 0 && b.info[s].Const == nil {
				blocks = append(blocks, block{s, (b.bytes(s) + arenaAlign - 1) / arenaAlign * arenaAlign, t[0], t[1], 0})
			}
		}
		slices.SortFunc(blocks, func(x, y block) int {
			if x.size != y.size {
				return y.size - x.size
			}
			return x.slot - y.slot
		})
		var placed []block
		for _, x := range blocks {
			for _, o := range placed { // in order of their offsets
				if o.last < x.first || x.last < o.first {
					continue
				}
				if x.at+x.size <= o.at {
					break
				}
				x.at = max(x.at, o.at+o.size)
			}
			b.offset[x.slot] = x.at
			b.arena[d] = max(b.arena[d], int64(x.at+x.size))
			i, _ := slices.BinarySearchFunc(placed, x.at, func(o block, at int) int { return o.at - at })
			placed = slices.Insert(placed, i, x)
		}
	}
}

// load copies a value of the host into pinned memory before a phase.
type load struct {
	phase, slot int
	to          spot
}
