package onnx

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// Limits bound what a file may ask for; hostile files are refused before they cost.
const (
	maxGraphDepth    = 32      // graphs in attributes of nodes in graphs …
	maxFunctionDepth = 32      // functions that call functions …
	maxNodes         = 500000  // nodes of a model, functions inlined
	maxWork          = 1 << 26 // names, attributes and bytes of nested graphs, functions inlined
	spareBytes       = 1 << 30 // copies of weights beyond the size of the file
)

// builder turns a parsed model into a graph.
type builder struct {
	model  *modelProto
	from   source
	nodes  int
	work   int
	copied int // bytes of tensors that are not views of the file
	// size is that of the file and of the external data mapped so far: what is copied may
	// be that much and spareBytes.
	size func() int
}

// charge counts work that a small file can ask for many times over, by functions that
// call functions.
func (b *builder) charge(work int) error {
	if b.work += work; b.work > maxWork {
		return problemf(TooLarge, "the model's nodes, functions inlined, are beyond the limit of %d names and attributes", maxWork)
	}
	return nil
}

// tensor builds a tensor and counts what it takes, or may take, beyond the file.
func (b *builder) tensor(p *tensorProto) (*tensor.Tensor, error) {
	t, err := p.build(b.from)
	if err != nil || p.view {
		return t, err
	}
	return t, b.own(p.name, t)
}

func (b *builder) own(name string, t *tensor.Tensor) error {
	if b.copied += t.Size() + 16*len(t.Strings()); b.copied > b.size()+spareBytes {
		return problemf(TooLarge, "tensor %q: the weights that have to be copied are beyond the limit of %d bytes", name, b.size()+spareBytes)
	}
	return nil
}

func (b *builder) sparse(raw []byte) (string, *tensor.Tensor, error) {
	name, t, err := parseSparse(raw, b.from)
	if err == nil {
		err = b.own(name, t)
	}
	return name, t, err
}

// scope resolves names in one graph; parent is the graph around it. In a function body
// there is no parent: functions capture nothing.
type scope struct {
	b      *builder
	parent *scope
	names  map[string]*graph.Value
	opsets map[string]int
	attrs  map[string]*attrProto // a function call's attributes, for ref_attr_name
	depth  int
	calls  int
}

func (s *scope) child() *scope {
	c := *s
	c.parent, c.names, c.depth = s, map[string]*graph.Value{}, s.depth+1
	return &c
}

func (s *scope) lookup(name string) *graph.Value {
	for ; s != nil; s = s.parent {
		if v := s.names[name]; v != nil {
			return v
		}
	}
	return nil
}

func (b *builder) build() (*graph.Model, error) {
	p, err := parseGraph(b.model.graph)
	if err != nil {
		return nil, err
	}
	s := &scope{b: b, names: map[string]*graph.Value{}, opsets: b.model.opsets}
	g, err := s.graph(p)
	if err != nil {
		return nil, err
	}
	m := &graph.Model{Graph: g, Opsets: b.model.opsets, IR: int(b.model.ir), Producer: b.model.producer, Doc: b.model.doc, Meta: b.model.meta}
	return m, m.Check()
}

// graph builds one graph into its scope, which must be fresh.
func (s *scope) graph(p *graphProto) (*graph.Graph, error) {
	if s.depth > maxGraphDepth {
		return nil, problemf(TooLarge, "graphs nest deeper than %d", maxGraphDepth)
	}
	g := &graph.Graph{Name: p.name}
	if err := s.constants(p); err != nil {
		return nil, fmt.Errorf("graph %q: %w", p.name, err)
	}
	for _, in := range p.in {
		if v := s.names[in.name]; v != nil && v.Const != nil {
			continue // an input with an initialiser is a constant
		} else if v != nil {
			return nil, fmt.Errorf("graph %q: input %q is given twice", p.name, in.name)
		}
		if in.name == "" {
			return nil, fmt.Errorf("graph %q: an input has no name", p.name)
		}
		v, err := declared(in)
		if err != nil {
			return nil, fmt.Errorf("graph %q: input %q: %w", p.name, in.name, err)
		}
		s.names[in.name] = v
		g.In = append(g.In, v)
	}
	if err := s.body(g, p.nodes); err != nil {
		return nil, err
	}
	for _, info := range p.info {
		if v := s.names[info.name]; v != nil && v.Const == nil && v.Type.DType == tensor.Invalid {
			if t, err := parseType(info.typ, 0); err == nil {
				v.Type = t
			}
		}
	}
	for _, out := range p.out {
		v := s.lookup(out.name)
		if v == nil {
			return nil, fmt.Errorf("graph %q: output %q is not computed by any node", p.name, out.name)
		}
		t, err := parseType(out.typ, 0)
		if err != nil {
			return nil, fmt.Errorf("graph %q: output %q: %w", p.name, out.name, err)
		}
		if v.Const == nil && s.names[out.name] == v && v.Def != nil {
			v.Type = t
		}
		g.Out = append(g.Out, v)
	}
	return g, nil
}

func declared(p valueProto) (*graph.Value, error) {
	t, err := parseType(p.typ, 0)
	return &graph.Value{Name: p.name, Type: t}, err
}

func (s *scope) constants(p *graphProto) error {
	add := func(name string, t *tensor.Tensor) error {
		if name == "" {
			return fmt.Errorf("an initialiser has no name")
		}
		if s.names[name] != nil {
			return fmt.Errorf("initialiser %q is given twice", name)
		}
		s.names[name] = constant(name, t)
		return nil
	}
	for _, b := range p.initializers {
		tp, err := parseTensorProto(b)
		if err != nil {
			return err
		}
		t, err := s.b.tensor(tp)
		if err != nil {
			return err
		}
		if err := add(tp.name, t); err != nil {
			return err
		}
	}
	for _, b := range p.sparse {
		name, t, err := s.b.sparse(b)
		if err != nil {
			return err
		}
		if err := add(name, t); err != nil {
			return err
		}
	}
	return nil
}

func constant(name string, t *tensor.Tensor) *graph.Value {
	return &graph.Value{Name: name, Const: t, Type: graph.TensorType(t.DType, t.Shape...)}
}

// body builds the nodes in an order in which each value is computed before it is read.
func (s *scope) body(g *graph.Graph, nodes []*nodeProto) error {
	order, err := s.sort(nodes)
	if err != nil {
		return fmt.Errorf("graph %q: %w", g.Name, err)
	}
	for _, n := range order {
		if s.b.nodes++; s.b.nodes > maxNodes {
			return problemf(TooLarge, "the model has more than %d nodes", maxNodes)
		}
		if err := s.b.charge(len(n.in) + len(n.out) + len(n.attrs)); err != nil {
			return err
		}
		if err := s.node(g, n); err != nil {
			return fmt.Errorf("node %s (%s): %w", label(n), graph.Qualified(n.domain, n.op), err)
		}
	}
	return nil
}

func label(n *nodeProto) string {
	if n.name != "" {
		return n.name
	}
	for _, o := range n.out {
		if o != "" {
			return "→" + o
		}
	}
	return "(unnamed)"
}

func (s *scope) node(g *graph.Graph, p *nodeProto) error {
	if fn := s.b.model.functions[functionKey{p.domain, p.op, p.overload}]; fn != nil {
		return s.inline(g, p, fn)
	}
	opset, ok := s.opsets[p.domain]
	if !ok {
		return fmt.Errorf("domain %q is not imported by the model", p.domain)
	}
	n := &graph.Node{Name: p.name, Op: p.op, Domain: p.domain, Opset: opset, Attrs: graph.Attrs{}}
	for _, name := range p.in {
		v, err := s.input(name)
		if err != nil {
			return err
		}
		n.In = append(n.In, v)
	}
	for _, a := range p.attrs {
		if a.ref != "" {
			ref := s.attrs[a.ref]
			if ref == nil {
				continue // the call left it out: the operator's default holds
			}
			c := *ref
			c.name = a.name
			a = &c
		}
		x, err := s.attr(a)
		if err != nil {
			return fmt.Errorf("attribute %q: %w", a.name, err)
		}
		n.Attrs[a.name] = x
	}
	for _, name := range p.out {
		if name == "" {
			n.Out = append(n.Out, nil)
			continue
		}
		if s.names[name] != nil {
			return fmt.Errorf("output %q is already computed elsewhere", name)
		}
		v := &graph.Value{Name: name, Def: n}
		s.names[name] = v
		n.Out = append(n.Out, v)
	}
	g.Nodes = append(g.Nodes, n)
	return nil
}

func (s *scope) input(name string) (*graph.Value, error) {
	if name == "" {
		return nil, nil
	}
	if v := s.lookup(name); v != nil {
		return v, nil
	}
	return nil, fmt.Errorf("input %q is not computed by any node", name)
}

// inline replaces a call of a model-local function by the function's nodes.
func (s *scope) inline(g *graph.Graph, call *nodeProto, fn *functionProto) error {
	if s.calls >= maxFunctionDepth {
		return problemf(TooLarge, "functions call each other deeper than %d", maxFunctionDepth)
	}
	if len(call.in) > len(fn.in) || len(call.out) > len(fn.out) {
		return fmt.Errorf("%d inputs and %d outputs, the function has %d and %d", len(call.in), len(call.out), len(fn.in), len(fn.out))
	}
	f := &scope{b: s.b, names: map[string]*graph.Value{}, opsets: fn.opsets, attrs: map[string]*attrProto{}, depth: s.depth, calls: s.calls + 1}
	for _, a := range fn.defaults {
		f.attrs[a.name] = a
	}
	for _, a := range call.attrs {
		if a.ref != "" {
			c := s.attrs[a.ref]
			if c == nil {
				continue
			}
			f.attrs[a.name] = c
			continue
		}
		f.attrs[a.name] = a
	}
	absent := map[string]bool{}
	for i, formal := range fn.in {
		if i >= len(call.in) || call.in[i] == "" {
			absent[formal] = true
			continue
		}
		v, err := s.input(call.in[i])
		if err != nil {
			return err
		}
		f.names[formal] = v
	}
	if err := f.body(g, withoutAbsent(fn.nodes, absent)); err != nil {
		return err
	}
	for i, name := range call.out {
		if name == "" {
			continue
		}
		v := f.names[fn.out[i]]
		if v == nil {
			return fmt.Errorf("the function does not compute its output %q", fn.out[i])
		}
		if s.names[name] != nil {
			return fmt.Errorf("output %q is already computed elsewhere", name)
		}
		s.names[name] = v
		if v.Def != nil {
			v.Name = name
		}
	}
	return nil
}

// withoutAbsent drops formal inputs that the call leaves out from the nodes' inputs.
func withoutAbsent(nodes []*nodeProto, absent map[string]bool) []*nodeProto {
	if len(absent) == 0 {
		return nodes
	}
	out := make([]*nodeProto, len(nodes))
	for i, n := range nodes {
		c := *n
		c.in = append([]string{}, n.in...)
		for k, name := range c.in {
			if absent[name] {
				c.in[k] = ""
			}
		}
		out[i] = &c
	}
	return out
}
