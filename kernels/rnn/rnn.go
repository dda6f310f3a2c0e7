// Package rnn runs the recurrent part of LSTM and GRU layers: one call for all
// steps of one direction, with the recurrent weights packed at load.
//
// The part that does not recur, X·Wᵀ plus the biases, is one GEMM over all
// steps that the caller does before (kernels/gemm); its result is Gates here.
// A Cell is read-only after packing and may be shared; Run keeps nothing and
// allocates nothing. Neighbours: gemm (the tiles), act, pool (scratch), isa.
package rnn

import (
	"fmt"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/isa"
)

// Kind is a recurrent cell.
type Kind uint8

// The cells, with ONNX's equations and order of gates.
const (
	LSTM     Kind = iota // gates i, o, f, c
	GRU                  // gates z, r, h; r multiplies the state before its product
	GRUAfter             // r multiplies the product: linear_before_reset
)

// gates is how many each cell has.
func (k Kind) gates() int {
	if k == LSTM {
		return 4
	}
	return 3
}

// Cell is a set of recurrent weights.
type Cell struct {
	Kind   Kind
	Hidden int
	level  isa.Level
	data   []float32
	// peep has 3·Hidden weights for i, o and f, or is nil; bias has Hidden
	// values, for the h gate of GRUAfter.
	peep, bias []float32
	f, g, h    act.Act
	// clip bounds the sums of the gates to ±clip; 0 does not.
	clip        float32
	inputForget bool
}

// Options are what a cell may have beside its weights.
type Options struct {
	// F, G and H are ONNX's activations; zero values mean sigmoid, tanh, tanh.
	F, G, H act.Act
	Clip    float32
	// InputForget couples the gates of an LSTM: f = 1 − i.
	InputForget bool
	// Peep are an LSTM's peephole weights for i, o and f, 3·Hidden, or nil.
	Peep []float32
	// RecurrentBias is GRUAfter's Rbh, Hidden values, or nil. All other biases
	// belong into Gates.
	RecurrentBias []float32
}

// Pack copies the recurrent weights r: gates·hidden rows of hidden values.
func Pack(kind Kind, hidden int, r []float32, o Options) *Cell {
	return pack(isa.Current().Level, kind, hidden, r, o)
}

func pack(level isa.Level, kind Kind, hidden int, r []float32, o Options) *Cell {
	n := kind.gates() * hidden
	if hidden < 1 || kind > GRUAfter || len(r) < n*hidden ||
		(o.Peep != nil && len(o.Peep) < 3*hidden) || (o.RecurrentBias != nil && len(o.RecurrentBias) < hidden) {
		panic(fmt.Sprintf("BUG: rnn: kind %d of %d hidden with %d weights", kind, hidden, len(r)))
	}
	c := &Cell{Kind: kind, Hidden: hidden, level: level, f: o.F, g: o.G, h: o.H, clip: o.Clip, inputForget: o.InputForget}
	if c.f.Func == act.None {
		c.f.Func = act.Sigmoid
	}
	if c.g.Func == act.None {
		c.g.Func = act.Tanh
	}
	if c.h.Func == act.None {
		c.h.Func = act.Tanh
	}
	if kind == LSTM && o.Peep != nil {
		c.peep = append(c.peep, o.Peep[:3*hidden]...)
	}
	if kind == GRUAfter {
		c.bias = make([]float32, hidden)
		copy(c.bias, o.RecurrentBias)
	}
	if level != isa.Generic {
		c.packNative(r)
		return c
	}
	c.data = append(c.data, r[:n*hidden]...)
	return c
}

// Sequence is one run over Steps steps of Batch rows.
type Sequence struct {
	Steps, Batch int
	// Gates is Steps×Batch×(gates·Hidden), dense: X·Wᵀ and the biases.
	Gates []float32
	// H and C are Batch×Hidden states: on entry the first, on return the last.
	// C is an LSTM's alone.
	H, C []float32
	// Y, if not nil, receives the state after each step at
	// step·YStep + row·YRow; steps behind a row's end become 0.
	Y           []float32
	YStep, YRow int
	// Lens, if not nil, has each row's number of steps, in 0..Steps.
	Lens []int32
	// Reverse runs each row from its last step to its first; Y keeps the order
	// of Gates.
	Reverse bool
}

// Run runs all steps on the caller's thread.
func (c *Cell) Run(s *Sequence) {
	n, state := c.Kind.gates()*c.Hidden, s.Batch*c.Hidden
	bad := len(s.Gates) < s.Steps*s.Batch*n || len(s.H) < state || (c.Kind == LSTM && len(s.C) < state) ||
		(s.Lens != nil && len(s.Lens) < s.Batch)
	if s.Y != nil && s.Steps > 0 && s.Batch > 0 {
		bad = bad || len(s.Y) < (s.Steps-1)*s.YStep+(s.Batch-1)*s.YRow+c.Hidden
	}
	if s.Lens != nil && !bad {
		for _, l := range s.Lens[:s.Batch] {
			bad = bad || l < 0 || int(l) > s.Steps
		}
	}
	if bad {
		panic(fmt.Sprintf("BUG: rnn: %d steps of %d rows, hidden %d: gates %d, h %d, c %d, y %d",
			s.Steps, s.Batch, c.Hidden, len(s.Gates), len(s.H), len(s.C), len(s.Y)))
	}
	if s.Batch == 0 || s.Steps == 0 {
		return
	}
	if c.level != isa.Generic {
		c.runNative(s)
		return
	}
	c.runGeneric(s)
}
