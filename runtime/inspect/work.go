package inspect

import (
	"fmt"
	"strings"

	"github.com/aimass/aimass/runtime"
	"github.com/aimass/aimass/runtime/cpu"
	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/ops"
	"github.com/aimass/aimass/runtime/tensor"
)

// Work is what a model computes for the shapes at hand, by its definition: algorithms that
// need fewer multiplications, such as Winograd's, do not lower it.
type Work struct {
	// MACs are the multiply-accumulate pairs of products, convolutions, attention and recurrent layers.
	MACs int64 `json:"macs"`
	// FLOPs are two for each of them and one for each element that another operator computes
	// with; operators that only move data have none.
	FLOPs int64 `json:"flops"`
	// Uncounted names nodes whose work depends on data, with the reason.
	Uncounted []string `json:"uncounted,omitempty"`
}

// Of counts the work of a loaded model for inputs of these types and shapes.
func Of(m *runtime.Model, in []tensor.Value) (Work, error) {
	d, err := m.Describe(in)
	if err != nil {
		return Work{}, err
	}
	return count(d), nil
}

// count adds up the work of the nodes that a plan runs.
func count(d *cpu.Description) Work {
	var w Work
	for _, s := range d.Steps {
		for _, n := range s.Nodes {
			w.add(n, d)
		}
	}
	for _, n := range d.Later {
		w.add(n, d)
	}
	return w
}

// add adds the work of one node.
func (w *Work) add(n *graph.Node, d *cpu.Description) {
	if len(n.Subgraphs()) > 0 {
		w.Uncounted = append(w.Uncounted, fmt.Sprintf("%s (%s): how often its nested graphs run depends on data", n.Label(), n.OpName()))
		return
	}
	a := &arithmetic{n: n, d: d}
	macs, isProduct := int64(0), false
	if rule := products[n.OpName()]; rule != nil {
		macs, isProduct = rule(a), true
	}
	if a.unknown {
		w.Uncounted = append(w.Uncounted, fmt.Sprintf("%s (%s): its shapes depend on data", n.Label(), n.OpName()))
		return
	}
	w.MACs += macs
	w.FLOPs += 2 * macs
	if !isProduct && !moves[n.OpName()] {
		w.FLOPs += a.largest()
	}
}

// arithmetic looks at the shapes of one node. unknown is set by a look at one that isn't known.
type arithmetic struct {
	n       *graph.Node
	d       *cpu.Description
	unknown bool
}

func (a *arithmetic) info(v *graph.Value) ops.Info {
	if v == nil {
		return ops.Info{}
	}
	if v.Const != nil {
		return ops.ConstInfo(v.Const)
	}
	return a.d.Info[v]
}

// in is the shape of an input that must be there.
func (a *arithmetic) in(i int) []int {
	if i < len(a.n.In) {
		if x := a.info(a.n.In[i]); x.Known {
			return x.Shape
		}
	}
	a.unknown = true
	return nil
}

func (a *arithmetic) has(i int) bool { return i < len(a.n.In) && a.n.In[i] != nil }

// out is the number of elements of the first output.
func (a *arithmetic) out() int64 {
	x := a.info(a.n.Out[0])
	if !x.Known {
		a.unknown = true
		return 0
	}
	return elements(x.Shape)
}

// axis is an extent counted from the end.
func (a *arithmetic) axis(shape []int, fromEnd int) int64 {
	if fromEnd > len(shape) {
		a.unknown = true
		return 0
	}
	return int64(shape[len(shape)-fromEnd])
}

func elements(shape []int) int64 {
	n := int64(1)
	for _, d := range shape {
		n *= int64(d)
	}
	return n
}

// largest is the number of elements of the largest tensor that the node reads or writes.
// Where none is known the node's work counts as nothing: it is no product.
func (a *arithmetic) largest() (most int64) {
	for _, list := range [][]*graph.Value{a.n.In, a.n.Out} {
		for _, v := range list {
			if x := a.info(v); x.Known {
				most = max(most, elements(x.Shape))
			}
		}
	}
	return most
}

// products give the multiply-accumulate pairs of operators that are sums of products.
var products = map[string]func(*arithmetic) int64{
	"Conv":                                convolution(1),
	"ConvInteger":                         convolution(1),
	"DeformConv":                          convolution(1),
	"QLinearConv":                         convolution(3),
	"com.microsoft.FusedConv":             convolution(1),
	"ConvTranspose":                       transposedConvolution,
	"MatMul":                              product(""),
	"MatMulInteger":                       product(""),
	"QLinearMatMul":                       product(""),
	"com.microsoft.FusedMatMul":           product("transA"),
	"com.microsoft.MatMulIntegerToFloat":  product(""),
	"com.microsoft.DynamicQuantizeMatMul": product(""),
	"com.microsoft.MatMulNBits":           product(""),
	"com.microsoft.MoE":                   mixture(2, 4),
	"com.microsoft.QMoE":                  mixture(2, 5),
	"Gemm":                                product("transA"),
	"com.microsoft.FusedGemm":             product("transA"),
	"com.microsoft.QGemm":                 product("transA"),
	"Einsum":                              einsum,
	"Attention":                           attention(4),
	"com.microsoft.MultiHeadAttention":    attention(6),
	"com.microsoft.GroupQueryAttention":   attention(3),
	"com.microsoft.Attention":             packedAttention,
	"com.microsoft.QAttention":            packedAttention,
	"LSTM":                                recurrent,
	"GRU":                                 recurrent,
	"RNN":                                 recurrent,
	"ai.onnx.ml.LinearRegressor":          linear("coefficients"),
	"ai.onnx.ml.LinearClassifier":         linear("coefficients"),
	"ai.onnx.ml.SVMRegressor":             linear("support_vectors"),
	"ai.onnx.ml.SVMClassifier":            linear("support_vectors"),
}

// convolution: each output element sums over the kernel's cells and the channels of its group.
func convolution(weights int) func(*arithmetic) int64 {
	return func(a *arithmetic) int64 {
		w := a.in(weights)
		if len(w) < 2 {
			a.unknown = true
			return 0
		}
		return a.out() * elements(w[1:])
	}
}

// transposedConvolution: each input element goes to the kernel's cells of all channels of its group.
func transposedConvolution(a *arithmetic) int64 {
	w := a.in(1)
	if len(w) < 2 {
		a.unknown = true
		return 0
	}
	return elements(a.in(0)) * elements(w[1:])
}

// product: each output element sums over the inner extent, which is A's last or, where the
// attribute says that A is transposed, the one before.
func product(transposed string) func(*arithmetic) int64 {
	return func(a *arithmetic) int64 {
		k := 1
		if transposed != "" && a.n.Attrs.Int(transposed, 0) != 0 {
			k = 2
		}
		return a.out() * a.axis(a.in(0), k)
	}
}

// mixture: the weights of k experts a token; codes lie several in a byte.
func mixture(first, second int) func(*arithmetic) int64 {
	return func(a *arithmetic) int64 {
		up, down, hidden := a.in(first), a.in(second), a.axis(a.in(0), 1)
		if len(up) != 3 || len(down) != 3 || down[2] == 0 || hidden == 0 {
			a.unknown = true
			return 0
		}
		inner := int64(down[2]) * hidden / int64(up[2])
		return a.out() / hidden * a.n.Attrs.Int("k", 1) * hidden * (int64(up[1]) + inner)
	}
}

// einsum: the product of the extents of all subscripts.
func einsum(a *arithmetic) int64 {
	left, _, _ := strings.Cut(strings.ReplaceAll(a.n.Attrs.Str("equation", ""), " ", ""), "->")
	extent := map[rune]int64{}
	for i, term := range strings.Split(left, ",") {
		shape := a.in(i)
		if strings.Contains(term, ".") || len(shape) != len(term) {
			a.unknown = true
			return 0
		}
		for k, c := range term {
			extent[c] = max(extent[c], int64(shape[k]))
		}
	}
	n := int64(1)
	for _, e := range extent {
		n *= e
	}
	return n
}

// attention of queries, keys and values: each query meets each key, and its weights each
// value. pastKey is the input with earlier keys.
func attention(pastKey int) func(*arithmetic) int64 {
	return func(a *arithmetic) int64 {
		q := a.in(0)
		if !a.has(1) { // queries, keys and values in one
			a.unknown = true
			return 0
		}
		k := a.in(1)
		keys := a.axis(k, 2)
		if len(k) == 5 { // keys and values in one
			keys = int64(k[1])
		}
		if a.has(pastKey) {
			keys += a.axis(a.in(pastKey), 2)
		}
		return (elements(q) + a.out()) * keys
	}
}

// packedAttention makes queries, keys and values of its input by one product.
func packedAttention(a *arithmetic) int64 {
	x, w := a.in(0), a.in(1)
	return elements(x)*a.axis(w, 1) + 2*a.out()*a.axis(x, 2)
}

// recurrent: at each time step the weights of input and of state are used once a row.
func recurrent(a *arithmetic) int64 {
	x := a.in(0)
	return a.axis(x, 3) * a.axis(x, 2) * (elements(a.in(1)) + elements(a.in(2)))
}

// linear: each row meets all coefficients.
func linear(attr string) func(*arithmetic) int64 {
	return func(a *arithmetic) int64 {
		x := a.in(0)
		rows := int64(1)
		if len(x) > 1 {
			rows = int64(x[0])
		}
		c := a.n.Attrs[attr]
		if c == nil {
			return 0
		}
		return rows * int64(len(c.Floats))
	}
}

// moves lists operators that only move, make or rename data.
var moves = set(`Cast CastLike BitCast CenterCropPad Col2Im Compress Concat ConcatFromSequence Constant ConstantOfShape DepthToSpace Dropout
	Expand EyeLike Flatten Gather GatherElements GatherND Identity NonZero OneHot Optional OptionalGetElement OptionalHasElement Pad Range
	Reshape ReverseSequence Scatter ScatterElements ScatterND SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert
	SequenceLength Shape Size Slice SpaceToDepth Split SplitToSequence Squeeze TensorScatter Tile Transpose Trilu Unsqueeze Where
	ai.onnx.ml.ArrayFeatureExtractor ai.onnx.ml.CastMap ai.onnx.ml.CategoryMapper ai.onnx.ml.DictVectorizer ai.onnx.ml.FeatureVectorizer
	ai.onnx.ml.LabelEncoder ai.onnx.ml.OneHotEncoder ai.onnx.ml.ZipMap com.microsoft.ExpandDims com.microsoft.Tokenizer
	StringConcat StringNormalizer StringSplit RegexFullMatch`)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}
