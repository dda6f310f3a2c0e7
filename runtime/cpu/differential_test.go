package cpu_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/aimass/aimass/kernels/isa"
	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops/all"
	"github.com/aimass/aimass/runtime/tensor"
)

// builder makes small graphs with random data.
type builder struct {
	*rand.Rand
	g     *graph.Graph
	in    []tensor.Value
	names int
}

func newBuilder(seed uint64) *builder {
	return &builder{Rand: rand.New(rand.NewPCG(seed, 7)), g: &graph.Graph{Name: "test"}}
}

func (b *builder) name() string {
	b.names++
	return fmt.Sprintf("v%d", b.names)
}

// floats are N(0,1).
func (b *builder) floats(shape ...int) *tensor.Tensor {
	t := tensor.New(tensor.Float32, shape)
	for i, d := 0, tensor.Data[float32](t); i < len(d); i++ {
		d[i] = float32(b.NormFloat64())
	}
	return t
}

// positive are within 0.5 and 1.5.
func (b *builder) positive(shape ...int) *tensor.Tensor {
	t := tensor.New(tensor.Float32, shape)
	for i, d := 0, tensor.Data[float32](t); i < len(d); i++ {
		d[i] = 0.5 + b.Float32()
	}
	return t
}

// bytes are random elements of an 8-bit type.
func (b *builder) bytes(d tensor.DType, shape ...int) *tensor.Tensor {
	t := tensor.New(d, shape)
	for i := range t.Bytes() {
		t.Bytes()[i] = byte(b.Uint32())
	}
	return t
}

func (b *builder) input(t *tensor.Tensor) *graph.Value {
	v := &graph.Value{Name: b.name(), Type: graph.TensorType(t.DType, t.Shape...)}
	b.g.In = append(b.g.In, v)
	b.in = append(b.in, t)
	return v
}

func (b *builder) constant(t *tensor.Tensor) *graph.Value {
	return &graph.Value{Name: b.name(), Const: t, Type: graph.TensorType(t.DType, t.Shape...)}
}

func (b *builder) scalar(f float32) *graph.Value { return b.constant(tensor.Scalar(f)) }

func (b *builder) int64s(v ...int64) *graph.Value {
	return b.constant(tensor.FromSlice(v, len(v)))
}

type attrs map[string]*graph.Attr

// node adds a node of one output under opset 17 of its domain (3 of ai.onnx.ml).
func (b *builder) node(op string, a attrs, in ...*graph.Value) *graph.Value {
	return b.nodes(op, 1, a, in...)[0]
}

func (b *builder) nodes(op string, outs int, a attrs, in ...*graph.Value) []*graph.Value {
	n := &graph.Node{Name: b.name(), Op: op, Opset: 17, In: in, Attrs: graph.Attrs(a)}
	if k := strings.LastIndexByte(op, '.'); k > 0 {
		n.Domain, n.Op, n.Opset = op[:k], op[k+1:], 3
	}
	if n.Attrs == nil {
		n.Attrs = graph.Attrs{}
	}
	for range outs {
		n.Out = append(n.Out, &graph.Value{Name: b.name(), Def: n})
	}
	b.g.Nodes = append(b.g.Nodes, n)
	return n.Out
}

func (b *builder) output(v ...*graph.Value) { b.g.Out = append(b.g.Out, v...) }

// one picks one of the values.
func one[T any](b *builder, list ...T) T { return list[b.IntN(len(list))] }

func ints(v ...int) *graph.Attr {
	a := &graph.Attr{Kind: graph.AttrInts}
	for _, x := range v {
		a.Ints = append(a.Ints, int64(x))
	}
	return a
}

var registry = all.Registry()

// tolerance is what two ways of computing may differ by: atol + rtol·|expected|.
type tolerance struct{ rtol, atol float64 }

// run compiles the graph for a device and runs it twice, so that what a run leaves
// behind is seen. Steps that are no Eval of a node's find its constants only while these are lent or for good.
func (b *builder) run(t *testing.T, plain bool, threads int) ([]tensor.Value, []cpu.DescribedStep) {
	t.Helper()
	if !plain {
		defer pawn(t, b.g)()
	}
	dev := cpu.New(registry, cpu.Config{Threads: 2, NoLowering: plain})
	p, err := dev.Compile(b.g)
	if err != nil {
		t.Fatal(err)
	}
	call := &device.Call{In: b.in, Threads: threads}
	var out []tensor.Value
	for range 2 {
		if err := p.Run(context.Background(), call); err != nil {
			t.Fatal(err)
		}
		out = out[:0]
		for _, v := range call.Out {
			out = append(out, v.(*tensor.Tensor).Clone())
		}
		call.Release()
	}
	d, err := cpu.Describe(p, b.in)
	if err != nil {
		t.Fatal(err)
	}
	return out, d.Steps
}

// check compares the lowered device with the plain one and gives the former's steps.
func (b *builder) check(t *testing.T, tol tolerance) []cpu.DescribedStep {
	t.Helper()
	if err := b.g.Check(); err != nil {
		t.Fatal(err)
	}
	want, _ := b.run(t, true, 1)
	var steps []cpu.DescribedStep
	for threads := 1; threads <= 2; threads++ {
		var got []tensor.Value
		got, steps = b.run(t, false, threads)
		for i := range want {
			if err := differ(got[i].(*tensor.Tensor), want[i].(*tensor.Tensor), tol); err != nil {
				t.Fatalf("output %d with %d threads: %v\n%s", i, threads, err, b.describe(steps))
			}
		}
	}
	return steps
}

func (b *builder) describe(steps []cpu.DescribedStep) string {
	s := ""
	for _, v := range b.in {
		s += fmt.Sprintf("input %v\n", v)
	}
	for _, st := range steps {
		s += fmt.Sprintf("%s:", st.Path)
		for _, n := range st.Nodes {
			s += " " + n.OpName()
			for _, k := range n.Attrs.Names() {
				s += fmt.Sprintf(" %s=%v%v%v", k, n.Attrs[k].Ints, n.Attrs[k].I, n.Attrs[k].S)
			}
			for _, v := range n.In {
				if v != nil && v.Const != nil {
					s += fmt.Sprintf(" %v", v.Const)
				}
			}
		}
		s += "\n"
	}
	return s
}

func differ(got, want *tensor.Tensor, tol tolerance) error {
	if got.DType != want.DType || !got.Shape.Equal(want.Shape) {
		return fmt.Errorf("is %v, expected %v", got, want)
	}
	if want.DType == tensor.String {
		if !slices.Equal(got.Strings(), want.Strings()) {
			return fmt.Errorf("is %q, expected %q", got.Strings(), want.Strings())
		}
		return nil
	}
	if want.DType != tensor.Float32 && want.DType != tensor.Float64 {
		if string(got.Bytes()) != string(want.Bytes()) {
			return fmt.Errorf("%v differs", want)
		}
		return nil
	}
	g, err := tensor.Float64s(got)
	if err != nil {
		return err
	}
	w, err := tensor.Float64s(want)
	if err != nil {
		return err
	}
	for i, e := range w {
		a := g[i]
		if a == e || math.IsNaN(a) && math.IsNaN(e) {
			continue
		}
		if !(math.Abs(a-e) <= tol.atol+tol.rtol*math.Abs(e)) {
			return fmt.Errorf("element %d of %v is %v, expected %v", i, want, a, e)
		}
	}
	return nil
}

// lowered counts the steps that have a fast path.
func lowered(steps []cpu.DescribedStep) (n int) {
	for _, s := range steps {
		if s.Path != cpu.Eval {
			n++
		}
	}
	return n
}

// close32 is for sums of up to some hundred products of values near 1.
var close32 = tolerance{1e-4, 1e-4}

// TestEveryISA runs the comparisons again under each instruction set of the machine.
func TestEveryISA(t *testing.T) {
	t.Log(isa.Report())
	if os.Getenv("AIMASS_ISA") != "" {
		t.Skip("an instruction set is asked for")
	}
	for _, l := range isa.Available() {
		if l == isa.Current().Level {
			continue
		}
		c := exec.Command(os.Args[0], "-test.run", "^TestLowered")
		c.Env = append(os.Environ(), "AIMASS_ISA="+l.String())
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", l, err, out)
		}
	}
}

// seeds runs a comparison for many seeds.
func seeds(t *testing.T, n int, f func(t *testing.T, b *builder)) {
	t.Helper()
	if testing.Short() {
		n = n/4 + 1
	}
	for s := range n {
		t.Run(fmt.Sprint(s), func(t *testing.T) { f(t, newBuilder(uint64(s))) })
	}
}

// mustLower fails where nothing of the graph has a fast path: the comparison would
// compare Eval with itself.
func mustLower(t *testing.T, steps []cpu.DescribedStep) {
	t.Helper()
	if lowered(steps) == 0 {
		t.Fatal("nothing was lowered")
	}
}
