package lower

import (
	"fmt"

	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/runtime/tensor"
)

// stackRows is the most rows for which a stack of dense layers goes row by row: beyond
// it the weights are better read once for many rows.
const stackRows = 4

// layer is a dense layer of constants, with the bias and the function behind it.
type layer struct {
	gemm.Layer
	w     *tensor.Tensor
	out   int
	nodes []int
}

// stack takes two or more small dense layers that follow each other, from node i on.
func (f *fuser) stack(i int) (*group, bool) {
	first, ok := f.denseLayer(i)
	if !ok {
		return nil, false
	}
	x := f.node(i).In[0]
	rows := f.shape(x).Elements() / first.K
	if rows > stackRows {
		return nil, false
	}
	layers, nodes, last := []gemm.Layer{first.Layer}, first.nodes, first
	form := fmt.Sprintf("stack %p", f.node(i).Node)
	for len(layers) < gemm.MaxChainLayers {
		j, ok := f.onlyUser(last.out)
		if !ok {
			break
		}
		next, ok := f.denseLayer(j)
		if !ok || f.node(j).In[0] != last.out || next.K != last.N || !gemm.ChainFits(append(layers[:len(layers):len(layers)], next.Layer)) {
			break
		}
		layers, nodes, last = append(layers, next.Layer), append(nodes, next.nodes...), next
		form += fmt.Sprintf(" %p", f.node(j).Node)
	}
	if len(layers) < 2 {
		return nil, false
	}
	form += fmt.Sprintf(" %d", len(nodes))
	chain := f.pl.Packed.get(first.w, form, func() (any, int64) {
		size := 0
		for _, l := range layers {
			size += 4 * (l.K + 1) * l.N
		}
		return gemm.NewChain(layers), int64(size)
	}).(*gemm.Chain)
	out := last.out
	run := func(e *Env) error {
		chain.Run(rows, e.f32(x), chain.K, e.f32(out), chain.N)
		return nil
	}
	return &group{nodes: nodes, reads: []int{x}, writes: []int{out}, run: run}, true
}

// denseLayer reads Gemm or MatMul with constant weights, and what follows, as a layer
// y = act(x·W + b).
func (f *fuser) denseLayer(i int) (*layer, bool) {
	n := f.node(i)
	gemmNode := n.OpName() == "Gemm"
	if f.claimed[i] || !gemmNode && n.OpName() != "MatMul" {
		return nil, false
	}
	x, out := n.In[0], n.Out[0]
	w := f.constant(n.In[1])
	if w == nil || len(w.Shape) != 2 || !f.f32(n.In[1]) || !f.f32(x) || !f.f32(out) || w.Elements() == 0 || f.shape(out).Elements() == 0 || len(f.shape(x)) < 2 {
		return nil, false
	}
	l := &layer{w: w}
	l.K, l.N, l.B, l.LDB = w.Shape[0], w.Shape[1], tensor.Data[float32](w), w.Shape[1]
	ep := newEpilogue()
	ep.unscaled = true
	if gemmNode {
		if l.Trans = n.Attrs.Int("transB", 0) != 0; l.Trans {
			l.K, l.N = l.N, l.K
		}
		if n.Attrs.Int("transA", 0) != 0 || n.Attrs.Float("alpha", 1) != 1 || n.input(2) >= 0 && !f.gemmBias(n, l.N, ep) {
			return nil, false
		}
	}
	f.follow(out, l.N, 1, ep)
	if ep.residual >= 0 || !gemm.ChainFits([]gemm.Layer{l.Layer}) {
		return nil, false
	}
	l.Bias, l.Act, l.out, l.nodes = ep.bias, ep.act, ep.out, append([]int{i}, ep.nodes...)
	return l, true
}
