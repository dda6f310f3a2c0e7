package native

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/tensor"
)

// model is a configurable Model.
type model struct {
	in, out []Port
	run     func(in []tensor.Value, alloc Alloc) ([]tensor.Value, error)
	closed  int
}

func (m *model) Inputs() []Port  { return m.in }
func (m *model) Outputs() []Port { return m.out }
func (m *model) Run(_ context.Context, in []tensor.Value, alloc Alloc) ([]tensor.Value, error) {
	return m.run(in, alloc)
}
func (m *model) Close() error       { m.closed++; return nil }
func (m *model) WeightBytes() int64 { return 42 }

// double answers twice its input.
func double() *model {
	return &model{
		in:  []Port{Tensor("x", tensor.Float32, -1, 2)},
		out: []Port{Tensor("y", tensor.Float32, -1, 2)},
		run: func(in []tensor.Value, alloc Alloc) ([]tensor.Value, error) {
			x := in[0].(*tensor.Tensor)
			y, err := alloc(tensor.Float32, x.Shape)
			if err != nil {
				return nil, err
			}
			for i, v := range tensor.Data[float32](x) {
				tensor.Data[float32](y)[i] += 2 * v // += shows memory that was not zeroed
			}
			return []tensor.Value{y}, nil
		},
	}
}

func compile(t *testing.T, m Model) device.Program {
	t.Helper()
	p, err := Compile(m)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRunReusesItsMemory(t *testing.T) {
	p := compile(t, double())
	for n := range 20 {
		rows := 1 + n%3
		v := make([]float32, 2*rows)
		for i := range v {
			v[i] = float32(n + i)
		}
		c := &device.Call{In: []tensor.Value{tensor.FromSlice(v, rows, 2)}}
		if err := p.Run(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		for i, y := range tensor.Data[float32](c.Out[0].(*tensor.Tensor)) {
			if y != 2*v[i] {
				t.Fatalf("run %d: %v, want %v", n, y, 2*v[i])
			}
		}
		c.Release()
		c.Release() // a second one is harmless
	}
}

// TestConcurrentRuns would see outputs of one run in another's memory.
func TestConcurrentRuns(t *testing.T) {
	p := compile(t, double())
	done := make(chan error)
	for g := range 8 {
		go func() {
			for k := range 200 {
				v := float32(g*1000 + k)
				c := &device.Call{In: []tensor.Value{tensor.FromSlice([]float32{v, v}, 1, 2)}}
				if err := p.Run(context.Background(), c); err != nil {
					done <- err
					return
				}
				if y := tensor.Data[float32](c.Out[0].(*tensor.Tensor)); y[0] != 2*v || y[1] != 2*v {
					done <- errors.New("another run's answer")
					return
				}
				c.Release()
			}
			done <- nil
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	x := tensor.FromSlice([]float32{1, 2}, 1, 2)
	f := func(want string, m *model, in ...tensor.Value) {
		t.Helper()
		c := &device.Call{In: in}
		err := compile(t, m).Run(t.Context(), c)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
		if len(c.Out) != 0 {
			t.Error("outputs after an error")
		}
		c.Release()
	}
	f("0 inputs, expected 1", double())
	f(`input "x": expected float32, got int32`, double(), tensor.FromSlice([]int32{1, 2}, 1, 2))
	f(`expected float32[?,2], got float32[2]`, double(), tensor.FromSlice([]float32{1, 2}, 2))
	f(`"x" is no tensor`, double(), &tensor.Sequence{})
	with := func(run func(in []tensor.Value, alloc Alloc) ([]tensor.Value, error)) *model {
		m := double()
		m.run = run
		return m
	}
	f("went wrong", with(func([]tensor.Value, Alloc) ([]tensor.Value, error) { return nil, errors.New("went wrong") }), x)
	f("native model failed: oh", with(func([]tensor.Value, Alloc) ([]tensor.Value, error) { panic("oh") }), x)
	f("broke its word: 0 outputs", with(func([]tensor.Value, Alloc) ([]tensor.Value, error) { return nil, nil }), x)
	f("broke its word", with(func(_ []tensor.Value, alloc Alloc) ([]tensor.Value, error) {
		y, err := alloc(tensor.Int8, tensor.Shape{1, 2})
		return []tensor.Value{y}, err
	}), x)
	f("negative", with(func(_ []tensor.Value, alloc Alloc) ([]tensor.Value, error) {
		_, err := alloc(tensor.Int8, tensor.Shape{-1})
		return nil, err
	}), x)
}

func TestCompileRefusesPorts(t *testing.T) {
	f := func(want string, in, out []Port) {
		t.Helper()
		_, err := Compile(&model{in: in, out: out})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	y := []Port{Tensor("y", tensor.Int64)}
	f("no outputs", nil, nil)
	f("two ports", []Port{Tensor("x", tensor.Bool), Tensor("x", tensor.Bool)}, y)
	f("without a name", []Port{Tensor("", tensor.Bool)}, y)
	f("no element type", []Port{Tensor("x", tensor.Invalid)}, y)
}

func TestWeightsAndClose(t *testing.T) {
	m := double()
	p := compile(t, m)
	if owned, mapped := p.WeightBytes(); owned != 42 || mapped != 0 {
		t.Errorf("weights %d and %d", owned, mapped)
	}
	if err := p.Close(); err != nil || m.closed != 1 {
		t.Errorf("close: %v, %d times", err, m.closed)
	}
}
