package lower

import (
	"fmt"

	"github.com/aimass/aimass/kernels/coded"
	"github.com/aimass/aimass/kernels/elementwise"
	"github.com/aimass/aimass/kernels/gemm"
	"github.com/aimass/aimass/runtime/ops/contrib"
	"github.com/aimass/aimass/runtime/tensor"
)

// lowerExperts takes mixtures of experts with constant weights: the tokens of each expert are gathered and go
// through its products together, whose weights stay in few bits where the kernel has such.
func lowerExperts(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	x, logits, out, weights := n.In[0], n.In[1], n.Out[0], -1
	if !f.f32(x) || !f.f32(logits) || !f.f32(out) || f.shape(x).Elements() == 0 || len(f.shape(x)) < 2 {
		return nil, false
	}
	in := make([]tensor.Value, len(n.In))
	for k := 2; k < len(n.In); k++ {
		slot := n.In[k]
		if slot < 0 {
			continue
		}
		if k == 14 {
			weights = slot
			continue
		}
		t := f.constant(slot)
		if t == nil {
			return nil, false
		}
		in[k] = t
	}
	m, err := contrib.NewMixture(n.Node, in)
	if err != nil {
		return nil, false // Eval says what is wrong
	}
	sx := f.shape(x)
	tokens := sx.Elements() / m.Hidden
	routes := tokens * m.Experts
	if sx[len(sx)-1] != m.Hidden || f.shape(logits).Elements() != routes || weights >= 0 && (!f.f32(weights) || f.shape(weights).Elements() != routes) {
		return nil, false
	}
	first, second := f.expertProducts(n, in[2].(*tensor.Tensor), m.First), f.expertProducts(n, secondWeights(n, in), m.Second)
	if first == nil || second == nil {
		return nil, false
	}
	x0 := &mixing{Mixture: m, first: first, second: second, tokens: tokens, x: x, logits: logits, weights: weights, out: out}
	for _, s := range []struct {
		slot *int
		d    tensor.DType
		n    int
	}{{&x0.chosen, tensor.Int32, m.Top * tokens}, {&x0.share, tensor.Float32, m.Top * tokens}, {&x0.rows, tensor.Float32, m.Hidden * tokens},
		{&x0.wide, tensor.Float32, m.First.N * tokens}, {&x0.inner, tensor.Float32, m.Inner * tokens}, {&x0.rest, tensor.Float32, m.Inner * tokens}} {
		*s.slot = f.scratch(s.d, s.n)
	}
	g := &group{nodes: []int{i}, reads: []int{x, logits}, writes: []int{out, x0.chosen, x0.share, x0.rows, x0.wide, x0.inner, x0.rest}, run: x0.run}
	if weights >= 0 {
		g.reads = append(g.reads, weights)
	}
	return g, true
}

// secondWeights is the tensor of the second products' weights.
func secondWeights(n *Node, in []tensor.Value) *tensor.Tensor {
	if n.Op == "QMoE" {
		return in[5].(*tensor.Tensor)
	}
	return in[4].(*tensor.Tensor)
}

// expertProduct is one expert's product: coded, or floats.
type expertProduct struct {
	coded *coded.Weights
	plain *gemm.PackedB
}

func (p *expertProduct) run(e *Env, m int, a []float32, k int, c []float32, cols int) {
	if p.coded != nil {
		coded.Gemm(m, a, k, p.coded, c, cols, &e.gemm, e.Threads)
		return
	}
	gemm.Gemm(m, a, k, p.plain, c, cols, &e.gemm, e.Threads)
}

// expertProducts packs the weights of all experts, nil where they are no matrices.
func (f *fuser) expertProducts(n *Node, of *tensor.Tensor, w *contrib.ExpertWeights) []expertProduct {
	list, _ := f.pl.Packed.get(of, fmt.Sprintf("experts %p", n.Node), func(*tensor.Tensor) (any, int64) { // w has looked at them, and has them
		var list []expertProduct
		var size int64
		var floats []float32
		for e := range of.Shape[0] {
			b, err := w.Blocks(e)
			if err != nil {
				return nil, 0
			}
			if b != nil && b.Size%16 == 0 {
				c := coded.PackBlocks(b.K, b.N, &coded.Blocks{Bits: b.Bits, Size: b.Size, Codes: b.Codes, Scales: b.Scales, Zero: b.Zero})
				list, size = append(list, expertProduct{coded: c}), size+int64(c.Bytes())
				continue
			}
			if floats == nil {
				floats = make([]float32, w.N*w.K)
			}
			if err := w.Matrix(e, floats); err != nil {
				return nil, 0
			}
			p := gemm.PackB(w.K, w.N, floats, w.K, true)
			list, size = append(list, expertProduct{plain: p}), size+int64(p.Bytes())
		}
		return list, size
	}).([]expertProduct)
	return list
}

// mixing is a mixture on a plan's slots.
type mixing struct {
	*contrib.Mixture
	first, second           []expertProduct
	tokens                  int
	x, logits, weights, out int

	chosen, share, rows, wide, inner, rest int
}

func (m *mixing) run(e *Env) error {
	x, logits, out := e.f32(m.x), e.f32(m.logits), e.f32(m.out)
	chosen, share, rows := number[int32](e, m.chosen), e.f32(m.share), e.f32(m.rows)
	for t := range m.tokens {
		var w []float32
		if m.weights >= 0 {
			w = e.f32(m.weights)[t*m.Experts : (t+1)*m.Experts]
		}
		m.Route(logits[t*m.Experts:(t+1)*m.Experts], w, chosen[t*m.Top:], share[t*m.Top:])
	}
	clear(out[:m.tokens*m.Hidden])
	for of := range m.Experts {
		count := 0
		for at, c := range chosen[:m.tokens*m.Top] {
			if int(c) == of {
				t := at / m.Top
				copy(rows[count*m.Hidden:(count+1)*m.Hidden], x[t*m.Hidden:])
				count++
			}
		}
		if count == 0 {
			continue
		}
		m.expert(e, of, count)
		count = 0
		for at, c := range chosen[:m.tokens*m.Top] {
			if int(c) == of {
				dst := out[at/m.Top*m.Hidden:][:m.Hidden]
				for i, v := range rows[count*m.Hidden:][:m.Hidden] {
					dst[i] += share[at] * v
				}
				count++
			}
		}
	}
	return nil
}

// expert replaces the first count rows by what an expert makes of them.
func (m *mixing) expert(e *Env, of, count int) {
	rows, inner := e.f32(m.rows), e.f32(m.inner)
	bias := func(w *contrib.ExpertWeights) []float32 {
		if w.Bias == nil {
			return nil
		}
		return w.Bias[of*w.N : (of+1)*w.N]
	}
	e.gemm = gemm.Epilogue{Bias: bias(m.First)}
	if m.Gate == contrib.Ungated {
		e.gemm.Act = m.Act
		m.first[of].run(e, count, rows, m.Hidden, inner, m.Inner)
	} else {
		wide, rest := e.f32(m.wide), e.f32(m.rest)
		m.first[of].run(e, count, rows, m.Hidden, wide, m.First.N)
		for r := range count {
			m.Split(wide[r*m.First.N:(r+1)*m.First.N], inner[r*m.Inner:(r+1)*m.Inner], rest[r*m.Inner:(r+1)*m.Inner])
		}
		n := count * m.Inner
		elementwise.Unary(inner[:n], inner[:n], m.Act, e.Threads)
		elementwise.Binary(elementwise.Mul, inner[:n], inner[:n], rest[:n], e.Threads)
	}
	e.gemm = gemm.Epilogue{Bias: bias(m.Second)}
	m.second[of].run(e, count, inner, m.Inner, rows, m.Hidden)
}
