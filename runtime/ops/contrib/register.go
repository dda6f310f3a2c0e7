package contrib

import "github.com/aimass/aimass/runtime/ops"

// Register adds the operators.
func Register(r *ops.Registry) {
	s := newStandard()
	r.Add(aliases(s)...)
	r.Add(fused(s)...)
	r.Add(windowed(s)...)
	r.Add(dynamicQuantizeLSTM(s))
	r.Add(gelus()...)
	r.Add(pointwise()...)
	r.Add(fusedMatMul()...)
	r.Add(norms()...)
	embed := embedLayerNormalization()
	r.Add(embed, qEmbedLayerNormalization(embed))
	r.Add(attention(), qAttention(), multiHeadAttention(), groupQueryAttention(), rotaryEmbedding())
	r.Add(integerProducts()...)
	r.Add(matMulNBits(), gatherBlockQuantized())
	r.Add(mixtures()...)
	r.Add(qLinearPointwise()...)
	r.Add(qLinearConcat(), qLinearSoftmax(), qLinearWhere(), qLinearGlobalAveragePool())
	r.Add(tokenizer(), cdist(), inverse(), nGramRepeatBlock(), expandDims(), murmurHash3())
}
