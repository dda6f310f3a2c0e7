package random

import "github.com/aimass/aimass/runtime/ops"

// Register adds the operators that draw random numbers.
func Register(r *ops.Registry) {
	r.Add(bernoulli()...)
	r.Add(multinomial()...)
	r.Add(distributions()...)
}
