package lower

import (
	"maps"
	"math"
	"slices"

	"github.com/aimass/aimass/kernels/elementwise"
	"github.com/aimass/aimass/kernels/elementwise64"
	"github.com/aimass/aimass/kernels/reduce"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// wideOps are the functions of float64 that have kernels.
var wideOps = map[string]elementwise64.Op{
	"Add": elementwise64.Add, "Sub": elementwise64.Sub, "Mul": elementwise64.Mul, "Div": elementwise64.Div, "Max": elementwise64.Max, "Min": elementwise64.Min, "Sum": elementwise64.Add,
	"Neg": elementwise64.Neg, "Abs": elementwise64.Abs, "Sqrt": elementwise64.Sqrt, "Reciprocal": elementwise64.Reciprocal,
	"Exp": elementwise64.Exp, "Log": elementwise64.Log, "Sigmoid": elementwise64.Sigmoid, "Tanh": elementwise64.Tanh,
}

// doubles are the operators that lowerDoubles takes.
func doubles() []string {
	return append(slices.Sorted(maps.Keys(wideOps)), "Relu", "Clip", "Pow")
}

// pointwise64 is a chain of functions of float64 in the making.
type pointwise64 struct {
	pointwise
	steps []elementwise64.Step
}

// lowerDoubles takes one function of float64 or more, as one pass over memory.
func lowerDoubles(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	if len(n.Out) != 1 || !f.f64(n.Out[0]) || f.shape(n.Out[0]).Elements() == 0 {
		return nil, false
	}
	p := &pointwise64{pointwise: pointwise{f: f, holds: f.f64, shape: f.shape(n.Out[0]), out: -1}}
	if !p.take(i) {
		return nil, false
	}
	for p.grow() {
	}
	prog, err := elementwise64.New(p.layouts, p.steps)
	if err != nil {
		return nil, false
	}
	rows, cols := p.matrix()
	inputs, out := p.inputs, p.out
	run := func(e *Env) error {
		list := e.inputs64[:0]
		for _, s := range inputs {
			list = append(list, e.f64(s))
		}
		prog.Run(e.f64(out), rows, cols, list, e.Threads)
		return nil
	}
	return &group{nodes: p.nodes, reads: inputs, writes: []int{out}, run: run}, true
}

// grow takes the node that alone reads the chain's value.
func (p *pointwise64) grow() bool {
	f := p.f
	users := f.users[p.out]
	if f.output[p.out] || len(users) == 0 || users[0] != users[len(users)-1] || f.claimed[users[0]] || len(p.steps)+2 > elementwise.MaxSteps {
		return false
	}
	n := f.node(users[0])
	if len(n.Out) != 1 || len(n.Captured) > 0 || !f.f64(n.Out[0]) || !f.shape(n.Out[0]).Equal(p.shape) {
		return false
	}
	before := p.pointwise
	if p.take(users[0]) {
		return true
	}
	p.pointwise = before // without the inputs of the node that was not taken
	return false
}

// take adds a node.
func (p *pointwise64) take(i int) bool {
	n := p.f.node(i)
	var regs [3]uint8
	for k, s := range n.In {
		if k == len(regs) {
			return false
		}
		switch {
		case s < 0:
		case s == p.out:
			regs[k] = valueReg
		default:
			var ok bool
			if regs[k], ok = p.operand(s); !ok {
				return false
			}
		}
	}
	op, known := wideOps[n.OpName()]
	switch {
	case n.OpName() == "Relu":
		zero, ok := p.operand(p.f.double(0))
		if !ok {
			return false
		}
		p.step(elementwise64.Max, regs[0], zero)
	case n.OpName() == "Clip":
		if n.Opset < 11 {
			return false
		}
		at := regs[0]
		for k, bound := range []elementwise64.Op{elementwise64.Max, elementwise64.Min} {
			if n.input(k+1) >= 0 {
				if regs[k+1] == valueReg {
					return false // a bound is the chain's value, which the first step replaces
				}
				p.step(bound, at, regs[k+1])
				at = valueReg
			}
		}
		if at != valueReg {
			return false
		}
	case n.OpName() == "Pow":
		if v := p.f.constF64(n.In[1]); len(v) != 1 || v[0] != 2 {
			return false
		}
		p.step(elementwise64.Mul, regs[0], regs[0])
	case !known || op.Unary() != (len(n.In) == 1) || len(n.In) > 2 || n.Opset < 8 && !op.Unary():
		return false
	default:
		p.step(op, regs[0], regs[1])
	}
	p.nodes, p.out = append(p.nodes, i), n.Out[0]
	return true
}

func (p *pointwise64) step(op elementwise64.Op, x, y uint8) {
	p.steps = append(p.steps, elementwise64.Step{Op: op, Dst: valueReg, X: x, Y: y})
}

// double makes a slot that holds a number.
func (f *fuser) double(v float64) int {
	f.pl.Info = append(f.pl.Info, ops.ConstInfo(tensor.Scalar(v)))
	f.pl.Place = append(f.pl.Place, Place{Kind: Const})
	return len(f.pl.Info) - 1
}

// wideFolds are the folds of float64 for those of float32.
var wideFolds = map[reduce.Op]elementwise64.FoldOp{
	reduce.Sum: elementwise64.Sum, reduce.Mean: elementwise64.Sum, reduce.Max: elementwise64.Greatest, reduce.Min: elementwise64.Least,
	reduce.SumSquare: elementwise64.SumSquare, reduce.L2: elementwise64.SumSquare, reduce.L1: elementwise64.SumAbs,
}

// lowerFold64 takes reductions of float64.
func lowerFold64(f *fuser, i int) (*group, bool) {
	n := f.node(i)
	in, out := n.In[0], n.Out[0]
	s, axes := f.shape(in), f.g.Axes(n.match())
	if len(axes) == 0 || s.Elements() == 0 {
		return nil, false
	}
	parts := partsOf(s, axes)
	if n.Op == "ReduceLogSumExp" {
		if len(parts) > 1 || parts[0].inner != 1 {
			return nil, false
		}
		return f.logSumExp64(i, in, out, parts[0].outer, parts[0].n), true
	}
	of, ok := reductions[n.OpName()]
	op, known := wideFolds[of]
	if !ok || !known {
		return nil, false
	}
	folds, extra := f.folds(tensor.Float64, parts, in, out)
	count, then := 1, op
	for _, d := range parts {
		count *= d.n
	}
	if op == elementwise64.SumSquare || op == elementwise64.SumAbs {
		then = elementwise64.Sum
	}
	run := func(e *Env) error {
		op := op
		for _, d := range folds {
			elementwise64.Fold(op, e.f64(d.to), e.f64(d.from), d.outer, d.n, d.inner)
			op = then
		}
		dst := e.f64(out)
		switch of {
		case reduce.Mean:
			for k := range dst {
				dst[k] /= float64(count)
			}
		case reduce.L2:
			for k := range dst {
				dst[k] = math.Sqrt(dst[k])
			}
		}
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{n.In[0]}, writes: append([]int{out}, extra...), run: run}, true
}

// exponentials sets to[r,c] to exp(x[r,c] − top[r]).
func exponentials() *elementwise64.Program {
	return mustDoubles([]elementwise.Layout{elementwise.Full, elementwise.Col}, []elementwise64.Step{{Op: elementwise64.Sub, Dst: valueReg, X: 0, Y: 1}, {Op: elementwise64.Exp, Dst: valueReg, X: valueReg}})
}

func mustDoubles(layouts []elementwise.Layout, steps []elementwise64.Step) *elementwise64.Program {
	p, err := elementwise64.New(layouts, steps)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return p
}

// softmax64 takes the softmax of rows of float64.
func (f *fuser) softmax64(i, in, out, rows, cols int) *group {
	exp := exponentials()
	div := mustDoubles([]elementwise.Layout{elementwise.Full, elementwise.Col}, []elementwise64.Step{{Op: elementwise64.Div, Dst: valueReg, X: 0, Y: 1}})
	each := f.scratch(tensor.Float64, rows)
	run := func(e *Env) error {
		dst, x, row := e.f64(out), e.f64(in), e.f64(each)
		elementwise64.Fold(elementwise64.Greatest, row, x, rows, cols, 1)
		exp.Run(dst, rows, cols, append(e.inputs64[:0], x, row), e.Threads)
		elementwise64.Fold(elementwise64.Sum, row, dst, rows, cols, 1)
		div.Run(dst, rows, cols, append(e.inputs64[:0], dst, row), e.Threads)
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{in}, writes: []int{out, each}, run: run}
}

// logSumExp64 takes ln Σ eˣ of rows of float64.
func (f *fuser) logSumExp64(i, in, out, rows, cols int) *group {
	exp := exponentials()
	top, terms := f.scratch(tensor.Float64, rows), f.scratch(tensor.Float64, rows*cols)
	run := func(e *Env) error {
		dst, x, top, terms := e.f64(out), e.f64(in), e.f64(top), e.f64(terms)
		elementwise64.Fold(elementwise64.Greatest, top, x, rows, cols, 1)
		for k, v := range top {
			if math.IsInf(v, 0) {
				top[k] = 0
			}
		}
		exp.Run(terms, rows, cols, append(e.inputs64[:0], x, top), e.Threads)
		elementwise64.Fold(elementwise64.Sum, dst, terms, rows, cols, 1)
		for k, v := range dst {
			dst[k] = math.Log(v) + top[k]
		}
		return nil
	}
	return &group{nodes: []int{i}, reads: []int{in}, writes: []int{out, top, terms}, run: run}
}
