package onnx

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// The messages of onnx.proto as far as they matter, still by name; graphs and tensors
// stay undecoded bytes until they are built.

type modelProto struct {
	ir        int64
	producer  string
	doc       string
	graph     []byte
	opsets    map[string]int
	meta      map[string]string
	functions map[functionKey]*functionProto
}

type functionKey struct{ domain, name, overload string }

type functionProto struct {
	in, out  []string
	nodes    []*nodeProto
	opsets   map[string]int
	defaults []*attrProto
}

type nodeProto struct {
	name, op, domain, overload string
	in, out                    []string
	attrs                      []*attrProto
}

type attrProto struct {
	name, ref string
	kind      int64
	f         float32
	i         int64
	s         []byte
	t, g, tp  []byte
	sparse    []byte
	floats    []float32
	ints      []int64
	strings   [][]byte
	tensors   [][]byte
	graphs    [][]byte
	present   int // the last value field seen, for files older than the type field
}

type graphProto struct {
	name         string
	nodes        []*nodeProto
	initializers [][]byte
	sparse       [][]byte
	in, out      []valueProto
	info         []valueProto
}

type valueProto struct {
	name string
	typ  []byte
}

func parseModel(b []byte) (*modelProto, error) {
	m := &modelProto{opsets: map[string]int{}, meta: map[string]string{}, functions: map[functionKey]*functionProto{}}
	err := each(modelMessage, b, func(f field) error {
		switch f.num {
		case 1:
			m.ir = int64(f.n)
		case 2:
			m.producer = f.str()
		case 6:
			m.doc = f.str()
		case 7:
			m.graph = f.b
		case 8:
			return parseOpset(m.opsets, f.b)
		case 14:
			k, v, err := parseEntry(f.b)
			m.meta[k] = v
			return err
		case 25:
			k, fn, err := parseFunction(f.b)
			if err != nil {
				return err
			}
			if m.functions[k] != nil {
				return fmt.Errorf("function %s.%s is defined twice", k.domain, k.name)
			}
			m.functions[k] = fn
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(b) == 0 {
		return nil, problemf(Truncated, "the file is empty and holds no graph")
	}
	if m.graph == nil {
		return nil, fmt.Errorf("the file holds no graph: not an ONNX model")
	}
	return m, nil
}

func parseOpset(into map[string]int, b []byte) error {
	domain, version := "", int64(0)
	err := each("opset import", b, func(f field) error {
		switch f.num {
		case 1:
			domain = canonicalDomain(f.str())
		case 2:
			version = int64(f.n)
		}
		return nil
	})
	into[domain] = int(version)
	return err
}

func canonicalDomain(d string) string {
	if d == "ai.onnx" {
		return ""
	}
	return d
}

func parseEntry(b []byte) (key, value string, err error) {
	err = each("key-value entry", b, func(f field) error {
		switch f.num {
		case 1:
			key = f.str()
		case 2:
			value = f.str()
		}
		return nil
	})
	return
}

func parseFunction(b []byte) (functionKey, *functionProto, error) {
	k, fn := functionKey{}, &functionProto{opsets: map[string]int{}}
	err := each("function", b, func(f field) error {
		switch f.num {
		case 1:
			k.name = f.str()
		case 4:
			fn.in = append(fn.in, f.str())
		case 5:
			fn.out = append(fn.out, f.str())
		case 7:
			n, err := parseNode(f.b)
			fn.nodes = append(fn.nodes, n)
			return err
		case 9:
			return parseOpset(fn.opsets, f.b)
		case 10:
			k.domain = canonicalDomain(f.str())
		case 11:
			a, err := parseAttr(f.b)
			fn.defaults = append(fn.defaults, a)
			return err
		case 13:
			k.overload = f.str()
		}
		return nil
	})
	return k, fn, err
}

func parseNode(b []byte) (*nodeProto, error) {
	n := &nodeProto{}
	err := each("node", b, func(f field) error {
		switch f.num {
		case 1:
			n.in = append(n.in, f.str())
		case 2:
			n.out = append(n.out, f.str())
		case 3:
			n.name = f.str()
		case 4:
			n.op = f.str()
		case 5:
			a, err := parseAttr(f.b)
			n.attrs = append(n.attrs, a)
			return err
		case 7:
			n.domain = canonicalDomain(f.str())
		case 8:
			n.overload = f.str()
		}
		return nil
	})
	return n, err
}

func parseAttr(b []byte) (*attrProto, error) {
	a := &attrProto{}
	err := each("attribute", b, func(f field) (err error) {
		switch f.num {
		case 1:
			a.name = f.str()
			return
		case 20:
			a.kind = int64(f.n)
			return
		case 21:
			a.ref = f.str()
			return
		case 2:
			v, e := floats(nil, field{typ: protowire.Fixed32Type, n: f.n})
			a.f, err = v[0], e
		case 3:
			a.i = int64(f.n)
		case 4:
			a.s = f.b
		case 5:
			a.t = f.b
		case 6:
			a.g = f.b
		case 7:
			a.floats, err = floats(a.floats, f)
		case 8:
			a.ints, err = varints(a.ints, f)
		case 9:
			a.strings = append(a.strings, f.b)
		case 10:
			a.tensors = append(a.tensors, f.b)
		case 11:
			a.graphs = append(a.graphs, f.b)
		case 14:
			a.tp = f.b
		case 22:
			a.sparse = f.b
		default:
			return nil
		}
		a.present = int(f.num)
		return err
	})
	return a, err
}

func parseGraph(b []byte) (*graphProto, error) {
	g := &graphProto{}
	err := each("graph", b, func(f field) error {
		switch f.num {
		case 1:
			n, err := parseNode(f.b)
			g.nodes = append(g.nodes, n)
			return err
		case 2:
			g.name = f.str()
		case 5:
			g.initializers = append(g.initializers, f.b)
		case 15:
			g.sparse = append(g.sparse, f.b)
		case 11, 12, 13:
			v, err := parseValue(f.b)
			switch f.num {
			case 11:
				g.in = append(g.in, v)
			case 12:
				g.out = append(g.out, v)
			default:
				g.info = append(g.info, v)
			}
			return err
		}
		return nil
	})
	return g, err
}

func parseValue(b []byte) (valueProto, error) {
	v := valueProto{}
	err := each("value info", b, func(f field) error {
		switch f.num {
		case 1:
			v.name = f.str()
		case 2:
			v.typ = f.b
		}
		return nil
	})
	return v, err
}
