package inspect

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/onnx"
	"github.com/aimass/aimass/runtime/tensor"
)

// Options of a report.
type Options struct {
	// Shapes gives inputs their shapes by name; for the others one is assumed where the model
	// leaves it open.
	Shapes map[string]tensor.Shape
	// Graph, if not nil, takes the graph after the passes, as text.
	Graph io.Writer
}

// Report is what there is to tell of a model.
type Report struct {
	Model     string         `json:"model"`
	Producer  string         `json:"producer"`
	IR        int            `json:"ir"`
	Opsets    map[string]int `json:"opsets"`
	Inputs    []Port         `json:"inputs"`
	Outputs   []Port         `json:"outputs"`
	Nodes     int            `json:"nodes"`     // in the file, nested graphs included
	Operators []Operator     `json:"operators"` // of the file, most frequent first

	// Parameters counts the elements of the file's constants, shapes and the like among them; WeightsMapped are the bytes of constants that
	// lie in the file's mapping, WeightsOwned those of packed copies.
	Parameters    int64 `json:"parameters"`
	WeightsMapped int64 `json:"weights_mapped_bytes"`
	WeightsOwned  int64 `json:"weights_owned_bytes"`

	Work  Work  `json:"work"`
	Plan  Plan  `json:"plan"`
	Batch Batch `json:"batch"`
	// Spread says how many cores work on one batch together, where there are so many.
	Spread Spread      `json:"spread"`
	Where  []Placement `json:"where"` // of each node after the passes, in order; then those of branches that the shapes decide
}

// Port is an input or output. Shape is that of the plan, nil where it depends on data;
// Assumed says that the model left some of it open and nobody gave it.
type Port struct {
	Name    string       `json:"name"`
	Type    string       `json:"type"`
	Shape   tensor.Shape `json:"shape"`
	Assumed bool         `json:"assumed,omitempty"`
}

// Operator counts the nodes of one operator: those of the file, nested graphs included,
// and what the plan makes of those that it has. The rest are constant, or in nested graphs.
type Operator struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
	Fast  int    `json:"fast"`
	View  int    `json:"view"`
	Eval  int    `json:"eval"`
}

// Count is how often there is something.
type Count struct {
	Name  string
	Count int
}

// Batch says whether rows of different requests may run together, and why.
type Batch struct {
	Rows   bool   `json:"rows"`
	Reason string `json:"reason"`
	Ragged string `json:"ragged"`
}

// Plan says how the CPU runs the shapes at hand.
type Plan struct {
	Steps      int      `json:"steps"`
	Fast       int      `json:"nodes_fast"`
	View       int      `json:"nodes_view"`
	Eval       int      `json:"nodes_eval"`
	Folded     int      `json:"nodes_folded"`
	Nested     int      `json:"nodes_nested"`
	Later      int      `json:"nodes_later"` // planned when shapes that depend on data are known
	ArenaBytes int      `json:"arena_bytes"`
	Fused      []Fusion `json:"fused"`
}

// Fusion is one step that replaces several nodes.
type Fusion struct {
	Kernel    string   `json:"kernel"`
	Operators []string `json:"operators"`
	Nodes     []string `json:"nodes"`
}

// Placement says where a node runs: on which device, and there through which kernel.
type Placement struct {
	Node     string `json:"node"`
	Operator string `json:"operator"`
	Device   string `json:"device"`
	Path     string `json:"path"` // fast, view, eval, or folded
	Kernel   string `json:"kernel"`
}

// File explains an ONNX file. The error of a model that can't be loaded names the node or
// tensor and says why.
func File(e *runtime.Engine, path string, o Options) (*Report, error) {
	r := &Report{Model: path}
	f, err := onnx.Open(path)
	if err != nil {
		return nil, err
	}
	r.source(f.Model)
	if err := f.Close(); err != nil {
		return nil, err
	}
	m, err := e.Open(path)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	return r, r.loaded(e, m, o)
}

// source tells what the file says, before any pass has changed it.
func (r *Report) source(g *graph.Model) {
	r.Producer, r.IR, r.Opsets = g.Producer, g.IR, g.Opsets
	count, seen := map[string]int{}, map[*graph.Value]bool{}
	constant := func(v *graph.Value) {
		if t := v.Tensor(); t != nil && !seen[v] {
			seen[v] = true
			r.Parameters += int64(t.Elements())
		}
	}
	_ = g.Walk(func(n *graph.Node) error {
		r.Nodes++
		count[n.OpName()]++
		if v := n.Attrs["value"]; n.Op == "Constant" && v != nil && v.T != nil {
			r.Parameters += int64(v.T.Elements())
		}
		for _, v := range n.In {
			constant(v)
		}
		return nil
	})
	for name, n := range count {
		r.Operators = append(r.Operators, Operator{Name: name, Count: n})
	}
	slices.SortFunc(r.Operators, func(a, b Operator) int { return cmp.Or(b.Count-a.Count, cmp.Compare(a.Name, b.Name)) })
}

// loaded tells what became of the model.
func (r *Report) loaded(e *runtime.Engine, m *runtime.Model, o Options) error {
	r.Batch = Batch(m.Batch)
	in, assumed, d, err := plan(m, o.Shapes)
	if err != nil {
		return err
	}
	for i, p := range m.Inputs {
		port := Port{Name: p.Name, Type: p.Type.String(), Assumed: assumed[i]}
		if t, ok := in[i].(*tensor.Tensor); ok {
			port.Shape = t.Shape
		}
		r.Inputs = append(r.Inputs, port)
	}
	for i, v := range m.Graph.Out {
		port := Port{Name: m.Outputs[i].Name, Type: m.Outputs[i].Type.String()}
		if info := d.Info[v]; info.Known {
			port.Shape = info.Shape
		}
		r.Outputs = append(r.Outputs, port)
	}
	r.WeightsOwned, r.WeightsMapped = m.WeightBytes()
	r.Work, r.Spread = count(d), spreadOf(d)
	r.steps(e.Devices(), m.Graph.Graph, d)
	if o.Graph != nil {
		return m.Graph.Dump(o.Graph)
	}
	return nil
}

// steps tells what the plan does with each node.
func (r *Report) steps(devices []device.Device, g *graph.Graph, d *cpu.Description) {
	p := &r.Plan
	p.Steps, p.Folded, p.Nested, p.ArenaBytes = len(d.Steps), len(d.Folded), d.Nested, d.ArenaBytes
	p.Later = len(d.Later)
	where := map[*graph.Node]Placement{}
	index := map[string]int{}
	for i := range r.Operators {
		index[r.Operators[i].Name] = i
	}
	for _, n := range d.Folded {
		where[n] = Placement{Path: "folded"}
	}
	for _, n := range d.Later {
		where[n] = Placement{Path: "later"}
	}
	for _, s := range d.Steps {
		f := Fusion{Kernel: s.Kernel}
		for _, n := range s.Nodes {
			where[n] = Placement{Path: s.Path.String(), Kernel: s.Kernel}
			f.Nodes, f.Operators = append(f.Nodes, n.Label()), append(f.Operators, n.OpName())
			if i, ok := index[n.OpName()]; ok { // a pass may bring operators that the file lacks
				o := &r.Operators[i]
				*map[cpu.Path]*int{cpu.Fast: &o.Fast, cpu.View: &o.View, cpu.Eval: &o.Eval}[s.Path]++
			}
		}
		if len(s.Nodes) > 1 {
			p.Fused = append(p.Fused, f)
		}
		*map[cpu.Path]*int{cpu.Fast: &p.Fast, cpu.View: &p.View, cpu.Eval: &p.Eval}[s.Path] += len(s.Nodes)
	}
	for _, n := range running(g, d) {
		at := where[n]
		at.Node, at.Operator = n.Label(), n.OpName()
		for _, dev := range devices {
			if at.Path != "folded" && dev.Supports(n) {
				at.Device = dev.Info().Name
				break
			}
		}
		r.Where = append(r.Where, at)
	}
}

// running lists the graph's nodes, and behind them those of branches that became part of
// the plan.
func running(g *graph.Graph, d *cpu.Description) []*graph.Node {
	list := slices.Clone(g.Nodes)
	known := map[*graph.Node]bool{}
	for _, n := range list {
		known[n] = true
	}
	for _, s := range d.Steps {
		for _, n := range s.Nodes {
			if !known[n] {
				list = append(list, n)
			}
		}
	}
	return list
}

// Fusions groups equal fusions: "dense: MatMul + Add" and how often there is one, most
// frequent first.
func (p *Plan) Fusions() []Count {
	count := map[string]int{}
	for _, f := range p.Fused {
		count[fmt.Sprintf("%s: %s", f.Kernel, pattern(f.Operators))]++
	}
	var out []Count
	for name, n := range count {
		out = append(out, Count{name, n})
	}
	slices.SortFunc(out, func(a, b Count) int { return cmp.Or(b.Count-a.Count, cmp.Compare(a.Name, b.Name)) })
	return out
}

// pattern joins operators, repetitions counted.
func pattern(ops []string) string {
	s := ""
	for i := 0; i < len(ops); {
		j := i
		for j < len(ops) && ops[j] == ops[i] {
			j++
		}
		if s != "" {
			s += " + "
		}
		if j-i > 1 {
			s += fmt.Sprintf("%d×", j-i)
		}
		s += ops[i]
		i = j
	}
	return s
}
