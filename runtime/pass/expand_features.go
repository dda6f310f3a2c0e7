package pass

import (
	"github.com/aimass/aimass/runtime/tensor"
)

// floatFeatures makes float32 of a model's whole features, as the model's own first step would: devices then have one
// form to know. Thresholds in float64 are compared with features in float64, so such models stay as they are.
func floatFeatures(x *expansion) {
	d := x.e.of(x.in(0)).dtype
	x.need(d == tensor.Int64 || d == tensor.Int32)
	for _, a := range x.n.Attrs {
		x.need(a.T == nil || a.T.DType == tensor.Float32)
	}
	if x.failed {
		return
	}
	x.n.In[0] = x.cast(x.in(0), tensor.Float32)
	x.nodes = append(x.nodes, x.n)
	x.e.node(x.n)
}
