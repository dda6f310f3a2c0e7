package cpu_test

import (
	"context"
	"testing"

	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// TestPlannedLater runs two products behind shapes that depend on data, one behind the other,
// with ever other data: the results are those of Eval, and the products run on kernels.
func TestPlannedLater(t *testing.T) {
	b := newBuilder(3)
	x := b.input(b.floats(20, 8))
	score := b.input(b.floats(20))
	chosen := func(v, score *graph.Value) *graph.Value {
		at := b.node("NonZero", nil, b.node("Greater", nil, score, b.scalar(0)))
		return b.node("Gather", nil, v, b.node("Squeeze", nil, at, b.int64s(0)))
	}
	h := b.node("Relu", nil, b.node("MatMul", nil, chosen(x, score), b.constant(b.floats(8, 16))))
	kept := chosen(h, b.node("ReduceSum", attrs{"keepdims": graph.IntAttr(0)}, b.node("Sub", nil, h, b.scalar(0.4)), b.int64s(1)))
	b.output(h, b.node("Gemm", nil, kept, b.constant(b.floats(16, 3))), b.node("Shape", nil, kept))
	fast, plain := cpu.New(registry, cpu.Config{Threads: 2}), cpu.New(registry, cpu.Config{NoLowering: true, Threads: 1})
	p, err := fast.Compile(b.g)
	if err != nil {
		t.Fatal(err)
	}
	d, err := cpu.Describe(p, b.in)
	if err != nil {
		t.Fatal(err)
	}
	products := 0
	for _, n := range d.Later {
		if n.Op == "MatMul" || n.Op == "Gemm" {
			products++
		}
	}
	if products != 2 {
		t.Errorf("%d products are planned later, not 2", products)
	}
	want, err := plain.Compile(b.g)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[int]bool{}
	for k := range 30 {
		in := []tensor.Value{b.floats(20, 8), b.floats(20)}
		if k == 7 {
			clear(tensor.Data[float32](in[1].(*tensor.Tensor))) // nothing is chosen
		}
		got, ref := &device.Call{In: in, Threads: 2}, &device.Call{In: in}
		if err := p.Run(context.Background(), got); err != nil {
			t.Fatal(err)
		}
		if err := want.Run(context.Background(), ref); err != nil {
			t.Fatal(err)
		}
		for i := range ref.Out {
			g, w := got.Out[i].(*tensor.Tensor), ref.Out[i].(*tensor.Tensor)
			counts[w.Shape[0]] = true
			if err := differ(g, w, close32); err != nil {
				t.Fatalf("run %d, output %d: %v", k, i, err)
			}
		}
		got.Release()
		ref.Release()
	}
	if len(counts) < 5 {
		t.Errorf("only %d shapes were seen", len(counts))
	}
}
