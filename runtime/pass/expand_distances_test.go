package pass_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// scanOf is a Scan over the rows of the second input that carries the first one along.
func scanOf(r *trial, matrix, each *graph.Value, distance func(b *trial, difference *graph.Value) *graph.Value) []*graph.Value {
	b := &trial{Rand: r.Rand}
	carried, row := &graph.Value{Name: "carried"}, &graph.Value{Name: "row"}
	b.g.In = []*graph.Value{carried, row}
	d := distance(b, b.op("Sub", nil, 1, carried, row)[0])
	b.g.Out = []*graph.Value{b.op("Identity", nil, 1, carried)[0], b.op("Identity", nil, 1, d)[0]}
	return r.op("Scan", graph.Attrs{"num_scan_inputs": graph.IntAttr(1), "body": &graph.Attr{Kind: graph.AttrGraph, G: &b.g}}, 2, matrix, each)
}

// distanceOf is the distance of rows by the name of the case.
func distanceOf(name string, x, y []float64) (d float64) {
	for k, v := range x {
		if name == "differences" {
			d += math.Abs(v - y[k])
		} else {
			d += (v - y[k]) * (v - y[k])
		}
	}
	if name == "roots" {
		d = math.Sqrt(d)
	}
	return d
}

// TestDistancesMeanTheSame compares what a Scan becomes with the distances that it spells, and requires that neither it
// nor the transposition behind it is left.
func TestDistancesMeanTheSame(t *testing.T) {
	last := graph.Attrs{"keepdims": graph.IntAttr(0)}
	sum := func(b *trial, op string, v *graph.Value) *graph.Value {
		axis := &graph.Value{Name: "axis", Const: tensor.FromSlice([]int64{1}, 1)}
		return b.op(op, last, 1, v, axis)[0]
	}
	for name, distance := range map[string]func(b *trial, d *graph.Value) *graph.Value{
		"squares": func(b *trial, d *graph.Value) *graph.Value { return sum(b, "ReduceSumSquare", d) },
		"roots": func(b *trial, d *graph.Value) *graph.Value {
			return b.op("Sqrt", nil, 1, sum(b, "ReduceSumSquare", d))[0]
		},
		"products":    func(b *trial, d *graph.Value) *graph.Value { return sum(b, "ReduceSum", b.op("Mul", nil, 1, d, d)[0]) },
		"differences": func(b *trial, d *graph.Value) *graph.Value { return sum(b, "ReduceSum", b.op("Abs", nil, 1, d)[0]) },
	} {
		for seed := range uint64(12) {
			r := &trial{Rand: rand.New(rand.NewPCG(seed, 5)), data: map[*graph.Value]tensor.Value{}}
			r.half, r.open = []tensor.DType{tensor.Float32, tensor.Float64}[r.IntN(2)], r.maybe()
			k := 1 + r.IntN(5)
			matrix, each := r.floats(false, 1+r.IntN(6), k), r.floats(true, 1+r.IntN(6), k)
			out := scanOf(r, matrix, each, distance)
			r.g.Out = append(r.op("Transpose", graph.Attrs{"perm": graph.IntsAttr(1, 0)}, 1, out[1]), out[0])
			for _, p := range []string{"expand", "identity", "dead"} {
				named(t, p, registry)(&r.g)
			}
			for _, n := range r.g.Nodes {
				if n.Op == "Scan" || n.Op == "Transpose" {
					t.Errorf("%s, seed %d: %s is left", name, seed, n.Op)
				}
			}
			numbers := func(v tensor.Value) []float64 {
				x, err := tensor.Float64s(v.(*tensor.Tensor))
				if err != nil {
					t.Fatal(err)
				}
				return x
			}
			got, x, y := evaluate(t, &r.g, r.data), numbers(r.data[matrix]), numbers(each.Const)
			if !slices.Equal(numbers(got[1]), x) {
				t.Errorf("%s, seed %d: what was carried along is gone", name, seed)
			}
			for i, d := range numbers(got[0]) {
				a, b := i/(len(y)/k), i%(len(y)/k)
				if want := distanceOf(name, x[a*k:a*k+k], y[b*k:b*k+k]); math.Abs(d-want) > 1e-5*(1+want) {
					t.Errorf("%s, seed %d: %d to %d is %g, want %g", name, seed, a, b, d, want)
				}
			}
		}
	}
}

// TestDistancesLeave leaves a Scan that is another function, or whose columns repeat, as it is.
func TestDistancesLeave(t *testing.T) {
	axis := &graph.Value{Name: "axis", Const: tensor.FromSlice([]int64{1}, 1)}
	drop := graph.Attrs{"keepdims": graph.IntAttr(0)}
	squares := func(b *trial, d *graph.Value) *graph.Value { return b.op("ReduceSumSquare", drop, 1, d, axis)[0] }
	for name, c := range map[string]struct {
		cols     int
		distance func(b *trial, d *graph.Value) *graph.Value
	}{
		"one column against four": {1, squares},
		"rows that stay":          {4, func(b *trial, d *graph.Value) *graph.Value { return b.op("ReduceSumSquare", nil, 1, d, axis)[0] }},
		"the greatest":            {4, func(b *trial, d *graph.Value) *graph.Value { return b.op("ReduceMax", drop, 1, d, axis)[0] }},
	} {
		r := &trial{Rand: rand.New(rand.NewPCG(1, 5)), data: map[*graph.Value]tensor.Value{}, half: tensor.Float32}
		r.g.Out = scanOf(r, r.floats(false, 3, c.cols), r.floats(true, 5, 4), c.distance)
		named(t, "expand", registry)(&r.g)
		if len(r.g.Nodes) != 1 || r.g.Nodes[0].Op != "Scan" {
			t.Errorf("%s: the Scan is gone", name)
		}
	}
}
