package math

import (
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/ops/form"
	"github.com/aimass/aimass/runtime/tensor"
)

// Register adds the family's operators.
func Register(r *ops.Registry) {
	for _, u := range reals {
		r.Add(u.forms()...)
	}
	r.Add(numberForms("Abs", 1, true, &absLoops)...)
	r.Add(numberForms("Neg", 1, true, &negLoops)...)
	r.Add(numberForms("Relu", 1, true, &reluLoops)...)
	r.Add(numberForms("Sign", 9, false, &signLoops)...)
	r.Add(anyForm("Shrink", 9, form.Float("bias", "lambd"), shrink))
	r.Add(selu()...)
	registerBinary(r)
	r.Add(variadicForms("Sum", opAdd, false)...)
	r.Add(variadicForms("Max", opMax, false)...)
	r.Add(variadicForms("Min", opMin, false)...)
	r.Add(variadicForms("Mean", opAdd, true)...)
	unary := func(name string, since int, attrs []ops.Attr, shape func(*ops.ShapeCall) error, eval func(*ops.Call) error) {
		r.Add(&ops.Op{Name: name, Since: since, MinIn: 1, MaxIn: 1, MinOut: 1, MaxOut: 1, Attrs: attrs, Shape: shape, Eval: eval})
	}
	unary("Not", 1, nil, form.Same, evalNot)
	unary("BitwiseNot", 18, nil, form.Same, evalBitwiseNot)
	unary("IsNaN", 9, nil, shapeBool, evalIsNaN)
	unary("IsInf", 10, form.Int("detect_negative", "detect_positive"), shapeBool, evalIsInf)
	unary("Det", 11, nil, shapeDet, evalDet)
	r.Add(clipForms()...)
	r.Add(
		&ops.Op{Name: "Where", Since: 9, MinIn: 3, MaxIn: 3, MinOut: 1, MaxOut: 1, Shape: shapeWhere, Eval: evalWhere},
		&ops.Op{Name: "PRelu", Since: 1, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1, Attrs: form.Consumed(), Shape: form.Same, Eval: evalPRelu},
		&ops.Op{Name: "PRelu", Since: 6, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1, Shape: form.Same, Eval: evalPRelu},
		&ops.Op{Name: "SwiGLU", Since: 28, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1, Attrs: form.Float("alpha"), Shape: form.Same, Eval: evalSwiGLU},
		&ops.Op{Name: "CumSum", Since: 11, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1, Attrs: form.Int("exclusive", "reverse"), Shape: form.Same, Eval: evalCum(false)},
		&ops.Op{Name: "CumProd", Since: 26, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1, Attrs: form.Int("exclusive", "reverse"), Shape: form.Same, Eval: evalCum(true)},
		&ops.Op{Name: "Trilu", Since: 14, MinIn: 1, MaxIn: 2, MinOut: 1, MaxOut: 1, Attrs: form.Int("upper"), Shape: form.Same, Eval: evalTrilu},
		&ops.Op{Name: "Range", Since: 11, MinIn: 3, MaxIn: 3, MinOut: 1, MaxOut: 1, Shape: shapeRange, Eval: evalRange},
		&ops.Op{Name: "Range", Since: 27, MinIn: 3, MaxIn: 3, MinOut: 1, MaxOut: 1, Attrs: form.Int("stash_type"), Shape: shapeRange, Eval: evalRange},
		&ops.Op{Name: "MatMul", Since: 1, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1, Shape: shapeMatMul, Eval: evalMatMul},
		&ops.Op{Name: "MatMulInteger", Since: 10, MinIn: 2, MaxIn: 4, MinOut: 1, MaxOut: 1, Shape: shapeMatMulInteger, Eval: evalMatMulInteger},
		&ops.Op{Name: "Einsum", Since: 12, MinIn: 1, MaxIn: -1, MinOut: 1, MaxOut: 1, Attrs: form.Required(form.Str("equation")), Shape: shapeEinsum, Eval: evalEinsum},
		&ops.Op{Name: "TensorScatter", Since: 24, MinIn: 2, MaxIn: 3, MinOut: 1, MaxOut: 1, Attrs: form.Join(form.Int("axis"), form.Str("mode")), Shape: form.Same, Eval: evalTensorScatter},
	)
	r.Add(gemmForms()...)
}

func registerBinary(r *ops.Registry) {
	binary := func(name string, since int, attrs []ops.Attr, d tensor.DType, eval func(*ops.Call) error) {
		r.Add(&ops.Op{Name: name, Since: since, MinIn: 2, MaxIn: 2, MinOut: 1, MaxOut: 1, Attrs: attrs, Shape: binaryShape(d), Eval: eval})
	}
	for _, o := range []struct {
		name string
		code opcode
	}{{"Add", opAdd}, {"Sub", opSub}, {"Mul", opMul}, {"Div", opDiv}} {
		binary(o.name, 1, form.Join(legacyBroadcast, form.Consumed()), tensor.Invalid, evalArith(o.code))
		binary(o.name, 6, legacyBroadcast, tensor.Invalid, evalArith(o.code))
		binary(o.name, 7, nil, tensor.Invalid, evalArith(o.code))
	}
	binary("Pow", 1, legacyBroadcast, tensor.Invalid, evalPow)
	binary("Pow", 7, nil, tensor.Invalid, evalPow)
	binary("Mod", 10, form.Int("fmod"), tensor.Invalid, evalMod)
	binary("BitShift", 11, form.Required(form.Str("direction")), tensor.Invalid, evalBitShift)
	binary("BitwiseAnd", 18, nil, tensor.Invalid, evalArith(opAnd))
	binary("BitwiseOr", 18, nil, tensor.Invalid, evalArith(opOr))
	binary("BitwiseXor", 18, nil, tensor.Invalid, evalArith(opXor))
	for _, o := range []struct {
		name   string
		code   opcode
		since  int
		legacy bool
	}{
		{"Equal", opEqual, 7, true}, {"Greater", opGreater, 7, true}, {"Less", opLess, 7, true},
		{"GreaterOrEqual", opGreaterOrEqual, 12, false}, {"LessOrEqual", opLessOrEqual, 12, false},
	} {
		if o.legacy {
			binary(o.name, 1, legacyBroadcast, tensor.Bool, evalCompare(o.code))
		}
		binary(o.name, o.since, nil, tensor.Bool, evalCompare(o.code))
	}
	for _, o := range []struct {
		name string
		code opcode
	}{{"And", opAnd}, {"Or", opOr}, {"Xor", opXor}} {
		binary(o.name, 1, legacyBroadcast, tensor.Bool, evalLogic(o.code))
		binary(o.name, 7, nil, tensor.Bool, evalLogic(o.code))
	}
}
