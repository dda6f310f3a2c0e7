package onnx

import (
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// attrKinds maps AttributeProto.AttributeType to ours.
var attrKinds = map[int64]graph.AttrKind{
	1: graph.AttrFloat, 2: graph.AttrInt, 3: graph.AttrString, 4: graph.AttrTensor, 5: graph.AttrGraph, 6: graph.AttrFloats,
	7: graph.AttrInts, 8: graph.AttrStrings, 9: graph.AttrTensors, 10: graph.AttrGraphs, 11: graph.AttrTensor, 13: graph.AttrType,
}

// kindOfField serves files older than the type field.
var kindOfField = map[int]int64{2: 1, 3: 2, 4: 3, 5: 4, 6: 5, 7: 6, 8: 7, 9: 8, 10: 9, 11: 10, 22: 11, 14: 13}

func (s *scope) attr(p *attrProto) (*graph.Attr, error) {
	kind := p.kind
	if kind == 0 {
		kind = kindOfField[p.present]
	}
	a := &graph.Attr{Kind: attrKinds[kind], F: p.f, I: p.i, S: string(p.s), Floats: p.floats, Ints: p.ints}
	var err error
	switch kind {
	case 4:
		a.T, err = s.tensorAttr(p.t)
	case 5:
		a.G, err = s.graphAttr(p.g)
	case 8:
		for _, b := range p.strings {
			a.Strings = append(a.Strings, string(b))
		}
	case 9:
		for _, b := range p.tensors {
			t, err := s.tensorAttr(b)
			if err != nil {
				return nil, err
			}
			a.Tensors = append(a.Tensors, t)
		}
	case 10:
		for _, b := range p.graphs {
			g, err := s.graphAttr(b)
			if err != nil {
				return nil, err
			}
			a.Graphs = append(a.Graphs, g)
		}
	case 11:
		_, a.T, err = s.b.sparse(p.sparse)
	case 13:
		var t graph.Type
		t, err = parseType(p.tp, 0)
		a.Type = &t
	case 1, 2, 3, 6, 7:
	default:
		return nil, problemf(Unsupported, "attribute kind %d is not supported", kind)
	}
	return a, err
}

func (s *scope) tensorAttr(b []byte) (*tensor.Tensor, error) {
	p, err := parseTensorProto(b)
	if err != nil {
		return nil, err
	}
	return s.b.tensor(p)
}

func (s *scope) graphAttr(b []byte) (*graph.Graph, error) {
	if s.calls > 0 {
		if err := s.b.charge(len(b) / 16); err != nil {
			return nil, err
		}
	}
	p, err := parseGraph(b)
	if err != nil {
		return nil, err
	}
	return s.child().graph(p)
}
