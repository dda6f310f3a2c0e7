package pass

import (
	"fmt"
	"slices"

	"github.com/aimass/aimass/runtime/graph"
	"github.com/aimass/aimass/runtime/tensor"
)

// rowCall is one node under a row rule.
type rowCall struct {
	p *rowProof
	n *graph.Node
}

// rowRule sets the rows of the node's outputs, or says why rows mix.
type rowRule func(c *rowCall) error

func (c *rowCall) in(i int) rows {
	if i >= len(c.n.In) {
		return rows{}
	}
	return c.p.state(c.n.In[i])
}

func (c *rowCall) shape(i int) tensor.Shape { return c.p.info(c.n.In[i]).Shape }

func (c *rowCall) constant(i int) *tensor.Tensor {
	if i >= len(c.n.In) || c.n.In[i] == nil {
		return nil
	}
	return c.p.info(c.n.In[i]).Tensor()
}

// set states output i after checking it against what the two batch sizes showed.
func (c *rowCall) set(i int, r rows) error {
	if i >= len(c.n.Out) || c.n.Out[i] == nil {
		return nil
	}
	v := c.n.Out[i]
	a, b := c.p.a[v], c.p.b[v]
	if !a.Known || !b.Known {
		return fmt.Errorf("the shape of output %d is known only when it runs", i)
	}
	axis, unit, ok := growing(a.Shape, b.Shape)
	if !ok || axis != r.axis || unit != r.extent() {
		return fmt.Errorf("output %d has shape %v for a batch of %d: the rows are not where they should be", i, a.Shape, batchA)
	}
	c.p.at[v] = r
	return nil
}

func (c *rowCall) setAll(r rows) error {
	for i := range c.n.Out {
		if err := c.set(i, r); err != nil {
			return err
		}
	}
	return nil
}

// others demands that no input from k on carries rows.
func (c *rowCall) others(k int) error {
	for i := k; i < len(c.n.In); i++ {
		if c.in(i).kind == perRow {
			return fmt.Errorf("input %d depends on the rows", i)
		}
	}
	return nil
}

// axisAttr gives an attribute that names an axis of input 0.
func (c *rowCall) axisAttr(name string, def int64) (int, error) {
	return tensor.Axis(c.n.Attrs.Int(name, def), len(c.shape(0)))
}

// axisInput gives the axis of input 0 that input i names.
func (c *rowCall) axisInput(i int) (int, error) {
	t := c.constant(i)
	if t == nil {
		return 0, fmt.Errorf("the axis is computed")
	}
	v, err := tensor.Int64s(t)
	if err != nil || len(v) != 1 {
		return 0, fmt.Errorf("the axis is no number")
	}
	return tensor.Axis(v[0], len(c.shape(0)))
}

// makesRows lists operators that can turn a size into rows though no row enters.
var makesRows = map[string]bool{"Expand": true, "ConstantOfShape": true}

// shapeInput reports inputs that decide the output's shape and nothing else: a Slice that
// begins at the batch size has the same shape for all, and other elements.
func shapeInput(n *graph.Node, i int) bool {
	switch n.OpName() {
	case "ConstantOfShape":
		return true
	case "Reshape", "Expand", "Tile", "AffineGrid":
		return i > 0
	case "Resize":
		return i == 3 // the output's extents
	}
	return false
}

var rowRules = buildRowRules()

func buildRowRules() map[string]rowRule {
	m := map[string]rowRule{}
	for _, e := range []struct {
		rule rowRule
		ops  []string
	}{
		{elementwise, []string{"Abs", "Acos", "Acosh", "And", "Asin", "Asinh", "Atan", "Atanh", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "Cast", "CastLike",
			"Ceil", "Celu", "Clip", "Cos", "Cosh", "Div", "Elu", "Equal", "Erf", "Exp", "Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity",
			"IsInf", "IsNaN", "LeakyRelu", "Less", "LessOrEqual", "Log", "Max", "Mean", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "Reciprocal", "Relu", "Round",
			"Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tan", "Tanh", "ThresholdedRelu", "Where", "Xor",
			"ai.onnx.ml.Binarizer", "ai.onnx.ml.LabelEncoder", "ParametricSoftplus", "RegexFullMatch", "ScaledTanh", "StringConcat",
			"com.microsoft.Gelu", "com.microsoft.FastGelu", "com.microsoft.BiasGelu", "com.microsoft.QuickGelu", "com.microsoft.MurmurHash3"}},
		{add, []string{"Add"}},
		{quantizedPointwise, []string{"com.microsoft.QLinearAdd", "com.microsoft.QLinearMul", "com.microsoft.QLinearSigmoid", "com.microsoft.QLinearLeakyRelu"}},
		{dropout, []string{"Dropout"}},
		{alongAxis(-1), []string{"CumProd", "CumSum", "LpNormalization", "TopK"}},
		{alongAxis(0), []string{"ArgMax", "ArgMin"}},
		{softmax, []string{"Softmax", "LogSoftmax", "Hardmax"}},
		{normalize, []string{"LayerNormalization", "RMSNormalization"}},
		{reduce, []string{"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"}},
		{matmul, []string{"MatMul", "MatMulInteger"}},
		{quantizedMatmul, []string{"QLinearMatMul"}},
		{gemm, []string{"Gemm"}},
		{sumOfProducts, []string{"Einsum"}},
		{attend, []string{"Attention"}},
		{bitProduct, []string{"com.microsoft.MatMulNBits"}},
		{mixture, []string{"com.microsoft.MoE", "com.microsoft.QMoE"}},
		{firstAxis, []string{"Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool", "InstanceNormalization",
			"GroupNormalization", "LRN", "DepthToSpace", "SpaceToDepth", "Resize", "Upsample", "ai.onnx.ml.TreeEnsembleClassifier", "ai.onnx.ml.TreeEnsembleRegressor",
			"ai.onnx.ml.TreeEnsemble", "ai.onnx.ml.LinearClassifier", "ai.onnx.ml.LinearRegressor", "ai.onnx.ml.SVMClassifier", "ai.onnx.ml.SVMRegressor", "ai.onnx.ml.Scaler",
			"ai.onnx.ml.Imputer", "ai.onnx.ml.Normalizer", "com.microsoft.FusedConv", "com.microsoft.QLinearGlobalAveragePool", "com.microsoft.CDist",
			"AffineGrid", "Col2Im", "STFT", "com.microsoft.NhwcMaxPool"}},
		{together(0, 1), []string{"GridSample", "com.microsoft.GridSample"}},
		{together(0, 2, 4), []string{"DeformConv"}},
		{withFirst, []string{"RotaryEmbedding", "com.microsoft.RotaryEmbedding", "com.microsoft.GroupQueryAttention"}},
		{matrices, []string{"Det", "Trilu", "com.microsoft.Inverse", "com.microsoft.Trilu"}},
		{fourier, []string{"DFT"}},
		{documents, []string{"TfIdfVectorizer"}},
		{reverse, []string{"ReverseSequence"}},
		{oneHotAxis, []string{"OneHot"}},
		{scatterND, []string{"ScatterND"}},
		{maxPool, []string{"MaxPool"}},
		{batchNorm, []string{"BatchNormalization"}},
		{oneHot, []string{"ai.onnx.ml.OneHotEncoder"}},
		{features, []string{"ai.onnx.ml.FeatureVectorizer"}},
		{extract, []string{"ai.onnx.ml.ArrayFeatureExtractor"}},
		{recurrent, []string{"LSTM", "GRU", "RNN"}},
		{reshape, []string{"Reshape", "Flatten", "Squeeze", "Unsqueeze"}},
		{transpose, []string{"Transpose"}},
		{concat, []string{"Concat"}},
		{split, []string{"Split"}},
		{slice, []string{"Slice"}},
		{pad, []string{"Pad"}},
		{expand, []string{"Expand"}},
		{tile, []string{"Tile"}},
		{gather, []string{"Gather"}},
		{gatherND, []string{"GatherND"}},
		{gatherElements, []string{"GatherElements"}},
		{scatterElements, []string{"ScatterElements", "Scatter"}},
		{segmentAttention, []string{"aimass.SegmentAttention"}},
		{segmentReduce, []string{"aimass.SegmentReduce"}},
		{segmentSum, []string{"aimass.SegmentRunningSum"}},
		{quantize, []string{"QuantizeLinear", "DequantizeLinear"}},
	} {
		for _, n := range e.ops {
			if m[n] != nil {
				panic("BUG: two row rules for " + n)
			}
			m[n] = e.rule
		}
	}
	return m
}

// elementwise: every operand that carries rows carries them on the same axis of the
// output, and the others repeat along it.
func elementwise(c *rowCall) error {
	out := c.p.a[c.n.Out[0]]
	if !out.Known {
		return fmt.Errorf("the output's shape is known only when it runs")
	}
	r := rows{}
	for i, v := range c.n.In {
		if s := c.p.state(v); s.kind == perRow {
			s.axis += len(out.Shape) - len(c.shape(i))
			if r.kind == perRow && r != s {
				return fmt.Errorf("its inputs keep the rows on different axes")
			}
			r = s
		}
	}
	for i, v := range c.n.In {
		if c.p.state(v).kind == perRow {
			continue
		}
		if err := c.repeats(i, r, len(out.Shape)); err != nil {
			return err
		}
	}
	return c.setAll(r)
}

// quantizedPointwise: scales and zero points, which follow each operand, are the same for all rows.
func quantizedPointwise(c *rowCall) error {
	two := c.n.Op == "QLinearAdd" || c.n.Op == "QLinearMul"
	for i := range c.n.In {
		if i != 0 && !(two && i == 3) && c.in(i).kind == perRow {
			return fmt.Errorf("input %d depends on the rows", i)
		}
	}
	return elementwise(c)
}

// repeats demands that input i, which carries no rows, lies across the batch axis of the
// output with an extent of 1 or not at all, axes counted from the last.
func (c *rowCall) repeats(i int, r rows, rank int) error {
	if i >= len(c.n.In) || c.n.In[i] == nil {
		return nil
	}
	s := c.shape(i)
	if k := r.axis - (rank - len(s)); k >= 0 && s[k] != 1 {
		return fmt.Errorf("input %d has an extent of its own along the batch", i)
	}
	return nil
}

// dropout passes its input on, unless it trains.
func dropout(c *rowCall) error {
	if t := c.constant(2); len(c.n.In) > 2 && c.n.In[2] != nil && (t == nil || t.DType != tensor.Bool || t.Elements() != 1 || tensor.Data[bool](t)[0]) {
		return fmt.Errorf("in training mode it draws random numbers")
	}
	if err := c.others(1); err != nil {
		return err
	}
	return c.setAll(c.in(0))
}

// maxPool's second output holds places in the whole tensor, which move with the row.
func maxPool(c *rowCall) error {
	if len(c.n.Out) > 1 && c.n.Out[1] != nil {
		return fmt.Errorf("its indices count across the batch")
	}
	return firstAxis(c)
}

// alongAxis: works along one axis, which must not be the batch's.
func alongAxis(def int64) rowRule {
	return func(c *rowCall) error {
		r := c.in(0)
		axis, err := c.axisAttr("axis", def)
		if c.n.Op == "CumSum" || c.n.Op == "CumProd" {
			axis, err = c.axisInput(1)
		}
		if err != nil {
			return err
		}
		if axis == r.axis {
			return fmt.Errorf("it works along the batch axis")
		}
		if (c.n.Op == "ArgMax" || c.n.Op == "ArgMin") && c.n.Attrs.Int("keepdims", 1) == 0 && axis < r.axis {
			r.axis--
		}
		if err := c.others(1); err != nil {
			return err
		}
		return c.setAll(r)
	}
}

func softmax(c *rowCall) error {
	r := c.in(0)
	if c.n.Opset >= 13 {
		return alongAxis(-1)(c)
	}
	axis, err := c.axisAttr("axis", 1)
	if err != nil {
		return err
	}
	if axis <= r.axis {
		return fmt.Errorf("it works along the batch axis")
	}
	return c.setAll(r)
}

func normalize(c *rowCall) error {
	r := c.in(0)
	axis, err := c.axisAttr("axis", -1)
	if err != nil {
		return err
	}
	if axis <= r.axis {
		return fmt.Errorf("it normalises over the batch axis")
	}
	if err := c.others(1); err != nil {
		return err
	}
	for i := range c.n.In[1:] {
		if err := c.repeats(i+1, r, len(c.shape(0))); err != nil {
			return err
		}
	}
	return c.setAll(r)
}

func reduce(c *rowCall) error {
	r := c.in(0)
	axes := c.n.Attrs.Ints("axes")
	if len(c.n.In) > 1 && c.n.In[1] != nil {
		t := c.constant(1)
		if t == nil {
			return fmt.Errorf("the axes are computed")
		}
		var err error
		if axes, err = tensor.Int64s(t); err != nil {
			return err
		}
	}
	if len(axes) == 0 {
		if c.n.Attrs.Int("noop_with_empty_axes", 0) == 1 {
			return c.setAll(r)
		}
		return fmt.Errorf("it reduces over all axes, the batch included")
	}
	before := 0
	for _, a := range axes {
		k, err := tensor.Axis(a, len(c.shape(0)))
		if err != nil {
			return err
		}
		if k == r.axis {
			return fmt.Errorf("it reduces over the batch axis")
		}
		if k < r.axis {
			before++
		}
	}
	if c.n.Attrs.Int("keepdims", 1) == 0 {
		r.axis -= before
	}
	return c.setAll(r)
}

// attend: queries, keys and values, and what came before them, are by rows of axis 0; a mask is, or is one for all.
func attend(c *rowCall) error {
	want := along(0, 1)
	for i, v := range c.n.In {
		r := c.in(i)
		switch {
		case v == nil || r == want && (i != 3 || len(c.shape(3)) == 4):
		case i == 3 && r.kind != perRow && (len(c.shape(3)) < 4 || c.shape(3)[0] == 1):
		default:
			return fmt.Errorf("input %d does not keep the rows on axis 0", i)
		}
	}
	return c.setAll(want)
}

// firstAxis: input 0 keeps rows on axis 0 and so do the outputs; nothing else carries any.
func firstAxis(c *rowCall) error {
	r := c.in(0)
	if r.kind != perRow || r.axis != 0 {
		return fmt.Errorf("the rows are not on axis 0")
	}
	if c.n.Domain == "ai.onnx.ml" && len(c.shape(0)) < 2 {
		return fmt.Errorf("it takes a vector for one row")
	}
	if err := c.others(1); err != nil {
		return err
	}
	return c.setAll(r)
}

// together: the inputs named, those of them that are there, keep the same rows on axis 0, and no other carries any.
func together(named ...int) rowRule {
	return func(c *rowCall) error {
		r := c.in(0)
		if r.kind != perRow || r.axis != 0 {
			return fmt.Errorf("the rows are not on axis 0")
		}
		for i, v := range c.n.In {
			switch {
			case v == nil:
			case !slices.Contains(named, i):
				if c.in(i).kind == perRow {
					return fmt.Errorf("input %d depends on the rows", i)
				}
			case c.in(i) != r:
				return fmt.Errorf("input %d does not keep the rows on axis 0", i)
			}
		}
		return c.setAll(r)
	}
}

// withFirst: input 0 keeps rows on axis 0, and so does what else carries any.
func withFirst(c *rowCall) error {
	r := c.in(0)
	if r.kind != perRow || r.axis != 0 {
		return fmt.Errorf("the rows are not on axis 0")
	}
	for i := range c.n.In {
		if o := c.in(i); o.kind == perRow && o != r {
			return fmt.Errorf("input %d does not keep the rows on axis 0", i)
		}
	}
	return c.setAll(r)
}

// matrices: each matrix of the last two axes goes by itself.
func matrices(c *rowCall) error {
	r := c.in(0)
	if r.axis >= len(c.shape(0))-2 {
		return fmt.Errorf("it works along the batch axis")
	}
	if err := c.others(1); err != nil {
		return err
	}
	return c.setAll(r)
}

func fourier(c *rowCall) error {
	r := c.in(0)
	if r.axis == len(c.shape(0))-1 {
		return fmt.Errorf("the batch axis tells real from imaginary parts")
	}
	axis, err := c.axisAttr("axis", 1)
	if c.n.Opset >= 20 {
		axis = max(len(c.shape(0))-2, 0)
		if len(c.n.In) > 2 && c.n.In[2] != nil {
			axis, err = c.axisInput(2)
		}
	}
	if err != nil {
		return err
	}
	if axis == r.axis {
		return fmt.Errorf("it works along the batch axis")
	}
	if err := c.others(1); err != nil {
		return err
	}
	return c.setAll(r)
}

// documents: rows of tokens; tokens without rows are one document.
func documents(c *rowCall) error {
	if len(c.shape(0)) < 2 {
		return fmt.Errorf("it takes a vector for one row")
	}
	return firstAxis(c)
}

// reverse: each sequence of the batch by the length of its own.
func reverse(c *rowCall) error {
	r := c.in(0)
	if r.kind != perRow || int64(r.axis) != c.n.Attrs.Int("batch_axis", 1) {
		return fmt.Errorf("the rows are not on its batch axis")
	}
	lengths := r
	lengths.axis = 0
	if c.in(1) != lengths {
		return fmt.Errorf("the lengths are not by rows")
	}
	return c.setAll(r)
}

func oneHotAxis(c *rowCall) error {
	r := c.in(0)
	if err := c.others(1); err != nil {
		return err
	}
	axis, err := tensor.Axis(c.n.Attrs.Int("axis", -1), len(c.shape(0))+1)
	if err != nil {
		return err
	}
	if axis <= r.axis {
		r.axis++
	}
	return c.setAll(r)
}

// scatterND: the same places of every row, on axes before that of the rows.
func scatterND(c *rowCall) error {
	r, at := c.in(0), c.shape(1)
	if r.kind != perRow || c.in(1).kind == perRow || len(at) == 0 {
		return fmt.Errorf("the places are not the same in all rows")
	}
	q := at[len(at)-1]
	if q > r.axis {
		return fmt.Errorf("its indices number the batch axis")
	}
	updates := r
	updates.axis += len(at) - 1 - q
	if c.in(2) != updates {
		return fmt.Errorf("the updates do not keep the rows where the data do")
	}
	return c.setAll(r)
}

func batchNorm(c *rowCall) error {
	if c.n.Attrs.Int("training_mode", 0) != 0 || len(c.n.Out) > 1 {
		return fmt.Errorf("in training mode it takes statistics over the batch")
	}
	return firstAxis(c)
}

func oneHot(c *rowCall) error {
	if err := c.others(1); err != nil {
		return err
	}
	return c.setAll(c.in(0))
}

func features(c *rowCall) error {
	for i := range c.n.In {
		if r := c.in(i); r != along(0, 1) || len(c.shape(i)) != 2 {
			return fmt.Errorf("input %d is no matrix with the batch's rows", i)
		}
	}
	return c.setAll(c.in(0))
}

func extract(c *rowCall) error {
	r := c.in(0)
	if i := c.in(1); i.kind == perRow {
		return c.looked(r, i)
	}
	if r.axis == len(c.shape(0))-1 {
		return fmt.Errorf("it picks from the batch axis")
	}
	if err := c.others(1); err != nil {
		return err
	}
	return c.setAll(r)
}

// looked: each row of the indices i picks from a table r that is the same for all. The indices are taken as one
// list, so the rows must come first in it.
func (c *rowCall) looked(r, i rows) error {
	s := c.shape(1)
	if r.kind == perRow {
		return fmt.Errorf("both the data and the indices depend on the rows")
	}
	if s[:i.axis].Elements() != 1 || i.over != 0 {
		return fmt.Errorf("the batch axis is mixed with an axis before it")
	}
	return c.set(0, along(max(len(c.shape(0))-1, 1), i.unit*s[i.axis+1:].Elements()))
}

// recurrent: the batch is axis 1 of X, lies beside time, and is axis 0 of the lengths.
func recurrent(c *rowCall) error {
	if c.n.Attrs.Int("layout", 0) != 0 {
		return fmt.Errorf("layout 1 is not followed")
	}
	want := []int{1, -1, -1, -1, 0, 1, 1, -1}
	first := c.in(0)
	at := func(axis int) rows { return rows{kind: perRow, axis: axis, unit: first.unit, over: first.over} }
	for i := range c.n.In {
		if r := c.in(i); r.kind == perRow && r != at(want[i]) {
			return fmt.Errorf("input %d keeps the rows on axis %d", i, r.axis)
		} else if r.kind != perRow && want[i] >= 0 && c.n.In[i] != nil && len(c.shape(i)) > want[i] {
			return fmt.Errorf("input %d has an extent of its own along the batch", i)
		}
	}
	if err := c.set(0, at(2)); err != nil {
		return err
	}
	for i := 1; i < len(c.n.Out); i++ {
		if err := c.set(i, at(1)); err != nil {
			return err
		}
	}
	return nil
}

func quantize(c *rowCall) error {
	if err := c.others(1); err != nil {
		return err
	}
	if t := c.constant(1); t == nil || t.Elements() > 1 {
		if axis, err := c.axisAttr("axis", 1); err != nil || axis == c.in(0).axis {
			return fmt.Errorf("the scale runs along the batch axis")
		}
	}
	return c.set(0, c.in(0))
}

// segmentAttention keeps the tokens of its operands apart from those of other sequences,
// by their positions.
func segmentAttention(c *rowCall) error {
	for i, axis := range []int{2, 3, 2, 0, 3} {
		if i >= len(c.n.In) {
			break
		}
		if r := c.in(i); r != along(axis, 1) {
			return fmt.Errorf("input %d does not keep the tokens on axis %d", i, axis)
		}
	}
	return c.set(0, along(2, 1))
}

// segmentReduce: tokens are pooled within their sequence, and each has the result.
func segmentReduce(c *rowCall) error {
	for i, axis := range []int{1, 0} {
		if r := c.in(i); r != along(axis, 1) {
			return fmt.Errorf("input %d does not keep the tokens on axis %d", i, axis)
		}
	}
	return c.set(0, along(0, 1))
}

// segmentSum: tokens are summed within their sequence.
func segmentSum(c *rowCall) error {
	for i, axis := range []int{1, 0} {
		if r := c.in(i); r != along(axis, 1) {
			return fmt.Errorf("input %d does not keep the tokens on axis %d", i, axis)
		}
	}
	return c.set(0, along(1, 1))
}
