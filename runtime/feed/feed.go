// Package feed makes inputs for models: from the standard's test folders, or by chance.
//
// Neighbours: bench, runtime/inspect and compress feed models with it; it knows types and
// files, and no engine. Ownership: all that it gives is the caller's. Concurrency: it has
// no state; a generator of random numbers is used by one goroutine at a time.
package feed

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/onnx"
	"github.com/aimass/aimass/runtime/tensor"
)

// Read gives input i of a test_data_set folder.
func Read(dir string, i int, name string, t graph.Type) (tensor.Value, error) {
	b, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("input_%d.pb", i)))
	if err != nil {
		return nil, fmt.Errorf("input %q: %w", name, err)
	}
	v, err := onnx.ReadValue(t, b)
	if err != nil {
		return nil, fmt.Errorf("input %q: %w", name, err)
	}
	return v, nil
}

// ParseShapes reads name=1x128 texts; the name ends at the last '=', and a scalar has no
// extents. A type behind a colon is allowed and ignored.
func ParseShapes(list []string) (map[string]tensor.Shape, error) {
	out := map[string]tensor.Shape{}
	for _, s := range list {
		k := strings.LastIndexByte(s, '=')
		if k <= 0 {
			return nil, fmt.Errorf("--shape %q: expected name=1x128", s)
		}
		dims, _, _ := strings.Cut(s[k+1:], ":")
		shape := tensor.Shape{}
		for _, d := range strings.Split(dims, "x") {
			if d == "" && dims == "" {
				break
			}
			n, err := strconv.Atoi(d)
			if err != nil || n < 0 {
				return nil, fmt.Errorf("--shape %q: %q is no extent", s, d)
			}
			shape = append(shape, n)
		}
		if err := shape.Check(); err != nil {
			return nil, fmt.Errorf("--shape %q: %w", s, err)
		}
		out[s[:k]] = shape
	}
	return out, nil
}

// DefaultShape is an input's declared shape with a batch of one; every other extent must
// be known.
func DefaultShape(name string, t graph.Type) (tensor.Shape, error) {
	if t.Kind != graph.TensorKind || !t.Ranked {
		return nil, fmt.Errorf("input %q has type %v: give --inputs or --shape", name, t)
	}
	s := tensor.Shape{}
	for i, d := range t.Shape {
		if d.Size < 0 && i > 0 {
			return nil, fmt.Errorf("input %q has type %v: give --shape '%s=…'", name, t, name)
		}
		s = append(s, max(d.Size, 1))
	}
	return s, nil
}

// Random makes an input: floats N(0,1); 1 in an input with mask in its name, 0 with
// token_type; other integers uniform in 1..999, booleans fair.
func Random(rng *rand.Rand, name string, t graph.Type, s tensor.Shape) (*tensor.Tensor, error) {
	return Values(rng, name, t.DType, s)
}

// Values is Random by name and type.
func Values(rng *rand.Rand, name string, d tensor.DType, s tensor.Shape) (*tensor.Tensor, error) {
	t := tensor.New(d, s)
	n := s.Elements()
	switch {
	case d == tensor.Float32 || d == tensor.Float64 || d == tensor.Float16 || d == tensor.BFloat16:
		v := make([]float64, n)
		for i := range v {
			v[i] = rng.NormFloat64()
		}
		return t, tensor.StoreFloat64s(t, v)
	case d == tensor.Bool:
		for i := range tensor.Data[bool](t) {
			tensor.Data[bool](t)[i] = rng.IntN(2) == 1
		}
		return t, nil
	case d.IsInt() && d.Bits() >= 8:
		for i := range n {
			storeInt(t, i, integer(rng, name))
		}
		return t, nil
	case d == tensor.String:
		for i := range t.Strings() {
			t.Strings()[i] = strconv.Itoa(int(integer(rng, name)))
		}
		return t, nil
	}
	return nil, fmt.Errorf("input %q: no values are made for %v", name, d)
}

func integer(rng *rand.Rand, name string) int64 {
	switch {
	case strings.Contains(name, "mask"):
		return 1
	case strings.Contains(name, "token_type"):
		return 0
	}
	return 1 + rng.Int64N(999)
}

// storeInt puts v into element i, reduced to the type's width.
func storeInt(t *tensor.Tensor, i int, v int64) {
	w := t.DType.Bits() / 8
	if w == 1 {
		v %= 128
	}
	for k := range w {
		t.Bytes()[i*w+k] = byte(v >> (8 * k))
	}
}
