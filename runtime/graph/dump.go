package graph

import (
	"fmt"
	"io"
	"strings"

	"github.com/aimass/aimass/runtime/tensor"
)

// Dump writes the graph as text, one node a line, for golden tests and `aimass inspect`.
// Constants show type and, when small, their elements.
func (g *Graph) Dump(w io.Writer) error {
	d := &dumper{w: w, names: map[*Value]string{}, used: map[string]int{}}
	d.graph(g, "")
	return d.err
}

type dumper struct {
	w     io.Writer
	err   error
	names map[*Value]string
	used  map[string]int
}

func (d *dumper) printf(format string, a ...any) {
	if d.err == nil {
		_, d.err = fmt.Fprintf(d.w, format, a...)
	}
}

func (d *dumper) name(v *Value) string {
	if v == nil {
		return "_"
	}
	if t := v.Tensor(); t != nil {
		if s, ok := small(t); ok {
			return s
		}
	}
	if s, ok := d.names[v]; ok {
		return s
	}
	s := v.Name
	if s == "" {
		s = "v"
	}
	d.used[s]++
	if n := d.used[s]; n > 1 {
		s = fmt.Sprintf("%s#%d", s, n)
	}
	if t := v.Tensor(); t != nil {
		s = "const(" + s + " " + t.String() + ")"
	}
	d.names[v] = s
	return s
}

func small(t *tensor.Tensor) (string, bool) {
	if t.Elements() > 8 {
		return "", false
	}
	var v any
	switch t.DType {
	case tensor.Int64:
		v = tensor.Data[int64](t)
	case tensor.Float32:
		v = tensor.Data[float32](t)
	case tensor.Int32:
		v = tensor.Data[int32](t)
	default:
		return "", false
	}
	s := fmt.Sprint(v)
	if len(t.Shape) == 0 {
		s = strings.Trim(s, "[]")
	}
	return t.DType.String() + ":" + s, true
}

func (d *dumper) list(vs []*Value) string {
	s := make([]string, len(vs))
	for i, v := range vs {
		s[i] = d.name(v)
	}
	return strings.Join(s, ", ")
}

func (d *dumper) graph(g *Graph, indent string) {
	for _, v := range g.In {
		d.printf("%sin %s %v\n", indent, d.name(v), v.Type)
	}
	for _, n := range g.Nodes {
		d.printf("%s%s = %s(%s)%s\n", indent, d.list(n.Out), n.OpName(), d.list(n.In), attrText(n.Attrs))
		for _, s := range n.Subgraphs() {
			d.printf("%s{\n", indent)
			d.graph(s, indent+"  ")
			d.printf("%s}\n", indent)
		}
	}
	d.printf("%sout %s\n", indent, d.list(g.Out))
}

func attrText(a Attrs) string {
	var b strings.Builder
	for _, k := range a.Names() {
		x := a[k]
		var v any
		switch x.Kind {
		case AttrFloat:
			v = x.F
		case AttrInt:
			v = x.I
		case AttrString:
			v = fmt.Sprintf("%q", x.S)
		case AttrTensor:
			v = x.T
		case AttrFloats:
			v = clip(len(x.Floats), x.Floats)
		case AttrInts:
			v = clip(len(x.Ints), x.Ints)
		case AttrStrings:
			v = clip(len(x.Strings), x.Strings)
		case AttrType:
			v = x.Type
		default:
			v = "{…}"
		}
		fmt.Fprintf(&b, " %s=%v", k, v)
	}
	return b.String()
}

func clip(n int, v any) any {
	if n > 16 {
		return fmt.Sprintf("[%d values]", n)
	}
	return v
}
