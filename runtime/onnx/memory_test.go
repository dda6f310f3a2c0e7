package onnx_test

import (
	"bytes"
	"testing"
	"unsafe"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/onnx"
	"github.com/aimass/aimass/runtime/onnx/build"
)

// arriving gives memory of zeros that becomes b where it is awaited.
func arriving(b []byte) (m onnx.Memory, awaited *int) {
	here, n := make([]byte, len(b)), 0
	return onnx.Memory{Bytes: here, Await: func(part []byte) {
		if len(part) == 0 {
			return
		}
		at := int(uintptr(unsafe.Pointer(&part[0])) - uintptr(unsafe.Pointer(&here[0])))
		n += copy(part, b[at:])
	}}, &n
}

// A model that arrives is the model that was there, and its large weights are awaited when they
// are asked for.
func TestArriving(t *testing.T) {
	g := build.New("arriving", 17)
	x := g.Input("x", build.Float, build.Sym("n"), build.Size(200))
	for i := range 3 {
		w := make([]float32, 200*200)
		for k := range w {
			w[k] = float32(k%7 + i)
		}
		x = g.Op("Add", []string{g.Op("MatMul", []string{x, g.Const("w"+string(rune('a'+i)), w, 200, 200)}), g.Const("b"+string(rune('a'+i)), w[:200], 200)})
	}
	g.OpAs("y", "Identity", []string{x})
	g.Output("y", build.Float, build.Sym("n"), build.Size(200))
	b, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	want, err := onnx.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	m, awaited := arriving(b)
	got, err := onnx.ReadMemory(m)
	if err != nil {
		t.Fatal(err)
	}
	if *awaited > 20000 {
		t.Errorf("%d of %d bytes were awaited to read the graph", *awaited, len(b))
	}
	weights := func(m *graph.Model) (out [][]byte) {
		for _, n := range m.Graph.Nodes {
			for _, v := range n.In {
				if c := v.Tensor(); c != nil {
					out = append(out, c.Bytes())
				}
			}
		}
		return out
	}
	a, w := weights(got), weights(want)
	if len(a) != len(w) || len(w) != 6 {
		t.Fatalf("%d and %d constants, want 6", len(a), len(w))
	}
	for i := range w {
		if !bytes.Equal(a[i], w[i]) {
			t.Errorf("constant %d differs", i)
		}
	}
	// However it is damaged, what arrives is read as what was there.
	for _, at := range []int{0, 1, 5, 100, len(b) / 3, len(b) / 2, len(b) - 200, len(b) - 2} {
		for _, d := range [][]byte{b[:at], append(append(append([]byte{}, b[:at]...), 0xff), b[at+1:]...)} {
			_, want := onnx.Read(d)
			m, _ := arriving(d)
			if _, err := onnx.ReadMemory(m); (err == nil) != (want == nil) || err != nil && err.Error() != want.Error() {
				t.Errorf("damaged at %d of %d: got %v, want %v", at, len(d), err, want)
			}
		}
	}
}
