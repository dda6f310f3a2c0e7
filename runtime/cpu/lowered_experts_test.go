package cpu_test

import (
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// TestLoweredExperts holds com.microsoft's MoE and QMoE to Eval: all functions and gates, weights of floats and of
// codes with and without blocks, zero points, biases and weights of the router's.
func TestLoweredExperts(t *testing.T) {
	seeds(t, 80, func(t *testing.T, b *builder) {
		experts, tokens, hidden, inner, bits := one(b, 1, 3, 8), one(b, 1, 2, 9), one(b, 16, 32, 48), one(b, 16, 32, 64), one(b, 2, 4, 8)
		function := one(b, "relu", "gelu", "silu", "identity", "swiglu")
		a := attrs{"k": graph.IntAttr(int64(1 + b.IntN(experts))), "normalize_routing_weights": graph.IntAttr(int64(b.IntN(2))),
			"activation_type": graph.StrAttr(function)}
		wide := inner
		if function == "swiglu" {
			wide *= 2
			a["swiglu_fusion"], a["activation_alpha"] = graph.IntAttr(int64(1+b.IntN(2))), graph.FloatAttr(1.7)
			a["activation_beta"], a["swiglu_limit"] = graph.FloatAttr(1), graph.FloatAttr(one[float32](b, 1, 7))
		}
		x, logits := b.input(b.floats(tokens, 1, hidden)), b.input(b.floats(tokens, experts))
		bias := func(n int) *graph.Value {
			if b.IntN(2) == 0 {
				return nil
			}
			return b.constant(b.floats(experts, n))
		}
		if b.IntN(3) == 0 {
			v := b.node("com.microsoft.MoE", a, x, logits, b.constant(b.floats(experts, wide, hidden)), bias(wide), b.constant(b.floats(experts, hidden, inner)), bias(hidden))
			v.Def.Opset = 1
			b.output(v)
			mustLower(t, b.check(t, tolerance{1e-4, 2e-2}))
			return
		}
		a["expert_weight_bits"] = graph.IntAttr(int64(bits))
		block := one(b, 0, 16)
		if block > 0 {
			a["block_size"] = graph.IntAttr(int64(block))
		}
		in := make([]*graph.Value, 15)
		in[0], in[1], in[4], in[7] = x, logits, bias(wide), bias(hidden)
		for i, s := range [][2]int{{wide, hidden}, {hidden, inner}} {
			blocks := 1
			if block > 0 {
				blocks = s[1] / block
			}
			in[2+3*i] = b.constant(b.bytes(tensor.Uint8, experts, s[0], s[1]*bits/8))
			in[3+3*i] = b.constant(b.positive(experts, s[0], blocks))
			if b.IntN(2) == 0 {
				in[11+i] = b.constant(b.bytes(tensor.Uint8, experts, s[0], (blocks*bits+7)/8))
			}
		}
		if b.IntN(3) == 0 {
			in[14] = b.input(b.positive(tokens, experts))
		}
		v := b.node("com.microsoft.QMoE", a, in...)
		v.Def.Opset = 1
		b.output(v)
		mustLower(t, b.check(t, tolerance{1e-3, 1e-1}))
	})
}
