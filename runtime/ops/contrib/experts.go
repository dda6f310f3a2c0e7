package contrib

import (
	"fmt"
	"math"
	"slices"

	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// mixtures are a token's sum over the few of many perceptrons that a router gives it. The weights are floats, or
// codes of 2, 4 or 8 bits with a scale for each row or each block of one.
func mixtures() []*ops.Op {
	settings := form.Join(form.Int("k", "normalize_routing_weights", "use_sparse_mixer", "swiglu_fusion", "swiglu_limit_after_activation"),
		form.Float("activation_alpha", "activation_beta", "swiglu_limit"), form.Str("activation_type"))
	coded := form.Join(settings, form.Int("expert_weight_bits", "fc1_expert_weight_bits", "fc2_expert_weight_bits", "fc3_expert_weight_bits",
		"block_size", "accuracy_level", "weights_prepacked"), form.Str("quant_type"))
	return []*ops.Op{
		{Name: "MoE", Domain: Domain, Since: 1, MinIn: 5, MaxIn: 8, MinOut: 1, MaxOut: 1, Attrs: settings, Shape: form.Same, Eval: evalMixture},
		{Name: "QMoE", Domain: Domain, Since: 1, MinIn: 6, MaxIn: 21, MinOut: 1, MaxOut: 1, Attrs: coded, Shape: form.Same, Eval: evalMixture},
	}
}

// Mixture is a MoE or QMoE node with its weights.
type Mixture struct {
	Experts, Top  int
	Hidden, Inner int
	First, Second *ExpertWeights
	Act           act.Act // of the first product, or of its gates
	Gate          Gate
	Beta, Limit   float32 // what gates multiply is within ±Limit, and Beta is added to it
	all           bool    // shares are of all experts, not of those that were chosen
	normal        bool
}

// Gate says where the first product has its gates.
type Gate int

// Without gates, in turns with what they multiply, or in front of it.
const (
	Ungated Gate = iota
	Interleaved
	Halves
)

// ExpertWeights are a matrix of N rows of K weights, and a bias of N, for each expert.
type ExpertWeights struct {
	N, K int
	Bias []float32 // nil: none

	plain []float32
	bits  *nBits // nil: plain
	parts [3]*tensor.Tensor
}

// Matrix writes the weights of expert e as floats, row by row.
func (w *ExpertWeights) Matrix(e int, dst []float32) error {
	if w.bits == nil {
		copy(dst, w.plain[e*w.N*w.K:(e+1)*w.N*w.K])
		return nil
	}
	rows, err := w.bits.weights(w.of(e))
	for r := 0; err == nil && r < w.N; r++ {
		rows(r, dst[r*w.K:(r+1)*w.K])
	}
	return err
}

// Blocks gives the weights of expert e as they rest, nil if they are floats.
func (w *ExpertWeights) Blocks(e int) (*BitBlocks, error) {
	if w.bits == nil {
		return nil, nil
	}
	return w.bits.resting(w.of(e))
}

// of is expert e's part of the codes, scales and zero points, as inputs of a MatMulNBits node.
func (w *ExpertWeights) of(e int) *ops.Call {
	in := make([]tensor.Value, 4)
	for i, t := range w.parts {
		if t != nil {
			in[i+1] = t.Rows(e, e+1)
		}
	}
	return &ops.Call{In: in}
}

// NewMixture reads a node; in is its inputs, of which the first two and input 14 may be nil.
func NewMixture(n *graph.Node, in []tensor.Value) (*Mixture, error) {
	c := &ops.Call{Node: n, In: in}
	coded := n.Op == "QMoE"
	first, second := [4]int{2, 3, 4, 11}, [4]int{5, 6, 7, 12}
	third := []int{8, 9, 10, 13, 15, 16, 17, 18, 19, 20}
	if !coded {
		first, second, third = [4]int{2, -1, 3, -1}, [4]int{4, -1, 5, -1}, []int{6, 7}
	}
	for _, i := range third {
		if c.Has(i) {
			return nil, fmt.Errorf("input %d is not supported: third weights, global scales and scales of activations", i)
		}
	}
	a := n.Attrs
	if a.Int("swiglu_limit_after_activation", 0) != 0 || a.Int("use_sparse_mixer", 0) != 0 || a.Int("weights_prepacked", -1) > 0 || a.Str("quant_type", "int") != "int" {
		return nil, fmt.Errorf("swiglu_limit_after_activation, use_sparse_mixer, weights_prepacked and quant_type are supported as 0, 0, 0 and int only")
	}
	m := &Mixture{Top: int(a.Int("k", 1)), normal: a.Int("normalize_routing_weights", 0) != 0,
		Beta: a.Float("activation_beta", 0), Limit: a.Float("swiglu_limit", float32(math.Inf(1)))}
	m.all = !coded && !m.normal
	alpha := a.Float("activation_alpha", 1)
	switch name := a.Str("activation_type", "relu"); name {
	case "relu":
		m.Act.Func = act.Relu
	case "gelu":
		m.Act.Func = act.GeluTanh
	case "silu":
		m.Act = act.Act{Func: act.Silu, A: 1}
	case "identity":
	case "swiglu":
		m.Act, m.Gate = act.Act{Func: act.Silu, A: alpha}, Gate(a.Int("swiglu_fusion", 0))
		if m.Gate != Interleaved && m.Gate != Halves {
			return nil, fmt.Errorf("swiglu_fusion is %d, expected 1 or 2", m.Gate)
		}
	default:
		return nil, fmt.Errorf("activation_type is %q, expected relu, gelu, silu, swiglu or identity", name)
	}
	var err error
	if m.First, err = expertWeights(c, coded, "fc1_expert_weight_bits", first); err == nil {
		m.Second, err = expertWeights(c, coded, "fc2_expert_weight_bits", second)
	}
	if err != nil {
		return nil, err
	}
	m.Experts, m.Hidden, m.Inner = c.T(first[0]).Shape[0], m.First.K, m.Second.K
	wide := m.Inner
	if m.Gate != Ungated {
		wide *= 2
	}
	if c.T(second[0]).Shape[0] != m.Experts || m.First.N != wide || m.Second.N != m.Hidden {
		return nil, fmt.Errorf("weights are %v and %v, expected [experts,%d,hidden] and [experts,hidden,%d]", c.T(first[0]), c.T(second[0]), wide, m.Inner)
	}
	if m.Top < 1 || m.Top > m.Experts {
		return nil, fmt.Errorf("k is %d of %d experts", m.Top, m.Experts)
	}
	return m, nil
}

// expertWeights reads the inputs at: weights, scales, bias, zero points.
func expertWeights(c *ops.Call, coded bool, bits string, at [4]int) (*ExpertWeights, error) {
	t, err := need(c, at[0], 3)
	if err != nil {
		return nil, err
	}
	experts := t.Shape[0]
	w := &ExpertWeights{N: t.Shape[1], K: t.Shape[2]}
	if t.Elements() == 0 {
		return nil, fmt.Errorf("input %d is %v: no weights", at[0], t)
	}
	if coded {
		a := c.Node.Attrs
		p := &nBits{n: w.N, bits: int(a.Int(bits, a.Int("expert_weight_bits", 4))), block: int(a.Int("block_size", 0))}
		if !slices.Contains([]int{2, 4, 8}, p.bits) || t.DType != tensor.Uint8 {
			return nil, fmt.Errorf("input %d is %v with %d bits, expected uint8 with 2, 4 or 8", at[0], t, p.bits)
		}
		p.k = w.K * 8 / p.bits
		if p.block == 0 {
			p.block = p.k
		}
		if p.block < 1 || p.k%p.block != 0 || p.block*p.bits%8 != 0 {
			return nil, fmt.Errorf("block_size is %d in rows of %d", p.block, p.k)
		}
		p.blocks, w.K, w.bits = p.k/p.block, p.k, p
		scales := c.T(at[1])
		if scales == nil || len(scales.Shape) < 2 || scales.Shape[0] != experts || scales.Elements() != experts*w.N*p.blocks {
			return nil, fmt.Errorf("input %d is %v, expected %d scales for each of %d experts", at[1], scales, w.N*p.blocks, experts)
		}
		w.parts = [3]*tensor.Tensor{t, scales, c.T(at[3])}
		if z := w.parts[2]; z != nil && (z.DType != tensor.Uint8 || len(z.Shape) < 2 || z.Shape[0] != experts || z.Elements() != experts*w.N*((p.blocks*p.bits+7)/8)) {
			return nil, fmt.Errorf("input %d is %v, expected uint8[%d,%d,%d]", at[3], z, experts, w.N, (p.blocks*p.bits+7)/8)
		}
	} else if w.plain, err = floats(c, at[0]); err != nil {
		return nil, err
	}
	w.Bias, err = vector(c, at[2], experts*w.N)
	return w, err
}

// Route writes the Top experts of a token with their shares. Among equal ones the first are chosen. Shares come from
// weights, one an expert, or if that is nil from the softmax of logits.
func (m *Mixture) Route(logits, weights []float32, chosen []int32, share []float32) {
	for j := range m.Top {
		best := -1
		for e, v := range logits {
			if (best < 0 || v > logits[best]) && !slices.Contains(chosen[:j], int32(e)) {
				best = e
			}
		}
		chosen[j] = int32(best)
	}
	var sum float64
	if weights != nil {
		for j, e := range chosen[:m.Top] {
			share[j] = weights[e]
			sum += float64(share[j])
		}
		if !m.normal || sum == 0 {
			return
		}
	} else {
		top := float64(logits[chosen[0]])
		for j, e := range chosen[:m.Top] {
			v := math.Exp(float64(logits[e]) - top)
			share[j] = float32(v)
			sum += v
		}
		if m.all {
			sum = 0
			for _, v := range logits {
				sum += math.Exp(float64(v) - top)
			}
		}
	}
	for j := range m.Top {
		share[j] = float32(float64(share[j]) / sum)
	}
}

// Split writes a row of the first product as gates and what they multiply, without the function of the gates.
func (m *Mixture) Split(row, gates, rest []float32) {
	for i := range gates {
		g, l := row[i], row[len(row)/2+i]
		if m.Gate == Interleaved {
			g, l = row[2*i], row[2*i+1]
		}
		gates[i], rest[i] = min(g, m.Limit), max(min(l, m.Limit), -m.Limit)+m.Beta
	}
}

// rows checks the tokens, the router's logits and its weights.
func (m *Mixture) rows(c *ops.Call) (x, logits, weights []float32, err error) {
	if x, err = floats(c, 0); err != nil {
		return nil, nil, nil, err
	}
	if s := c.T(0).Shape; len(s) < 2 || s[len(s)-1] != m.Hidden {
		return nil, nil, nil, fmt.Errorf("input 0 is %v, expected rows of %d", c.T(0), m.Hidden)
	}
	n := len(x) / m.Hidden * m.Experts
	if logits, err = vector(c, 1, n); err != nil {
		return nil, nil, nil, err
	}
	weights, err = vector(c, 14, n)
	return x, logits, weights, err
}

func evalMixture(c *ops.Call) error {
	m, err := NewMixture(c.Node, c.In)
	if err != nil {
		return err
	}
	x, logits, weights, err := m.rows(c)
	if err != nil {
		return err
	}
	t, err := c.Output(0, c.T(0).DType, c.T(0).Shape)
	if err != nil {
		return err
	}
	out, store := form.Sink[float32](t)
	tokens := len(x) / m.Hidden
	chosen, share := make([]int32, tokens*m.Top), make([]float32, tokens*m.Top)
	for k := range tokens {
		var w []float32
		if weights != nil {
			w = weights[k*m.Experts : (k+1)*m.Experts]
		}
		m.Route(logits[k*m.Experts:(k+1)*m.Experts], w, chosen[k*m.Top:], share[k*m.Top:])
	}
	sums := make([]float64, len(x))
	up, down := make([]float32, m.First.N*m.First.K), make([]float32, m.Second.N*m.Second.K)
	wide, inner, rest := make([]float32, m.First.N), make([]float32, m.Inner), make([]float32, m.Inner)
	for e := range m.Experts {
		if !slices.Contains(chosen, int32(e)) {
			continue
		}
		if err := m.First.Matrix(e, up); err != nil {
			return err
		}
		if err := m.Second.Matrix(e, down); err != nil {
			return err
		}
		for at, of := range chosen {
			if int(of) != e {
				continue
			}
			k := at / m.Top
			m.First.row(e, up, x[k*m.Hidden:(k+1)*m.Hidden], func(r int, v float64) { wide[r] = float32(v) })
			if m.Gate == Ungated {
				copy(inner, wide)
			} else {
				m.Split(wide, inner, rest)
			}
			for i, v := range inner {
				inner[i] = m.Act.Eval(v)
				if m.Gate != Ungated {
					inner[i] *= rest[i]
				}
			}
			m.Second.row(e, down, inner, func(r int, v float64) { sums[k*m.Hidden+r] += float64(share[at]) * v })
		}
	}
	for i, v := range sums {
		out[i] = float32(v)
	}
	return store()
}

// row multiplies one row by the weights of expert e.
func (w *ExpertWeights) row(e int, weights, x []float32, give func(r int, v float64)) {
	for r := range w.N {
		var sum float64
		for k, v := range x {
			sum += float64(v) * float64(weights[r*w.K+k])
		}
		if w.Bias != nil {
			sum += float64(w.Bias[e*w.N+r])
		}
		give(r, sum)
	}
}
