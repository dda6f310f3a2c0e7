//go:build cuda && cgo

package runtime_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/aimass/aimass/internal/half"
	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/gpu"
	"github.com/aimass/aimass/runtime/onnx"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/runtime/tensor"
)

// bytes gives int8 or uint8 weights.
func (m *maker) bytes(n int, unsigned bool) any {
	u, s := make([]uint8, n), make([]int8, n)
	for i := range u {
		u[i] = uint8(m.IntN(256))
		s[i] = int8(m.IntN(255) - 127)
	}
	if unsigned {
		return u
	}
	return s
}

// halfNet is a network of float16 from end to end: inputs, weights, outputs, a node without a
// kernel in the middle, and a product of two activations.
func halfNet(t *testing.T, rows int) sample {
	m := newMaker("half")
	m.half = true
	g := m.g
	x := g.Input("x", build.Float16, build.Sym("b"), build.Size(19))
	h := g.Op("Relu", []string{g.Op("Gemm", []string{x, m.weight(19, 36), m.weight(36)})})
	h = g.Op("Tanh", []string{g.Op("Gemm", []string{h, m.weight(28, 36), m.weight(28)}, build.I("transB", 1))})
	h = g.Op("Softplus", []string{g.Op("Add", []string{g.Op("MatMul", []string{h, m.weight(28, 16)}), m.weight(16)})})
	h = g.Op("CumSum", []string{h, g.Const("axis", []int64{1}, 1)})
	c := g.Op("Reshape", []string{h, g.Const("square", []int64{-1, 4, 4}, 3)})
	g.OpAs("y", "MatMul", []string{c, g.Op("Transpose", []string{c}, build.Is("perm", 0, 2, 1))})
	g.OpAs("z", "Cast", []string{h}, build.I("to", 1))
	g.Output("y", build.Float16, build.Sym("n"), build.Size(4), build.Size(4))
	g.Output("z", build.Float, build.Sym("b"), build.Size(16))
	f := m.tensor(rows, 19)
	rounded := tensor.New(tensor.Float16, f.Shape)
	for i, v := range tensor.Data[float32](f) {
		bits := half.FromFloat32(v)
		rounded.Bytes()[2*i], rounded.Bytes()[2*i+1] = byte(bits), byte(bits>>8)
	}
	return sample{"half", encode(t, g), []tensor.Value{rounded}}
}

// dynamicNet is quantised as ORT's dynamic quantisation writes it: activations by
// DynamicQuantizeLinear, products by MatMulInteger.
func dynamicNet(t *testing.T, rows int) sample {
	m := newMaker("dynamic")
	g := m.g
	x := g.Input("x", build.Float, build.Sym("b"), build.Size(19))
	layer := func(x string, k, n int, unsigned bool) string {
		q, s, z := g.Fresh("q"), g.Fresh("s"), g.Fresh("z")
		g.Add(build.Node{Op: "DynamicQuantizeLinear", Inputs: []string{x}, Outputs: []string{q, s, z}})
		w, zero := g.Const(g.Fresh("w"), m.bytes(k*n, unsigned), int64(k), int64(n)), ""
		if unsigned {
			zero = g.Const(g.Fresh("zero"), []uint8{119})
		}
		in := []string{q, w, z, zero}
		if zero == "" {
			in = in[:3]
		}
		sum := g.Op("Cast", []string{g.Op("MatMulInteger", in)}, build.I("to", 1))
		scale := g.Op("Mul", []string{s, g.Const(g.Fresh("scale"), []float32{0.003})})
		return g.Op("Add", []string{g.Op("Mul", []string{sum, scale}), m.weight(n)})
	}
	h := g.Op("Relu", []string{layer(x, 19, 37, false)})
	h = layer(h, 37, 23, true)
	q, s, z := "q", "s", "z"
	g.Add(build.Node{Op: "DynamicQuantizeLinear", Inputs: []string{h}, Outputs: []string{q, s, z}})
	g.OpAs("y", "MatMulInteger", []string{q, g.Const("last", m.bytes(23*5, false), 23, 5), z}) // int32 out
	g.Output("y", build.Int32, build.Sym("b"), build.Size(5))
	g.OpAs("p", "Softmax", []string{h})
	g.Output("p", build.Float, build.Sym("b"), build.Size(23))
	return sample{"dynamic", encode(t, g), []tensor.Value{m.tensor(rows, 19)}}
}

// betweenNet is in the QDQ form, with a scale a column in one layer; its last product is
// QLinearMatMul.
func betweenNet(t *testing.T, rows int) sample {
	m := newMaker("between")
	g := m.g
	x := g.Input("x", build.Float, build.Sym("b"), build.Size(19))
	f := func(v ...float32) string {
		if len(v) == 1 {
			return g.Const(g.Fresh("f"), v)
		}
		return g.Const(g.Fresh("f"), v, int64(len(v)))
	}
	scales := make([]float32, 31)
	for i := range scales {
		scales[i] = 0.002 + 0.0001*float32(i)
	}
	u8 := func(v uint8) string { return g.Const(g.Fresh("u"), []uint8{v}) }
	pair := func(x, scale, zero string) string {
		return g.Op("DequantizeLinear", []string{g.Op("QuantizeLinear", []string{x, scale, zero}), scale, zero})
	}
	w := g.Op("DequantizeLinear", []string{g.Const("w1", m.bytes(19*31, false), 19, 31), f(scales...)}, build.I("axis", 1))
	h := g.Op("Relu", []string{g.Op("Add", []string{g.Op("MatMul", []string{pair(x, f(0.02), u8(128)), w}), m.weight(31)})})
	w = g.Op("DequantizeLinear", []string{g.Const("w2", m.bytes(23*31, false), 23, 31), f(0.004)})
	h = g.Op("Gemm", []string{pair(h, f(0.03), u8(7)), w, m.weight(23)}, build.I("transB", 1))
	s, z := f(0.05), u8(120)
	q := g.Op("QuantizeLinear", []string{h, s, z})
	i8 := g.Const("i8", []int8{3})
	q = g.Op("QLinearMatMul", []string{q, s, z, g.Const("w3", m.bytes(23*6, false), 23, 6), f(0.01), i8, f(0.08), u8(100)})
	g.OpAs("y", "DequantizeLinear", []string{q, f(0.08), u8(100)})
	g.Output("y", build.Float, build.Sym("b"), build.Size(6))
	return sample{"between", encode(t, g), []tensor.Value{m.tensor(rows, 19)}}
}

// resized is a network of convolutions between which images change their size in several ways.
func resized(t *testing.T, mode, transform string) sample {
	m := newMaker("resized")
	g := m.g
	x := g.Input("x", build.Float, build.Sym("b"), build.Size(3), build.Size(7), build.Size(9))
	resize := func(x string, scales ...float32) string {
		return g.Op("Resize", []string{x, "", g.Const(g.Fresh("scales"), scales, 4)}, build.S("mode", mode), build.S("coordinate_transformation_mode", transform))
	}
	h := g.Op("Conv", []string{resize(x, 1, 1, 2, 2), m.weight(4, 3, 3, 3)}, build.Is("kernel_shape", 3, 3))
	h = g.Op("Relu", []string{resize(h, 1, 1, 1.3, 0.7)})
	h = g.Op("Resize", []string{h, "", "", g.Const("sizes", []int64{2, 4, 5, 11}, 4)}, build.S("mode", mode), build.S("coordinate_transformation_mode", transform))
	g.OpAs("y", "Conv", []string{h, m.weight(2, 4, 1, 1)})
	g.Output("y", build.Float, build.Sym("b"), build.Size(2), build.Size(5), build.Size(11))
	return sample{"resized " + mode + " " + transform, encode(t, g), []tensor.Value{m.tensor(2, 3, 7, 9)}}
}

// TestGPUTypes holds networks of float16, of bytes, of float32 with TF32, and of images that change their size to the CPU within each
// type's bound, and sees that the kernels made for them run.
func TestGPUTypes(t *testing.T) {
	state, most := gpusOf(t)
	for _, x := range []struct {
		s      sample
		tf32   bool
		eps    float64
		kernel string
	}{
		{halfNet(t, 7), false, 2e-2, "gemm fp16"}, {encoder(t, 2, 5, encoderSize{layers: 2, width: 24, heads: 3, inner: 50, words: 40, half: true}), false, 2e-2,
			"gemm fp16"},
		{dynamicNet(t, 7), false, 1e-4, "gemm int8"}, {dynamicNet(t, 33), false, 1e-4, "gemm int8"},
		{betweenNet(t, 7), false, 0.0801, "gemm int8"}, // a step, where a sum lies on the border of two
		{resized(t, "nearest", "asymmetric"), false, 1e-4, "resize"}, {resized(t, "linear", "half_pixel"), false, 1e-4, "resize"},
		{resized(t, "linear", "align_corners"), false, 1e-4, "resize"}, {resized(t, "cubic", "pytorch_half_pixel"), false, 1e-4, "resize"},
		{mlp(t, 7), true, 5e-3, "gemm tf32"}, {transformer(t, 2, 5), true, 2e-2, "gemm tf32"},
	} {
		want := reference(t, x.s)
		for n, layout := range map[int]gpu.Layout{1: gpu.Whole, 2: gpu.Split, 3: gpu.Stages} {
			if n > most {
				continue
			}
			t.Run(fmt.Sprintf("%s/tf32=%t/%v", x.s.name, x.tf32, layout), func(t *testing.T) {
				if state != nil {
					state.Set("FAIL=", "NOPEER=")
				}
				e := onGPUs(t, n, gpu.Config{})
				m, err := e.ReadAt(onnx.Memory{Bytes: x.s.file}, runtime.Placement{GPU: gpu.Options{Layout: layout, NoHost: true, TF32: x.tf32}})
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				got, err := answer(m, x.s.in)
				if err != nil {
					t.Fatal(err)
				}
				if err := apart(got, want, x.eps); err != nil {
					t.Error(err)
				}
				explained, err := m.Explain(x.s.in)
				if err != nil {
					t.Fatal(err)
				}
				kinds, hosts := "", 0
				for _, s := range explained.Steps {
					kinds += s.Kernel + "; "
					if s.Kernel == "host" && !strings.Contains(strings.Join(s.Nodes, " "), "CumSum") {
						hosts++
						t.Errorf("on the host: %v", s.Nodes)
					}
				}
				if !strings.Contains(kinds, x.kernel) {
					t.Errorf("no %s in %s", x.kernel, kinds)
				}
			})
		}
	}
}

// TestGPUDivision holds divisions and remainders of integers, by zero and at the ends of the range, to
// the CPU: the same numbers, or an error on both.
func TestGPUDivision(t *testing.T) {
	useDouble(t)
	e := onGPUs(t, 1, gpu.Config{})
	for _, d := range []build.DType{build.Int32, build.Int64} {
		for _, op := range []string{"Div", "Mod"} {
			g := build.New("division", 17)
			x, y := g.Input("x", d, build.Sym("n")), g.Input("y", d, build.Sym("n"))
			one := any([]int64{1})
			if d == build.Int32 {
				one = []int32{1}
			}
			// The divisor is computed on the device, so that nobody can look at it before.
			y = g.Op("Sub", []string{g.Op("Add", []string{y, g.Const("one", one)}), "one"})
			g.OpAs("z", op, []string{x, y})
			g.Output("z", d, build.Sym("n"))
			file := encode(t, g)
			for _, pairs := range [][][2]int64{{{7, 2}, {-7, 2}, {7, -2}, {-7, -2}, {0, 5}}, {{7, 0}}, {{0, 0}, {1, 1}}, {{math.MinInt32, -1}, {5, 3}},
				{{math.MinInt64, -1}}} {
				in := make([]tensor.Value, 2)
				for k := range in {
					v32, v64 := make([]int32, len(pairs)), make([]int64, len(pairs))
					for i, p := range pairs {
						v32[i], v64[i] = int32(p[k]), p[k]
					}
					if in[k] = tensor.FromSlice(v64, len(v64)); d == build.Int32 {
						in[k] = tensor.FromSlice(v32, len(v32))
					}
				}
				s := sample{op, file, in}
				cpu, err := runtime.NewEngine(runtime.Config{}).Read(file)
				if err != nil {
					t.Fatal(err)
				}
				want, wantErr := answer(cpu, in)
				m, err := e.Read(file)
				if err != nil {
					t.Fatal(err)
				}
				got, gotErr := answer(m, s.in)
				if (wantErr == nil) != (gotErr == nil) {
					t.Errorf("%s of %v %v: the CPU says %v, the GPU %v", op, d, pairs, wantErr, gotErr)
				} else if wantErr == nil {
					if err := apart(got, want, 0); err != nil {
						t.Errorf("%s of %v %v: %v", op, d, pairs, err)
					}
				}
				cpu.Close()
				m.Close()
			}
		}
	}
	if st := e.GPUs().Stats(); st != (gpu.Stats{}) {
		t.Errorf("a wrong request was held against a device: %+v", st)
	}
}
