package verify

import (
	"bytes"
	"fmt"
	"math"

	"github.com/aimass/aimass/runtime/tensor"
)

// compare checks got against want; shapeOnly leaves the elements out.
func compare(got, want tensor.Value, tol tolerance, shapeOnly bool) error {
	switch w := want.(type) {
	case *tensor.Sequence:
		g, ok := got.(*tensor.Sequence)
		if !ok || len(g.Elem) != len(w.Elem) {
			return fmt.Errorf("expected a sequence of %d, got %s", len(w.Elem), describe(got))
		}
		for i := range w.Elem {
			if err := compare(g.Elem[i], w.Elem[i], tol, shapeOnly); err != nil {
				return fmt.Errorf("element %d: %w", i, err)
			}
		}
		return nil
	case *tensor.Optional:
		g, ok := got.(*tensor.Optional)
		if !ok {
			g = &tensor.Optional{Elem: got}
		}
		if (g.Elem == nil) != (w.Elem == nil) {
			return fmt.Errorf("expected an optional with value: %t, got %t", w.Elem != nil, g.Elem != nil)
		}
		if w.Elem == nil {
			return nil
		}
		return compare(g.Elem, w.Elem, tol, shapeOnly)
	case *tensor.Map:
		g, ok := got.(*tensor.Map)
		if !ok {
			return fmt.Errorf("expected a map, got %s", describe(got))
		}
		if err := compare(g.Keys, w.Keys, tol, shapeOnly); err != nil {
			return fmt.Errorf("keys: %w", err)
		}
		if gv, ok := g.Values.(*tensor.Tensor); ok && gv.Rank() == 1 {
			return compareMapValues(gv, w.Values, tol, shapeOnly)
		}
		return compare(g.Values, w.Values, tol, shapeOnly)
	case *tensor.Tensor:
		g, ok := got.(*tensor.Tensor)
		if !ok {
			return fmt.Errorf("expected %v, got %s", w, describe(got))
		}
		return compareTensor(g, w, tol, shapeOnly)
	}
	return fmt.Errorf("expected value of kind %T can't be compared", want)
}

// compareMapValues compares the values of a plain map, which files hold as a sequence of
// one-element tensors.
func compareMapValues(got *tensor.Tensor, want tensor.Value, tol tolerance, shapeOnly bool) error {
	w, ok := want.(*tensor.Sequence)
	if !ok {
		return compare(got, want, tol, shapeOnly)
	}
	if len(w.Elem) != got.Elements() {
		return fmt.Errorf("expected %d values, got %v", len(w.Elem), got)
	}
	for i, e := range w.Elem {
		t, ok := e.(*tensor.Tensor)
		if !ok || t.Elements() != 1 {
			return fmt.Errorf("value %d: expected %s, got one element of %v", i, describe(e), got)
		}
		if err := compareTensor(got.Rows(i, i+1).Reshaped(t.Shape), t, tol, shapeOnly); err != nil {
			return fmt.Errorf("value %d: %w", i, err)
		}
	}
	return nil
}

func describe(v tensor.Value) string {
	if t, ok := v.(*tensor.Tensor); ok {
		return t.String()
	}
	return fmt.Sprintf("%T", v)
}

func compareTensor(g, w *tensor.Tensor, tol tolerance, shapeOnly bool) error {
	if g.DType != w.DType || !g.Shape.Equal(w.Shape) {
		return fmt.Errorf("expected %v, got %v", w, g)
	}
	if shapeOnly {
		return nil
	}
	switch {
	case w.DType == tensor.String:
		for i, s := range w.Strings() {
			if g.Strings()[i] != s {
				return fmt.Errorf("element %d: expected %q, got %q", i, s, g.Strings()[i])
			}
		}
		return nil
	case w.DType == tensor.Complex64:
		return closeTo(parts64(g), parts64(w), tol)
	case w.DType == tensor.Complex128:
		return closeTo(parts128(g), parts128(w), tol)
	case w.DType.IsFloat():
		a, err := tensor.Float64s(g)
		if err != nil {
			return err
		}
		b, err := tensor.Float64s(w)
		if err != nil {
			return err
		}
		return closeTo(a, b, tol)
	}
	if !bytes.Equal(g.Bytes(), w.Bytes()) {
		for i := range w.Bytes() {
			if g.Bytes()[i] != w.Bytes()[i] {
				k := i * 8 / w.DType.Bits()
				return fmt.Errorf("element %d of %v differs", k, w)
			}
		}
	}
	return nil
}

func parts64(t *tensor.Tensor) []float64 {
	var out []float64
	for _, c := range tensor.Data[complex64](t) {
		out = append(out, float64(real(c)), float64(imag(c)))
	}
	return out
}

func parts128(t *tensor.Tensor) []float64 {
	var out []float64
	for _, c := range tensor.Data[complex128](t) {
		out = append(out, real(c), imag(c))
	}
	return out
}

func closeTo(got, want []float64, tol tolerance) error {
	bad, first, worst := 0, -1, 0.0
	for i, w := range want {
		g := got[i]
		if g == w || math.IsNaN(g) && math.IsNaN(w) {
			continue
		}
		if d := math.Abs(g - w); !(d <= tol.ATol+tol.RTol*math.Abs(w)) || math.IsInf(w, 0) {
			if bad++; first < 0 {
				first = i
			}
			worst = max(worst, d)
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d elements differ, first at %d: expected %v, got %v; greatest difference %.3g", bad, len(want), first, want[first], got[first], worst)
	}
	return nil
}
