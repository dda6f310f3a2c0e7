package seq

import (
	"strings"
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

func run(t *testing.T, name string, opset int, attrs graph.Attrs, in ...tensor.Value) (tensor.Value, error) {
	t.Helper()
	r := ops.NewRegistry()
	Register(r)
	n := &graph.Node{Op: name, Opset: opset, Attrs: attrs, In: make([]*graph.Value, len(in)), Out: []*graph.Value{{}}}
	o, err := r.Resolve(n)
	if err != nil {
		t.Fatal(err)
	}
	c := &ops.Call{Node: n, In: in, Out: make([]tensor.Value, 1)}
	err = o.Eval(c)
	return c.Out[0], err
}

// show writes a value of small integers as text, "[2] 1 2" for a vector.
func show(v tensor.Value) string {
	switch v := v.(type) {
	case *tensor.Sequence:
		var s []string
		for _, e := range v.Elem {
			s = append(s, show(e))
		}
		return "(" + strings.Join(s, " ") + ")"
	case *tensor.Optional:
		if v.Elem == nil {
			return "none"
		}
		return "some" + show(v.Elem)
	case *tensor.Tensor:
		d, err := tensor.Int64s(v)
		if err != nil {
			return err.Error()
		}
		return v.Shape.String() + text(d)
	}
	return "?"
}

func text(v []int64) string {
	var b strings.Builder
	for _, x := range v {
		b.WriteByte(' ')
		b.WriteByte(byte('0' + x))
	}
	return b.String()
}

func ints(v ...int64) *tensor.Tensor { return tensor.FromSlice(v, len(v)) }

func TestSequences(t *testing.T) {
	a, b, c := ints(1), ints(2, 3), ints(4)
	s := &tensor.Sequence{Of: tensor.Int64, Elem: []tensor.Value{a, b, c}}
	at := func(i int64) tensor.Value { return tensor.Scalar(i) }
	f := func(want, name string, attrs graph.Attrs, in ...tensor.Value) {
		t.Helper()
		got, err := run(t, name, 28, attrs, in...)
		if err != nil {
			if !strings.HasPrefix(want, "error ") || !strings.Contains(err.Error(), want[6:]) {
				t.Errorf("%s: %v, want %s", name, err, want)
			}
			return
		}
		if show(got) != want {
			t.Errorf("%s: got %s, want %s", name, show(got), want)
		}
	}
	f("[2] 2 3", "SequenceAt", nil, s, at(1))
	f("[1] 4", "SequenceAt", nil, s, at(-1))
	f("error position 3", "SequenceAt", nil, s, at(3))
	f("error position -4", "SequenceAt", nil, s, at(-4))
	f("([1] 1 [2] 2 3)", "SequenceConstruct", nil, a, b)
	f("error expected int64", "SequenceConstruct", nil, a, tensor.Scalar(true))
	f("()", "SequenceEmpty", graph.Attrs{"dtype": graph.IntAttr(7)})
	f("error no element type", "SequenceEmpty", graph.Attrs{"dtype": graph.IntAttr(99)})
	f("([1] 1 [2] 2 3)", "SequenceErase", nil, s)
	f("([2] 2 3 [1] 4)", "SequenceErase", nil, s, at(0))
	f("([1] 1 [1] 4)", "SequenceErase", nil, s, at(-2))
	f("error empty", "SequenceErase", nil, &tensor.Sequence{})
	f("([1] 1 [2] 2 3 [1] 4 [1] 5)", "SequenceInsert", nil, s, ints(5))
	f("([1] 1 [2] 2 3 [1] 4 [1] 5)", "SequenceInsert", nil, s, ints(5), at(3))
	f("([1] 5 [1] 1 [2] 2 3 [1] 4)", "SequenceInsert", nil, s, ints(5), at(-3))
	f("error position 4", "SequenceInsert", nil, s, ints(5), at(4))
	f("error does not go into", "SequenceInsert", nil, s, tensor.Scalar(true))
	f("[] 3", "SequenceLength", nil, s)
	f("error expected a sequence", "SequenceLength", nil, a)
	if show(s) != "([1] 1 [2] 2 3 [1] 4)" {
		t.Errorf("the input became %s", show(s))
	}

	x := tensor.FromSlice([]int64{1, 2, 3, 4, 5, 6}, 2, 3)
	axis := graph.Attrs{"axis": graph.IntAttr(1)}
	f("([2,1] 1 4 [2,1] 2 5 [2,1] 3 6)", "SplitToSequence", axis, x)
	f("([2] 1 4 [2] 2 5 [2] 3 6)", "SplitToSequence", graph.Attrs{"axis": graph.IntAttr(-1), "keepdims": graph.IntAttr(0)}, x)
	f("([2,2] 1 2 4 5 [2,1] 3 6)", "SplitToSequence", axis, x, at(2))
	f("([2,1] 1 4 [2,2] 2 3 5 6)", "SplitToSequence", axis, x, ints(1, 2))
	f("error for an axis of 3", "SplitToSequence", axis, x, ints(1, 1))
	f("error expected 1 or more", "SplitToSequence", axis, x, at(0))
	f("[4] 1 2 3 4", "ConcatFromSequence", graph.Attrs{"axis": graph.IntAttr(0)}, s)
	pair := &tensor.Sequence{Elem: []tensor.Value{ints(1, 2), ints(3, 4)}}
	f("[2,2] 1 3 2 4", "ConcatFromSequence", graph.Attrs{"axis": graph.IntAttr(-1), "new_axis": graph.IntAttr(1)}, pair)
	f("error empty", "ConcatFromSequence", graph.Attrs{"axis": graph.IntAttr(0)}, &tensor.Sequence{})
	f("error expected [1]", "ConcatFromSequence", graph.Attrs{"axis": graph.IntAttr(0), "new_axis": graph.IntAttr(1)}, s)
}

func TestOptionals(t *testing.T) {
	f := func(want, name string, in ...tensor.Value) {
		t.Helper()
		got, err := run(t, name, 18, graph.Attrs{}, in...)
		if err != nil {
			if !strings.HasPrefix(want, "error ") || !strings.Contains(err.Error(), want[6:]) {
				t.Errorf("%s: %v, want %s", name, err, want)
			}
			return
		}
		if show(got) != want {
			t.Errorf("%s: got %s, want %s", name, show(got), want)
		}
	}
	one := ints(1)
	f("some[1] 1", "Optional", one)
	f("error neither", "Optional")
	f("[] 1", "OptionalHasElement", &tensor.Optional{Elem: one})
	f("[] 0", "OptionalHasElement", &tensor.Optional{})
	f("[] 1", "OptionalHasElement", one)
	f("[] 0", "OptionalHasElement")
	f("[1] 1", "OptionalGetElement", &tensor.Optional{Elem: one})
	f("[1] 1", "OptionalGetElement", one)
	f("error empty", "OptionalGetElement", &tensor.Optional{})
	got, err := run(t, "Optional", 15, graph.Attrs{"type": {Kind: graph.AttrType, Type: &graph.Type{}}})
	if err != nil || show(got) != "none" {
		t.Errorf("got %v, %v", got, err)
	}
}
