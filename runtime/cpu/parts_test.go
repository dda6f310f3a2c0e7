package cpu_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// apart builds a graph of two outputs whose rows are independent, large enough to run in parts of
// a few rows.
func apart(b *builder, rows int) {
	x, z := b.input(b.floats(rows, 96, 16)), b.input(b.floats(rows, 1, 16))
	h := b.node("Relu", nil, b.node("MatMul", nil, b.node("Add", nil, x, z), b.constant(b.floats(16, 1024))))
	y := b.node("Softmax", nil, b.node("MatMul", nil, h, b.constant(b.floats(1024, 8))))
	b.output(y, b.node("ReduceMax", attrs{"axes": ints(1), "keepdims": graph.IntAttr(0)}, y))
	for _, v := range append(b.g.In, b.g.Out...) {
		v.Type.Ranked = true
	}
}

func elements(call *device.Call) (all []float32) {
	for _, v := range call.Out {
		all = append(all, tensor.Data[float32](v.(*tensor.Tensor))...)
	}
	return all
}

// TestParts compares batches that run in parts with the same batches run whole: parts that come out even
// and those that leave some rows, on more threads and on fewer than there are parts.
func TestParts(t *testing.T) {
	for _, rows := range []int{1, 2, 3, 5, 8, 11} {
		b := newBuilder(uint64(rows))
		apart(b, rows)
		whole, err := cpu.New(registry, cpu.Config{Threads: 1}).Compile(b.g)
		if err != nil {
			t.Fatal(err)
		}
		call := &device.Call{In: b.in}
		if err := whole.Run(context.Background(), call); err != nil {
			t.Fatal(err)
		}
		want := elements(call)
		for _, threads := range []int{1, 2, 3, 8} {
			p, err := cpu.New(registry, cpu.Config{Threads: threads}).CompileRows(b.g)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Prepare(b.in); err != nil {
				t.Fatal(err)
			}
			if n := cpu.PartRows(p, b.in); (n == 2) != (rows >= 4) {
				t.Errorf("%d rows run in parts of %d", rows, n)
			}
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() {
					call := &device.Call{In: b.in}
					for range 2 {
						if err := p.Run(context.Background(), call); err != nil {
							t.Error(err)
							return
						}
						if !slices.Equal(elements(call), want) {
							t.Errorf("%d rows on %d threads differ from the whole batch", rows, threads)
						}
						if s := call.Out[1].(*tensor.Tensor).Shape; !s.Equal(tensor.Shape{rows, 8}) {
							t.Errorf("%d rows: output of shape %v", rows, s)
						}
						call.Release()
					}
				})
			}
			all.Wait()
		}
	}
}

// TestPartsStop ends a run in parts: it gives the context's error and no outputs, and the next
// run is whole again.
func TestPartsStop(t *testing.T) {
	b := newBuilder(1)
	apart(b, 8)
	p, err := cpu.New(registry, cpu.Config{Threads: 2}).CompileRows(b.g)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	call := &device.Call{In: b.in}
	for range 3 {
		if err := p.Run(ctx, call); err == nil || len(call.Out) != 0 {
			t.Fatalf("error %v, %d outputs", err, len(call.Out))
		}
	}
	if err := p.Run(context.Background(), call); err != nil || len(call.Out) != 2 {
		t.Fatalf("error %v, %d outputs", err, len(call.Out))
	}
	call.Release()
}

// table builds a graph without products: rows of numbers and words, of which a category is looked up in a list
// of words and what is unknown is refused if strict.
func table(b *builder, rows int, strict int64) {
	known := []string{"a", "bb", "ccc"}
	words := make([]string, rows)
	for i := range words {
		words[i] = known[i%3]
	}
	words[rows-1] = "unknown"
	x, w := b.input(b.floats(rows, 24)), b.input(tensor.FromStrings(words, rows, 1))
	names := func(s ...string) *graph.Attr { return &graph.Attr{Kind: graph.AttrStrings, Strings: s} }
	hot := b.node("ai.onnx.ml.OneHotEncoder", attrs{"cats_strings": names(known...), "zeros": graph.IntAttr(1 - strict)}, w)
	one := func(v float32) *graph.Attr { return &graph.Attr{Kind: graph.AttrFloats, Floats: []float32{v}} }
	scaled := b.node("ai.onnx.ml.Scaler", attrs{"offset": one(.5), "scale": one(2)}, x)
	all := b.node("Concat", attrs{"axis": graph.IntAttr(1)}, scaled, b.node("Reshape", nil, hot, b.int64s(-1, 3)))
	b.output(all, b.node("ai.onnx.ml.LabelEncoder", attrs{"keys_strings": names(known...), "values_strings": names("A", "B", "C")}, w))
	for _, v := range append(b.g.In, b.g.Out...) {
		v.Type.Ranked = true
	}
}

// TestPartsOfTables compares batches of steps that are no products, and of strings, in parts and whole.
func TestPartsOfTables(t *testing.T) {
	for _, rows := range []int{2, 40, 3001, 20000} {
		b := newBuilder(uint64(rows))
		table(b, rows, 0)
		want, _ := b.run(t, false, 1)
		for _, threads := range []int{1, 2, 3} {
			p, err := cpu.New(registry, cpu.Config{Threads: threads}).CompileRows(b.g)
			if err != nil {
				t.Fatal(err)
			}
			if n := cpu.PartRows(p, b.in); (n > 0) != (rows > 1000) || n > 2000 {
				t.Errorf("%d rows run in parts of %d", rows, n)
			}
			call := &device.Call{In: b.in}
			var kept []*tensor.Tensor
			for range 3 {
				if err := p.Run(context.Background(), call); err != nil {
					t.Fatal(err)
				}
				for k, v := range call.Out {
					if err := differ(v.(*tensor.Tensor), want[k].(*tensor.Tensor), tolerance{}); err != nil {
						t.Errorf("%d rows on %d threads: output %d %v", rows, threads, k, err)
					}
				}
				kept = append(kept, tensor.FromStrings(call.Out[1].(*tensor.Tensor).Strings(), rows, 1))
				call.Release()
			}
			for _, v := range kept {
				if err := differ(v, want[1].(*tensor.Tensor), tolerance{}); err != nil {
					t.Errorf("%d rows on %d threads: strings after the run: %v", rows, threads, err)
				}
			}
		}
	}
}

// TestPartsRefuse: a row that is refused is told by a part that names its rows, and later runs are whole.
func TestPartsRefuse(t *testing.T) {
	b := newBuilder(1)
	table(b, 20000, 1)
	p, err := cpu.New(registry, cpu.Config{Threads: 2}).CompileRows(b.g)
	if err != nil {
		t.Fatal(err)
	}
	call := &device.Call{In: b.in}
	var refusal *device.Refusal
	if err := p.Run(context.Background(), call); !errors.As(err, &refusal) || !strings.Contains(err.Error(), "to 19999: ") || len(call.Out) != 0 {
		t.Errorf("error %v, %d outputs", err, len(call.Out))
	}
	words := b.in[1].(*tensor.Tensor).Strings()
	words[len(words)-1] = "a"
	if err := p.Run(context.Background(), call); err != nil || len(call.Out) != 2 {
		t.Fatalf("error %v, %d outputs", err, len(call.Out))
	}
	call.Release()
}
