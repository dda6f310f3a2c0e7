package compress

import (
	"fmt"
	"math"
	"slices"

	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/device"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/onnx"
	"github.com/aimass/aimass/runtime/tensor"
)

// static quantizes convolutions and products with ranges found from data: each gets
// QuantizeLinear and DequantizeLinear before it and int8 weights behind a DequantizeLinear,
// the form (QDQ) that runtimes recognise. Activations between two such layers are quantized
// once, after the functions that follow the first.
func (q *Quantize) static(e *env, m *graph.Model) error {
	if err := e.raiseOpset(m, 13, string(q.Kind)); err != nil {
		return err
	}
	layers := map[*graph.Node]bool{}
	var watch []*graph.Value
	want := func(v *graph.Value) {
		if !slices.Contains(watch, v) {
			watch = append(watch, v)
		}
	}
	for _, n := range m.Nodes {
		if q.convolves(n) {
			layers[n] = true
			want(n.In[0])
		} else if p, ok := q.matrixOf(n); ok {
			layers[n] = true
			want(p.x)
		}
	}
	if len(layers) == 0 {
		return fmt.Errorf("%s: the model has no convolution of 4 channels or more, and no product with a matrix of %d elements or more, with "+
			"constant weights in float32", q.Kind, q.MinElements)
	}
	// The two sides of an addition that a quantized layer follows are quantized as well, so
	// that a residual network stays in bytes from layer to layer.
	for _, n := range m.Nodes {
		if standard(n, "Add") && slices.Contains(watch, behindRelu(m, n.Out[0])) && n.In[0].Const == nil && n.In[1].Const == nil {
			layers[n] = true
			want(n.In[0])
			want(n.In[1])
		}
	}
	ranges, err := calibrate(e, m, watch, q.Calibrate)
	if err != nil {
		return err
	}
	made := map[*graph.Value]*graph.Value{}
	err = rewrite(m, func(ed *editor, n *graph.Node) (bool, error) {
		if !layers[n] {
			return false, nil
		}
		if standard(n, "Add") {
			n.In = []*graph.Value{ed.quantized(made, ranges, n.In[0]), ed.quantized(made, ranges, n.In[1])}
			return false, nil
		}
		in := slices.Clone(n.In)
		in[0] = ed.quantized(made, ranges, n.In[0])
		axis := 0 // of the output channel
		if standard(n, "MatMul") || standard(n, "Gemm") && n.Attrs.Int("transB", 0) == 0 {
			axis = 1
		}
		in[1] = ed.channels(n.In[1], axis)
		n.In = in
		return false, nil
	})
	e.note("quantize: %d layers to int8 with ranges from %d sets of inputs (%s)", len(layers), len(e.data), q.Calibrate.orDefault())
	return err
}

func (q *Quantize) convolves(n *graph.Node) bool {
	if !standard(n, "Conv") || q.skips(n) || n.In[0].Const != nil {
		return false
	}
	// The first layer of an image network has few channels, little work and the input's
	// whole range: bytes cost accuracy there and save nothing.
	w, s := floats(n.In[1], -1)
	return w != nil && s[1] >= 4
}

// behindRelu gives the value that v becomes behind Relu or Clip, if that alone reads it.
func behindRelu(m *graph.Model, v *graph.Value) *graph.Value {
	users := m.Users()[v]
	if len(users) == 1 && (standard(users[0], "Relu") || standard(users[0], "Clip")) {
		return users[0].Out[0]
	}
	return v
}

// quantized emits QuantizeLinear and DequantizeLinear for an activation, once.
func (e *editor) quantized(made map[*graph.Value]*graph.Value, ranges map[*graph.Value]valueRange, v *graph.Value) *graph.Value {
	if out := made[v]; out != nil {
		return out
	}
	scale, zero := ranges[v].params()
	s := e.constant(v.Name+"/scale", tensor.Scalar(scale))
	z := e.constant(v.Name+"/zero", tensor.Scalar(zero))
	code, real := e.value(v.Name+"/q", tensor.Uint8), e.value(v.Name+"/dq", tensor.Float32)
	e.emit("QuantizeLinear", []*graph.Value{v, s, z}, []*graph.Value{code}, nil)
	e.emit("DequantizeLinear", []*graph.Value{code, s, z}, []*graph.Value{real}, nil)
	made[v] = real
	return real
}

// mostRMS is the greatest root mean square of a channel's codes. The sums of four products with such weights nearly always fit the
// 16 bits that processors without VNNI add them in (kernels/quant/apart.go). Trained layers mostly keep below it anyway, since
// their greatest weights are further out than those of a normal distribution.
const mostRMS = 26

// channels emits int8 weights with one scale for each index of the axis, and their
// DequantizeLinear.
func (e *editor) channels(v *graph.Value, axis int) *graph.Value {
	w, shape := floats(v, -1)
	n, inner := shape[axis], 1
	for _, d := range shape[axis+1:] {
		inner *= d
	}
	scales, codes, squares := make([]float32, n), make([]int8, len(w)), make([]float64, n)
	for i, x := range w {
		c := i / inner % n
		scales[c] = max(scales[c], float32(math.Abs(float64(x))))
		squares[c] += float64(x) * float64(x)
	}
	for c := range scales {
		rms := math.Sqrt(squares[c] / float64(len(w)/n))
		if scales[c] = max(scales[c]/127, float32(rms/mostRMS)); scales[c] == 0 {
			scales[c] = 1
		}
	}
	for i, x := range w {
		codes[i] = int8(max(-127, min(127, math.RoundToEven(float64(x)/float64(scales[i/inner%n])))))
	}
	real := e.value(v.Name+"/dq", tensor.Float32)
	e.emit("DequantizeLinear", []*graph.Value{e.constant(v.Name+"/q", tensor.FromSlice(codes, shape...)), e.constant(v.Name+"/scale", tensor.FromSlice(scales, n)),
		e.constant(v.Name+"/zero", tensor.FromSlice(make([]int8, n), n))}, []*graph.Value{real}, graph.Attrs{"axis": intAttr(int64(axis))})
	return real
}

// calibrate gives the range of each watched value on the data.
func calibrate(e *env, m *graph.Model, watch []*graph.Value, kind Calibration) (map[*graph.Value]valueRange, error) {
	if err := kind.check(); err != nil {
		return nil, err
	}
	histograms := map[*graph.Value]*histogram{}
	for _, v := range watch {
		histograms[v] = &histogram{}
	}
	err := observe(e, m, watch, func(v *graph.Value, t *tensor.Tensor) { histograms[v].add(tensor.Data[float32](t)) })
	if err != nil {
		return nil, err
	}
	out := map[*graph.Value]valueRange{}
	for _, v := range watch {
		out[v] = histograms[v].rangeBy(kind)
	}
	return out, nil
}

// observe runs the model on the data with the watched values as outputs, and calls f with
// what each of them was that is float32; inputs of the model are watched as they are.
func observe(e *env, m *graph.Model, watch []*graph.Value, f func(*graph.Value, *tensor.Tensor)) error {
	see := func(v *graph.Value, x tensor.Value) {
		if t, ok := x.(*tensor.Tensor); ok && t.DType == tensor.Float32 {
			f(v, t)
		}
	}
	inputs := map[*graph.Value]int{}
	for i, v := range m.In {
		inputs[v] = i
	}
	probe, g := *m, *m.Graph
	probe.Graph, g.Out = &g, nil
	for _, v := range watch {
		if i, in := inputs[v]; in {
			for _, set := range e.data {
				see(v, set[i])
			}
			continue
		}
		g.Out = append(g.Out, v)
	}
	if len(g.Out) == 0 {
		return nil
	}
	b, err := onnx.Marshal(&probe)
	if err != nil {
		return err
	}
	r, err := e.engine.Read(b)
	if err != nil {
		return err
	}
	defer r.Close()
	for _, set := range e.data {
		if err := e.ctx.Err(); err != nil {
			return err
		}
		call := &device.Call{In: byName(r, m, set)}
		if err := r.Run(e.ctx, call); err != nil {
			return err
		}
		for i, v := range g.Out {
			see(v, call.Out[i])
		}
		call.Release()
	}
	return nil
}

// byName orders a set, which is in the order of m's inputs, for a reread model.
func byName(r *runtime.Model, m *graph.Model, set []input) []input {
	in := make([]input, len(r.Inputs))
	for i, p := range r.Inputs {
		for k, v := range m.In {
			if v.Name == p.Name {
				in[i] = set[k]
			}
		}
	}
	return in
}
