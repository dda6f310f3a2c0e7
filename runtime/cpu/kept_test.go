package cpu

import (
	"context"
	"testing"

	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops/all"
	"github.com/aimass/aimass/runtime/tensor"
)

// TestKeptMemory runs ever new shapes: what waits for the next run stays within its part
// of the memory, and the shape at hand keeps its state.
func TestKeptMemory(t *testing.T) {
	const limit = 1 << 20
	d := New(all.Registry(), Config{MaxBytes: limit, Threads: 2})
	x, y := &graph.Value{Name: "x"}, &graph.Value{Name: "y"}
	x.Type = graph.Type{DType: tensor.Float32, Ranked: true, Shape: []graph.Dim{{Size: -1}}}
	n := &graph.Node{Op: "Exp", Opset: 13, In: []*graph.Value{x}, Out: []*graph.Value{y}, Attrs: graph.Attrs{}}
	y.Def = n
	made, err := d.Compile(&graph.Graph{In: []*graph.Value{x}, Out: []*graph.Value{y}, Nodes: []*graph.Node{n}})
	if err != nil {
		t.Fatal(err)
	}
	p := made.(*program)
	waiting := func() (bytes, states int) {
		for _, pl := range p.plans {
			bytes, states = bytes+pl.arena*len(pl.free), states+len(pl.free)
		}
		return bytes, states
	}
	run := func(n int) {
		t.Helper()
		c := &device.Call{In: []tensor.Value{tensor.New(tensor.Float32, tensor.Shape{n})}}
		if err := p.Run(context.Background(), c); err != nil {
			t.Fatal(err)
		}
		c.Release()
	}
	for k := range 200 {
		run(10_000 + k)
		bytes, states := waiting()
		if bytes != p.waiting.kept || bytes > limit/keptPart || states == 0 {
			t.Fatalf("after %d shapes %d states hold %d bytes, counted as %d", k+1, states, bytes, p.waiting.kept)
		}
	}
	run(200_000)
	if bytes, states := waiting(); states != 1 || bytes < 800_000 || bytes != p.waiting.kept {
		t.Errorf("a state beyond the part by itself: %d states hold %d bytes, counted as %d", states, bytes, p.waiting.kept)
	}
	if allocs := testing.AllocsPerRun(20, func() {
		pl, err := p.planFor([]tensor.Value{tensor.New(tensor.Float32, tensor.Shape{200_000})})
		if err != nil {
			t.Fatal(err)
		}
		e := pl.acquire()
		pl.recycle(e)
	}); allocs > 4 {
		t.Errorf("%v allocations: the state at hand was not kept", allocs)
	}
	if err := p.Close(); err != nil || p.waiting.kept != 0 {
		t.Errorf("after Close %d bytes are kept (%v)", p.waiting.kept, err)
	}
}
