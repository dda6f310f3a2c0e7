package quant

import (
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
)

// Register adds the operators of this package.
func Register(r *ops.Registry) {
	for _, f := range []func() []*ops.Op{
		dequantizeLinear, dynamicQuantizeLinear, qLinearConv, qLinearMatMul, quantizeLinear,
	} {
		r.Add(form.NoneLeftOut(f())...)
	}
}
