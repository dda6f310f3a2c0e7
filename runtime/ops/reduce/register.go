package reduce

import (
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
)

// Register adds the family's operators.
func Register(r *ops.Registry) {
	for _, m := range []struct {
		name  string
		k     kind
		input int
	}{
		{"ReduceSum", sum, 13}, {"ReduceMean", mean, 18}, {"ReduceProd", prod, 18}, {"ReduceMax", maximum, 18},
		{"ReduceMin", minimum, 18}, {"ReduceL1", l1, 18}, {"ReduceL2", l2, 18}, {"ReduceSumSquare", sumSquare, 18},
		{"ReduceLogSum", logSum, 18}, {"ReduceLogSumExp", logSumExp, 18},
	} {
		r.Add(reduceForms(m.name, m.k, m.input)...)
	}
	r.Add(argForms("ArgMax", false)...)
	r.Add(argForms("ArgMin", true)...)
	r.Add(topKForms()...)
	r.Add(softForms("Softmax", softFunc{softmax[float32], softmax[float64], softmaxHalf})...)
	r.Add(softForms("LogSoftmax", softFunc{f32: logSoftmax[float32], f64: logSoftmax[float64]})...)
	r.Add(softForms("Hardmax", softFunc{f32: hardmax[float32], f64: hardmax[float64]})...)
	r.Add(
		&ops.Op{Name: "LpNormalization", Since: 1, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1, Attrs: form.Int("axis", "p"), Shape: form.Same, Eval: evalLpNormalization},
		&ops.Op{Name: "MeanVarianceNormalization", Since: 9, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1, Attrs: form.Ints("axes"), Shape: form.Same, Eval: evalMeanVariance},
	)
}
