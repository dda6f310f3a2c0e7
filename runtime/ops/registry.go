package ops

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/aimass/aimass/runtime/graph"
)

// ErrUnsupported is what errors.Is finds in an error about an operator, an opset or an
// attribute that is not implemented, as against one that the model uses wrongly.
var ErrUnsupported = errors.New("not supported")

type unsupported struct{ error }

func (unsupported) Is(target error) bool { return target == ErrUnsupported }

func unsupportedf(format string, args ...any) error {
	return unsupported{fmt.Errorf(format, args...)}
}

// Registry holds operators by domain, name and opset.
type Registry struct {
	ops map[string][]*Op // by qualified name, in falling order of Since
}

// NewRegistry makes an empty registry.
func NewRegistry() *Registry { return &Registry{ops: map[string][]*Op{}} }

// Add registers operators. Two of one name, domain and Since panic.
func (r *Registry) Add(list ...*Op) {
	for _, o := range list {
		if o.Since == 0 {
			o.Since = 1
		}
		k := graph.Qualified(o.Domain, o.Name)
		forms := r.ops[k]
		i := sort.Search(len(forms), func(i int) bool { return forms[i].Since <= o.Since })
		if i < len(forms) && forms[i].Since == o.Since {
			panic(fmt.Sprintf("BUG: operator %s since %d is registered twice", k, o.Since))
		}
		forms = append(forms, nil)
		copy(forms[i+1:], forms[i:])
		forms[i] = o
		r.ops[k] = forms
	}
}

// Find gives the form of an operator that holds under an opset version of its domain.
// The error says what is supported.
func (r *Registry) Find(domain, name string, opset int) (*Op, error) {
	k := graph.Qualified(domain, name)
	forms := r.ops[k]
	if len(forms) == 0 {
		d := domain
		if d == "" {
			d = "ai.onnx"
		}
		return nil, unsupportedf("operator %s of domain %s (opset %d) is not supported%s", name, d, opset, r.supported(name))
	}
	for _, o := range forms {
		if o.Since <= opset {
			if o.Removed != 0 && opset >= o.Removed {
				return nil, unsupportedf("operator %s was removed in opset %d, the model imports %d", k, o.Removed, opset)
			}
			return o, nil
		}
	}
	return nil, unsupportedf("operator %s is supported from opset %d on, the model imports %d", k, forms[len(forms)-1].Since, opset)
}

// supported says what there is instead of an operator that is unknown: the same name
// elsewhere, or else the domains.
func (r *Registry) supported(name string) string {
	var hits []string
	domains := map[string]bool{}
	for k := range r.ops {
		i := strings.LastIndexByte(k, '.')
		if strings.EqualFold(k[i+1:], name) {
			hits = append(hits, k)
		}
		if i < 0 {
			domains["ai.onnx"] = true
		} else {
			domains[k[:i]] = true
		}
	}
	if len(hits) > 0 {
		sort.Strings(hits)
		return " (supported under that name: " + strings.Join(hits, ", ") + ")"
	}
	return fmt.Sprintf(" (supported are %d operators of the domains %s)", len(r.ops), strings.Join(slices.Sorted(maps.Keys(domains)), ", "))
}

// Names lists the qualified names, sorted.
func (r *Registry) Names() []string {
	out := make([]string, 0, len(r.ops))
	for k := range r.ops {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// Forms lists the forms of a qualified name, newest first.
func (r *Registry) Forms(name string) []*Op { return r.ops[name] }

// Resolve checks one node against its operator's schema: existence, numbers of inputs
// and outputs, attributes.
func (r *Registry) Resolve(n *graph.Node) (*Op, error) {
	o, err := r.Find(n.Domain, n.Op, n.Opset)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", n.Label(), err)
	}
	if err := o.check(n); err != nil {
		return nil, fmt.Errorf("node %s (%s): %w", n.Label(), n.OpName(), err)
	}
	return o, nil
}

func (o *Op) check(n *graph.Node) error {
	if len(n.In) < o.MinIn || o.MaxIn >= 0 && len(n.In) > o.MaxIn {
		return fmt.Errorf("%d inputs, expected %s", len(n.In), span(o.MinIn, o.MaxIn))
	}
	if len(n.Out) < o.MinOut || o.MaxOut >= 0 && len(n.Out) > o.MaxOut {
		return fmt.Errorf("%d outputs, expected %s", len(n.Out), span(o.MinOut, o.MaxOut))
	}
	for _, a := range o.Attrs {
		x := n.Attrs[a.Name]
		switch {
		case x == nil && a.Required:
			return fmt.Errorf("attribute %q is missing", a.Name)
		case x != nil && x.Kind != a.Kind && !emptyList(x, a.Kind):
			return fmt.Errorf("attribute %q is of the wrong kind", a.Name)
		}
	}
	for _, k := range n.Attrs.Names() {
		if !o.knows(k) {
			return unsupportedf("attribute %q is unknown for opset %d", k, n.Opset)
		}
	}
	return nil
}

// emptyList lets an empty list pass whatever its declared kind: some writers leave it out.
func emptyList(x *graph.Attr, want graph.AttrKind) bool {
	list := func(k graph.AttrKind) bool {
		return k == graph.AttrFloats || k == graph.AttrInts || k == graph.AttrStrings || k == graph.AttrTensors
	}
	return list(x.Kind) && list(want) && len(x.Floats)+len(x.Ints)+len(x.Strings)+len(x.Tensors) == 0
}

func (o *Op) knows(attr string) bool {
	for _, a := range o.Attrs {
		if a.Name == attr {
			return true
		}
	}
	return false
}

func span(lo, hi int) string {
	switch {
	case hi < 0:
		return fmt.Sprintf("at least %d", lo)
	case lo == hi:
		return fmt.Sprint(lo)
	}
	return fmt.Sprintf("%d to %d", lo, hi)
}
