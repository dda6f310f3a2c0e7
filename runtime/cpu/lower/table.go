package lower

// wave is a set of lowerings by operator. Waves go one after the other over the whole
// plan: what absorbs most nodes goes first.
type wave map[string]lowering

// lowerings lists the operators that have a fast path.
var lowerings = []wave{
	{
		"Softmax":            lowerSoftmax,
		"LogSoftmax":         lowerSoftmax,
		"LayerNormalization": lowerLayerNorm,
		"RMSNormalization":   lowerLayerNorm,
		"ReduceMean":         lowerReduceMean,
	},
	{
		"Gemm":          lowerGemm,
		"MatMul":        lowerMatMul,
		"Conv":          lowerConv,
		"MatMulInteger": lowerMatMulInteger,
	},
	{
		"ConvTranspose":                     lowerConvTranspose,
		"LSTM":                              lowerRecurrent,
		"GRU":                               lowerRecurrent,
		"RNN":                               lowerRecurrent,
		"DynamicQuantizeLinear":             lowerDynamicQuantize,
		"ai.onnx.ml.TreeEnsembleClassifier": lowerTrees,
		"ai.onnx.ml.TreeEnsembleRegressor":  lowerTrees,
		"ai.onnx.ml.TreeEnsemble":           lowerTrees,
		"QuantizeLinear":                    lowerQuantize,
		"DequantizeLinear":                  lowerQuantize,
		"BatchNormalization":                lowerBatchNorm,
		"InstanceNormalization":             lowerInstanceNorm,
		"MaxPool":                           lowerPool,
		"AveragePool":                       lowerPool,
		"Resize":                            lowerResize,
		"Upsample":                          lowerResize,
	},
	each(lowerFused, append(unaries, "Add", "Sub", "Mul", "Div", "Max", "Min", "Sum")...),
	{
		"ReduceSum":         lowerReduce,
		"ReduceMax":         lowerReduce,
		"ReduceMin":         lowerReduce,
		"ReduceSumSquare":   lowerReduce,
		"ReduceL1":          lowerReduce,
		"ReduceL2":          lowerReduce,
		"ReduceProd":        lowerReduce,
		"GlobalAveragePool": lowerGlobalPool,
		"GlobalMaxPool":     lowerGlobalPool,
		"Add":               lowerBinary,
		"Sub":               lowerBinary,
		"Mul":               lowerBinary,
		"Div":               lowerBinary,
		"Max":               lowerBinary,
		"Min":               lowerBinary,
		"Sum":               lowerBinary,
	},
	{
		"Transpose": lowerTranspose, "Slice": lowerSlice, "Split": lowerSplit, "Concat": lowerConcat, "Expand": lowerExpand, "Tile": lowerExpand,
		"Pad": lowerPad, "Gather": lowerGather, "Cast": lowerCast, "Where": lowerWhere,
		"Equal": lowerCompare, "Less": lowerCompare, "LessOrEqual": lowerCompare, "Greater": lowerCompare, "GreaterOrEqual": lowerCompare,
		"Add": lowerArithmetic, "Sub": lowerArithmetic, "Mul": lowerArithmetic,
	},
	each(lowerUnary, unaries...),
}

// unaries are the functions of one value.
var unaries = []string{
	"Abs", "Ceil", "Celu", "Clip", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Mish", "Neg", "Reciprocal",
	"Relu", "Round", "Selu", "Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt", "Swish", "Tanh", "ThresholdedRelu", "com.microsoft.Gelu", "com.microsoft.QuickGelu", "Pow",
}

func each(l lowering, ops ...string) wave {
	w := wave{}
	for _, op := range ops {
		w[op] = l
	}
	return w
}
