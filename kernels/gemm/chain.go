package gemm

import (
	"fmt"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/kernels/isa"
)

// Layer is one dense layer, y = Act(x·B + Bias), of a Chain.
type Layer struct {
	K, N int
	// B is K×N with row stride LDB or, with Trans, N×K.
	B     []float32
	LDB   int
	Trans bool
	Bias  []float32 // N values or nil
	Act   act.Act
}

// MaxChainWidth is the largest K or N that a layer of a Chain may have.
const MaxChainWidth = 1024

// MaxChainLayers is the most layers of a Chain.
const MaxChainLayers = 16

// Chain runs consecutive small dense layers on each row in one call: what
// counts for a small multi-layer perceptron is the cost of the calls between
// its layers. It is read-only after NewChain and safe for concurrent use.
type Chain struct {
	K, N   int // width of a row of the input and of the output
	level  isa.Level
	desc   []int32
	blob   []float32
	layers []*PackedB // one a layer, at level Generic
	eps    []Epilogue
}

// ChainFits reports whether layers can form a Chain: widths follow each other
// and lie in 1..MaxChainWidth, and there are 1..MaxChainLayers of them.
func ChainFits(layers []Layer) bool {
	if len(layers) == 0 || len(layers) > MaxChainLayers {
		return false
	}
	for i, l := range layers {
		if l.K < 1 || l.N < 1 || l.K > MaxChainWidth || l.N > MaxChainWidth {
			return false
		}
		if i > 0 && layers[i-1].N != l.K {
			return false
		}
	}
	return true
}

// NewChain packs the layers. It panics unless ChainFits.
func NewChain(layers []Layer) *Chain { return newChain(isa.Current().Level, layers) }

func newChain(level isa.Level, layers []Layer) *Chain {
	if !ChainFits(layers) {
		panic(fmt.Sprintf("BUG: gemm: %d layers do not form a chain", len(layers)))
	}
	c := &Chain{K: layers[0].K, N: layers[len(layers)-1].N, level: level}
	for _, l := range layers {
		if l.Bias != nil && len(l.Bias) < l.N {
			panic("BUG: gemm: chain bias too short")
		}
	}
	if level != isa.Generic {
		c.packNative(layers)
		return c
	}
	for _, l := range layers {
		c.layers = append(c.layers, packB(level, l.K, l.N, l.B, l.LDB, l.Trans))
		ep := Epilogue{Act: l.Act}
		if l.Bias != nil {
			ep.Bias = append([]float32(nil), l.Bias[:l.N]...)
		}
		c.eps = append(c.eps, ep)
	}
	return c
}

// Run computes m rows of N values at y (row stride ldy) from m rows of K
// values at x (row stride ldx), on the caller's thread.
func (c *Chain) Run(m int, x []float32, ldx int, y []float32, ldy int) {
	CheckMatrix("x", x, m, c.K, ldx)
	CheckMatrix("y", y, m, c.N, ldy)
	if m == 0 {
		return
	}
	if c.level != isa.Generic {
		c.runNative(m, x, ldx, y, ldy)
		return
	}
	var buf [2][MaxChainWidth]float32
	for i := range m {
		in := x[i*ldx:]
		for l, b := range c.layers {
			out := buf[l%2][:]
			if l == len(c.layers)-1 {
				out = y[i*ldy:]
			}
			rowsGeneric(0, 1, b.N, b.K, view{in, b.K, 1}, view{b.data, b.N, 1}, out, b.N, &c.eps[l])
			in = out
		}
	}
}
