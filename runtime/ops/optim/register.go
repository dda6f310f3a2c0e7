package optim

import (
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
)

// Domain is the domain of this family's operators.
const Domain = "ai.onnx.preview.training"

// Register adds the optimisers.
func Register(r *ops.Registry) {
	r.Add(
		step("Adagrad", 3, form.Float("norm_coefficient", "decay_factor", "epsilon"), adagrad),
		step("Adam", 4, form.Float("norm_coefficient", "norm_coefficient_post", "alpha", "beta", "epsilon"), adam),
		step("Momentum", 3, form.Required(form.Join(form.Float("norm_coefficient", "alpha", "beta"), form.Str("mode"))), momentum),
	)
}
