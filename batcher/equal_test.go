package batcher_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aimass/aimass/batcher"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/runtime/tensor"
)

// random makes inputs of so many rows, open extents being size.
func random(r *rand.Rand, m *runtime.Model, rows, size int) []tensor.Tensor {
	var out []tensor.Tensor
	for _, p := range m.Inputs {
		s := tensor.Shape{rows}
		for _, d := range p.Shape()[1:] {
			if d < 0 {
				d = int64(size)
			}
			s = append(s, int(d))
		}
		t := tensor.New(p.Type.DType, s)
		number := func() int64 {
			switch {
			case strings.Contains(p.Name, "mask"):
				return 1
			case strings.Contains(p.Name, "token_type"):
				return 0
			}
			return 1 + r.Int64N(250)
		}
		switch p.Type.DType {
		case tensor.Float32:
			for i := range t.Elements() {
				tensor.Data[float32](t)[i] = float32(r.NormFloat64())
			}
		case tensor.Int64:
			for i := range t.Elements() {
				tensor.Data[int64](t)[i] = number()
			}
		case tensor.Int32:
			for i := range t.Elements() {
				tensor.Data[int32](t)[i] = int32(number())
			}
		case tensor.String:
			for i := range t.Elements() {
				t.Strings()[i] = strings.Repeat("ä", r.IntN(4))
			}
		default:
			return nil
		}
		out = append(out, *t)
	}
	return out
}

// alone is what the model answers to the inputs by themselves.
func alone(m *runtime.Model, in []tensor.Tensor) ([]tensor.Value, error) {
	c := &device.Call{}
	for i := range in {
		c.In = append(c.In, &in[i])
	}
	if err := m.Run(context.Background(), c); err != nil {
		return nil, err
	}
	defer c.Release()
	var out []tensor.Value
	for _, v := range c.Out {
		out = append(out, v.(*tensor.Tensor).Clone())
	}
	return out, nil
}

func near(got, want *tensor.Tensor) error {
	if got.DType != want.DType || !got.Shape.Equal(want.Shape) {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	if got.DType == tensor.String {
		for i, s := range want.Strings() {
			if got.Strings()[i] != s {
				return fmt.Errorf("element %d: got %q, want %q", i, got.Strings()[i], s)
			}
		}
		return nil
	}
	a, err := tensor.Float64s(got)
	if err != nil {
		return err
	}
	b, err := tensor.Float64s(want)
	if err != nil {
		return err
	}
	for i := range a {
		if d := math.Abs(a[i] - b[i]); !(d <= 1e-4+1e-3*math.Abs(b[i])) && !(math.IsNaN(a[i]) && math.IsNaN(b[i])) {
			return fmt.Errorf("element %d: got %v, want %v", i, a[i], b[i])
		}
	}
	return nil
}

// equal sends random requests at once through a batcher that waits for company and
// compares each answer with the one alone. It reports how many shared a batch.
func equal(t *testing.T, m *runtime.Model, requests, mostRows, size int) (shared int) {
	t.Helper()
	b := batcher.New("m", m, batcher.Config{MaxRows: 8, Instances: 1, Delay: 50 * time.Millisecond}.WithDefaults(2))
	defer b.Close()
	r := rand.New(rand.NewPCG(5, uint64(size)))
	sent := make([]*batcher.Request, requests)
	wants := make([][]tensor.Value, requests)
	for k := range sent {
		rows := 1 + r.IntN(mostRows)
		sent[k] = &batcher.Request{In: random(r, m, rows, size), Rows: rows}
		var err error
		if wants[k], err = alone(m, sent[k].In); err != nil {
			t.Errorf("request %d alone: %v", k, err)
			return 0
		}
	}
	var wg sync.WaitGroup
	for k, q := range sent {
		wg.Go(func() {
			if err := b.Do(context.Background(), q); err != nil {
				t.Errorf("request %d: %v", k, err)
				return
			}
			defer q.Release()
			for o, w := range wants[k] {
				if err := near(q.Out[o].(*tensor.Tensor), w.(*tensor.Tensor)); err != nil {
					t.Errorf("request %d of %d rows, output %s: %v", k, q.Rows, m.Outputs[o].Name, err)
				}
			}
		})
	}
	wg.Wait()
	return requests - int(b.Stats().Executions.Load())
}

// TestBatchedEqualsAloneZoo takes the real models of the zoo for which the proof holds.
func TestBatchedEqualsAloneZoo(t *testing.T) {
	zoo := os.Getenv("AIMASS_ZOO")
	if zoo == "" {
		zoo = "../build/zoo"
	}
	files, _ := filepath.Glob(filepath.Join(zoo, "*", "model.onnx"))
	if len(files) == 0 {
		t.Skip("NOT RUN: there is no zoo (make zoo)")
	}
	e := runtime.NewEngine(runtime.Config{})
	for _, p := range files {
		t.Run(filepath.Base(filepath.Dir(p)), func(t *testing.T) {
			m, err := e.Open(p)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if !m.Batch.Rows {
				t.Skipf("its rows are not independent: %s", m.Batch.Reason)
			}
			for _, size := range []int{32, 64, 320} {
				in := random(rand.New(rand.NewPCG(1, 1)), m, 1, size)
				if in == nil {
					t.Fatal("no inputs could be made")
				}
				if _, err := alone(m, in); err != nil {
					continue
				}
				if equal(t, m, 6, 2, size) == 0 {
					t.Error("no requests shared a batch")
				}
				return
			}
			t.Error("no size of its open extents runs")
		})
	}
}

// TestBatchedEqualsAlone takes generated models of several kinds.
func TestBatchedEqualsAlone(t *testing.T) {
	e := runtime.NewEngine(runtime.Config{})
	for name, make := range map[string]func(g *build.Graph){
		"dense": func(g *build.Graph) {
			x := g.Input("x", build.Float, build.Sym("n"), build.Size(4))
			h := g.Op("Tanh", []string{g.Op("Gemm", []string{x, g.Const("w", ramp(32), 4, 8), g.Const("b", ramp(8), 8)})})
			g.Output(g.OpAs("y", "Softmax", []string{h}), build.Float, build.Sym("n"), build.Size(8))
		},
		"conv": func(g *build.Graph) {
			x := g.Input("x", build.Float, build.Sym("n"), build.Size(3), build.Sym("h"), build.Sym("w"))
			h := g.Op("Relu", []string{g.Op("Conv", []string{x, g.Const("k", ramp(4*3*9), 4, 3, 3, 3)}, build.Is("pads", 1, 1, 1, 1))})
			g.Output(g.OpAs("y", "GlobalAveragePool", []string{h}), build.Float, build.Sym("n"), build.Size(4), build.Size(1), build.Size(1))
		},
		"attention": func(g *build.Graph) {
			x := g.Input("x", build.Float, build.Sym("n"), build.Sym("l"), build.Size(8))
			q, k := g.Op("MatMul", []string{x, g.Const("wq", ramp(64), 8, 8)}), g.Op("MatMul", []string{x, g.Const("wk", ramp(64), 8, 8)})
			p := g.Op("Softmax", []string{g.Op("MatMul", []string{q, g.Op("Transpose", []string{k}, build.Is("perm", 0, 2, 1))})})
			g.Output(g.OpAs("y", "MatMul", []string{p, x}), build.Float, build.Sym("n"), build.Sym("l"), build.Size(8))
		},
		"recurrent": func(g *build.Graph) {
			x := g.Input("x", build.Float, build.Sym("n"), build.Sym("t"), build.Size(3))
			h := g.Op("Transpose", []string{x}, build.Is("perm", 1, 0, 2))
			g.Add(build.Node{Op: "GRU", Inputs: []string{h, g.Const("w", ramp(36), 1, 12, 3), g.Const("r", ramp(48), 1, 12, 4)}, Outputs: []string{"all", "last"},
				Attrs: []build.Attr{build.I("hidden_size", 4)}})
			g.Output(g.OpAs("y", "Squeeze", []string{"last", g.Const("zero", []int64{0}, 1)}), build.Float, build.Sym("n"), build.Size(4))
		},
		"table": func(g *build.Graph) {
			i := g.Input("ids", build.Int64, build.Sym("n"), build.Sym("l"))
			h := g.Op("Gather", []string{g.Const("t", ramp(300*5), 300, 5), i})
			g.Output(g.OpAs("y", "ReduceMean", []string{h}, build.Is("axes", 1), build.I("keepdims", 0)), build.Float, build.Sym("n"), build.Size(5))
		},
		"words": func(g *build.Graph) {
			x := g.Input("x", build.String, build.Sym("n"), build.Size(2))
			g.Output(g.OpAs("y", "Concat", []string{x, x}, build.I("axis", 1)), build.String, build.Sym("n"), build.Size(4))
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := build.New("g", 17)
			make(g)
			b, err := g.Encode()
			if err != nil {
				t.Fatal(err)
			}
			m, err := e.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if !m.Batch.Rows {
				t.Fatalf("its rows are said to mix: %s", m.Batch.Reason)
			}
			for _, size := range []int{1, 7, 16} {
				if equal(t, m, 24, 3, size) == 0 {
					t.Error("no requests shared a batch")
				}
			}
		})
	}
}

func ramp(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i*7%11-5) / 8
	}
	return v
}
