package gpu

import (
	"fmt"
	"strings"

	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/tensor"
)

// Explanation tells how a program lies on the devices and how it runs inputs of certain
// shapes.
type Explanation struct {
	// Copies lists the devices of each copy of the model, "cuda:0+cuda:1".
	Copies []string `json:"copies"`
	Layout string   `json:"layout"`
	// Reason says why, or why no GPU has the model.
	Reason string `json:"reason"`
	// Devices are those of the first copy.
	Devices []Share `json:"devices"`
	Steps   []Step  `json:"steps"`
	// Phases is how often the devices of a copy wait for each other or the host in one run.
	Phases int `json:"phases"`
}

// Share is what one device has of a copy.
type Share struct {
	Device  string `json:"device"`
	Name    string `json:"name"`
	Weights int64  `json:"weight_bytes"`
	Arena   int64  `json:"arena_bytes"`
	Kernels int    `json:"launches"` // a run
}

// Step is a group of nodes that run together.
type Step struct {
	Kernel string   `json:"kernel"` // "host" for what no kernel takes
	Nodes  []string `json:"nodes"`
}

// Explain plans a program of this package for inputs of these types and shapes, whose
// elements are not looked at.
func Explain(prog device.Program, in []tensor.Value) (*Explanation, error) {
	p, ok := prog.(*program)
	if !ok {
		return nil, fmt.Errorf("a %T is no program of the GPUs", prog)
	}
	if err := p.Prepare(in); err != nil {
		return nil, err
	}
	p.state.RLock()
	defer p.state.RUnlock()
	e := &Explanation{Layout: "host"}
	if len(p.state.instances) == 0 {
		e.Reason = p.state.reason.Error()
		return e, nil
	}
	for _, x := range p.state.instances {
		e.Copies = append(e.Copies, x.names())
	}
	x := p.state.instances[0]
	pp, err := x.planFor(in)
	if err != nil {
		return nil, err
	}
	e.Layout, e.Phases, e.Reason = x.layout.String(), len(pp.phases), p.because(x)
	x.mu.Lock()
	for d, g := range x.gpus {
		s := Share{Device: g.info.String(), Name: g.info.Name, Arena: pp.arena[d]}
		for _, w := range x.weights[d] {
			s.Weights += w.bytes
		}
		for k := range pp.phases {
			s.Kernels += len(pp.phases[k].parts[d].ops)
		}
		e.Devices = append(e.Devices, s)
	}
	x.mu.Unlock()
	for i := range pp.pieces {
		s := Step{Kernel: "host"}
		var kinds []string
		for _, o := range pp.pieces[i].ops {
			kinds = append(kinds, o.kind)
		}
		if kinds != nil {
			s.Kernel = strings.Join(kinds, ", ")
		}
		for _, n := range pp.pieces[i].nodesOf() {
			s.Nodes = append(s.Nodes, n.Label()+" ("+n.OpName()+")")
		}
		e.Steps = append(e.Steps, s)
	}
	return e, nil
}

// because says why an instance has its layout.
func (p *program) because(x *instance) string {
	need := p.m.constantBytes()
	var room int64
	for _, r := range x.room {
		room += r
	}
	s := fmt.Sprintf("the weights take %d bytes, there is room for %d", need, room)
	switch {
	case p.opt.Layout != Auto:
		return "asked for; " + s
	case x.partial:
		s += ", and the rest runs on the host"
	case x.layout == Whole:
		s += " on one device"
	case x.layout == Split:
		s += " on the devices together: a device would hold the model once at most, they reach each other's memory, and most of the weights can be cut"
	default:
		s += " on the devices together and not on one"
	}
	return strings.Join(append([]string{s}, p.state.passed...), "; ")
}
