package cpu_test

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// codes is a table of small whole numbers, here and there one that no encoder knows.
func (b *builder) codes(d tensor.DType, rows, columns int) *tensor.Tensor {
	t := tensor.New(d, tensor.Shape{rows, columns})
	for i := range rows * columns {
		v := float64(b.IntN(7) - 1)
		if b.IntN(9) == 0 {
			v = one(b, 0.5, -1.5, 1e300, math.Inf(-1), math.NaN())
		}
		switch d {
		case tensor.Float32:
			tensor.Data[float32](t)[i] = float32(v)
		case tensor.Float64:
			tensor.Data[float64](t)[i] = v
		case tensor.Int32:
			tensor.Data[int32](t)[i] = int32(b.IntN(8))
		default:
			tensor.Data[int64](t)[i] = int64(b.IntN(8))
		}
	}
	return t
}

// column picks one column of x as exporters do.
func (b *builder) column(x *graph.Value, columns int) *graph.Value {
	k := b.int64s(int64(b.IntN(columns)))
	if b.IntN(2) == 0 {
		return b.node("Gather", attrs{"axis": graph.IntAttr(1)}, x, k)
	}
	return b.node("ai.onnx.ml.ArrayFeatureExtractor", nil, x, k)
}

func intsOf(v ...int64) *graph.Attr { return &graph.Attr{Kind: graph.AttrInts, Ints: v} }

// part makes a few columns of float32 out of x.
func (b *builder) part(x *graph.Value, d tensor.DType, rows, columns int) *graph.Value {
	cast := func(v *graph.Value, to int64) *graph.Value { return b.node("Cast", attrs{"to": graph.IntAttr(to)}, v) }
	switch b.IntN(6) {
	case 0:
		v := b.column(x, columns)
		if d == tensor.Float32 {
			return v
		}
		return cast(v, 1)
	case 1:
		v := b.node("ai.onnx.ml.ArrayFeatureExtractor", nil, x, b.int64s(0, int64(b.IntN(columns)), int64(columns-1)))
		v = b.node("ReduceProd", attrs{"axes": intsOf(1), "keepdims": graph.IntAttr(1)}, v)
		if d == tensor.Float32 {
			return v
		}
		return cast(v, 1)
	case 2, 3:
		v := b.column(x, columns)
		if b.IntN(2) == 0 {
			v = cast(v, 7)
		}
		cats := []int64{0, 3, 1, 5, 4}
		v = b.node("ai.onnx.ml.OneHotEncoder", attrs{"cats_int64s": intsOf(cats...), "zeros": graph.IntAttr(1)}, v)
		if b.IntN(2) == 0 {
			return b.node("Reshape", nil, b.node("Gather", attrs{"axis": graph.IntAttr(-1)}, v, b.int64s(4, 1)), b.int64s(int64(rows), 2))
		}
		return b.node("Reshape", nil, v, b.int64s(int64(rows), int64(len(cats))))
	}
	a := attrs{"values_floats": {Kind: graph.AttrFloats, Floats: []float32{5, 2.5, -1}}, "default_float": graph.FloatAttr(-7)}
	v := b.column(x, columns)
	if d == tensor.Int64 {
		a["keys_int64s"] = intsOf(3, 1, 2)
	} else {
		a["keys_floats"] = &graph.Attr{Kind: graph.AttrFloats, Floats: []float32{0.5, 1, 2}}
		if d != tensor.Float32 {
			v = cast(v, 1)
		}
	}
	return b.node("Reshape", nil, b.node("ai.onnx.ml.LabelEncoder", a, v), b.int64s(-1, 1))
}

// TestLoweredColumns holds tables put together from columns that were chosen, multiplied and encoded to Eval: element
// types, unknown categories, more rows than are done at a time, and parts that others read as well.
func TestLoweredColumns(t *testing.T) {
	fused, graphs := 0, 0
	seeds(t, 200, func(t *testing.T, b *builder) {
		graphs++
		rows, columns := 1+b.IntN(150), 1+b.IntN(5)
		d := one(b, tensor.Float32, tensor.Float64, tensor.Int32, tensor.Int64)
		x := b.input(b.codes(d, rows, columns))
		var parts []*graph.Value
		for range 2 + b.IntN(4) {
			parts = append(parts, b.part(x, d, rows, columns))
		}
		b.output(b.node("Concat", attrs{"axis": graph.IntAttr(int64(one(b, 1, -1)))}, parts...))
		if b.IntN(4) == 0 {
			b.output(parts[0])
		}
		for _, s := range b.check(t, tolerance{rtol: 1e-6, atol: 1e-6}) {
			if s.Kernel == "columns" {
				fused++
			}
		}
	})
	if 2*fused < graphs {
		t.Errorf("%d of %d graphs had a step for their columns", fused, graphs)
	}
}

// TestColumnsRefuse: an encoder that knows no other category says so, and no index counts from the end.
func TestColumnsRefuse(t *testing.T) {
	b := newBuilder(1)
	x := b.input(tensor.FromSlice([]float32{0, 1, 1, 9}, 2, 2))
	hot := func(k int64) *graph.Value {
		v := b.node("Gather", attrs{"axis": graph.IntAttr(1)}, x, b.int64s(k))
		v = b.node("ai.onnx.ml.OneHotEncoder", attrs{"cats_int64s": intsOf(0, 1), "zeros": graph.IntAttr(0)}, v)
		return b.node("Reshape", nil, v, b.int64s(2, 2))
	}
	b.output(b.node("Concat", attrs{"axis": graph.IntAttr(1)}, hot(0), hot(1)))
	b.refuses(t, "element 1, 9, is no known category")
	b = newBuilder(1)
	at := b.input(tensor.FromSlice([]int64{-1}, 1))
	b.output(b.node("ai.onnx.ml.ArrayFeatureExtractor", nil, b.input(tensor.FromSlice([]float32{0, 1}, 1, 2)), at))
	b.refuses(t, "feature -1 of 2")
}

// refuses runs the graph and wants an error of this text.
func (b *builder) refuses(t *testing.T, text string) {
	t.Helper()
	p, err := cpu.New(registry, cpu.Config{Threads: 1}).Compile(b.g)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Run(context.Background(), &device.Call{In: b.in, Threads: 1}); err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("%v, expected %q", err, text)
	}
}

// TestNoNames: the names of no rows are none.
func TestNoNames(t *testing.T) {
	b := newBuilder(1)
	at := b.input(tensor.New(tensor.Int64, tensor.Shape{0}))
	names := b.node("ai.onnx.ml.ArrayFeatureExtractor", nil, b.constant(tensor.FromSlice([]int64{5, 6, 7}, 3)), at)
	b.output(b.node("Reshape", nil, names, b.int64s(-1)))
	b.check(t, tolerance{})
	if out, _ := b.run(t, false, 1); !out[0].(*tensor.Tensor).Shape.Equal(tensor.Shape{0}) {
		t.Errorf("%v", out[0])
	}
}

// TestLoweredChoiceOfColumns holds the choice of columns, counted from either end, to Eval.
func TestLoweredChoiceOfColumns(t *testing.T) {
	seeds(t, 60, func(t *testing.T, b *builder) {
		rows, columns := 1+b.IntN(40), 1+b.IntN(90)
		index := make([]int64, one(b, 1, 2, 20, 64, 65, 150))
		short := make([]int32, len(index))
		for k := range index {
			index[k] = int64(b.IntN(2*columns) - columns)
			short[k] = int32(index[k])
		}
		x := one(b, b.floats(rows, columns), b.doubles(rows, columns))
		k := one(b, b.constant(tensor.FromSlice(index, len(index))), b.constant(tensor.FromSlice(short, len(short))), b.input(tensor.FromSlice(index, len(index))))
		b.output(b.node("Gather", attrs{"axis": graph.IntAttr(-1)}, b.input(x), k))
		mustLower(t, b.check(t, tolerance{}))
	})
}
