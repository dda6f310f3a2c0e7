package cpu_test

import (
	"context"
	"slices"
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
