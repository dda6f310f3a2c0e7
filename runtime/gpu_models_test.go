//go:build cuda && cgo

package runtime_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/aimass/aimass/internal/half"
	"github.com/aimass/aimass/runtime/onnx/build"
	"github.com/aimass/aimass/runtime/tensor"
)

// sample is a model with inputs.
type sample struct {
	name string
	file []byte
	in   []tensor.Value
}

type maker struct {
	*rand.Rand
	g    *build.Graph
	half bool // constants are float16
}

func newMaker(name string) *maker {
	return &maker{Rand: rand.New(rand.NewPCG(7, uint64(len(name)))), g: build.New(name, 17)}
}

// constant adds floats of the maker's type.
func (m *maker) constant(v []float32, dims ...int64) string {
	if !m.half {
		return m.g.Const(m.g.Fresh("c"), v, dims...)
	}
	bits := make([]uint16, len(v))
	for i, x := range v {
		bits[i] = half.FromFloat32(x)
	}
	return m.g.Const(m.g.Fresh("c"), bits, dims...)
}

// float is the maker's type.
func (m *maker) float() build.DType {
	if m.half {
		return build.Float16
	}
	return build.Float
}

func (m *maker) floats(n int, scale float64) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(m.NormFloat64() * scale)
	}
	return v
}

func (m *maker) weight(dims ...int) string {
	n, d := 1, []int64{}
	for _, x := range dims {
		n *= x
		d = append(d, int64(x))
	}
	return m.constant(m.floats(n, 1/math.Sqrt(float64(dims[0]))), d...)
}

func (m *maker) tensor(dims ...int) *tensor.Tensor {
	n := 1
	for _, x := range dims {
		n *= x
	}
	return tensor.FromSlice(m.floats(n, 1), dims...)
}

func (m *maker) dense(x string, k, n int) string {
	return m.g.Op("Add", []string{m.g.Op("MatMul", []string{x, m.weight(k, n)}), m.weight(n)})
}

// mlp is three layers of uneven widths.
func mlp(t *testing.T, rows int) sample {
	m := newMaker("mlp")
	x := m.g.Input("x", build.Float, build.Sym("b"), build.Size(19))
	h := m.g.Op("Relu", []string{m.g.Op("Gemm", []string{x, m.weight(19, 37), m.weight(37)})})
	h = m.g.Op("Tanh", []string{m.g.Op("Gemm", []string{h, m.weight(29, 37), m.weight(29)}, build.I("transB", 1))})
	m.g.OpAs("y", "Softmax", []string{m.g.Op("Gemm", []string{h, m.weight(29, 5), m.weight(5)})})
	m.g.Output("y", build.Float, build.Sym("b"), build.Size(5))
	return sample{"mlp", encode(t, m.g), []tensor.Value{m.tensor(rows, 19)}}
}

// encoderSize is what an encoder is made of.
type encoderSize struct {
	layers, width, heads, inner, words int
	half                               bool // float16
}

// transformer is a small encoder in the shape of MiniLM: embeddings looked up, attention by
// heads with a mask, GELU and layer norms spelled out as exporters do.
func transformer(t *testing.T, batch, tokens int) sample {
	return encoder(t, batch, tokens, encoderSize{layers: 2, width: 24, heads: 3, inner: 50, words: 40})
}

func encoder(t *testing.T, batch, tokens int, size encoderSize) sample {
	width, heads := size.width, size.heads
	m := newMaker("transformer")
	m.half = size.half
	low, eps := float32(-3e38), float32(1e-6)
	if size.half {
		low, eps = -60000, 1e-5
	}
	g := m.g
	ids := g.Input("ids", build.Int64, build.Sym("b"), build.Sym("t"))
	mask := g.Input("mask", build.Int64, build.Sym("b"), build.Sym("t"))
	x := g.Op("Gather", []string{m.weight(size.words, width), ids})
	axes := g.Const("axes", []int64{1, 2}, 2)
	far := g.Op("Mul", []string{g.Op("Sub", []string{m.constant([]float32{1}), g.Op("Cast", []string{g.Op("Unsqueeze", []string{mask, axes})},
		build.I("to", int64(m.float())))}), m.constant([]float32{low})})
	norm := func(x string) string {
		d := g.Op("Sub", []string{x, g.Op("ReduceMean", []string{x}, build.Is("axes", -1))})
		v := g.Op("ReduceMean", []string{g.Op("Pow", []string{d, m.constant([]float32{2})})}, build.Is("axes", -1))
		s := g.Op("Sqrt", []string{g.Op("Add", []string{v, m.constant([]float32{eps})})})
		return g.Op("Add", []string{g.Op("Mul", []string{g.Op("Div", []string{d, s}), m.weight(width)}), m.weight(width)})
	}
	split := g.Const("split", []int64{0, 0, int64(heads), int64(width / heads)}, 4)
	join := g.Const("join", []int64{0, 0, int64(width)}, 3)
	for range size.layers {
		head := func(perm ...int64) string {
			return g.Op("Transpose", []string{g.Op("Reshape", []string{m.dense(x, width, width), split})}, build.Is("perm", perm...))
		}
		q, k, v := head(0, 2, 1, 3), head(0, 2, 3, 1), head(0, 2, 1, 3)
		scores := g.Op("Add", []string{g.Op("Div", []string{g.Op("MatMul", []string{q, k}), m.constant([]float32{float32(math.Sqrt(float64(width / heads)))})}), far})
		seen := g.Op("Transpose", []string{g.Op("MatMul", []string{g.Op("Softmax", []string{scores}, build.I("axis", -1)), v})}, build.Is("perm", 0, 2, 1, 3))
		x = norm(g.Op("Add", []string{m.dense(g.Op("Reshape", []string{seen, join}), width, width), x}))
		h := m.dense(x, width, size.inner)
		erf := g.Op("Add", []string{g.Op("Erf", []string{g.Op("Div", []string{h, m.constant([]float32{math.Sqrt2})})}), m.constant([]float32{1})})
		h = g.Op("Mul", []string{g.Op("Mul", []string{h, erf}), m.constant([]float32{0.5})})
		x = norm(g.Op("Add", []string{m.dense(h, size.inner, width), x}))
	}
	g.OpAs("y", "Identity", []string{x})
	g.Output("y", m.float(), build.Sym("b"), build.Sym("t"), build.Size(int64(width)))
	id, seen := make([]int64, batch*tokens), make([]int64, batch*tokens)
	for i := range id {
		id[i], seen[i] = int64(m.IntN(size.words)), 1
		if i%tokens > tokens-1-i/tokens%tokens {
			seen[i] = 0
		}
	}
	return sample{"transformer", encode(t, g), []tensor.Value{tensor.FromSlice(id, batch, tokens), tensor.FromSlice(seen, batch, tokens)}}
}

// forest is gradient boosting for two classes, as converters write it.
func forest(t *testing.T, rows int) sample {
	const trees, features = 11, 6
	m := newMaker("forest")
	g := m.g
	g.Opsets["ai.onnx.ml"] = 3
	var treeID, nodeID, feature, yes, no, leafTree, leafNode, leafClass, missing []int64
	var values, weights []float32
	var modes []string
	for tr := range int64(trees) {
		for n := range int64(7) { // a full tree of depth two
			treeID, nodeID, missing = append(treeID, tr), append(nodeID, n), append(missing, n%2)
			if n < 3 {
				modes, feature, values = append(modes, "BRANCH_LT"), append(feature, int64(m.IntN(features))), append(values, float32(m.NormFloat64()))
				yes, no = append(yes, 2*n+1), append(no, 2*n+2)
				continue
			}
			modes, feature, values, yes, no = append(modes, "LEAF"), append(feature, 0), append(values, 0), append(yes, 0), append(no, 0)
			leafTree, leafNode, leafClass, weights = append(leafTree, tr), append(leafNode, n), append(leafClass, 0), append(weights, float32(m.NormFloat64()))
		}
	}
	g.Input("x", build.Float, build.Sym("b"), build.Size(features))
	g.Add(build.Node{Name: "trees", Domain: "ai.onnx.ml", Op: "TreeEnsembleClassifier", Inputs: []string{"x"}, Outputs: []string{"label", "p"},
		Attrs: []build.Attr{
			build.Is("nodes_treeids", treeID...), build.Is("nodes_nodeids", nodeID...), build.Is("nodes_featureids", feature...), build.Is("nodes_truenodeids", yes...),
			build.Is("nodes_falsenodeids", no...), build.Fs("nodes_values", values), build.Ss("nodes_modes", modes...), build.Is("nodes_missing_value_tracks_true",
				missing...),
			build.Is("class_treeids", leafTree...), build.Is("class_nodeids", leafNode...), build.Is("class_ids", leafClass...), build.Fs("class_weights", weights),
			build.Is("classlabels_int64s", 0, 1), build.S("post_transform", "LOGISTIC"), build.Fs("base_values", []float32{0.25})}})
	g.Output("label", build.Int64, build.Sym("b"))
	g.Output("p", build.Float, build.Sym("b"), build.Size(2))
	x := m.tensor(rows, features)
	tensor.Data[float32](x)[3] = float32(math.NaN())
	return sample{"forest", encode(t, g), []tensor.Value{x}}
}

// residual is a small network of convolutions in the shape of ResNet.
func residual(t *testing.T, batch int) sample { return convolutions(t, batch, 9, 13, 11) }

func convolutions(t *testing.T, batch, channels, height, width int) sample {
	m := newMaker("residual")
	g := m.g
	x := g.Input("x", build.Float, build.Sym("b"), build.Size(3), build.Size(int64(height)), build.Size(int64(width)))
	positive := func(n int) string {
		v := make([]float32, n)
		for i := range v {
			v[i] = 0.5 + m.Float32()
		}
		return g.Const(g.Fresh("v"), v, int64(n))
	}
	conv := func(x string, in, out int, k, stride int64) string {
		c := g.Op("Conv", []string{x, m.weight(out, in, int(k), int(k))}, build.Is("kernel_shape", k, k), build.Is("strides", stride, stride),
			build.Is("pads", k/2, k/2, k/2, k/2))
		return g.Op("BatchNormalization", []string{c, positive(out), m.weight(out), m.weight(out), positive(out)})
	}
	h := g.Op("Relu", []string{conv(x, 3, channels, 3, 2)})
	h = g.Op("MaxPool", []string{h}, build.Is("kernel_shape", 3, 3), build.Is("strides", 1, 1), build.Is("pads", 1, 1, 1, 1))
	h = g.Op("Relu", []string{g.Op("Add", []string{conv(g.Op("Relu", []string{conv(h, channels, channels, 3, 1)}), channels, channels, 3, 1), h})})
	h = g.Op("Flatten", []string{g.Op("GlobalAveragePool", []string{h})})
	g.OpAs("y", "Gemm", []string{h, m.weight(channels, 7), m.weight(7)})
	g.Output("y", build.Float, build.Sym("b"), build.Size(7))
	return sample{"residual", encode(t, g), []tensor.Value{m.tensor(batch, 3, height, width)}}
}

// mixed has a node without a kernel between two that have one.
func mixed(t *testing.T, rows int) sample {
	m := newMaker("mixed")
	g := m.g
	x := g.Input("x", build.Float, build.Sym("b"), build.Size(9))
	h := g.Op("Relu", []string{m.dense(x, 9, 8)})
	h = g.Op("Det", []string{g.Op("Reshape", []string{h, g.Const("square", []int64{-1, 2, 2}, 3)})})
	g.OpAs("y", "Sigmoid", []string{h})
	g.Output("y", build.Float, build.Sym("n"))
	return sample{"mixed", encode(t, g), []tensor.Value{m.tensor(rows, 9)}}
}

func samples(t *testing.T) []sample {
	return []sample{mlp(t, 7), transformer(t, 2, 5), forest(t, 33), residual(t, 2), mixed(t, 3)}
}
