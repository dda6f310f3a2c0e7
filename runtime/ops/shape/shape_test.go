package shape

import (
	"reflect"
	"strings"
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// eval runs a form of an operator, with its shape rule, on tensors.
func eval(t *testing.T, name string, opset int, attrs graph.Attrs, in ...*tensor.Tensor) (*tensor.Tensor, ops.Info, error) {
	t.Helper()
	r := ops.NewRegistry()
	Register(r)
	n := &graph.Node{Op: name, Opset: opset, Attrs: attrs, Out: []*graph.Value{{}}}
	c := &ops.Call{Node: n, Out: make([]tensor.Value, 1)}
	s := &ops.ShapeCall{Node: n, Out: make([]ops.Info, 1)}
	for _, x := range in {
		n.In = append(n.In, &graph.Value{})
		c.In = append(c.In, x)
		s.In = append(s.In, ops.Info{Present: true, DType: x.DType, Known: true, Shape: x.Shape, Const: x})
	}
	o, err := r.Resolve(n)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Shape(s); err != nil {
		return nil, ops.Info{}, err
	}
	if err := o.Eval(c); err != nil {
		return nil, ops.Info{}, err
	}
	return c.Out[0].(*tensor.Tensor), s.Out[0], nil
}

func numbers(t *testing.T, x *tensor.Tensor) []float64 {
	t.Helper()
	v, err := tensor.Float64s(x)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func iota(d tensor.DType, shape ...int) *tensor.Tensor {
	x := tensor.New(d, shape)
	v := make([]float64, x.Elements())
	w := make([]int64, len(v))
	for i := range v {
		v[i], w[i] = float64(i%4), int64(i%4)
	}
	err := tensor.StoreInt64s(x, w)
	if d.IsFloat() {
		err = tensor.StoreFloat64s(x, v)
	}
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return x
}

// Forms that ONNX Runtime no longer has.
func TestOldForms(t *testing.T) {
	f := func(name string, opset int, attrs graph.Attrs, shape tensor.Shape, want []float64, in ...*tensor.Tensor) {
		t.Helper()
		y, info, err := eval(t, name, opset, attrs, in...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if !y.Shape.Equal(shape) || !info.Shape.Equal(shape) || !reflect.DeepEqual(numbers(t, y), want) {
			t.Errorf("%s: got %v %v (rule: %v), want %v %v", name, y, numbers(t, y), info.Shape, shape, want)
		}
	}
	x := iota(tensor.Float32, 2, 2)
	f("Reshape", 1, graph.Attrs{"shape": graph.IntsAttr(-1), "consumed_inputs": graph.IntsAttr(0)}, tensor.Shape{4}, []float64{0, 1, 2, 3}, x)
	f("Concat", 1, graph.Attrs{}, tensor.Shape{2, 4}, []float64{0, 1, 0, 1, 2, 3, 2, 3}, x, x)
	f("Tile", 1, graph.Attrs{}, tensor.Shape{2, 4}, []float64{0, 1, 0, 1, 2, 3, 2, 3}, x, tensor.Scalar(float32(2)), tensor.Scalar(float32(1)))
	f("Split", 1, graph.Attrs{"axis": graph.IntAttr(1)}, tensor.Shape{2, 2}, []float64{0, 1, 2, 3}, x)
	f("Cast", 1, graph.Attrs{"to": graph.StrAttr("INT32")}, tensor.Shape{2, 2}, []float64{0, 1, 2, 3}, x)
	f("Constant", 11, graph.Attrs{"sparse_value": graph.TensorAttr(x)}, tensor.Shape{2, 2}, []float64{0, 1, 2, 3})
	f("OneHot", 9, graph.Attrs{}, tensor.Shape{2, 3}, []float64{0, 1, 0, 0, 0, 1}, tensor.FromSlice([]float32{1, 2}, 2), tensor.FromSlice([]float32{3}, 1), tensor.FromSlice([]int32{0, 1}, 2))
}

// −1 beside an axis that is kept at 0 has one answer.
func TestReshapeInfersBesideKeptZero(t *testing.T) {
	y, _, err := eval(t, "Reshape", 13, graph.Attrs{}, tensor.New(tensor.Float32, tensor.Shape{0, 12, 64}), tensor.FromSlice([]int64{0, -1}, 2))
	if err != nil || !y.Shape.Equal(tensor.Shape{0, 768}) {
		t.Errorf("got %v, %v", y, err)
	}
}

// Every type must move, whatever its width.
func TestNarrowTypesMove(t *testing.T) {
	for _, d := range []tensor.DType{tensor.Int4, tensor.Uint4, tensor.Int2, tensor.Uint2, tensor.Float4E2M1, tensor.Float6E3M2, tensor.Float8E5M2, tensor.BFloat16} {
		x := iota(d, 3, 3)
		v := numbers(t, x)
		pick := func(idx ...int) (out []float64) {
			for _, i := range idx {
				out = append(out, v[i])
			}
			return out
		}
		f := func(name string, attrs graph.Attrs, want []float64, in ...*tensor.Tensor) {
			t.Helper()
			y, _, err := eval(t, name, 13, attrs, in...)
			if err != nil {
				t.Errorf("%s of %v: %v", name, d, err)
				return
			}
			if y.DType != d || !reflect.DeepEqual(numbers(t, y), want) {
				t.Errorf("%s of %v: got %v %v, want %v", name, d, y, numbers(t, y), want)
			}
		}
		ints := func(v ...int64) *tensor.Tensor { return tensor.FromSlice(v, len(v)) }
		f("Transpose", graph.Attrs{}, pick(0, 3, 6, 1, 4, 7, 2, 5, 8), x)
		f("Slice", graph.Attrs{}, pick(6, 7, 3, 4), x, ints(2, 0), ints(0, 2), ints(0, 1), ints(-1, 1))
		f("Gather", graph.Attrs{"axis": graph.IntAttr(1)}, pick(2, 0, 5, 3, 8, 6), x, ints(-1, 0))
		f("Concat", graph.Attrs{"axis": graph.IntAttr(1)}, pick(0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 7, 8, 6, 7, 8), x, x)
		f("ScatterND", graph.Attrs{}, pick(0, 1, 2, 0, 1, 2, 6, 7, 8), x, tensor.FromSlice([]int64{1}, 1, 1), iota(d, 1, 3))
		f("Pad", graph.Attrs{"mode": graph.StrAttr("edge")}, pick(0, 0, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8), x, ints(0, 1, 0, 0))
	}
}

// Shape arithmetic begins with constants that Shape and Size state.
func TestShapeIsConstant(t *testing.T) {
	_, info, err := eval(t, "Shape", 15, graph.Attrs{"start": graph.IntAttr(-1)}, iota(tensor.Float32, 2, 3))
	if err != nil || info.Tensor() == nil || tensor.Data[int64](info.Tensor())[0] != 3 {
		t.Errorf("got %v, %v", info, err)
	}
	_, info, err = eval(t, "Size", 13, graph.Attrs{}, iota(tensor.Float32, 2, 3))
	if err != nil || info.Tensor() == nil || tensor.Data[int64](info.Tensor())[0] != 6 {
		t.Errorf("got %v, %v", info, err)
	}
}

// What refuses must say what was expected and what came.
func TestErrorsName(t *testing.T) {
	f := func(name, part string, attrs graph.Attrs, in ...*tensor.Tensor) {
		t.Helper()
		_, _, err := eval(t, name, 13, attrs, in...)
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: got error %v, want one with %q", name, err, part)
		}
	}
	x := iota(tensor.Float32, 2, 3)
	f("Reshape", "[2,3] (6 elements) does not reshape to [4]", graph.Attrs{}, x, tensor.FromSlice([]int64{4}, 1))
	f("Squeeze", "axis 1 of [2,3] is 3, expected 1", graph.Attrs{}, x, tensor.FromSlice([]int64{1}, 1))
	f("Gather", "index 5 is outside of an axis of 2", graph.Attrs{}, x, tensor.Scalar(int64(5)))
	f("Concat", "expected [2,3] but for axis 0", graph.Attrs{"axis": graph.IntAttr(0)}, x, iota(tensor.Float32, 2, 2))
	f("ConstantOfShape", "more than", graph.Attrs{}, tensor.FromSlice([]int64{1 << 40, 1 << 40}, 2))
	f("ConstantOfShape", "beyond the limit", graph.Attrs{}, tensor.FromSlice([]int64{1 << 39}, 1))
	f("Cast", "to is 99", graph.Attrs{"to": graph.IntAttr(99)}, x)
}
