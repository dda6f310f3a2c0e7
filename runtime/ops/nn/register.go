package nn

import (
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
)

// Register adds the family's operators.
func Register(r *ops.Registry) {
	registerConv(r)
	r.Add(poolForms()...)
	r.Add(globalForms()...)
	r.Add(maxPoolForms()...)
	r.Add(batchNormForms()...)
	registerNorm(r)
	r.Add(resizeForms()...)
	r.Add(upsampleForms()...)
	r.Add(dropoutForms()...)
	r.Add(attentionForms()...)
	r.Add(roiForms()...)
	r.Add(
		&ops.Op{Name: "GridSample", Since: 16, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1, Attrs: form.Join(form.Str("mode", "padding_mode"), form.Int("align_corners")), Shape: shapeGridSample, Eval: evalGridSample},
		&ops.Op{Name: "AffineGrid", Since: 20, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1, Attrs: form.Int("align_corners"), Shape: shapeAffineGrid, Eval: evalAffineGrid},
		&ops.Op{Name: "Col2Im", Since: 18, MinIn: 3, MaxIn: 3, MinOut: 1, MaxOut: 1, Attrs: form.Ints("dilations", "pads", "strides"), Shape: shapeCol2Im, Eval: evalCol2Im},
		&ops.Op{Name: "FlexAttention", Domain: "ai.onnx.preview", Since: 1, MinIn: 3, MaxIn: 3, MinOut: 1, MaxOut: 1, Attrs: flexAttentionAttrs, Shape: shapeFlexAttention, Eval: evalFlexAttention},
		&ops.Op{Name: "LinearAttention", Since: 27, MinIn: 3, MaxIn: 6, MinOut: 1, MaxOut: 2, Attrs: linearAttentionAttrs, Shape: shapeLinearAttention, Eval: evalLinearAttention},
		&ops.Op{Name: "CausalConvWithState", Since: 27, MinIn: 2, MaxIn: 4, MinOut: 1, MaxOut: 2, Attrs: form.Str("activation"), Shape: shapeCausalConv, Eval: evalCausalConv},
		&ops.Op{Name: "RotaryEmbedding", Since: 23, MinIn: 3, MaxIn: 4, MinOut: 1, MaxOut: 1, Attrs: form.Int("interleaved", "num_heads", "rotary_embedding_dim"), Shape: form.Same, Eval: evalRotary},
		&ops.Op{Name: "MaxUnpool", Since: 9, MinIn: 2, MaxIn: 3, MinOut: 1, MaxOut: 1, Attrs: maxUnpoolAttrs, Shape: shapeMaxUnpool, Eval: evalMaxUnpool},
		&ops.Op{Name: "NegativeLogLikelihoodLoss", Since: 12, MinIn: 2, MaxIn: 3, MinOut: 1, MaxOut: 1, Attrs: lossAttrs, Shape: shapeLoss, Eval: evalNLL},
		&ops.Op{Name: "SoftmaxCrossEntropyLoss", Since: 12, MinIn: 2, MaxIn: 3, MinOut: 1, MaxOut: 2, Attrs: lossAttrs, Shape: shapeLoss, Eval: evalCrossEntropy},
	)
}

func registerConv(r *ops.Registry) {
	r.Add(
		&ops.Op{Name: "Conv", Since: 1, MinIn: 2, MaxIn: 3, MinOut: 1, MaxOut: 1, Attrs: convAttrs, Shape: forward.shape, Eval: forward.eval},
		&ops.Op{Name: "ConvInteger", Since: 10, MinIn: 2, MaxIn: 4, MinOut: 1, MaxOut: 1, Attrs: convAttrs, Shape: shapeConvInteger, Eval: evalConvInteger},
		&ops.Op{Name: "DeformConv", Since: 19, MinIn: 3, MaxIn: 5, MinOut: 1, MaxOut: 1, Attrs: form.Join(form.Ints("dilations", "kernel_shape", "pads", "strides"), form.Int("group", "offset_group")), Shape: shapeDeformConv, Eval: evalDeformConv},
		&ops.Op{Name: "ConvTranspose", Since: 1, MinIn: 2, MaxIn: 3, MinOut: 1, MaxOut: 1, Attrs: convTransposeAttrs, Shape: transposed.shape, Eval: transposed.eval},
	)
}

func registerNorm(r *ops.Registry) {
	norm := func(name string, since, in, out int, attrs []ops.Attr, shape func(*ops.ShapeCall) error, eval func(*ops.Call) error) {
		minIn := in
		if name == "LayerNormalization" {
			minIn = 2
		}
		r.Add(&ops.Op{Name: name, Since: since, MinIn: minIn, MaxIn: in, MinOut: 1, MaxOut: out, Attrs: attrs, Shape: shape, Eval: eval})
	}
	eps, stashed := form.Float("epsilon"), form.Int("stash_type")
	norm("InstanceNormalization", 1, 3, 1, form.Join(eps, form.Consumed()), form.Same, evalInstanceNorm)
	norm("InstanceNormalization", 6, 3, 1, eps, form.Same, evalInstanceNorm)
	groups := form.Required(form.Int("num_groups"))
	norm("GroupNormalization", 18, 3, 1, form.Join(eps, groups), form.Same, evalGroupNorm)
	norm("GroupNormalization", 21, 3, 1, form.Join(eps, groups, stashed), form.Same, evalGroupNorm)
	norm("LayerNormalization", 17, 3, 3, form.Join(eps, stashed, form.Int("axis")), shapeLayerNorm, evalLayerNorm)
	norm("RMSNormalization", 23, 2, 1, form.Join(eps, stashed, form.Int("axis")), shapeRMSNorm, evalRMSNorm)
	norm("LRN", 1, 1, 1, form.Join(form.Float("alpha", "beta", "bias"), form.Required(form.Int("size"))), form.Same, evalLRN)
}
