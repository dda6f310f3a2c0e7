package onnx_test

import (
	"bytes"
	"testing"
	"unsafe"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/onnx"
	"github.com/aimass/aimass/runtime/onnx/build"
)

// arriving is memory of zeros that becomes what it should be where it is asked for.
type arriving struct {
	here, content []byte
	asked, lent   int // bytes
}

func (a *arriving) Await(part []byte) error {
	if len(part) > 0 {
		at := int(uintptr(unsafe.Pointer(&part[0])) - uintptr(unsafe.Pointer(&a.here[0])))
		a.asked += copy(part, a.content[at:])
	}
	return nil
}

func (a *arriving) Borrow(part []byte) error {
	a.lent += len(part)
	return a.Await(part)
}

func (a *arriving) Return(part []byte) { a.lent -= len(part) }

func newArriving(b []byte) (onnx.Memory, *arriving) {
	a := &arriving{here: make([]byte, len(b)), content: b}
	return onnx.Memory{Bytes: a.here, Lender: a}, a
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
	m, from := newArriving(b)
	got, err := onnx.ReadMemory(m)
	if err != nil {
		t.Fatal(err)
	}
	if from.asked > 20000 || from.lent != 0 {
		t.Errorf("%d of %d bytes were asked for to read the graph, %d not returned", from.asked, len(b), from.lent)
	}
	// The graph keeps nothing of what was returned.
	clear(from.here)
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
			m, from := newArriving(d)
			if _, err := onnx.ReadMemory(m); (err == nil) != (want == nil) || err != nil && err.Error() != want.Error() {
				t.Errorf("damaged at %d of %d: got %v, want %v", at, len(d), err, want)
			}
			if from.lent != 0 {
				t.Errorf("damaged at %d of %d: %d bytes not returned", at, len(d), from.lent)
			}
		}
	}
}
