package math

import (
	"fmt"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// scan is the geometry of a cumulative operator: outer × n × inner elements, along n.
type scan struct {
	outer, n, inner    int
	exclusive, reverse bool
}

// evalCum is CumSum and CumProd.
func evalCum(prod bool) func(*ops.Call) error {
	return func(c *ops.Call) error {
		x, at := c.T(0), c.T(1)
		if x == nil || at == nil || at.Elements() != 1 {
			return fmt.Errorf("expected a tensor and a scalar axis, got %v and %v", x, at)
		}
		v, err := tensor.Int64s(at)
		if err != nil {
			return fmt.Errorf("axis: %w", err)
		}
		axis, err := tensor.Axis(v[0], x.Rank())
		if err != nil {
			return err
		}
		y, err := c.Output(0, x.DType, x.Shape)
		if err != nil {
			return err
		}
		return cumulate(y, x, newScan(c.Node, x.Shape, axis), prod)
	}
}

func newScan(n *graph.Node, s tensor.Shape, axis int) scan {
	return scan{
		outer: s[:axis].Elements(), n: s[axis], inner: s[axis+1:].Elements(),
		exclusive: n.Attrs.Int("exclusive", 0) != 0, reverse: n.Attrs.Int("reverse", 0) != 0,
	}
}

func cumulate(y, x *tensor.Tensor, s scan, prod bool) error {
	switch x.DType {
	case tensor.Float32:
		cumAs[float32](y, x, s, prod)
	case tensor.Float64:
		cumAs[float64](y, x, s, prod)
	case tensor.Int8:
		cumAs[int8](y, x, s, prod)
	case tensor.Int16:
		cumAs[int16](y, x, s, prod)
	case tensor.Int32:
		cumAs[int32](y, x, s, prod)
	case tensor.Int64:
		cumAs[int64](y, x, s, prod)
	case tensor.Uint8:
		cumAs[uint8](y, x, s, prod)
	case tensor.Uint16:
		cumAs[uint16](y, x, s, prod)
	case tensor.Uint32:
		cumAs[uint32](y, x, s, prod)
	case tensor.Uint64:
		cumAs[uint64](y, x, s, prod)
	case tensor.Float16, tensor.BFloat16:
		v, err := tensor.Float32s(x)
		if err != nil {
			return err
		}
		w := make([]float32, len(v))
		cum(w, v, s, prod)
		return tensor.StoreFloat32s(y, w)
	default:
		return fmt.Errorf("expected numbers, got %v", x)
	}
	return nil
}

func cumAs[T number](y, x *tensor.Tensor, s scan, prod bool) {
	cum(tensor.Data[T](y), tensor.Data[T](x), s, prod)
}

func cum[T number](y, x []T, s scan, prod bool) {
	if s.inner != 1 {
		cumRows(y, x, s, prod)
		return
	}
	for o := range s.outer {
		var acc T
		if prod {
			acc = 1
		}
		for k := range s.n {
			if s.reverse {
				k = s.n - 1 - k
			}
			p := o*s.n + k
			if s.exclusive {
				y[p] = acc
			}
			if prod {
				acc *= x[p]
			} else {
				acc += x[p]
			}
			if !s.exclusive {
				y[p] = acc
			}
		}
	}
}

// cumRows goes along the rows of inner elements: each is the one before it with x's, which memory
// likes better than inner walks across the rows.
func cumRows[T number](y, x []T, s scan, prod bool) {
	for o := range s.outer {
		var last, added []T // the row of y before, and the row of x that it lacks
		for k := range s.n {
			if s.reverse {
				k = s.n - 1 - k
			}
			at := (o*s.n + k) * s.inner
			row, of := y[at:at+s.inner], x[at:at+s.inner]
			if !s.exclusive {
				added = of
			}
			switch {
			case last == nil && !s.exclusive:
				copy(row, of)
			case last == nil:
				var start T
				if prod {
					start = 1
				}
				for i := range row {
					row[i] = start
				}
			case prod:
				a, b := last[:len(row)], added[:len(row)]
				for i := range row {
					row[i] = a[i] * b[i]
				}
			default:
				a, b := last[:len(row)], added[:len(row)]
				for i := range row {
					row[i] = a[i] + b[i]
				}
			}
			last, added = row, of
		}
	}
}
