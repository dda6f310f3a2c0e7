package onnx

import (
	"errors"
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

var noExternal = source{external: func(map[string]string, int) ([]byte, error) {
	return nil, errors.New("a value's file has no external data")
}}

// ReadTensor decodes a serialised TensorProto.
func ReadTensor(b []byte) (name string, t *tensor.Tensor, err error) {
	p, err := parseTensorProto(b)
	if err != nil {
		return "", nil, err
	}
	t, err = p.build(noExternal)
	return p.name, t, err
}

// ReadValue decodes a serialised value of the declared type: a TensorProto,
// SequenceProto, MapProto or OptionalProto, as the standard's test data are stored.
func ReadValue(t graph.Type, b []byte) (tensor.Value, error) { return readValue(t, b, 0) }

func readValue(t graph.Type, b []byte, depth int) (tensor.Value, error) {
	if depth > maxTypeDepth {
		return nil, fmt.Errorf("values nest deeper than %d", maxTypeDepth)
	}
	elem := graph.Type{}
	if t.Elem != nil {
		elem = *t.Elem
	}
	switch t.Kind {
	case graph.SequenceKind:
		return readSequence(elem, b, depth)
	case graph.OptionalKind:
		o := &tensor.Optional{}
		err := each("optional", b, func(f field) (err error) {
			if f.num >= 3 && f.num <= 7 {
				o.Elem, err = readValue(elem, f.b, depth+1)
			}
			return err
		})
		return o, err
	case graph.MapKind:
		return readMap(elem, b, depth)
	}
	_, x, err := ReadTensor(b)
	if err != nil {
		return nil, err
	}
	return x, nil
}

func readSequence(elem graph.Type, b []byte, depth int) (*tensor.Sequence, error) {
	s := &tensor.Sequence{Of: elem.DType}
	err := each("sequence", b, func(f field) error {
		if f.num < 3 || f.num > 7 {
			return nil
		}
		v, err := readValue(elem, f.b, depth+1)
		s.Elem = append(s.Elem, v)
		return err
	})
	return s, err
}

func readMap(elem graph.Type, b []byte, depth int) (*tensor.Map, error) {
	var ints []int64
	var strs []string
	m := &tensor.Map{}
	err := each("map", b, func(f field) (err error) {
		switch f.num {
		case 3:
			ints, err = varints(ints, f)
		case 4:
			strs = append(strs, f.str())
		case 5:
			m.Values, err = readSequence(elem, f.b, depth+1)
		}
		return err
	})
	if strs != nil {
		m.Keys = tensor.FromStrings(strs, len(strs))
	} else {
		m.Keys = tensor.FromSlice(ints, len(ints))
	}
	return m, err
}
