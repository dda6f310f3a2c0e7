//go:build cuda && cgo

package runtime_test

import (
	"sync/atomic"
	"testing"

	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/gpu"
	"github.com/aimass/aimass/runtime/onnx"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/runtime/tensor"
)

// counting is a lender who has everything all the time, and counts what comes back.
type counting struct{ returned atomic.Int64 }

func (c *counting) Await([]byte) error  { return nil }
func (c *counting) Borrow([]byte) error { return nil }
func (c *counting) Return(parts []byte) { c.returned.Add(int64(len(parts))) }

// TestGPULentWeights: of a model on GPUs no weights go back to their lender, who may then be unable to give them to a GPU
// that comes back; of one on the CPU they do.
func TestGPULentWeights(t *testing.T) {
	useDouble(t)
	const n = 256
	w := make([]float32, n*n)
	for i := range w {
		w[i] = float32(i % 5)
	}
	g := build.New("lent", 17)
	x := g.Input("x", build.Float, build.Sym("n"), build.Size(n))
	g.Output(g.Op("MatMul", []string{x, g.Const("w", w, n, n)}), build.Float, build.Sym("n"), build.Size(n))
	b, err := g.Encode()
	if err != nil {
		t.Fatal(err)
	}
	e := onGPUs(t, 1, gpu.Config{Lanes: 1})
	for _, cpu := range []bool{false, true} {
		from := &counting{}
		m, err := e.ReadAt(onnx.Memory{Bytes: b, Lender: from}, runtime.Placement{CPU: cpu})
		if err != nil {
			t.Fatal(err)
		}
		in := []tensor.Value{tensor.New(tensor.Float32, tensor.Shape{3, n})}
		if _, err := answer(m, in); err != nil {
			t.Fatal(err)
		}
		if back := from.returned.Load(); m.OnGPU() == cpu || (back >= 4*n*n) != cpu {
			t.Errorf("on the CPU %v: %d bytes went back", cpu, back)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}
