package cpu_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// pawned is a tensor's memory at a lender's, who fills it with ones where nobody may read it: NaN, and −1.
type pawned struct {
	mu              sync.Mutex
	memory, content []byte
	borrowed        int
	held            bool
	err             error
}

func (p *pawned) Await([]byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil && !p.held {
		p.held = true
		if p.borrowed == 0 {
			copy(p.memory, p.content)
		}
	}
	return p.err
}

func (p *pawned) Borrow([]byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		if p.borrowed++; p.borrowed == 1 && !p.held {
			copy(p.memory, p.content)
		}
	}
	return p.err
}

func (p *pawned) Return([]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.borrowed--; p.borrowed == 0 && !p.held {
		p.spoil()
	}
}

func (p *pawned) spoil() {
	for i := range p.memory {
		p.memory[i] = 0xff
	}
}

func (p *pawned) inMemory() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// pawnTensor gives a tensor whose elements a lender has.
func pawnTensor(t *testing.T, x *tensor.Tensor) (*tensor.Tensor, *pawned) {
	t.Helper()
	p := &pawned{memory: tensor.Aligned(len(x.Bytes())), content: x.Bytes()}
	p.spoil()
	lent, err := tensor.Lent(x.DType, x.Shape, p.memory, p)
	if err != nil {
		t.Fatal(err)
	}
	return lent, p
}

// pawn has lenders keep the constants of a graph until back is called.
func pawn(t *testing.T, g *graph.Graph) (back func()) {
	t.Helper()
	was, is := map[*graph.Value]tensor.Value{}, map[*tensor.Tensor]*tensor.Tensor{}
	_ = g.Walk(func(n *graph.Node) error {
		for _, v := range slices.Concat(n.In, g.Out) {
			x := v.Tensor()
			if x == nil || was[v] != nil || x.DType == tensor.String || x.DType.Bits() == 0 {
				continue
			}
			if is[x] == nil {
				is[x], _ = pawnTensor(t, x)
			}
			was[v], v.Const = x, is[x]
		}
		return nil
	})
	return func() {
		for v, x := range was {
			v.Const = x
		}
	}
}

// TestWeightsReturned: what is packed of weights is all that stays of them, whichever forms more rows ask for later.
func TestWeightsReturned(t *testing.T) {
	b := newBuilder(1)
	x := b.input(b.floats(1, 64))
	w := b.constant(b.floats(64, 64))
	half := tensor.New(tensor.Float16, tensor.Shape{64, 64})
	if err := tensor.StoreFloat32s(half, tensor.Data[float32](b.floats(64, 64))); err != nil {
		t.Fatal(err)
	}
	h := b.constant(half)
	cast := func(v *graph.Value, to tensor.DType) *graph.Value {
		return b.node("Cast", attrs{"to": graph.IntAttr(to.ONNX())}, v)
	}
	b.output(cast(b.node("MatMul", nil, cast(b.node("MatMul", nil, x, w), tensor.Float16), h), tensor.Float32))
	image := b.input(b.floats(1, 32, 8, 8))
	k := b.constant(b.floats(32, 32, 3, 3))
	b.output(b.node("Conv", attrs{"pads": ints(1, 1, 1, 1)}, image, k))
	var of []*pawned
	want := func(rows int) []tensor.Value {
		b.in = []tensor.Value{b.floats(rows, 64), b.floats(rows, 32, 8, 8)}
		p, err := cpu.New(registry, cpu.Config{NoLowering: true}).Compile(b.g)
		if err != nil {
			t.Fatal(err)
		}
		return runOnce(t, p, b.in)
	}
	all := map[int][]tensor.Value{}
	ins := map[int][]tensor.Value{}
	for _, rows := range []int{1, 3, 40} {
		all[rows] = want(rows)
		ins[rows] = b.in
	}
	for _, v := range []*graph.Value{w, h, k} {
		x, p := pawnTensor(t, v.Tensor())
		v.Const, of = x, append(of, p)
	}
	p, err := cpu.New(registry, cpu.Config{Threads: 2}).Compile(b.g)
	if err != nil {
		t.Fatal(err)
	}
	for _, rows := range []int{1, 40, 3, 1} {
		for i, got := range runOnce(t, p, ins[rows]) {
			if err := differ(got.(*tensor.Tensor), all[rows][i].(*tensor.Tensor), tolerance{1e-2, 1e-1}); err != nil {
				t.Errorf("%d rows, output %d: %v", rows, i, err)
			}
		}
	}
	for i, p := range of {
		if p.inMemory() {
			t.Errorf("weights %d are in memory twice", i)
		}
	}
}

func runOnce(t *testing.T, p device.Program, in []tensor.Value) (out []tensor.Value) {
	t.Helper()
	call := &device.Call{In: in}
	if err := p.Run(context.Background(), call); err != nil {
		t.Fatal(err)
	}
	for _, v := range call.Out {
		out = append(out, tensor.CloneValue(v))
	}
	call.Release()
	return out
}

// TestWeightsLost: where a lender can't give weights, planning and running are errors of the server's, never numbers; and
// what could not be read then is read later.
func TestWeightsLost(t *testing.T) {
	gone := errors.New("gone")
	for name, op := range map[string]func(b *builder, w *graph.Value) *graph.Value{
		"packed as it is planned": func(b *builder, w *graph.Value) *graph.Value {
			return b.node("MatMul", nil, b.input(b.floats(2, 16)), w)
		},
		"read as it runs": func(b *builder, w *graph.Value) *graph.Value {
			return b.node("Gather", nil, w, b.input(tensor.FromSlice([]int64{3, 1}, 2)))
		},
		"added as it runs":  func(b *builder, w *graph.Value) *graph.Value { return b.node("Add", nil, b.input(b.floats(16, 16)), w) },
		"given as a result": func(b *builder, w *graph.Value) *graph.Value { b.input(b.floats(1)); return w },
	} {
		for _, plain := range []bool{false, true} {
			b := newBuilder(2)
			w := b.constant(b.floats(16, 16))
			b.output(op(b, w))
			p, err := cpu.New(registry, cpu.Config{NoLowering: true}).Compile(b.g)
			if err != nil {
				t.Fatal(err)
			}
			want := runOnce(t, p, b.in)
			lent, from := pawnTensor(t, w.Tensor())
			w.Const, from.err = lent, gone
			if p, err = cpu.New(registry, cpu.Config{Threads: 2, NoLowering: plain}).Compile(b.g); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				call := &device.Call{In: b.in}
				err := p.Run(context.Background(), call)
				var refusal *device.Refusal
				if !errors.Is(err, gone) || errors.As(err, &refusal) {
					t.Errorf("%s, plain %v: %v", name, plain, err)
				}
			}
			from.err = nil
			if err := differ(runOnce(t, p, b.in)[0].(*tensor.Tensor), want[0].(*tensor.Tensor), close32); err != nil {
				t.Errorf("%s, plain %v: %v", name, plain, err)
			}
		}
	}
}
