package inspect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// openExtents are tried one after the other for extents that a model leaves open and
// nobody gave, until it can be planned: sequences take most sizes, images want room.
var openExtents = [...]int{128, 224, 64, 32, 320, 512, 16, 8, 1}

// imageExtent comes first for inputs of four axes.
const imageExtent = 224

// maxInputBytes bounds an input, whose memory is taken though nobody looks at it.
const maxInputBytes = 4 << 30

// plan plans the model for the shapes given, with assumptions for what is open.
func plan(m *runtime.Model, given map[string]tensor.Shape) (in []tensor.Value, assumed []bool, d *cpu.Description, err error) {
	for name := range given {
		if !slices.ContainsFunc(m.Inputs, func(p runtime.Port) bool { return p.Name == name }) {
			return nil, nil, nil, fmt.Errorf("--shape %s: the model has no such input, only %s", name, inputNames(m))
		}
	}
	var first error
	for _, open := range openExtents {
		in, assumed, err = inputs(m, given, open)
		if err != nil {
			return nil, nil, nil, err
		}
		if d, err = m.Describe(in); err == nil {
			return in, assumed, d, nil
		}
		if !slices.Contains(assumed, true) {
			return nil, nil, nil, fmt.Errorf("with these shapes the model does not work: %w", err)
		}
		if first == nil {
			first = err
		}
	}
	return nil, nil, nil, fmt.Errorf("no shape that was tried for the open extents works: give --shape for %s: %w", inputNames(m), first)
}

func inputNames(m *runtime.Model) string {
	var list []string
	for _, p := range m.Inputs {
		list = append(list, fmt.Sprintf("%s (%v)", p.Name, p.Type))
	}
	return strings.Join(list, ", ")
}

// inputs makes a value of each input's shape. assumed says for which of them an extent was open.
func inputs(m *runtime.Model, given map[string]tensor.Shape, open int) (in []tensor.Value, assumed []bool, err error) {
	for i, p := range m.Inputs {
		if p.Type.Kind != graph.TensorKind {
			in, assumed = append(in, &tensor.Sequence{}), append(assumed, false)
			continue
		}
		shape, ok := given[p.Name]
		guess := false
		if !ok {
			shape, guess = assume(p, open)
		}
		if p.Type.DType != tensor.String && p.Type.DType.Bytes(shape.Elements()) > maxInputBytes {
			return nil, nil, fmt.Errorf("input %q: %v%v is larger than %d bytes", p.Name, p.Type.DType, shape, maxInputBytes)
		}
		t := tensor.New(p.Type.DType, shape)
		if err := m.Check(i, t); err != nil {
			return nil, nil, err
		}
		in, assumed = append(in, t), append(assumed, guess)
	}
	return in, assumed, nil
}

// assume fills the open extents of a declared shape; the first is the batch.
func assume(p runtime.Port, open int) (s tensor.Shape, guess bool) {
	if !p.Type.Ranked {
		return tensor.Shape{1}, true
	}
	if open == openExtents[0] && len(p.Type.Shape) == 4 {
		open = imageExtent
	}
	s = tensor.Shape{}
	for i, d := range p.Type.Shape {
		switch {
		case d.Size >= 0:
			s = append(s, d.Size)
		case i == 0:
			s, guess = append(s, 1), true
		default:
			s, guess = append(s, open), true
		}
	}
	return s, guess
}
