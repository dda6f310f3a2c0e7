package cpu

import (
	"fmt"
	goruntime "runtime"

	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/runtime/cpu/lower"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
)

// Config sets the device up.
type Config struct {
	// Threads is the number of cores to use; 0 means GOMAXPROCS, which Go sets from the
	// cgroup quota. Runs beyond it wait. Example: 2 on a node shared with other services.
	Threads int
	// MaxPlans bounds the shape-specialised plans kept per program; the least recently
	// used goes first. Default 64.
	MaxPlans int
	// MaxBytes bounds the memory that the values of one run may take, so that an input
	// which asks for a tensor of terabytes is an error. Default: a quarter of the memory
	// that the process may use, at most ops.DefaultMaxBytes. Example: 1 << 30.
	MaxBytes int
	// NoLowering runs every node through its operator's Eval: the reference device that
	// tests compare with.
	NoLowering bool
}

// Device is the CPU.
type Device struct {
	cfg   Config
	reg   *ops.Registry
	slots chan struct{} // one token a core
}

// New makes the device.
func New(reg *ops.Registry, cfg Config) *Device {
	if cfg.Threads <= 0 {
		cfg.Threads = goruntime.GOMAXPROCS(0)
	}
	if cfg.MaxPlans <= 0 {
		cfg.MaxPlans = 64
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = min(ops.DefaultMaxBytes, max(memory()/4, 256<<20))
	}
	return &Device{cfg: cfg, reg: reg, slots: make(chan struct{}, cfg.Threads)}
}

// threads is how many a call may use.
func (d *Device) threads(call *device.Call) int {
	if call.Threads <= 0 || call.Threads > d.cfg.Threads {
		return d.cfg.Threads
	}
	return call.Threads
}

// share is how many of the threads that a run was granted it uses for its next step: where
// more runs than one are under way they divide the cores, since a step's helpers would only take
// the other runs' time. Results don't depend on it.
func (d *Device) share(granted int) int {
	if runs := len(d.slots); runs > 1 {
		return max(1, min(granted, d.cfg.Threads/runs))
	}
	return granted
}

// Info describes the device.
func (d *Device) Info() device.Info {
	return device.Info{Name: "cpu", Kind: "cpu", ISA: isa.Current().Level.String(), Threads: d.cfg.Threads}
}

// Supports reports whether the node's operator is known.
func (d *Device) Supports(n *graph.Node) bool {
	_, err := d.reg.Resolve(n)
	return err == nil
}

// Compile resolves every operator; plans are made when shapes are seen.
func (d *Device) Compile(g *graph.Graph) (device.Program, error) {
	p, err := d.compile(g, nil, map[*graph.Graph]*program{})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// CompileForm compiles another form of the graph of a program of this device, with the same
// constants: the two share what is packed of them.
func (d *Device) CompileForm(g *graph.Graph, of device.Program) (device.Program, error) {
	p, err := d.compile(g, nil, map[*graph.Graph]*program{})
	if err != nil {
		return nil, err
	}
	p.packed = of.(*program).packed
	return p, nil
}

// Close has nothing to free.
func (d *Device) Close() error { return nil }

// compile makes the program of g, whose captures follow its inputs, and those of its
// nested graphs, and enters all into tree.
func (d *Device) compile(g *graph.Graph, captures []*graph.Value, tree map[*graph.Graph]*program) (*program, error) {
	p := &program{dev: d, g: g, in: append(append([]*graph.Value{}, g.In...), captures...), slot: map[*graph.Value]int{}, plans: map[string]*plan{}, tree: tree, packed: &lower.Packed{}, waiting: &waiting{}, maxPlans: d.cfg.MaxPlans}
	tree[g] = p
	for _, v := range p.in {
		p.addSlot(v)
	}
	for _, n := range g.Nodes {
		o, err := d.reg.Resolve(n)
		if err != nil {
			return nil, err
		}
		cn := &lower.Node{Node: n, Form: o, Eval: o.Eval}
		if o.Bind != nil {
			if cn.Eval, err = o.Bind(n); err != nil {
				return nil, fmt.Errorf("node %s (%s): %w", n.Label(), n.OpName(), err)
			}
		}
		for _, v := range n.In {
			cn.In = append(cn.In, p.use(v))
		}
		for _, s := range n.Subgraphs() {
			caps := s.Captures()
			slots := make([]int, len(caps))
			for i, v := range caps {
				slots[i] = p.use(v)
			}
			if cn.Nested == nil {
				cn.Nested = map[*graph.Graph][]int{}
			}
			cn.Nested[s] = slots
			cn.Captured = append(cn.Captured, slots...)
			sp, err := d.compile(s, caps, tree)
			if err != nil {
				return nil, fmt.Errorf("node %s (%s): %w", n.Label(), n.OpName(), err)
			}
			if n.OpName() == "Loop" {
				sp.growing = &growing{from: min(2, len(s.In)), to: len(s.In)}
			}
			p.sub = append(p.sub, sp)
		}
		for _, v := range n.Out {
			if v == nil {
				cn.Out = append(cn.Out, -1)
				continue
			}
			cn.Out = append(cn.Out, p.addSlot(v))
		}
		p.nodes = append(p.nodes, cn)
	}
	for _, v := range g.Out {
		p.out = append(p.out, p.use(v))
	}
	return p, nil
}
