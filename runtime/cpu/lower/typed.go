package lower

import (
	"github.com/aimass/aimass/kernels/coded"
	"github.com/aimass/aimass/runtime/cpu/lower/move"
	"github.com/aimass/aimass/runtime/tensor"
)

// convertFunc converts the elements of a slot to those of another.
type convertFunc func(e *Env, out, in int)

func converted[D, S move.Number](e *Env, out, in int) {
	move.Convert(number[D](e, out), number[S](e, in))
}

func fromBool[D move.Number](e *Env, out, in int) {
	move.FromBool(number[D](e, out), tensor.Data[bool](e.Tensor(in)))
}

func number[T move.Number](e *Env, slot int) []T { return move.Numbers[T](e.bytes(slot)) }

// halves is the kernels' kind of float16 or bfloat16.
func halves(d tensor.DType) coded.Kind {
	if d == tensor.BFloat16 {
		return coded.BFloat16
	}
	return coded.Float16
}

func widened(from tensor.DType) convertFunc {
	return func(e *Env, out, in int) { coded.Widen(e.f32(out), number[uint16](e, in), halves(from), e.Threads) }
}

func narrowed(to tensor.DType) convertFunc {
	return func(e *Env, out, in int) { coded.Narrow(number[uint16](e, out), e.f32(in), halves(to), e.Threads) }
}

// conversions are the casts that show in models; each is Go's own conversion, as Eval's.
var conversions = map[[2]tensor.DType]convertFunc{ // to, from
	{tensor.Float32, tensor.Int64}:   converted[float32, int64],
	{tensor.Float32, tensor.Float64}: converted[float32, float64],
	{tensor.Float64, tensor.Float32}: converted[float64, float32],
	{tensor.Float64, tensor.Int64}:   converted[float64, int64],
	{tensor.Int64, tensor.Float64}:   converted[int64, float64],
	{tensor.Float32, tensor.Int32}:   converted[float32, int32],
	{tensor.Float32, tensor.Uint8}:   converted[float32, uint8],
	{tensor.Float32, tensor.Int8}:    converted[float32, int8],
	{tensor.Float32, tensor.Bool}:    fromBool[float32],
	{tensor.Int64, tensor.Int32}:     converted[int64, int32],
	{tensor.Int32, tensor.Int64}:     converted[int32, int64],
	{tensor.Int64, tensor.Float32}:   converted[int64, float32],
	{tensor.Int32, tensor.Float32}:   converted[int32, float32],
	{tensor.Int64, tensor.Bool}:      fromBool[int64],
	{tensor.Int32, tensor.Bool}:      fromBool[int32],

	{tensor.Float32, tensor.Float16}:  widened(tensor.Float16),
	{tensor.Float32, tensor.BFloat16}: widened(tensor.BFloat16),
	{tensor.Float16, tensor.Float32}:  narrowed(tensor.Float16),
	{tensor.BFloat16, tensor.Float32}: narrowed(tensor.BFloat16),
}

// lowerCast takes the casts above, and those to the same type as views.
func lowerCast(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	in, out := n.In[0], n.Out[0]
	_, ok1 := f.movable(in)
	_, ok2 := f.movable(out)
	if !ok1 || !ok2 || f.pl.Place[out].Kind != InArena {
		return nil, false
	}
	to, from := f.pl.Info[out].DType, f.pl.Info[in].DType
	if to == from {
		return f.part([]int{i}, in, out, 0), true
	}
	c := conversions[[2]tensor.DType{to, from}]
	if c == nil {
		return nil, false
	}
	run := func(e *Env) error {
		c(e, out, in)
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{in}, writes: []int{out}, run: run}, true
}

// spread gives the strides with which a shape runs along a larger one that it
// broadcasts to.
func spread(s, full tensor.Shape) []int {
	st, own := make([]int, len(full)), s.Strides()
	for k := range s {
		if s[k] != 1 {
			st[len(full)-len(s)+k] = own[k]
		}
	}
	return st
}

// lowerWhere takes Where.
func lowerWhere(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	cond, x, y, out := n.In[0], n.In[1], n.In[2], n.Out[0]
	width, ok := f.moved(x, out)
	if _, same := f.moved(y, out); !ok || !same || !f.known(cond, tensor.Bool) {
		return nil, false
	}
	so := f.shape(out)
	w, ok := move.NewWalk(so, spread(f.shape(cond), so), spread(f.shape(x), so), spread(f.shape(y), so))
	if !ok {
		return nil, false
	}
	pick := map[int]func(e *Env){1: where[uint8](w, cond, x, y, out), 4: where[uint32](w, cond, x, y, out), 8: where[uint64](w, cond, x, y, out)}[width]
	if pick == nil {
		return nil, false
	}
	run := func(e *Env) error {
		pick(e)
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{cond, x, y}, writes: []int{out}, run: run}, true
}

func where[T uint8 | uint32 | uint64](w *move.Walk, cond, x, y, out int) func(e *Env) {
	return func(e *Env) {
		move.Where(w, number[T](e, out), tensor.Data[bool](e.Tensor(cond)), number[T](e, x), number[T](e, y))
	}
}

var comparisons = map[string]move.Comparison{
	"Equal": move.Equal, "Less": move.Less, "LessOrEqual": move.LessOrEqual, "Greater": move.Greater, "GreaterOrEqual": move.GreaterOrEqual,
}

// pairwise checks two operands of one type that broadcast by numpy's rule.
func (f *fuser) pairwise(n *Node) (w *move.Walk, d tensor.DType, ok bool) {
	if len(n.In) != 2 || n.Opset < 7 {
		return nil, 0, false
	}
	x, y, out := n.In[0], n.In[1], n.Out[0]
	_, ok1 := f.movable(x)
	_, ok2 := f.movable(y)
	_, ok3 := f.movable(out)
	if !ok1 || !ok2 || !ok3 || f.pl.Info[x].DType != f.pl.Info[y].DType || f.pl.Place[out].Kind != InArena {
		return nil, 0, false
	}
	so := f.shape(out)
	w, ok = move.NewWalk(so, spread(f.shape(x), so), spread(f.shape(y), so))
	return w, f.pl.Info[x].DType, ok
}

// lowerCompare takes comparisons of the common types.
func lowerCompare(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	w, d, ok := f.pairwise(n)
	if !ok {
		return nil, false
	}
	op, x, y, out := comparisons[n.OpName()], n.In[0], n.In[1], n.Out[0]
	var do func(e *Env, op move.Comparison, w *move.Walk, out, x, y int)
	switch d {
	case tensor.Float32:
		do = compare[float32]
	case tensor.Float64:
		do = compare[float64]
	case tensor.Int32:
		do = compare[int32]
	case tensor.Int64:
		do = compare[int64]
	case tensor.Uint8:
		do = compare[uint8]
	default:
		return nil, false
	}
	run := func(e *Env) error {
		do(e, op, w, out, x, y)
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{x, y}, writes: []int{out}, run: run}, true
}

func compare[T move.Number](e *Env, op move.Comparison, w *move.Walk, out, x, y int) {
	move.Compare(w, op, tensor.Data[bool](e.Tensor(out)), number[T](e, x), number[T](e, y))
}

var arithmetics = map[string]move.Arithmetic{"Add": move.Add, "Sub": move.Sub, "Mul": move.Mul}

// lowerArithmetic takes sums, differences and products of integers, and of floats whose
// operands lie in ways that the kernels don't take.
func lowerArithmetic(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	op, known := arithmetics[n.OpName()]
	w, d, ok := f.pairwise(n)
	if !ok || !known {
		return nil, false
	}
	x, y, out := n.In[0], n.In[1], n.Out[0]
	var do func(e *Env, op move.Arithmetic, w *move.Walk, out, x, y int)
	switch d {
	case tensor.Float32:
		do = compute[float32]
	case tensor.Float64:
		do = compute[float64]
	case tensor.Int32:
		do = compute[int32]
	case tensor.Int64:
		do = compute[int64]
	default:
		return nil, false
	}
	run := func(e *Env) error {
		do(e, op, w, out, x, y)
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{x, y}, writes: []int{out}, run: run}, true
}

func compute[T move.Number](e *Env, op move.Arithmetic, w *move.Walk, out, x, y int) {
	move.Compute(w, op, number[T](e, out), number[T](e, x), number[T](e, y))
}
