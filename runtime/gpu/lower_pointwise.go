package gpu

import (
	"github.com/aimass/aimass/cuda"
	"github.com/aimass/aimass/cuda/kernel"
	"github.com/aimass/aimass/kernels/act"
	"github.com/aimass/aimass/runtime/match"
	"github.com/aimass/aimass/runtime/tensor"
)

// elementwise is the form of an operation that takes each element by itself, with at most
// one operand of the result's shape and constants along the last axis.
type elementwise struct {
	shape tensor.Shape
	// wide is the operand of full shape by its place in in, vector that which lies along the
	// last axis (−1: none). remake is the operation for n columns of it.
	wide, vector int
	remake       func(rows, cols int) *operation
}

// binaryNames are the table's names of functions of two values; those that give a bool are
// in comparisons.
var binaryNames = map[string]string{"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Max": "max", "Min": "min", "Sum": "add", "Pow": "pow",
	"PRelu": "prelu", "Mod": "mod",
	"And": "and", "Or": "or", "Xor": "xor", "Equal": "eq", "Less": "lt", "LessOrEqual": "le", "Greater": "gt", "GreaterOrEqual": "ge"}

// unaryNames are those functions of one value that are no act.Func.
var unaryNames = map[string]string{"Sin": "sin", "Cos": "cos", "Tan": "tan", "Asin": "asin", "Acos": "acos", "Atan": "atan", "Sinh": "sinh", "Cosh": "cosh",
	"Asinh": "asinh", "Acosh": "acosh", "Atanh": "atanh", "IsNaN": "is_nan"}

// pointwise are the operators of this file.
var pointwise = func() []string {
	list := append([]string{"Not"}, match.Functions...)
	for n := range binaryNames {
		list = append(list, n)
	}
	for n := range unaryNames {
		list = append(list, n)
	}
	return list
}()

// lowerPointwise takes functions of one and two values, spelled-out ones included when
// they begin here.
func lowerPointwise(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	for _, x := range n.in {
		if l.F32(x) && !l.Output[x] && len(l.Users[x]) > 1 {
			if a, ok := l.ActivationAt(x); ok && len(a.Nodes) > 1 {
				return l.unary(a, x)
			}
		}
	}
	if len(n.out) != 1 || !l.addressable(n.out[0]) {
		return nil, false
	}
	if name := unaryNames[n.OpName()]; name != "" && l.F32(n.in[0]) {
		return []*operation{l.unaryNamed(name, act.Act{}, l.pick(i), n.in[0], n.out[0])}, true
	}
	if len(n.in) >= 1 && l.F32(n.in[0]) && l.F32(n.out[0]) {
		if a, ok := l.Activation(n.match()); ok {
			return l.unary(match.Applied{Act: a, Nodes: []int{i}, Out: n.out[0]}, n.in[0])
		}
	}
	if n.OpName() == "Not" && l.of(n.in[0], tensor.Bool) {
		zero := l.constant(l.derived.get("zero byte", func() *tensor.Tensor { return tensor.FromSlice([]uint8{0}) }))
		return []*operation{l.binary("eq", "u8", l.pick(i), n.in[0], zero, n.out[0])}, true
	}
	return l.binaryNode(i)
}

func (l *lowering) unary(a match.Applied, in int) ([]*operation, bool) {
	name, ok := kernel.UnaryName(a.Act.Func)
	if !ok {
		return nil, false
	}
	return []*operation{l.unaryNamed(name, a.Act, l.pick(a.Nodes...), in, a.Out)}, true
}

func (l *lowering) unaryNamed(name string, f act.Act, nodes []*node, in, out int) *operation {
	shape := l.shape(out)
	o := unaryOperation(name, f, int64(shape.Elements()))
	o.nodes, o.in, o.out = nodes, []int{in}, []int{out}
	o.form = &elementwise{shape: shape, wide: 0, vector: -1, remake: func(rows, cols int) *operation { return unaryOperation(name, f, int64(rows)*int64(cols)) }}
	return o
}

func unaryOperation(name string, f act.Act, n int64) *operation {
	return &operation{kind: name, launch: func(dst []cuda.Launch, in, out []cuda.Ptr, _ cuda.Ptr) ([]cuda.Launch, error) {
		return kernel.AppendUnary(dst, kernel.Unary{Name: name, X: in[0], Y: out[0], N: n, A: f.A, B: f.B})
	}}
}

// binaryNode takes functions of two values that broadcast by numpy's rule, and sums,
// maxima and minima of more.
func (l *lowering) binaryNode(i int) ([]*operation, bool) {
	n := l.work[i]
	name, ok := binaryNames[n.OpName()]
	out := n.out[0]
	variadic := n.Op == "Sum" || n.Op == "Max" || n.Op == "Min"
	if !ok || len(n.in) < 2 || len(n.in) > 2 && !variadic || n.Opset < 7 || variadic && n.Opset < 8 {
		return nil, false
	}
	d := l.info[max(n.in[0], 0)].DType
	for _, s := range n.in {
		if !l.of(s, d) {
			return nil, false
		}
		if _, ok := kernel.BroadcastStrides(l.shape(s), l.shape(out)); !ok {
			return nil, false
		}
	}
	if name == "mod" && n.Attrs.Int("fmod", 0) != 0 {
		name = "fmod"
	}
	if !kernel.HasBinary(name, typeName(d)) || d == tensor.Bool && n.Op != "And" && n.Op != "Or" && n.Op != "Xor" && n.Op != "Equal" {
		return nil, false
	}
	if d.IsInt() && (name == "div" || name == "mod" || name == "fmod") && !l.nowhereZero(n.in[1]) {
		return nil, false // Eval errs on a division by zero
	}
	list := []*operation{l.binary(name, typeName(d), l.pick(i), n.in[0], n.in[1], out)}
	for _, more := range n.in[2:] {
		list = append(list, l.binary(name, typeName(d), l.pick(i), out, more, out))
	}
	return list, true
}

// nowhereZero reports a constant of integers without a zero.
func (l *lowering) nowhereZero(slot int) bool {
	t := l.tensor(slot)
	if t == nil {
		return false
	}
	v, err := tensor.Int64s(t)
	for _, x := range v {
		if x == 0 {
			return false
		}
	}
	return err == nil
}

func (l *lowering) binary(name, dtype string, nodes []*node, x, y, z int) *operation {
	sx, sy, sz := l.shape(x), l.shape(y), l.shape(z)
	o := binaryOperation(name, dtype, sx, sy, sz)
	o.nodes, o.in, o.out = nodes, []int{x, y}, []int{z}
	if cols := last(sz); sx.Equal(sz) && match.AlongAxis(sy, cols, 1) && l.tensor(y) != nil {
		o.form = &elementwise{shape: sz, wide: 0, vector: 1, remake: func(rows, cols int) *operation {
			return binaryOperation(name, dtype, tensor.Shape{rows, cols}, tensor.Shape{cols}, tensor.Shape{rows, cols})
		}}
	} else if sy.Equal(sz) && match.AlongAxis(sx, cols, 1) && l.tensor(x) != nil {
		o.form = &elementwise{shape: sz, wide: 1, vector: 0, remake: func(rows, cols int) *operation {
			return binaryOperation(name, dtype, tensor.Shape{cols}, tensor.Shape{rows, cols}, tensor.Shape{rows, cols})
		}}
	}
	return o
}

func binaryOperation(name, dtype string, sx, sy, sz tensor.Shape) *operation {
	stx, _ := kernel.BroadcastStrides(sx, sz)
	sty, _ := kernel.BroadcastStrides(sy, sz)
	return &operation{kind: name, launch: func(dst []cuda.Launch, in, out []cuda.Ptr, _ cuda.Ptr) ([]cuda.Launch, error) {
		return kernel.AppendBinary(dst, kernel.Binary{Name: name, DType: dtype, X: in[0], Y: in[1], Z: out[0], Dims: sz, StridesX: stx, StridesY: sty})
	}}
}

// last is the last extent, 1 for a scalar.
func last(s tensor.Shape) int {
	if len(s) == 0 {
		return 1
	}
	return s[len(s)-1]
}

// lowerWhere takes Where over elements of one, four or eight bytes.
func lowerWhere(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	c, x, y, z := n.in[0], n.in[1], n.in[2], n.out[0]
	if !l.of(c, tensor.Bool) || !l.addressable(z) || !l.of(x, l.info[z].DType) || !l.of(y, l.info[z].DType) {
		return nil, false
	}
	w := kernel.Where{Size: l.info[z].DType.Bits() / 8, Dims: l.shape(z)}
	var ok [3]bool
	w.StridesC, ok[0] = kernel.BroadcastStrides(l.shape(c), l.shape(z))
	w.StridesX, ok[1] = kernel.BroadcastStrides(l.shape(x), l.shape(z))
	w.StridesY, ok[2] = kernel.BroadcastStrides(l.shape(y), l.shape(z))
	if ok != [3]bool{true, true, true} {
		return nil, false
	}
	return []*operation{{kind: "where", nodes: l.pick(i), in: []int{c, x, y}, out: []int{z}, launch: func(dst []cuda.Launch, in, out []cuda.Ptr,
		_ cuda.Ptr) ([]cuda.Launch, error) {
		w := w
		w.C, w.X, w.Y, w.Z = in[0], in[1], in[2], out[0]
		return kernel.AppendWhere(dst, w)
	}}}, true
}

// lowerCast takes the conversions that the table has; one to the same type is a view.
func lowerCast(l *lowering, i int) ([]*operation, bool) {
	n := l.work[i]
	in, out := n.in[0], n.out[0]
	if !l.addressable(in) || !l.addressable(out) {
		return nil, false
	}
	from, to := l.info[in].DType, l.info[out].DType
	if from == to {
		return l.viewOf(l.pick(i), in, out, 0), true
	}
	a, b := typeName(from), typeName(to)
	if to == tensor.Bool {
		b = "bool"
	}
	if from == tensor.Bool && to == tensor.Uint8 {
		return l.viewOf(l.pick(i), in, out, 0), true
	}
	// A float beyond an integer's range converts in ways that differ between processors.
	if a == "" || b == "" || !kernel.HasCast(a, b) || from.IsFloat() && to.IsInt() && to != tensor.Int64 && to != tensor.Int32 {
		return nil, false
	}
	count := int64(l.shape(out).Elements())
	return []*operation{{kind: "cast", nodes: l.pick(i), in: []int{in}, out: []int{out}, launch: func(dst []cuda.Launch, in, out []cuda.Ptr,
		_ cuda.Ptr) ([]cuda.Launch, error) {
		return kernel.AppendCast(dst, a, b, in[0], out[0], count)
	}}}, true
}
