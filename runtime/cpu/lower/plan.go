// Package lower turns the nodes of a plan whose shapes are known into steps: one fast
// step for each group of nodes that a lowering takes, and for every other node a step
// that its device runs through the operator's Eval.
//
// A lowering looks at one node and may claim its neighbours. It must refuse (report
// false) whatever types, shapes or attributes it does not compute exactly as the
// operator's Eval does, within docs/numerics.md. No step allocates when it runs.
//
// Neighbours: runtime/cpu makes the plan and runs the steps; kernels/* does the work;
// the sub-package move holds the work for which there is no kernel room.
//
// Ownership: Steps may change the Plan that it is given (places of views, scratch
// slots); steps keep constants and packed weights, and read and write slots' memory
// only while they run.
//
// Concurrency: Steps works alone on its Plan; the steps that it makes may be run by any
// number of goroutines, each with an Env of its own. Packed is safe for concurrent use.
package lower

import (
	"fmt"
	"sync"

	"github.com/aimass/aimass/kernels/coded"
	"github.com/aimass/aimass/kernels/conv"
	"github.com/aimass/aimass/kernels/elementwise"
	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/kernels/gemm64"
	"github.com/aimass/aimass/kernels/nchwc"
	"github.com/aimass/aimass/kernels/quant"
	"github.com/aimass/aimass/kernels/rnn"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/layout"
	"github.com/aimass/aimass/runtime/ops/ml"
	"github.com/aimass/aimass/runtime/tensor"
)

// Node is a graph node with its operator resolved and its values as slots.
type Node struct {
	*graph.Node
	Form     *ops.Op
	Eval     func(*ops.Call) error // Form's, with attributes bound where it can be
	In, Out  []int                 // −1: left out
	Captured []int                 // what nested graphs read from here
	// Nested are the slots among Captured that each nested graph reads, in the order of
	// its captures.
	Nested map[*graph.Graph][]int
}

// Plan is what is known before lowering: the nodes that are left when constants are
// folded, in an order in which they can run, and what each slot holds.
type Plan struct {
	Work   []*Node
	Info   []ops.Info // by slot
	Place  []Place    // by slot
	Out    []int      // slots that the graph returns
	Packed *Packed
	Plain  bool // lower nothing: Eval for every node
}

// Place says where a slot's value lives.
type Place struct {
	Kind   Kind
	Offset int // InArena: in the arena; Within: in the other slot's memory
	Of     int // Alias: the slot whose memory is viewed; Within: that which it is part of
}

// Planned reports memory that is there before the run.
func (p Place) Planned() bool { return p.Kind == InArena || p.Kind == Within }

// Kind is a kind of place.
type Kind uint8

// The kinds of place.
const (
	OnHeap  Kind = iota // made by Eval as it runs
	InArena             // planned
	Within              // planned, as a part of another slot's memory
	Alias               // memory of another slot, viewed when its step runs
	Input
	Const
)

// Step is one piece of work of a plan: one node, or several that were fused into one.
type Step struct {
	Node *Node // the first, for error texts
	// Nodes are those that the step stands for, in order of the graph.
	Nodes []*Node
	// Reads and Writes are slots, for the layout of the arena.
	Reads, Writes []int
	// Run does the work; nil means Node's Eval.
	Run func(e *Env) error
	// Cost is about how many nanoseconds one core takes for what the step does besides products: of kernels
	// of products it counts what they read and write alone.
	Cost int
}

// Env is the state of one run: a value for each slot.
type Env struct {
	Values  []tensor.Value
	Headers []tensor.Tensor // by slot: views into the arena
	Threads int
	// What steps hand to kernels by address lies here, so that it is not allocated.
	conv     conv.Epilogue
	blocked  nchwc.Epilogue
	gemm     gemm.Epilogue
	gemm64   gemm64.Epilogue
	products [gemm.GroupMax]gemm.Weighted
	bytesA   quant.A
	bytesB   quant.B
	dequant  quant.Dequant
	requant  quant.Requant
	byteSum  quant.Sum
	row      []float32
	has      []bool
	votes    ml.SVMWork
	sequence rnn.Sequence
	starts   []int32
	places   layout.PlaceWalk
	inputs   [elementwise.MaxInputs][]float32
	inputs64 [elementwise.MaxInputs][]float64
}

// Tensor is the value of a slot that is known to be a tensor.
func (e *Env) Tensor(slot int) *tensor.Tensor {
	t, ok := e.Values[slot].(*tensor.Tensor)
	if !ok {
		panic(fmt.Sprintf("slot %d is a %T, not a tensor", slot, e.Values[slot]))
	}
	return t
}

// f32 is a slot's float32 elements during a run.
func (e *Env) f32(slot int) []float32 { return tensor.Data[float32](e.Tensor(slot)) }

// bytes is a slot's memory during a run.
func (e *Env) bytes(slot int) []byte { return e.Tensor(slot).Bytes() }

// scratch makes a slot that only one step uses: the step must list it in its writes.
func (f *fuser) scratch(d tensor.DType, n int) int {
	f.pl.Info = append(f.pl.Info, ops.Info{Present: true, DType: d, Known: true, Shape: tensor.Shape{n}})
	f.pl.Place = append(f.pl.Place, Place{Kind: InArena})
	return len(f.pl.Info) - 1
}

// Packed keeps what lowerings made of constants, so that all plans of a program
// share it. The key names the constant and the form.
type Packed struct {
	mu     sync.Mutex
	m      map[packedKey]packedEntry
	halved map[*tensor.Tensor]*tensor.Tensor // what Widened made → what of
}

type packedKey struct {
	t    *tensor.Tensor
	form string
}

type packedEntry struct {
	v     any
	bytes int64
}

// get returns the packed form of t, made by pack on first use. pack says how many bytes the form takes. It reads t's
// elements from src, whose memory lasts until it returns: nothing of that may be part of the form. What pack, or its
// caller, asks t itself for stays in memory beside the form. src is nil if t is.
func (w *Packed) get(t *tensor.Tensor, form string, pack func(src *tensor.Tensor) (any, int64)) any {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := packedKey{t, form}
	if e, ok := w.m[k]; ok {
		return e.v
	}
	var e packedEntry
	from := func(src *tensor.Tensor) { e.v, e.bytes = pack(src) }
	if t == nil {
		from(nil)
	} else {
		t.Lend(from)
	}
	if w.m == nil {
		w.m = map[packedKey]packedEntry{}
	}
	w.m[k] = e
	return e.v
}

// Widened is a constant of float16 or bfloat16 in float32.
func (w *Packed) Widened(t *tensor.Tensor) *tensor.Tensor {
	return w.get(t, "widened", func(src *tensor.Tensor) (any, int64) {
		out := tensor.New(tensor.Float32, t.Shape)
		coded.Widen(tensor.Data[float32](out), tensor.Data[uint16](src), halves(t.DType), 1)
		if w.halved == nil {
			w.halved = map[*tensor.Tensor]*tensor.Tensor{}
		}
		w.halved[out] = t
		return out, int64(len(out.Bytes()))
	}).(*tensor.Tensor)
}

// halvesOf is the constant that Widened made t of, nil if it did not.
func (w *Packed) halvesOf(t *tensor.Tensor) *tensor.Tensor {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.halved[t]
}

// Bytes is the memory that the packed forms take.
func (w *Packed) Bytes() (n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.m {
		n += e.bytes
	}
	return n
}
