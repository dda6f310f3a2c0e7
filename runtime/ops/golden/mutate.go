package golden

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// mutantBytes bounds what one output of a mutant may take.
const mutantBytes = 1 << 24

// Mutate runs every case of a file again, each time with some input, element or
// attribute changed at random, as a hostile model or request would have it. Whatever
// comes of it, the schema, the shape rule and Eval must return; a panic fails the test.
// Where both shape rule and Eval accept, they must agree.
func Mutate(t *testing.T, path string, register func(*ops.Registry), times int) {
	t.Helper()
	cases, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	r := ops.NewRegistry()
	register(r)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range cases {
		for k := range times {
			if err := mutant(&cases[i], r, rng); err != nil {
				t.Errorf("%s, mutant %d: %v", cases[i].Name, k, err)
			}
		}
	}
}

func mutant(c *Case, r *ops.Registry, rng *rand.Rand) (err error) {
	n := &graph.Node{Name: c.Name, Op: c.Op, Domain: c.Domain, Opset: c.Opset, Attrs: graph.Attrs{}}
	for k, a := range c.Attrs {
		if n.Attrs[k], err = a.attr(); err != nil {
			return err
		}
	}
	in := make([]tensor.Value, len(c.In))
	for i, v := range c.In {
		if v != nil {
			if in[i], err = v.value(); err != nil {
				return err
			}
		}
	}
	for range 1 + rng.IntN(2) {
		mutate(n, in, rng)
	}
	infos := make([]ops.Info, len(in))
	for i, x := range in {
		n.In = append(n.In, nil)
		if x == nil {
			continue
		}
		n.In[i], infos[i] = &graph.Value{}, ops.Info{Present: true, Const: x}
		if y, ok := x.(*tensor.Tensor); ok {
			infos[i].DType, infos[i].Shape, infos[i].Known = y.DType, y.Shape, true
		}
	}
	for range c.Out {
		n.Out = append(n.Out, &graph.Value{})
	}
	op, err := r.Resolve(n)
	if err != nil {
		return nil
	}
	return apply(op, n, in, infos)
}

// apply calls the shape rule and Eval and turns a panic into an error.
func apply(op *ops.Op, n *graph.Node, in []tensor.Value, infos []ops.Info) (err error) {
	where := "shape rule"
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s panics: %v (inputs %v, attributes %v)", where, p, in, describe(n.Attrs))
		}
	}()
	s := &ops.ShapeCall{Node: n, In: infos, Out: make([]ops.Info, len(n.Out))}
	if op.Shape != nil && op.Shape(s) != nil {
		return nil
	}
	where = "Eval"
	call := &ops.Call{Node: n, In: in, Out: make([]tensor.Value, len(n.Out)), MaxBytes: mutantBytes}
	if op.Eval(call) != nil || op.Shape == nil {
		return nil
	}
	return checkShape(op, n, infos, call.Out)
}

func mutate(n *graph.Node, in []tensor.Value, rng *rand.Rand) {
	if names := n.Attrs.Names(); len(names) > 0 && rng.IntN(3) == 0 {
		mutateAttr(n.Attrs[names[rng.IntN(len(names))]], rng)
		return
	}
	if len(in) == 0 {
		return
	}
	i := rng.IntN(len(in))
	t, ok := in[i].(*tensor.Tensor)
	switch {
	case rng.IntN(10) == 0:
		in[i] = nil
	case ok:
		in[i] = mutateTensor(t, rng)
	}
}

var nasty = []int64{0, 1, -1, 2, -2, 3, 7, 1 << 20, 1 << 31, 1 << 40, math.MaxInt64, math.MinInt64}

func mutateAttr(a *graph.Attr, rng *rand.Rand) {
	switch a.Kind {
	case graph.AttrInt:
		a.I = nasty[rng.IntN(len(nasty))]
	case graph.AttrFloat:
		a.F = []float32{0, -1, 1e30, float32(math.NaN()), float32(math.Inf(1)), 1e-30}[rng.IntN(6)]
	case graph.AttrString:
		a.S = []string{"", "x", "none"}[rng.IntN(3)]
	case graph.AttrInts:
		a.Ints = append([]int64{}, a.Ints...)
		switch k := rng.IntN(4); {
		case k == 0 || len(a.Ints) == 0:
			a.Ints = append(a.Ints, nasty[rng.IntN(len(nasty))])
		case k == 1:
			a.Ints = a.Ints[1:]
		default:
			a.Ints[rng.IntN(len(a.Ints))] = nasty[rng.IntN(len(nasty))]
		}
	case graph.AttrFloats:
		if len(a.Floats) > 0 {
			a.Floats = append([]float32{}, a.Floats[1:]...)
		}
	}
}

// mutateTensor changes the shape, the type or an element of a tensor.
func mutateTensor(t *tensor.Tensor, rng *rand.Rand) *tensor.Tensor {
	s := t.Shape.Clone()
	d := t.DType
	switch rng.IntN(5) {
	case 0:
		if len(s) > 0 {
			s[rng.IntN(len(s))] = rng.IntN(4)
		}
	case 1:
		s = append(s, 1+rng.IntN(2))
	case 2:
		if len(s) > 0 {
			s = s[1:]
		}
	case 3:
		d = []tensor.DType{tensor.Bool, tensor.Int8, tensor.Uint64, tensor.Float16, tensor.Float32, tensor.Float64, tensor.Int64, tensor.String, tensor.Complex64, tensor.Int4}[rng.IntN(10)]
	default:
		return mutateElement(t, rng)
	}
	out := tensor.New(d, s)
	copy(out.Bytes(), t.Bytes())
	if d == tensor.Bool {
		for i, b := range out.Bytes() {
			out.Bytes()[i] = b & 1
		}
	}
	return out
}

func mutateElement(t *tensor.Tensor, rng *rand.Rand) *tensor.Tensor {
	c := t.Clone()
	n := t.Elements()
	if n == 0 {
		return c
	}
	i := rng.IntN(n)
	switch t.DType {
	case tensor.Int64:
		tensor.Data[int64](c)[i] = nasty[rng.IntN(len(nasty))]
	case tensor.Int32:
		tensor.Data[int32](c)[i] = int32(nasty[rng.IntN(len(nasty))])
	case tensor.Float32:
		tensor.Data[float32](c)[i] = []float32{float32(math.NaN()), float32(math.Inf(-1)), 1e30, -1e9, 0}[rng.IntN(5)]
	case tensor.Float64:
		tensor.Data[float64](c)[i] = []float64{math.NaN(), math.Inf(1), 1e300, -1e18, 0}[rng.IntN(5)]
	}
	return c
}
