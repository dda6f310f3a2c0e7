package pass

import (
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// floatFeatures makes float32 of a model's whole features, as the model's own first step would: devices then have one
// form to know, and the models of an ensemble that read the same features share them. Thresholds in float64 are compared with features in float64, so such models stay as they are.
func floatFeatures(x *expansion) {
	d := x.e.of(x.in(0)).dtype
	x.need(d == tensor.Int64 || d == tensor.Int32)
	for _, a := range x.n.Attrs {
		x.need(a.T == nil || a.T.DType == tensor.Float32)
	}
	if x.failed {
		return
	}
	whole := x.in(0)
	x.n.In[0] = x.once(sharedKey{what: "features", of: whole}, func() *graph.Value { return x.cast(whole, tensor.Float32) })
	x.nodes = append(x.nodes, x.n)
	x.e.node(x.n)
}
